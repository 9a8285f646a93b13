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


class Filler:
    """A masked model, and how it reads."""

    def __init__(self, plan: Plan, model, budget: int):
        self.plan, self.budget, self.model = plan, budget, MaskedModel(model)
        self.reader = MaskedReader(plan.encoder, plan.family.mask_token, plan.family.masked_tokens)

    def judge(self) -> FilledJudge:
        return FilledJudge(self.plan, self.model, self.reader, self.budget)

    def fill(self, numbers: list[int], attempt: int = 0) -> dict[int, Generated]:
        """Sequences of these numbers, in order."""
        plan = self.plan
        schedule = Schedule(plan.arguments.sweeps, plan.arguments.at_once)
        jobs = jobs_of(plan, numbers, attempt)
        steps = sum(schedule.steps(len(plan.prompts[job.prompt].places)) for job in jobs)
        found = infill(
            self.model,
            self.reader,
            [(prompt.ids, prompt.places) for prompt in plan.prompts],
            jobs,
            drawing_of(plan, "cpu"),
            schedule,
            self.budget,
            Progress("filling in", steps, "steps"),
        )
        sequences: dict[int, Generated] = {}
        letters = {plan.family.vocabulary.get(plan.family.token(one)): one for one in reversed(plan.family.letters)}
        for place, ids in found:
            number, prompt = numbers[place], plan.prompts[jobs[place].prompt]
            written = list(prompt.letters)
            for at in prompt.places:
                written[at] = letters[int(ids[at])]
            sequences[number] = Generated(f"{prompt.name}_{number % plan.each + 1}", prompt, "".join(written))
        return {number: sequences[number] for number in numbers}


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
