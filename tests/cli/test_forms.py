"""What a form offers is what its script takes: the same options, choices, ranges and defaults."""

from __future__ import annotations

import math
import re
from argparse import Action
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import pytest

from makers.forms import TOOLS, form_of, options_of
from seqlm.cli.arguments import Number


@dataclass(frozen=True)
class Own:
    """What a form says in place of its script, on purpose.

    Attributes:
        defaults: that it has, in some place or other.
        low, high: ends of its range.
        more: choices that its command translates.
        fewer: choices that only a shell has.
    """

    why: str
    defaults: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    more: tuple[str, ...] = ()
    fewer: tuple[str, ...] = ()


NAMED = "asked for only where the user has said that there is one; a shell names it or there is none"
PROCESSES = {
    "--processes": Own("a job may ask for 8 GPUs at most: cuda_device_count_max", high=8),
    "--strategy": Own("one question in place of --strategy and --zero-stage", more=("zero2", "zero3"),
                      fewer=("deepspeed",)),
}  # fmt: skip
OWN = {
    "classify": {
        "--cross-validation": Own("asked for only where cross-validation was chosen", ("5",), low=2),
        "--split-column": Own(NAMED, ("split",)),
        "--split-pattern": Own(NAMED, (r"SET=(\w+)",)),
    },
    "evaluate": {
        "--threshold": Own("asked for only where a threshold was chosen", ("0.5",)),
        "--metric": Own(
            "scores by which a model that always says yes, or no, may be the best one",
            fewer=("sensitivity", "specificity", "precision", "subset_accuracy", "hamming_accuracy"),
        ),
    },
    "finetune": {
        "--metric": Own("the form says so of auto, which is the same", fewer=("loss",)),
        **PROCESSES,
    },
    "generate": {
        "--num-sequences": Own("a beam search has no more than it has beams, and is mostly for one", ("1",), high=1000),
        "--fill": Own("the form asks where there are templates; a shell may have none", ("underscore",)),
    },
    "plot": {
        "--names": Own("of two tables, which are mostly these", ("before", "after")),
        "--colour-by": Own("the form asks for labels; a shell that gives none gets one colour", ("label",)),
        "--split-pattern": Own(NAMED, (r"SET=(\S+)",)),
    },
    "predict": {
        "--site-type": Own("what sites and residues mostly are", ("post_translationally_modified_region",
                                                                  "binding_site")),
    },
    "pretrain": {
        "--architecture": Own("asked for only where a new model is made", ("gpt2",)),
        "--size": Own("stands for --layers, --width and --heads", more=("own",)),
        "--layers": Own("asked for only where no named size was chosen", ("4",)),
        "--width": Own("asked for only where no named size was chosen", ("256",)),
        "--heads": Own("asked for only where no named size was chosen", ("4",)),
        "--span": Own("asked for only where spans are hidden; 1 is a script's way to say that none are", ("3",), low=2),
        "--context": Own("shorter ones are refused; empty is the script's 0", low=8),
        "--checkpoint-minutes": Own("asked for only where a checkpoint is kept", ("10",)),
        **PROCESSES,
    },
    "tokenizer": {
        "--kmer": Own("of DNA; the script says which k is too large for proteins", high=9),
    },
}  # fmt: skip

# options that no form has
EVERYWHERE = {
    "--format": "told from the content, as Galaxy's types of files may be wrong",
    "--device": "the administrator sends jobs to machines with or without a GPU",
}
SHELL = {
    "dataset": {
        "--positive-label": "labels are 1 and 0 here, which is what fine-tuning expects",
        "--negative-label": "as --positive-label",
    },
    "embed": {"--figure-format": "no figures as files are offered"},
    "finetune": {"--alphabet": "told from the model's vocabulary; wrong only for models of somebody's own"},
    "generate": {
        "--figure-format": "no figures as files are offered",
        "--equal-only": "to save minutes where thousands are written again and again",
    },
}
# written by a command in another way than by their names
MODES = {"tokenizer": {"--inspect", "--train", "--extend"}}  # --$what.mode


