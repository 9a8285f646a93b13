#!/usr/bin/env python3
"""Fetch a model from the Hugging Face Hub and give it a row in Galaxy's table of models.

    python fetch_model.py --model facebook/esm2_t6_8M_UR50D --folder /data/models --loc tool-data/huggingface.loc

The model comes to FOLDER/owner/name/commit, complete or not at all; until then it lies in .fetching-commit beside that,
and a run that broke off is gone on with. A token for gated models is read from the variable HF_TOKEN, or is that of
``hf auth login``.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from fetching import rows
from fetching.choice import Choice, choose
from fetching.conversion import convert
from fetching.download import PART, fetch
from fetching.hub import TOKEN_HELP, RemoteModel, ask, checked_id, client
from fetching.licences import non_commercial
from fetching.presets import PRESETS
from fetching.record import check_record, write_record
from fetching.refusal import Refused, amount, quoted

SPARE = 100 * 10**6  # bytes of a disk that are left free


def main() -> int:
    arguments = parse()
    try:
        run(arguments)
    except Refused as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    except OSError as problem:
        print(f"error: {said_of(problem, arguments.folder)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it stopped", file=sys.stderr)
        return 130
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", required=True, help="id on the Hub, owner/name")
    add("--revision", default="", help="branch, tag or commit; default: the newest")
    add("--folder", type=Path, required=True, help="the model comes to FOLDER/owner/name/commit")
    add("--accept-non-commercial", action="store_true", help="take a model that is not for commercial use")
    add("--only-show", action="store_true", help="say what would be fetched, on what terms, and fetch nothing")
    add("--name", default="", help="what users see; default: the usual name, or the id")
    add("--pipeline-tag", default="auto", choices=["auto", *sorted(rows.OFFICIAL)], help="default: by what it is")
    add("--domain", default="sequence", choices=rows.DOMAINS, help="default: sequence")
    add("--free-tag", default="", help="narrows down a choice of models; never the name of a tool")
    add("--loc", type=Path, help="the table's .loc file, to which the row is added")
    add("--rows", type=Path, help="for Galaxy: the rows that its table has")
    add("--output", type=Path, help="for Galaxy: the row as JSON")
    add("--destination", type=Path, help="for Galaxy: where it moves the model, which must have room for it")
    return parser.parse_args()


def run(arguments: argparse.Namespace) -> None:
    """Everything; raises Refused before anything is fetched for whatever can be known by then."""
    checked_id(arguments.model)
    preset = PRESETS.get(arguments.model)
    if preset and preset.terms and not arguments.only_show:
        check_terms(arguments, preset.terms)  # known without a question to the Hub
    token = client().get_token()
    model = ask(arguments.model, arguments.revision or None, token)
    preset = PRESETS.get(model.id)
    terms = non_commercial(model.licence, model.licence_name) or (preset.terms if preset else "")
    choice = choose(model)
    show(model, choice, terms)
    if arguments.only_show:
        if arguments.output:
            write_output(arguments.output, [])
        return
    check_terms(arguments, terms)
    if model.gated and not token:
        raise Refused(f"{model.id} is gated; {TOKEN_HELP}")
    table = [row for path in (arguments.rows, arguments.loc) if path for row in rows.read_rows(path)]
    value = rows.value_for(model, table)

    target = arguments.folder / model.id / model.commit
    if target.exists():
        check_record(target)
        print(f"it is there already, and its files are what was fetched: {target}")
    else:
        fetch_all(arguments, model, choice, target, terms, token)
    config = read_config(target / configuration(choice), model)
    tag = rows.pipeline_tag(model, choice, config) if arguments.pipeline_tag == "auto" else arguments.pipeline_tag
    row = {
        "value": value,
        "name": rows.name_of(model, choice, arguments.name, terms),
        "pipeline_tag": tag,
        "domain": arguments.domain,
        "free_tag": arguments.free_tag or (preset.reads if preset else ""),
        "version": model.commit,
        "path": f"{model.id}/{model.commit}" if arguments.output else str(target.resolve()),
    }
    if arguments.output:
        write_output(arguments.output, [row])
    if arguments.loc:
        rows.append_row(row, arguments.loc)
        print(f"added to {arguments.loc}:")
    print(rows.line_of(row))


def check_terms(arguments: argparse.Namespace, terms: str) -> None:
    if terms and not arguments.accept_non_commercial:
        raise Refused(
            f"{arguments.model} is not for commercial use ({shortened(terms)}), nor is what is derived from it: read "
            "its licence, and if the use on this server is within it, say so (--accept-non-commercial)"
        )


def show(model: RemoteModel, choice: Choice, terms: str) -> None:
    """What will be fetched, and on what terms."""
    size = sum(model.files[name].size for name in choice.names)
    licence = ", ".join(filter(None, (model.licence, model.licence_name)))
    print(f"{model.id}, commit {model.commit}")
    print(f"  licence: {shortened(licence) if licence else 'its card names none; read its page before it is offered'}")
    print(f"  commercial use: {'NOT allowed: ' + shortened(terms) if terms else 'not excluded by what its card says'}")
    print(f"  gated: {'yes, a token is needed' if model.gated else 'no'}")
    print(f"  size: {amount(size)} in {len(choice.names)} files of the {len(model.files)} in its repository")
    for name in choice.names:
        print(f"    {amount(model.files[name].size):>10}  {name}")
    if choice.pickled:
        print("  its weights are pickled: they are converted to safetensors, and the row says so")
    sys.stdout.flush()


def shortened(text: str) -> str:
    return quoted(text)[1:-1]


def fetch_all(
    arguments: argparse.Namespace, model: RemoteModel, choice: Choice, target: Path, terms: str, token: str | None
) -> None:
    """Fetch, convert and record a model beside ``target``, and then give it that name."""
    partial = target.with_name(f".fetching-{model.commit}")
    try:
        with locked(partial):
            check_space(arguments, model, choice, partial)
            hashes = {}
            for name in choice.names:
                print(f"fetching {name}", flush=True)
                hashes[name] = fetch(model, name, partial, token)
                if name == configuration(choice):
                    read_config(partial / name, model)  # before gigabytes of weights that nothing could be done with
            print("every file is what the Hub lists", flush=True)
            made = {}
            if choice.pickled:
                print("converting the weights to safetensors", flush=True)
                made = convert(partial, choice.weights)
            for file in partial.iterdir():  # of a run that was to fetch something else
                if file.name not in {*made, *choice.names, ".lock"} or file.name.endswith(PART):
                    file.unlink()
            write_record(partial, model, hashes, made, terms)
            (partial / ".lock").unlink()
            os.replace(partial, target)
    except BaseException:
        if arguments.output:  # the next job of Galaxy has another folder
            shutil.rmtree(partial, ignore_errors=True)
        raise


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder, made if need be, for one process alone."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"another process is fetching into {folder}") from None
        yield


def check_space(arguments: argparse.Namespace, model: RemoteModel, choice: Choice, partial: Path) -> None:
    """Raises Refused where a disk has not the room that will be needed."""
    sizes = {name: model.files[name].size for name in choice.names}
    there = sum(file.stat().st_size for file in partial.iterdir() if file.name.removesuffix(PART) in sizes)
    needed = sum(sizes.values()) - there
    if choice.pickled:
        needed += sum(sizes[name] for name in choice.weights)  # old and new lie beside each other for a while
    asked = {partial: needed}
    destination = arguments.destination
    if destination and destination.is_dir() and destination.stat().st_dev != partial.stat().st_dev:
        asked[destination] = sum(sizes.values())
    for folder, size in asked.items():
        free = shutil.disk_usage(folder).free
        if size + SPARE > free:
            raise Refused(f"{model.id} needs {amount(size)}, and the disk of {folder} has {amount(free)} left")


def configuration(choice: Choice) -> str:
    return "adapter_config.json" if choice.adapter else "config.json"


def read_config(file: Path, model: RemoteModel) -> dict:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise Refused(f"{file.name} of {model.id} is no JSON object, so no tool could open the model")
    return config


def write_output(file: Path, added: list[dict[str, str]]) -> None:
    file.write_text(json.dumps({"data_tables": {rows.TABLE: added}}, indent=2) + "\n", encoding="utf-8")


def said_of(problem: OSError, folder: Path) -> str:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {folder} is full; make room, and the same command goes on where it stopped"
    return f"{problem.strerror or type(problem).__name__}: {problem.filename or folder}"


if __name__ == "__main__":
    sys.exit(main())
