"""Fitted classifiers as files that hold no code: skops, which is a zip of arrays and a ``schema.json``.

skops refuses classes that nobody trusts, but trusts all of scikit-learn, and cannot look into a tree, whose numbers
scikit-learn follows without checking them. So a file is held against more, before scikit-learn sees any of it: only the
classes of :data:`seqlm.tools.classify.checks.CLASSES` and plain values may occur, arrays are as long as they say, and
every tree is walked. What is built from it must then have the very settings of one of our own pipelines, and shapes
that fit together.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np

from seqlm.archives import strict_json
from seqlm.archives.entries import GIB, MIB, Limits, damage_named, listed
from seqlm.cli.errors import InputError
from seqlm.data.records import quoted

from .checks import CLASSES, check_branches, check_pipeline

NUMBERS = frozenset({"ndarray", "float32", "float64", "int32", "int64", "uint32", "uint64"})
# loader of skops -> the classes that it may make
_LOADERS = {
    "ObjectNode": CLASSES,
    "DictNode": frozenset({"builtins.dict"}),
    "ListNode": frozenset({"builtins.list"}),
    "TupleNode": frozenset({"builtins.tuple"}),
    "JsonNode": frozenset({"builtins.str"}),
    "TypeNode": frozenset({"builtins.str"}),
    "NdArrayNode": frozenset(f"numpy.{name}" for name in NUMBERS),
    "TreeNode": frozenset({"sklearn.tree._tree.Tree"}),
    "LossNode": frozenset({"sklearn._loss._loss.CyHalfBinomialLoss", "sklearn._loss._loss.CyHalfMultinomialLoss"}),
}
_TRUSTED = sorted(CLASSES | _LOADERS["TreeNode"])  # the rest skops trusts by itself
_LIMITS = Limits(total=4 * GIB, files=100_000)
_SCHEMA = "schema.json"
_LARGEST_SCHEMA = 256 * MIB
_DEEPEST = 200


class _WithoutTorch:
    """A finder of modules that finds no torch, so that imports of it fail as where there is none."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("torch is not needed here", name=name)


def _skops():
    """``skops.io``. It imports all that scikit-learn has, which includes what would import torch where there is one."""
    sys.meta_path.insert(0, _WithoutTorch)
    try:
        from skops import io
    finally:
        sys.meta_path.remove(_WithoutTorch)
    return io


# -- writing -------------------------------------------------------------------------------------------------------


def dump(made, path: Path) -> None:
    """Write a fitted pipeline. The same pipeline always gives the same bytes, which skops' own files do not: they hold
    addresses in memory and the time of day."""
    skops = _skops()
    _forget_training(made.named_steps["classify"])
    with zipfile.ZipFile(io.BytesIO(skops.dumps(made))) as source:
        files: dict[str, str] = {}
        schema = _renumbered(json.loads(source.read(_SCHEMA)), {}, files)
        with zipfile.ZipFile(path, "w") as target:
            for old, new in files.items():
                _write(target, new, source.read(old))
            _write(target, _SCHEMA, json.dumps(schema, separators=(",", ":")).encode())


def _forget_training(classifier) -> None:
    """Drop what only training needs: random generators, the state of the optimiser, its losses."""
    for name in (
        "_optimizer",
        "_random_state",
        "_best_coefs",
        "_best_intercepts",
        "_feature_subsample_rng",
        "loss_curve_",
    ):
        if hasattr(classifier, name):
            delattr(classifier, name)