def differences(form: Element, options: dict[str, Action], own: dict[str, Own]) -> Iterator[str]:
    """Every difference between a form and its script that ``own`` does not name, in words."""
    command = form.find("command").text
    unused = {(name, field) for name, one in own.items() for field in ("defaults", "low", "high") if _has(one, field)}
    offered: dict[str, set[str]] = {}
    for param in form.find("inputs").iter("param"):
        name = param.get("argument")
        if name is None:
            continue
        if name not in options:
            yield f"{name}: no such option"
            continue
        option, mine = options[name], own.get(name, Own(""))
        empty = option.default is None or _means(_fallback(command, name), option.default)
        if param.get("type") == "boolean" and (param.get("truevalue"), option.const) != (name, True):
            yield f"{name}: its truevalue is {param.get('truevalue')}"
        if param.get("type") == "select" and param.find("options") is None:
            offered.setdefault(name, set()).update(_values(param) - ({""} if option.default is None else set()))
        if param.get("type") in ("integer", "float"):
            if not isinstance(option.type, Number) or (option.type.kind is int) != (param.get("type") == "integer"):
                yield f"{name}: {param.get('type')} in the form, {option.type} in the script"
                continue
            low, high = float(param.get("min", -math.inf)), float(param.get("max", math.inf))
            if low == mine.low:
                unused.discard((name, "low"))
            elif low != option.type.low and not (
                # a form cannot leave out an end of its range, nor need it offer the 0 that empty stands for
                (option.type.above and option.type.low < low <= option.type.low + 0.01)
                or (empty and option.default == 0 and low == 1)
            ):
                yield f"{name}: from {low:g} in the form, from {option.type.low:g} in the script"
            if high == mine.high:
                unused.discard((name, "high"))
            elif high != option.type.high:
                yield f"{name}: up to {high:g} in the form, up to {option.type.high:g} in the script"
        said = _said(param)
        if said is None or _means(said, option.default):
            continue
        if said in mine.defaults:
            unused.discard((name, "defaults"))
        elif said in ("", []):
            condition = rf"#(el)?if\b.*\b{param.get('name') or _name(name)}\b"
            guarded = option.default == [] or re.search(condition, command) or _in_loop(name, command)
            if not (guarded or _means(_fallback(command, name), option.default)):
                yield f"{name}: may be empty in the form, and the script's default is {option.default}"
        elif option.default is not None or not re.search(rf"(?<![\w.]){re.escape(said)}(?!\w|\.\w)", option.help or ""):
            yield f"{name}: {said} in the form, {option.default} in the script"
    for name, values in offered.items():
        mine, choices = own.get(name, Own("")), {str(choice) for choice in options[name].choices or ()}
        for value in sorted(values - choices - set(mine.more)):
            yield f"{name}: the form offers {value}, which the script does not take"
        for value in sorted(choices - values - set(mine.fewer)):
            yield f"{name}: the script takes {value}, which the form does not offer"
        for value in sorted((set(mine.more) - values) | (set(mine.fewer) & values)):
            yield f"{name}: {value} need not be named as an exception"
    for name, field in sorted(unused):
        yield f"{name}: {field} need not be named as an exception"


def _has(own: Own, field: str) -> bool:
    return getattr(own, field) not in (None, ())


