"""From a plan to filled templates, and how often what stood there before came back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqlm.cli.progress import Progress
from seqlm.inference.infilling import Schedule, infill
from seqlm.inference.masked_likelihood import MaskedModel, MaskedReader
from seqlm.metrics.resampling import Sample, Score, resample_weights

from .inputs import Plan
from .judging import FilledJudge
from .writing import Generated, drawing_of, jobs_of

RESAMPLES = 1000


def fill_all(plan: Plan, model, budget: int) -> tuple[list[Generated], FilledJudge]:
    """Every template as often as asked for, in order, and who judges what was filled in."""
    masked = MaskedModel(model)
    reader = MaskedReader(plan.encoder, plan.family.mask_token, plan.family.masked_tokens)
    jobs = jobs_of(plan)
    schedule = Schedule(plan.arguments.sweeps, plan.arguments.at_once)
    steps = sum(schedule.steps(len(prompt.places)) * plan.each for prompt in plan.prompts)
    found = infill(
        masked,
        reader,
        [(prompt.ids, prompt.places) for prompt in plan.prompts],
        jobs,
        drawing_of(plan, "cpu"),
        schedule,
        budget,
        Progress("filling in", steps, "steps"),
    )
    sequences: dict[int, Generated] = {}
    letters = {plan.family.vocabulary.get(plan.family.token(one)): one for one in reversed(plan.family.letters)}
    for number, ids in found:
        prompt, of_prompt = plan.prompts[number // plan.each], number % plan.each
        written = list(prompt.letters)
        for place in prompt.places:
            written[place] = letters[int(ids[place])]
        sequences[number] = Generated(f"{prompt.name}_{of_prompt + 1}", prompt, "".join(written))
    return [sequences[number] for number in range(len(jobs))], FilledJudge(plan, masked, reader, budget)


@dataclass(frozen=True)
class Recovery:
    """How often a position got the letter that stood there before, with intervals over templates.

    Attributes:
        share: of all positions that were filled.
        chance: the same of the letters filled in, in random order: expected, not drawn.
        gained: the first less the second, of the same resamples.
    """

    share: Score
    chance: Score
    gained: Score
    templates: int


def recovery(sequences: Sequence[Generated], seed: int) -> Recovery:
    """Of sequences that were filled into templates whose letters are known."""
    names = list(dict.fromkeys(one.start.name for one in sequences))
    same, expected, filled = np.zeros((3, len(names)))
    for one in sequences:
        template, before = names.index(one.start.name), one.start.at_places(one.start.letters)
        same[template] += sum(first == second for first, second in zip(one.filled, before, strict=True))
        expected[template] += sum(one.filled.count(letter) for letter in before) / len(before)
        filled[template] += len(before)
    share, chance = (_share(counted, filled, seed) for counted in (same, expected))
    return Recovery(share.score(), chance.score(), share.less(chance).score(), len(names))


def _share(counted: np.ndarray, of: np.ndarray, seed: int) -> Sample:
    drawn = [(weights @ counted) / (weights @ of) for weights in resample_weights(len(of), RESAMPLES, seed)]
    return Sample(float(counted.sum() / of.sum()), np.concatenate(drawn))
