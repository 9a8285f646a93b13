"""A trained classifier as an archive: ``model.skops`` and ``seqlm.json``, which says what it reads and tells apart.

::

    {"format": 1, "kind": "embedding-classifier",
     "classifier": "random-forest", "settings": {"min_samples_leaf": 3}, "class_weights": "none",
     "classes": ["0", "1"], "counts": [112, 48],              of the training set
     "columns": ["dim_1", "dim_2"], "means": [0.1, -2.0], "deviations": [1.0, 0.4],
     "metrics": {"test": {"mcc": [0.48, 0.21, 0.71]}},        value, and both ends of its 95 % interval
     "versions": {"scikit-learn": "1.9.1"}, "seed": 42, "data_sha256": "3a…"}

Whoever opens one treats it as hostile: see :mod:`seqlm.tools.classify.skops_files` too.
"""

from __future__ import annotations

import hashlib
import math
import re
import stat
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from seqlm.archives import strict_json
from seqlm.archives.entries import GIB, MIB, Limits
from seqlm.archives.unpacking import emptied_on_failure, unpack
from seqlm.checkpoints.bundle import refusal
from seqlm.cli.errors import InputError
from seqlm.embeddings.columns import MOST_COLUMNS, Embeddings

from .methods import METHODS
from .skops_files import dump, load

KIND = "embedding-classifier"
MODEL, MANIFEST = "model.skops", "seqlm.json"
_LARGEST = {MODEL: 4 * GIB, MANIFEST: 64 * MIB, "README.md": 4 * MIB}
_WRONG = "upload it again, or train it again"


@dataclass(frozen=True)
class Classifier:
    """An opened archive: the fitted pipeline, and what it says about itself."""

    name: str
    made: object
    manifest: dict

    @property
    def classes(self) -> list[str]:
        return self.manifest["classes"]


def table_sha256(embeddings: Embeddings) -> str:
    """SHA-256 of the ids and vectors of a table, in their order."""
    state = hashlib.sha256("\n".join(embeddings.ids).encode())
    for at in range(0, len(embeddings), 4096):
        state.update(np.ascontiguousarray(embeddings.vectors[at : at + 4096]).tobytes())
    return state.hexdigest()


def write_archive(made, manifest: dict, card: str, scratch: Path, target: Path) -> None:
    """Write an archive; equal content gives equal bytes."""
    dump(made, scratch / MODEL)
    (scratch / MANIFEST).write_bytes(strict_json.text_of(manifest))
    (scratch / "README.md").write_text(card, encoding="utf-8")
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(_LARGEST):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            # model.skops too: a zip that is stored in a zip could be taken for the whole when the end is cut off
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as out, open(scratch / name, "rb") as source:
                while chunk := source.read(MIB):
                    out.write(chunk)


def read_manifest(path: Path, scratch: Path) -> dict:
    """Unpack an archive into an empty folder and return what it says about itself. Imports no scikit-learn.

    Raises:
        InputError: no such archive, or one whose manifest makes no sense.
    """
    with emptied_on_failure(scratch):
        unpack(path, scratch, _LARGEST.get, refusal, Limits(total=8 * GIB, files=16))
        if not (scratch / MANIFEST).is_file():
            raise InputError(
                f"{path.name} has no {MANIFEST}; give an archive that this tool wrote when it trained a classifier"
            )
        found = strict_json.read_object(scratch / MANIFEST, f"{MANIFEST} in {path.name}")
        if found.get("kind") != KIND:
            raise InputError(
                f"{path.name} is a model bundle, but no classifier of embeddings; give the archive that this "
                "tool wrote, "
                "or predict with the tool for fine-tuned models"
            )
        if not (scratch / MODEL).is_file():
            raise InputError(f"{path.name} has no {MODEL}; {_WRONG}")
        _check_manifest(found, path.name)
    return found


def open_archive(path: Path, manifest: dict, scratch: Path) -> Classifier:
    """The classifier itself, from what :func:`read_manifest` unpacked."""
    ours, theirs = metadata.version("scikit-learn"), manifest["versions"].get("scikit-learn", "unknown")
    if ours.split(".")[:2] != theirs.split(".")[:2]:
        raise InputError(
            f"{path.name} was made with scikit-learn {theirs}, and this is {ours}, which may read it "
            "differently; train "
            "the classifier again"
        )
    made = load(
        scratch / MODEL,
        manifest["classifier"],
        manifest["settings"],
        len(manifest["columns"]),
        len(manifest["classes"]),
        manifest["class_weights"] == "balanced" and METHODS[manifest["classifier"]].weighted,
    )
    return Classifier(path.name, made, manifest)


def _check_manifest(found: dict, archive: str) -> None:
    """Raises InputError for an entry that is missing or not what it must be."""

    def texts(value) -> bool:
        return isinstance(value, list) and all(
            isinstance(one, str) and len(one) <= 1000 and one.isprintable() for one in value
        )

    def numbers(value, length: int) -> bool:
        finite = isinstance(value, list) and len(value) == length
        return finite and all(type(one) in (int, float) and math.isfinite(one) for one in value)

    classes, columns, method = found.get("classes"), found.get("columns"), found.get("classifier")
    checks = {
        "format": found.get("format") == 1,
        "classes": texts(classes) and 2 <= len(classes) <= 10_000 and len(set(classes)) == len(classes),
        "columns": texts(columns) and 1 <= len(columns) <= MOST_COLUMNS and len(set(columns)) == len(columns),
        "classifier": isinstance(method, str) and method in METHODS,
        "class_weights": found.get("class_weights") in ("none", "balanced"),
        "data_sha256": isinstance(found.get("data_sha256"), str)
        and bool(re.fullmatch(r"[0-9a-f]{64}", found["data_sha256"])),
        "seed": type(found.get("seed")) is int,
        "metrics": isinstance(found.get("metrics"), dict),
        "versions": isinstance(found.get("versions"), dict)
        and all(isinstance(one, str) and len(one) < 100 for one in found["versions"].values()),
    }
    if checks["classes"] and checks["columns"] and checks["classifier"]:
        counts = found.get("counts")
        checks["settings"] = found.get("settings") in METHODS[method].grid
        checks["counts"] = numbers(counts, len(classes)) and min(counts) >= 0 and sum(counts) > 0
        checks["means"] = numbers(found.get("means"), len(columns))
        checks["deviations"] = numbers(found.get("deviations"), len(columns))
    for name, good in checks.items():
        if not good:
            raise InputError(f"{MANIFEST} in {archive} has no proper entry '{name}'; {_WRONG}")
