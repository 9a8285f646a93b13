"""A training that was interrupted, as an archive: written while it goes on, and read as something a stranger made.

A zip of safetensors and JSON::

    checkpoint.json          where training was, its history, and the parameters it was started with
    weights.safetensors      of what is trained
    best.safetensors         the same at the best look at the validation set
    moments.safetensors      the state of the optimizer

Nothing in it is pickled, so it may be given to the tool by anyone.
"""

from __future__ import annotations

import math
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqlm.archives import strict_json
from seqlm.archives.entries import GIB, MIB, Limits
from seqlm.archives.unpacking import emptied_on_failure, unpack
from seqlm.checkpoints.bundle import pack, refusal
from seqlm.checkpoints.safetensors_header import read_tensors
from seqlm.cli.errors import InputError
from seqlm.cli.outputs import near_to, put

if TYPE_CHECKING:
    import torch

    from seqlm.training.state import State

DESCRIPTION, WEIGHTS, BEST, MOMENTS = (
    "checkpoint.json", "weights.safetensors", "best.safetensors", "moments.safetensors",
)  # fmt: skip
FORMAT = 1
LARGEST = {DESCRIPTION: 16 * MIB, WEIGHTS: 16 * GIB, BEST: 16 * GIB, MOMENTS: 32 * GIB}
MOST_ENTRIES = 100_000  # of the history


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint, looked at without torch.

    Attributes:
        content: checkpoint.json.
        folder: where its tensors lie.
    """

    content: dict
    folder: Path
    name: str

    @property
    def step(self) -> int:
        return self.content["step"]


def write_checkpoint(
    target: Path, parameters: dict, state: State, weights: dict[str, torch.Tensor], moments: dict[str, torch.Tensor]
) -> None:
    """Write all of it elsewhere and put it in place at once, so that what is there is always whole."""
    from safetensors.torch import save_file

    history = state.history
    content = {
        "format": FORMAT,
        "step": state.step,
        "ended": state.ended,
        "lost": state.lost,
        "counted": state.counted,
        "scaling": state.scaling,
        "best_epoch": history.best_epoch,
        "stopped_early": history.stopped_early,
        "history": [{key: value for key, value in entry.items() if math.isfinite(value)} for entry in history.epochs],
        "parameters": parameters,
    }
    target = target.absolute()
    with tempfile.TemporaryDirectory(prefix="seqlm_checkpoint_", dir=near_to(target)) as scratch:
        folder = Path(scratch)
        (folder / DESCRIPTION).write_bytes(strict_json.text_of(content))
        save_file(weights, folder / WEIGHTS)
        save_file(moments, folder / MOMENTS)
        if state.kept:
            save_file({name: tensor.contiguous() for name, tensor in state.kept.items()}, folder / BEST)
        with zipfile.ZipFile(folder / "whole.zip", "w") as archive:
            for name in (DESCRIPTION, WEIGHTS, MOMENTS, BEST):
                if (folder / name).is_file():
                    pack(archive, folder / name)
        put(folder / "whole.zip", target)


def open_checkpoint(path: Path, folder: Path) -> Checkpoint:
    """Unpack and check.

    Raises:
        InputError: what is no checkpoint, or was tampered with.
    """
    if not path.is_file():
        raise InputError(f"the checkpoint {path} does not exist")
    folder.mkdir()
    with emptied_on_failure(folder):
        unpack(path, folder, LARGEST.get, refusal, Limits())
        missing = [name for name in (DESCRIPTION, WEIGHTS, MOMENTS) if not (folder / name).is_file()]
        if missing:
            raise InputError(f"{path.name} is no checkpoint of this tool: {missing[0]} is not in it")
        where = f"{DESCRIPTION} in {path.name}"
        content = _checked(strict_json.read_object(folder / DESCRIPTION, where, limit=LARGEST[DESCRIPTION]), where)
        if content["best_epoch"] and not (folder / BEST).is_file():
            raise InputError(f"{path.name} is incomplete: {BEST} is not in it")
    return Checkpoint(content, folder, path.name)


def _checked(content: dict, where: str) -> dict:
    def wanted(key, kinds, least=None):
        value = content.get(key)
        if type(value) not in kinds or (least is not None and not value >= least):
            raise InputError(f"{where} has no usable entry '{key}'")

    if content.get("format") != FORMAT:
        raise InputError(f"{where} has the format {str(content.get('format'))[:20]!r}; this version reads {FORMAT}")
    wanted("step", (int,), 0)
    wanted("best_epoch", (int,), 0)
    for key in ("lost", "counted"):
        wanted(key, (int, float), 0)
    wanted("stopped_early", (bool,))
    wanted("ended", (str,))
    wanted("history", (list,))
    wanted("parameters", (dict,))
    scaling = content.get("scaling")
    if scaling is not None and not (
        type(scaling) is list and [type(one) for one in scaling] == [float, int] and scaling[0] > 0
    ):
        raise InputError(f"{where} has no usable entry 'scaling'")
    entries = content["history"]
    fine = len(entries) <= MOST_ENTRIES and all(
        isinstance(entry, dict) and {"epoch", "step", "train_loss"} <= set(entry) and all(
            type(value) in (int, float) for value in entry.values()
        )
        for entry in entries
    )  # fmt: skip
    if not fine or content["best_epoch"] > len(entries):
        raise InputError(f"{where} has no usable entry 'history'")
    return content


def check_parameters(checkpoint: Checkpoint, parameters: dict) -> None:
    """Refuse to go on with anything else than what training was started with.

    Raises:
        InputError: naming every parameter that differs.
    """
    old = checkpoint.content["parameters"]
    different = [
        f"{name.replace('_', '-')} was {quoted(old.get(name))} and is {quoted(value)}"
        for name, value in parameters.items()
        if old.get(name) != value
    ]
    different += [f"{name.replace('_', '-')} is not known here" for name in old if name not in parameters]
    if different:
        raise InputError(
            f"{checkpoint.name} is of a training with other parameters: {'; '.join(different[:6])}"
            + (f" and {len(different) - 6} more" if len(different) > 6 else "")
            + "; give those of the checkpoint, or start anew without --resume"
        )


def quoted(value) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= 40 else text[:39] + "…"


def check_tensors(checkpoint: Checkpoint, shapes: dict[str, tuple[int, ...]]) -> None:
    """Refuse tensors that are not those of the model that is trained.

    Args:
        shapes: name -> shape of each that is trained.
    """
    moments = {f"{kind}/{name}": shape for name, shape in shapes.items() for kind in ("exp_avg", "exp_avg_sq")}
    for file, expected in ((WEIGHTS, shapes), (BEST, shapes), (MOMENTS, moments)):
        if file == BEST and not (checkpoint.folder / BEST).is_file():
            continue
        found = read_tensors(checkpoint.folder / file, f"{file} in {checkpoint.name}")
        given = {name: tuple(shape) for name, (_, shape) in found.items()}
        if given != {name: tuple(shape) for name, shape in expected.items()}:
            wrong = sorted(name for name in given.keys() | expected.keys() if given.get(name) != expected.get(name))
            raise InputError(
                f"{checkpoint.name} does not fit the model: {len(wrong)} tensors of {file} are missing, left over or "
                f"of another shape ({str(wrong[0])[:60]})"
            )


def state_of(checkpoint: Checkpoint) -> tuple[State, dict[str, torch.Tensor]]:
    """Where training was, and the weights that it had."""
    from safetensors.torch import load_file

    from seqlm.inference.finite import check_weights
    from seqlm.training.state import History, State

    content = checkpoint.content
    history = History(content["history"], content["best_epoch"], content["stopped_early"])
    best = checkpoint.folder / BEST
    moments, weights = load_file(checkpoint.folder / MOMENTS), load_file(checkpoint.folder / WEIGHTS)
    kept = load_file(best) if best.is_file() else {}
    for tensors in (weights, kept, moments):
        check_weights(tensors.items(), f"the checkpoint {checkpoint.name}")
    state = State(
        content["step"],
        history,
        content["lost"],
        content["counted"],
        content["ended"],
        tuple(content["scaling"]) if content.get("scaling") else None,
        moments,
        kept,
    )
    return state, weights
