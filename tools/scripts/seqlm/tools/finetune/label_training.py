"""Training on labelled examples: what an update loses, and the validation set scored by the code that predicts."""

from __future__ import annotations

from dataclasses import replace

import torch

from seqlm.inference.batching import Batch
from seqlm.inference.inference import pair_outputs, pooled_vectors, residue_values
from seqlm.inference.loading import SequenceModel
from seqlm.metrics import metrics
from seqlm.training.loop import Loop
from seqlm.training.processes import ALONE, Group
from seqlm.training.recomputing import compute_again
from seqlm.training.state import History, Settings

from .examples import Examples

RESIDUES_AT_ONCE = 100_000  # through a head, when their vectors are known


def train(
    model: SequenceModel,
    data: Examples,
    validation: Examples | None,
    padding: int,
    settings: Settings,
    group: Group = ALONE,
) -> History:
    """Train what of ``model`` requires gradients, in place, and leave it at its best epoch.

    Raises:
        InputError: a loss that is no longer a number, or a single sequence too long for the memory.
    """
    if settings.gradient_checkpointing:
        compute_again(model.backbone)
    validate = Validation(validation, padding) if validation else None
    return Loop(model, LabelLesson(data, padding), settings, validate, group).run().history


class LabelLesson:
    """Labelled examples, as :class:`seqlm.training.loop.Lesson` says."""

    item = "a sequence"
    advice = "a smaller maximal length, gradient checkpointing, or a smaller model"

    def __init__(self, data: Examples, padding: int):
        self.data, self.padding, self.lengths = data, padding, data.lengths()

    def passes(self, items: list[int], budget: int, epoch: int) -> tuple[float, list[Batch]]:
        return self.data.weight(items), list(self.data.passes(items, budget, self.padding))

    def silent(self, batch: Batch) -> Batch:
        return replace(batch, importance=torch.zeros_like(batch.importance))

    def loss(self, model: SequenceModel, batch: Batch) -> torch.Tensor:
        losses = (model.task.loss(model(batch), batch.targets, model.head) * batch.importance).sum()
        if model.head.decay:
            losses = losses + model.head.decay * model.head.out.weight.square().sum() * batch.importance.sum()
        return losses


class Validation:
    """Scores of a validation set by a model and the padded tokens that it may compute at once."""

    def __init__(self, data: Examples, padding: int):
        self.data, self.padding = data, padding

    def __call__(self, model: SequenceModel, budget: int) -> dict[str, float]:
        data = self.data
        known, device = torch.from_numpy(data.known), model.head.shift.device
        with torch.inference_mode():
            outputs = self._outputs(model, budget)
            targets = torch.from_numpy(data.targets).to(device)
            losses = model.task.loss(outputs.to(device), targets, model.head).cpu()
        scores = {"loss": losses[known].mean().item()}
        predictions, truth = model.decode(outputs), data.truth
        if model.task.level == "residue":
            predictions, truth = predictions[data.known], truth[data.known]
        for metric in metrics.metrics_for(model.task.name):
            scores[metric] = float(metrics.plain(metric, truth, predictions))
        return scores

    def _outputs(self, model: SequenceModel, budget: int) -> torch.Tensor:
        """Outputs (units, outputs) of all units, on the CPU."""
        data = self.data
        if model.task.level == "residue":
            if data.pooled is not None:
                parts = range(0, len(data.truth), RESIDUES_AT_ONCE)
                return torch.cat(
                    [model.outputs(torch.as_tensor(data.pooled[at : at + RESIDUES_AT_ONCE])) for at in parts]
                )
            return residue_values(model, data.encoded, self.padding, budget, entering=data.entering)
        pooled = data.pooled
        if pooled is None:
            pooled = pooled_vectors(model, data.encoded, self.padding, budget, entering=data.entering)
        if data.pairs is None:
            return model.outputs(pooled)
        return pair_outputs(model, pooled, pooled if data.second is None else data.second, data.pairs)
