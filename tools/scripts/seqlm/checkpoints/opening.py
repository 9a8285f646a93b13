"""The model that a tool was given: a Hugging Face folder, an archive of one, a bundle, an adapter with its base model.

Checked without torch.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from seqlm.cli.errors import InputError
from seqlm.data.tasks import WITH_HEAD, WITHOUT_HEAD

from .bundle import ADAPTER_CONFIG, Bundle, open_bundle, read_bundle_folder
from .folder import ModelFolder, read_model_folder
from .hub_cache import model_in
from .installed import HUB_ID, Installed, read_installed, versions_of
from .manifest import FILE as MANIFEST

_WHY = {"base_model": "holds an adapter or a head only", "second_model": "reads second members with another model"}


def open_model(arguments: Namespace, scratch: Path) -> tuple[Bundle | None, ModelFolder]:
    """What ``--model`` is, None for a plain Hugging Face folder, and the folder with the weights of the whole model.

    Raises:
        InputError: an archive that is refused, a base model that is missing, not needed, or not the right one.
    """
    bundle, model = open_alone(arguments.model, scratch)
    if model is None:
        return bundle, open_base(bundle, arguments, scratch)
    if arguments.base_model:
        what = "all weights" if bundle else "a whole model"
        raise InputError(f"{Path(arguments.model).name} holds {what}; leave the base model empty (--base-model)")
    return bundle, model


def open_alone(path: Path | str, scratch: Path) -> tuple[Bundle | None, ModelFolder | None]:
    """The same without a base model: the folder is None where the model needs one."""
    path = Path(path)
    if path.is_dir():
        path = model_in(path, f"the model folder {path}")
    if path.is_dir() and not any((path / name).is_file() for name in (ADAPTER_CONFIG, MANIFEST)):
        return None, read_model_folder(path)
    (scratch / "model").mkdir()
    bundle = read_bundle_folder(path) if path.is_dir() else open_bundle(path, scratch / "model")
    return bundle, None if bundle.needs_base_model else bundle.model


def require_head(bundle: Bundle | None, path: Path | str) -> dict:
    """The manifest of a model that was fine-tuned here and predicts labels.

    Raises:
        InputError: any other model.
    """
    manifest, name = bundle.manifest if bundle else None, Path(path).name
    if manifest and manifest["task"] in WITHOUT_HEAD:
        raise InputError(
            f"{name} is a language model, which predicts tokens and no labels; give it to the tools that generate "
            "and score sequences"
        )
    if manifest is None or not manifest.get("head"):
        raise InputError(
            f"{name} is not a fine-tuned model of this tool suite; give the bundle that the fine-tuning tool made"
        )
    if manifest["task"] not in WITH_HEAD:
        raise InputError(f"{name} was made for the task '{manifest['task']}', which this version cannot predict")
    return manifest


def open_base(bundle: Bundle, arguments: Namespace, scratch: Path) -> ModelFolder:
    """The base model of an adapter or a head: that of ``--base-model``, or the one that it names.

    Raises:
        InputError: there is none, or it is another one than the adapter was trained on.
    """
    named = (bundle.manifest or {}).get("base_model")
    named = named or {"id": bundle.adapter_config.get("base_model_name_or_path") or ""}
    return open_named(named, arguments, "base_model", scratch / "base")


def open_named(named: dict, arguments: Namespace, option: str, scratch: Path) -> ModelFolder:
    """A model that ``--model`` was trained on: the one given, or that among ``--installed-models`` which it names.

    Args:
        named: its id, and where they are known its SHA-256 and revision.
        option: ``base_model`` or ``second_model``, in which the user may give it.
    """
    holder, given = Path(arguments.model).name, getattr(arguments, option)
    what, flag = option.replace("_", " "), "--" + option.replace("_", "-")
    if given:
        model = open_base_model(given, scratch)
        if "sha256" in named and model.sha256 != named["sha256"]:
            raise InputError(
                f"{holder} was trained on another {what}, {named['id']}: the SHA-256 of its weights starts with "
                f"{named['sha256'][:12]}, that of the model given with {model.sha256[:12]}"
            )
        return model
    if not arguments.installed_models:
        raise InputError(f"{holder} {_WHY[option]}; give its {what} too, {named['id'] or 'of its author'} ({flag})")
    if not named["id"]:
        raise InputError(f"{holder} does not say which {what} it was trained on; choose that model ({flag})")
    found = versions_of(read_installed(arguments.installed_models), named["id"], named.get("revision"))
    if not found:
        raise InputError(f"the {what} of {holder}, {named['id']}, is not installed on this server: {_do(named['id'])}")
    scratch.mkdir()
    row, model = _with_hash(found, named, holder, scratch) if "sha256" in named else _only(found, named, flag, scratch)
    print(f"{what}: {row.id}, which is installed and is the one that {holder} names", file=sys.stderr)
    return model


def _do(name: str) -> str:
    """What a user can do where a model is not installed."""
    give = "take its folder from the history"
    if not HUB_ID.fullmatch(name):
        return f"choose an installed model that is the same, or {give}"
    return f"ask the administrator to install it (data manager 'Fetch a model from the Hugging Face Hub'), or {give}"


def _with_hash(found: list[Installed], named: dict, holder: str, scratch: Path) -> tuple[Installed, ModelFolder]:
    """Of the versions that are installed the one with the weights that are named."""
    problems, hashes = [], []
    for number, row in enumerate(found):
        try:
            model = open_base_model(row.path, scratch / str(number))
        except InputError as problem:
            problems.append(f"{row.id} in the table of models cannot be used: {problem}")
            continue
        if model.sha256 == named["sha256"]:
            return row, model
        hashes.append(model.sha256[:12])
    if not hashes:
        raise InputError(problems[0])
    version = f" (revision {named['revision']})" if named.get("revision") else ""
    raise InputError(
        f"{holder} was trained on another version of {named['id']}{version} than is installed on this server: the "
        f"SHA-256 of its weights starts with {named['sha256'][:12]}, that of the installed with {', '.join(hashes)}: "
        f"{_do(named['id'])}"
    )


def _only(found: list[Installed], named: dict, flag: str, scratch: Path) -> tuple[Installed, ModelFolder]:
    """The model of that very id, or the only version of it."""
    same = [row for row in found if row.id.lower() == named["id"].lower()] or found
    if len(same) > 1:
        listed = ", ".join(row.id for row in same)
        raise InputError(f"{named['id']} is installed in {len(same)} versions ({listed}); choose one of them ({flag})")
    try:
        return same[0], open_base_model(same[0].path, scratch / "0")
    except InputError as problem:
        raise InputError(f"{same[0].id} in the table of models cannot be used: {problem}") from None


def open_base_model(path: str, scratch: Path) -> ModelFolder:
    """A base model from a Hugging Face folder or a bundle that holds whole weights.

    Raises:
        InputError: a bundle that holds an adapter only.
    """
    if Path(path).is_dir():
        return read_model_folder(path)
    scratch.mkdir()
    bundle = open_bundle(path, scratch)
    if bundle.model is None:
        raise InputError(
            f"{Path(path).name} holds only an adapter or a head, not a whole model; start from its base model, "
            "or from a bundle made with the method 'full'"
        )
    return bundle.model