def _name(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _values(param: Element) -> set[str]:
    return {option.get("value") for option in param.iter("option")}


def _said(param: Element) -> str | bool | list[str] | None:
    """The default of a form's parameter; None where it has none, as a file."""
    if param.get("type") == "boolean":
        return param.get("checked") == "true"
    if param.get("type") in ("text", "integer", "float"):
        return param.get("value", "")
    if param.get("type") != "select" or param.find("options") is not None:
        return None
    chosen = [option.get("value") for option in param.iter("option") if option.get("selected") == "true"]
    if param.get("multiple") == "true":
        return chosen
    return chosen[0] if chosen else param.find("option").get("value")


def _means(said, default) -> bool:
    """Whether a form's default, or what a command writes in its place, is that of the script."""
    if isinstance(default, float | int) and not isinstance(default, bool):
        try:
            return float(said) == default
        except (TypeError, ValueError):
            return False
    return said == default


def _fallback(command: str, option: str) -> str | None:
    """What a command writes where the form was left empty: ``--layer='${vectors.layer or "last"}'``."""
    found = re.search(rf"{option}='\$\{{(?:\"(\w+)\" if .*|.* or \"?(\w+)\"?)\}}'", command)
    return found and (found[1] or found[2])


def _in_loop(option: str, command: str) -> bool:
    """Whether a command names an option in a loop over several: ``#for $name in ('label_column', …)``."""
    name = _name(option)
    return bool(re.search(rf"#for .*'({name}|{name.removesuffix('_column')})'", command))


def _written(form: Element, option: str) -> bool:
    """Whether a command writes an option, by its name, in a loop, or as the value of a boolean."""
    command = form.find("command").text
    flag = any(param.get("truevalue") == option and f".{_name(option)}" in command for param in form.iter("param"))
    return flag or _in_loop(option, command) or bool(re.search(rf"(?<![\w-]){option}(?![\w-])", command))


@pytest.mark.parametrize("tool", TOOLS)
def test_a_form_says_what_its_script_says(tool):
    assert not list(differences(form_of(tool), options_of(tool), OWN.get(tool, {})))


@pytest.mark.parametrize("tool", TOOLS)
def test_nothing_in_a_form_is_taken_for_a_tag(tool):
    """Galaxy's page reads a help as HTML: what it takes for a tag, such as that of a model, is not shown."""
    helps = [param.get("help", "") for param in form_of(tool).iter()]
    assert not [text for text in helps if re.search(r"<[A-Za-z/!?]", text)]


@pytest.mark.parametrize("tool", TOOLS)
def test_every_option_is_written_by_the_command_or_for_a_shell_only(tool):
    form, options = form_of(tool), options_of(tool)
    shell = {name for name in EVERYWHERE if name in options} | set(SHELL.get(tool, ()))
    written = {name for name in options if _written(form, name)} | MODES.get(tool, set())
    assert set(options) - written == shell
    assert MODES.get(tool, set()) <= {f"--{value}" for param in form.iter("param") for value in _values(param)}
    command = re.sub(r"^python.*\.py'$", "", form.find("command").text, flags=re.M)
    assert set(re.findall(r"(?<![\w$-])--[a-z][\w-]*", command)) <= set(options)


@pytest.mark.parametrize(
    ("tool", "option", "change", "seen"),
    [
        ("embed", "--max-length", {"max": "100"}, "--max-length: up to 100 in the form, up to 1.04858e+06 in the"),
        ("finetune", "--epochs", {"min": "0"}, "--epochs: from 0 in the form, from 1 in the script"),
        ("finetune", "--epochs", {"value": "21"}, "--epochs: 21 in the form, 20 in the script"),
        ("finetune", "--epochs", {"type": "float"}, "--epochs: float in the form"),
        ("finetune", "--learning-rate", {"value": "0.1"}, "--learning-rate: 0.1 in the form, None in the script"),
        ("tokenizer", "--vocab-size", {"value": "409"}, "--vocab-size: 409 in the form, None in the script"),
        ("plot", "--min-dist", {"argument": "--min-distance"}, "--min-distance: no such option"),
        ("embed", "--normalize", {"truevalue": "--normalise"}, "--normalize: its truevalue is --normalise"),
        ("embed", "--normalize", {"checked": "true"}, "--normalize: True in the form, False in the script"),
        ("score", "--first-position", {"value": ""}, "--first-position: may be empty in the form, and the script's"),
        ("pretrain", "--processes", {"max": "64"}, "--processes: high need not be named as an exception"),
    ],
)
def test_a_changed_form_is_seen(tool, option, change, seen):
    form = form_of(tool)
    for param in form.find("inputs").iter("param"):
        if param.get("argument") == option:
            param.attrib.update(change)
    assert any(line.startswith(seen) for line in differences(form, options_of(tool), OWN.get(tool, {})))


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda param: param.remove(param[1]), "--schedule: the script takes cosine, which the form does not offer"),
        (lambda param: param[1].set("value", "cosinus"), "--schedule: the form offers cosinus, which the script"),
        (lambda param: (param[0].attrib.pop("selected"), param[1].set("selected", "true")), "--schedule: cosine in"),
    ],
)
def test_a_changed_choice_is_seen(change, seen):
    form = form_of("finetune")
    change(next(param for param in form.find("inputs").iter("param") if param.get("argument") == "--schedule"))
    assert any(line.startswith(seen) for line in differences(form, options_of("finetune"), OWN["finetune"]))