def _write(target: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    target.writestr(entry, content, compress_type=zipfile.ZIP_DEFLATED, compresslevel=6)


def _renumbered(node, first: dict[int, dict], files: dict[str, str]):
    """With objects numbered and files named in the order in which they occur; what occurs again is as it was first."""
    if isinstance(node, list):
        return [_renumbered(one, first, files) for one in node]
    if not isinstance(node, dict):
        return node
    number = node.get("__id__")
    if number in first:
        return first[number]
    made = {name: _renumbered(one, first, files) for name, one in node.items()}
    if isinstance(node.get("file"), str):
        made["file"] = files.setdefault(node["file"], f"{len(files)}.npy")
    if number is not None:
        made["__id__"] = len(first)
        first[number] = made
    return made


# -- reading -------------------------------------------------------------------------------------------------------


def load(path: Path, method: str, settings: dict, features: int, classes: int, balanced: bool):
    """The pipeline in a file that nobody trusts.

    Args:
        method, settings, balanced: what it is said to be, see :mod:`seqlm.tools.classify.methods`.
        features, classes: how many it is said to read and to tell apart.

    Raises:
        InputError: anything else than such a pipeline.
    """
    skops = _skops()
    try:
        _Schema(path, features, classes).check()
        foreign = sorted(set(skops.get_untrusted_types(file=path)) - set(_TRUSTED))
        if foreign:
            raise _refused(path, foreign[0])
        made = skops.load(path, trusted=_TRUSTED)
        check_pipeline(made, method, settings, features, classes, balanced)
    except InputError:
        raise
    except Exception as problem:  # whatever scikit-learn says to objects that were put together by hand
        raise InputError(
            f"{path.name} holds no classifier that works ({quoted(str(problem), 100)}); train it again"
        ) from None
    return made


def _refused(path: Path, what: str) -> InputError:
    return InputError(
        f"{path.name} holds '{quoted(what, 80)}', which is no part of a classifier that this tool trains; such a file "
        "can run code, so it is not opened"
    )


class _Schema:
    """``schema.json`` and its arrays, checked without building any of it."""

    def __init__(self, path: Path, features: int, classes: int):
        self.path, self.features, self.classes = path, features, classes
        self.arrays: dict[str, np.ndarray] = {}
        self.seen: dict[int, dict] = {}
        self.bytes = 0

    def check(self) -> None:
        with damage_named(self.path), open(self.path, "rb") as stream, listed(stream, self.path, _LIMITS) as entries:
            self.entries = {entry.name: entry for entry in entries}
            if len(self.entries) < len(entries) or sum(entry.size for entry in entries) > _LIMITS.total:
                raise self.wrong("files that come twice or are too large")
            if any(entry.size > max(_LIMITS.unchecked, _LIMITS.text_ratio * entry.packed) for entry in entries):
                raise self.wrong("files that grow as those of a zip bomb")
            if _SCHEMA not in self.entries or self.entries[_SCHEMA].size > _LARGEST_SCHEMA:
                raise self.wrong("no description of a classifier")
            content = b"".join(self.entries[_SCHEMA].chunks())
            schema = strict_json.parse(content, self.path.name, depth=_DEEPEST, containers=20_000_000)
            self.node(schema)

    def wrong(self, what: str) -> InputError:
        return InputError(f"{self.path.name} is no classifier that this tool wrote: it has {what}; train it again")

    def node(self, node) -> None:
        """One node and all below it."""
        if not isinstance(node, dict):
            raise self.wrong("an entry without a class")
        loader, name = node.get("__loader__"), f"{node.get('__module__')}.{node.get('__class__')}"
        if not isinstance(loader, str) or name not in _LOADERS.get(loader, ()):
            raise _refused(self.path, name)
        # skops builds what comes first under a number and never looks at the rest
        number = node.get("__id__")
        if number is not None and (type(number) is not int or self.seen.setdefault(number, node) != node):
            raise self.wrong("two entries of one number")
        content = node.get("content")
        if loader == "NdArrayNode":
            self.array(node)
        elif loader in ("ListNode", "TupleNode"):
            if not isinstance(content, list):
                raise self.wrong("a list that is none")
            for one in content:
                self.node(one)
        elif loader == "DictNode":
            if not isinstance(content, dict):
                raise self.wrong("a dictionary that is none")
            self.node(node.get("key_types"))
            for one in content.values():
                self.node(one)
        elif loader == "JsonNode":
            if not isinstance(content, str) or len(content) > 10_000:
                raise self.wrong("a value that is none")
            self.value(node)
        elif loader in ("ObjectNode", "TreeNode", "LossNode"):
            if content is not None:
                self.node(content)
            if loader != "ObjectNode":
                self.node((node.get("__reduce__") or {}).get("args"))
        if loader == "TreeNode":
            self.tree(node)

    def value(self, node: dict):
        try:
            found = json.loads(node["content"])  # infinity is among the bounds of a loss
        except (ValueError, RecursionError):
            raise self.wrong("a value that is none") from None
        if isinstance(found, dict | list):
            raise self.wrong("a value that is none")
        return found

    def array(self, node: dict) -> np.ndarray:
        """The array of a node: no objects, and exactly as long as it says."""
        file = node.get("file")
        if node.get("type") != "numpy" or not isinstance(file, str) or file not in self.entries:
            raise self.wrong("an array without numbers")
        if file not in self.arrays:
            entry = self.entries[file]
            content = io.BytesIO(b"".join(entry.chunks()))
            try:
                self.arrays[file] = np.lib.format.read_array(content, allow_pickle=False, max_header_size=10_000)
            except Exception:  # what numpy raises for an array that is none is of many kinds
                raise self.wrong("an array that cannot be read") from None
            if self.arrays[file].nbytes + 64 > entry.size + 128 or self.arrays[file].dtype.hasobject:
                raise self.wrong("an array that is longer than its file")
        self.bytes += self.arrays[file].nbytes
        if self.bytes > _LIMITS.total:
            raise self.wrong("more numbers than its files")
        return self.arrays[file]

    def tree(self, node: dict) -> None:
        """A decision tree, whose numbers scikit-learn uses as places in memory."""
        features, classes, outputs = self.three(node["__reduce__"]["args"])
        state = node.get("content", {}).get("content", {})
        if set(state) != {"max_depth", "node_count", "nodes", "values"}:
            raise self.wrong("a tree without nodes")
        nodes, values, count = self.array(state["nodes"]), self.array(state["values"]), self.value(state["node_count"])
        good = features == self.features and outputs == 1 and classes.dtype.kind == "i" and classes.shape == (1,)
        good = good and int(classes[0]) <= self.classes and type(count) is int and nodes.shape == (count,) and count > 0
        good = good and values.shape == (count, 1, int(classes[0])) and values.dtype == float
        names = nodes.dtype.names or ()
        if not good or not {"left_child", "right_child", "feature"} <= set(names):
            raise self.wrong("a tree whose parts do not fit")
        check_branches(
            nodes["left_child"], nodes["right_child"], nodes["left_child"] == -1, nodes["feature"], features, self.wrong
        )

    def three(self, node: dict) -> tuple:
        parts = node.get("content")
        loaders = [part.get("__loader__") for part in parts] if isinstance(parts, list) else []
        if loaders != ["JsonNode", "NdArrayNode", "JsonNode"]:
            raise self.wrong("a tree without a size")
        return self.value(parts[0]), self.array(parts[1]), self.value(parts[2])
