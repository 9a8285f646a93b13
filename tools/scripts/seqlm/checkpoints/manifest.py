"""seqlm.json: what a bundle says about itself. One schema for both directions, so what is written is what is accepted.

::

    {"format": 2,                                           1: without the mean and deviation of vectors in the head
     "task": "sequence-classification",
     "method": "lora",                                       one of METHODS
     "labels": ["0", "1"],                                   null for numbers
     "family": "t5", "alphabet": "protein", "pooling": "mean",
     "base_model": {"id": "Rostlab/prot_t5_xl_uniref50", "revision": null, "sha256": "9f…"},
     "head": {"kind": "mlp", "inputs": 1024, "outputs": 2, "hidden": 1024},    null where there is none
     "max_length": 1024, "long_sequences": "window",
     "window": 33, "sites": "Y",                             of a model of windows around residues, which can scan;
                                                             of residues, sites are what labels were on, if few
     "threshold": 0.5, "temperature": 1.0,                   a threshold for each label where there are several
     "prefix": "<AA2fold>",                                  what stands before each sequence, where something does
     "structures": true,                                     3Di states were read beside the residues
     "light_chains": true,                                   sequences were heavy and light chains of antibodies
     "members": 5,                                           adapters and heads, whose mean is the prediction
     "conformal": {"repeats": 1, "pooled": true},            of conformal.safetensors, see metrics.conformal
     "metrics": {"test": {"mcc": [0.48, 0.21, 0.71]}},       value, and both ends of its 95 % interval
     "settings": {"rank": 4, "epochs": 20},
     "versions": {"torch": "2.13.0"}, "seed": 42, "data_sha256": "3a…"}

A head of pairs says ``"pairs": "symmetric"`` or ``"ordered"``, and ``second_model`` is there, like ``base_model``,
where another model reads the second members. The alphabet ``canonical SMILES`` has every molecule written by RDKit
before it is read, and ``"tokenizer": "repaired"`` mends a tokenizer that loses atoms, which otherwise stays as it is.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from seqlm.archives import strict_json
from seqlm.cli.errors import InputError
from seqlm.data.tasks import TASKS, WITHOUT_HEAD, level_of

FILE = "seqlm.json"
FORMAT = 2
LARGEST = 1 << 20  # bytes
MOST_LABELS = 10_000
MOST_MEMBERS = 20
ALPHABETS = ("protein", "DNA", "text", "canonical SMILES", "3Di")
# adapters -> what peft calls their type
ADAPTERS = {"lora": "LORA", "dora": "LORA", "qlora": "LORA", "adalora": "ADALORA", "vera": "VERA", "ia3": "IA3"}
METHODS = (*ADAPTERS, "full", "head", "pretrain")


_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class _Wrong(Exception):
    """A value that does not fit; the message says what it must be."""


def _word(value):
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise _Wrong("must be a short name")


def _text(longest: int):
    def check(value):
        # isprintable also refuses lone surrogates, line breaks and the characters that reverse the direction of text
        if not isinstance(value, str) or len(value) > longest or not value.isprintable():
            raise _Wrong(f"must be one line of text of at most {longest} characters")

    return check


def _whole(least: int, most: int):
    def check(value):
        if type(value) is not int or not least <= value <= most:
            raise _Wrong(f"must be a whole number from {least} to {most}")

    return check


def _number(least: float = -math.inf, most: float = math.inf):
    def check(value):
        if type(value) not in (int, float) or not abs(value) < 1e300 or not least <= value <= most:
            raise _Wrong("must be a number" + (f" from {least} to {most}" if most < math.inf else ""))

    return check


def _truth_value(value):
    if not isinstance(value, bool):
        raise _Wrong("must be true or false")


def _sha256(value):
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise _Wrong("must be a SHA-256 of 64 hexadecimal digits")


def _scalar(value):
    if value is not None and not isinstance(value, bool):
        (_text(1000) if isinstance(value, str) else _number())(value)


def _or_null(check):
    return lambda value: None if value is None else check(value)


def _one_of(*words: str):
    def check(value):
        if value not in words:
            raise _Wrong(f"must be one of {', '.join(words)}")

    return check


def _labels(value):
    if not isinstance(value, list) or not 0 < len(value) <= MOST_LABELS:
        raise _Wrong(f"must be a list of 1 to {MOST_LABELS:,} labels")
    for label in value:
        _text(200)(label)
        if not label:
            raise _Wrong("must not hold an empty label")
    if len(set(value)) != len(value):
        raise _Wrong("must not hold a label twice")


def _table(check, most: int = 200):
    """An object of any short printable keys, each value passing ``check``."""

    def check_all(value):
        if not isinstance(value, dict) or len(value) > most:
            raise _Wrong(f"must be an object of at most {most} entries")
        for key, entry in value.items():
            _text(100)(key)
            try:
                check(entry)
            except _Wrong as wrong:
                raise _Wrong(f"at {key!r} {wrong}") from None

    return check_all


def _object(required: dict, optional: dict | None = None):
    """An object of exactly these keys; a key that is not known is refused, so that nothing is read past the schema."""
    optional = optional or {}

    def check(value):
        if not isinstance(value, dict):
            raise _Wrong("must be an object")
        if missing := sorted(set(required) - set(value)):
            raise _Wrong(f"lacks {', '.join(missing)}")
        if unknown := sorted(set(value) - set(required) - set(optional)):
            raise _Wrong(f"holds {str(unknown[0])[:60]!r}, which this version does not know")
        for key, entry in value.items():
            try:
                (required.get(key) or optional[key])(entry)
            except _Wrong as wrong:
                raise _Wrong(f"at {key!r} {wrong}") from None

    return check


def _score(value):
    if not isinstance(value, list) or len(value) != 3:
        raise _Wrong("must be a value and the two ends of its interval")
    for number in value:
        _or_null(_number())(number)


def _digests(value):
    """One for all data, or one for each split."""
    (_table(_sha256) if isinstance(value, dict) else _sha256)(value)


def _threshold(value):
    if isinstance(value, list):
        if len(value) > MOST_LABELS:
            raise _Wrong(f"must hold at most {MOST_LABELS:,} numbers")
        for number in value:
            _number(0, 1)(number)
    else:
        _number(0, 1)(value)


_MODEL = _object(
    {"id": _text(500), "sha256": _sha256},
    {"revision": _or_null(_text(100)), "alphabet": _one_of(*ALPHABETS), "prefix": _text(40)},
)

_check = _object(
    {
        "format": _whole(1, FORMAT),
        "task": _one_of(*TASKS),
        "method": _one_of(*METHODS),
        "labels": _or_null(_labels),
        "family": _word,
        "alphabet": _one_of(*ALPHABETS),
        "pooling": _or_null(_one_of("mean", "cls", "max", "last", "none")),
        "max_length": _whole(1, 1 << 30),
        "long_sequences": _one_of("window", "truncate", "refuse"),
        "head": _or_null(
            _object(
                {
                    "kind": _one_of("linear", "mlp"),
                    "inputs": _whole(1, 1 << 20),
                    "outputs": _whole(1, MOST_LABELS),
                    "hidden": _whole(0, 1 << 17),
                },
                {"pairs": _one_of("symmetric", "ordered")},
            )
        ),
        "versions": _table(_text(100)),
        "seed": _whole(0, 2**63),
    },
    {
        "base_model": _or_null(_MODEL),
        "second_model": _or_null(_MODEL),
        "sites": _or_null(_text(100)),
        "window": _or_null(_whole(1, 1 << 20)),
        "threshold": _or_null(_threshold),
        "temperature": _number(0.01, 100),
        "members": _whole(2, MOST_MEMBERS),
        "conformal": _object({"repeats": _whole(1, MOST_MEMBERS), "pooled": _truth_value}),
        "metrics": _table(_table(_score)),
        "settings": _table(_scalar),
        "data_sha256": _or_null(_digests),
        "tokenizer": _one_of("repaired", "as-published"),
        "prefix": _text(40),
        "structures": _truth_value,
        "light_chains": _truth_value,
    },
)


def check_manifest(manifest, name: str = FILE) -> dict:
    """Return ``manifest`` if it fits the schema.

    Raises:
        InputError: naming the entry that does not fit.
    """
    if isinstance(manifest, dict) and type(manifest.get("format")) is int and manifest["format"] > FORMAT:
        raise InputError(
            f"{name} was written by a newer SeqLM: its format is {manifest['format']}, this one reads {FORMAT}; "
            "update the tools"
        )
    try:
        _check(manifest)
        _check_consistency(manifest)
    except _Wrong as wrong:
        raise InputError(f"{name} {wrong}") from None
    return manifest


def _check_consistency(manifest: dict) -> None:
    head, labels = manifest["head"], manifest["labels"]
    if (head is None) != (manifest["task"] in WITHOUT_HEAD):
        raise _Wrong(f"does not describe a head as the task {manifest['task']} needs")
    if labels and head and head["outputs"] != len(labels):
        raise _Wrong(f"names {len(labels)} labels, but its head has {head['outputs']} outputs")
    if head and (level_of(manifest["task"]) == "pair") != ("pairs" in head):
        raise _Wrong(f"does not describe a head as the task {manifest['task']} needs")
    if bool(labels) != (manifest["task"].endswith("classification") or manifest["task"] == "multi-label"):
        raise _Wrong(f"must name labels for a task of classes and for no other; the task is {manifest['task']}")
    if "members" in manifest and (head is None or manifest["method"] == "full"):
        raise _Wrong(f"names {manifest['members']} members, which only adapters and heads can be")
    if "conformal" in manifest and (head is None or manifest.get("members", 1) % manifest["conformal"]["repeats"]):
        raise _Wrong("describes conformal scores that do not fit its members")
    threshold, number_of_labels = manifest.get("threshold"), len(labels or ())
    fits = (
        isinstance(threshold, list) and len(threshold) == number_of_labels
        if manifest["task"] == "multi-label"
        else not isinstance(threshold, list) and number_of_labels == 2
    )
    if threshold is not None and not fits:
        raise _Wrong("holds a threshold that does not fit: one is for two classes, a list for several labels")


def check_labels(labels) -> None:
    """Refuse class names that no manifest could hold, which is better known before the training than after it."""
    try:
        _labels(list(labels))
    except _Wrong as wrong:
        raise InputError(f"the labels {wrong}") from None


def read_manifest(path: Path, name: str | None = None) -> dict:
    """seqlm.json, read and checked; ``name`` is what messages call it."""
    name = name or path.name
    return check_manifest(strict_json.read_object(path, name, limit=LARGEST), name)


def reading_of(model: dict) -> dict[str, str]:
    """How a model of a manifest reads sequences, as ``recognise`` takes it.

    Args:
        model: the manifest, or its entry of the second model. What names no prefix was trained without one.
    """
    return {"alphabet": model.get("alphabet", "auto"), "prefix": model.get("prefix", "none")}


def reading_in(folder: Path, alphabet: str = "auto", prefix: str = "auto") -> dict[str, str]:
    """How the model of a folder reads sequences, as ``recognise`` takes it: as it is asked for, or as it was trained.

    A vocabulary of DNA and proteins does not tell what a bundle was trained on; ``auto`` where the folder is none.
    """
    if not (folder / FILE).is_file():
        return {"alphabet": alphabet, "prefix": prefix}
    own = reading_of(read_manifest(folder / FILE))
    if own["alphabet"] == "canonical SMILES":
        own["alphabet"] = "text"  # how molecules are written is asked for anew
    asked = {"alphabet": alphabet, "prefix": prefix}
    return {name: own[name] if value == "auto" else value for name, value in asked.items()}


def write_manifest(manifest: dict, folder: Path) -> None:
    """Write seqlm.json into ``folder``, sorted, so that equal content gives equal bytes.

    Raises:
        InputError: as on reading, such as for a label with a line break or a score that is not a number.
    """
    (folder / FILE).write_bytes(strict_json.text_of(check_manifest(manifest)))
