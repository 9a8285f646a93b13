"""Pickled weights to safetensors, by a process that has neither a network, nor the token, nor much memory.

A pickle can ask for code to be run. torch's reader for weights only refuses what is no tensor; should it be wrong about
one, what runs has no way out of the machine and nothing to take along.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from .refusal import Refused

SCRIPT = Path(__file__).with_name("convert_pickle.py")
# What the process may know of its surroundings; the token is not among it.
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "CONDA_PREFIX", "VIRTUAL_ENV")
SLOWEST = 5 * 10**6  # bytes a second; below that the process hangs


def convert(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Replace the pickled weights in a folder by the same as safetensors.

    Args:
        names: ``pytorch_model.bin``, or the index and its parts, or ``adapter_model.bin``.

    Returns:
        The name of each new file with that of the old one.

    Raises:
        Refused: a file holds something else than tensors, or cannot be read in the memory that it should take.
    """
    made = {renamed(name): name for name in names}
    for new, old in made.items():
        if not old.endswith(".json"):
            _convert_file(folder / old, folder / (new + ".part"))
    for new, old in made.items():
        if old.endswith(".json"):
            _write_index(folder / old, folder / (new + ".part"), set(made.values()))
    for new, old in made.items():
        (folder / (new + ".part")).replace(folder / new)
        (folder / old).unlink()
    return made


def renamed(name: str) -> str:
    """``model-00001-of-00002.safetensors`` for ``pytorch_model-00001-of-00002.bin``."""
    return name.replace("pytorch_model", "model").replace(".bin", ".safetensors")


def _convert_file(source: Path, target: Path) -> None:
    environment = {name: os.environ[name] for name in KEPT if name in os.environ} | {"OMP_NUM_THREADS": "1"}
    seconds = 120 + source.stat().st_size / SLOWEST
    command = [sys.executable, str(SCRIPT), str(source), str(target)]
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"{source.name} could not be converted within {seconds:.0f} seconds") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        last = lines[-1][:300] if lines else f"it ended with status {done.returncode}"
        raise Refused(f"{source.name} cannot be converted to safetensors: {last.removeprefix('error: ')}")


def _write_index(source: Path, target: Path, held: set[str]) -> None:
    try:
        index = json.loads(source.read_text(encoding="utf-8"))
        weight_map = {str(tensor): str(file) for tensor, file in index["weight_map"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Refused(f"{source.name} is no index of weights") from None
    strange = next((file for file in weight_map.values() if file not in held), None)
    if strange is not None:
        raise Refused(f"{source.name} names a file that is none of its parts: {strange[:100]!r}")
    metadata = {"total_size": index["metadata"]["total_size"]} if "total_size" in index.get("metadata", {}) else {}
    content = {"metadata": metadata, "weight_map": {tensor: renamed(file) for tensor, file in weight_map.items()}}
    target.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
