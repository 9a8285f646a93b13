"""conformal.safetensors of a bundle: what conformal sets and intervals are made from (:mod:`seqlm.metrics.conformal`).

``scores`` (rows,) or (rows, labels), ``members`` (rows,), and of classes ``classes`` of the shape of ``scores``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seqlm.cli.errors import InputError

from .manifest import FILE
from .safetensors_header import read_tensors

if TYPE_CHECKING:
    from seqlm.metrics.conformal import Conformity

CONFORMITY = "conformal.safetensors"
DTYPES = {"scores": ("F32", "float32"), "members": ("I16", "int16"), "classes": ("I16", "int16")}


def write_conformity(conformity: Conformity, folder: Path, manifest: dict) -> None:
    """Put the scores beside the model, and into ``manifest`` how they are to be read."""
    import numpy as np
    from safetensors.numpy import save_file

    held = {"scores": conformity.scores, "members": conformity.members, "classes": conformity.classes}
    tensors = {name: np.ascontiguousarray(v, DTYPES[name][1]) for name, v in held.items() if v is not None}
    save_file(tensors, folder / CONFORMITY)
    manifest["conformal"] = {"repeats": conformity.repeats, "pooled": conformity.pooled}


def check_conformity(manifest: dict, held: set[str], folder: Path, archive: str) -> None:
    """Shapes and number types, from the header alone.

    Raises:
        InputError: what does not fit the manifest.
    """
    if ("conformal" in manifest) != (CONFORMITY in held):
        raise InputError(
            f"{archive} is incomplete: {CONFORMITY} and the entry 'conformal' of {FILE} must be there together"
        )
    if CONFORMITY not in held:
        return
    labels, several = manifest["labels"], manifest["task"] == "multi-label"
    tensors = read_tensors(folder / CONFORMITY, f"{CONFORMITY} in {archive}")
    found = tensors.get("members", ("", ()))[1]
    rows = found[0] if len(found) == 1 else 0
    shape = (rows, len(labels)) if several else (rows,)
    shapes = {"scores": shape, "members": (rows,)} | ({"classes": shape} if labels else {})
    if tensors != {name: (DTYPES[name][0], shape) for name, shape in shapes.items()} or not rows:
        raise InputError(f"{CONFORMITY} in {archive} does not hold the scores that {FILE} describes")


def read_conformity(folder: Path, manifest: dict) -> Conformity:
    """The scores of a bundle that was opened.

    Raises:
        InputError: numbers that no score, class or member can be.
    """
    import numpy as np
    from safetensors.numpy import load_file

    from seqlm.metrics.conformal import Conformity

    tensors = load_file(folder / CONFORMITY)
    scores, members, classes = (tensors.get(name) for name in ("scores", "members", "classes"))
    described, several = manifest["conformal"], manifest["task"] == "multi-label"
    most = 2 if several else len(manifest["labels"] or ())
    least = -1 if several else 0
    good = np.isfinite(scores).all() and (scores >= 0).all()
    good &= (members >= 0).all() and (members < manifest.get("members", 1)).all()
    good &= classes is None or ((classes >= least) & (classes < most)).all()
    if not good or len(scores) % described["repeats"]:
        raise InputError(f"{CONFORMITY} holds numbers that are no scores; the bundle is damaged")
    return Conformity(scores.astype(float), classes, members, described["repeats"], described["pooled"])
