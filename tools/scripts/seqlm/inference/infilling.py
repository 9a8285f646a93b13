"""Positions of a template filled by a masked model: Gibbs sampling, each sequence as if it were alone.

A sweep visits every position in a random order: it is masked, and drawn anew from what the model says there of all
letters, the others being as they are (Wang & Cho 2019, https://doi.org/10.18653/v1/W19-2304; of proteins Johnson et al.
2021, https://doi.org/10.1101/2021.01.26.428322). In the first sweep what has not been visited yet is masked as well.
The schedule says how many positions are masked and drawn at once, independently of each other: so many in the first
sweep, half as many in the next, and in the end one::

    M K T _ _ _ _ A Y I      sweep 1, two at once    first _ L _ G, then V L H G
    M K T V L H G A Y I      sweep 2, one at once    V L _ G → V L Q G, _ L Q G → …

The conditional probabilities of a masked model need not be those of any one distribution of whole sequences (Goyal et
al. 2021, https://doi.org/10.48550/arXiv.2106.02736), so schedule and order have a say in what is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .drawing import Drawing, gumbel, mix
from .masked_likelihood import MaskedModel, MaskedReader, log_probabilities
from .sampling import Job

AT_ONCE = 1 << 20  # letters of sequences that are worked on together
ORDER = -1  # in the place of a token, for the noise that sorts positions


@dataclass(frozen=True)
class Schedule:
    """How often each position is drawn.

    Attributes:
        sweeps: over all positions, the one that fills them first among them.
        at_once: positions masked together in the first sweep; in each later one half as many, at least one.
    """

    sweeps: int = 10
    at_once: int = 1

    def steps(self, places: int) -> int:
        """How many passes a template with so many places takes."""
        return sum(-(-places // self._size(sweep)) for sweep in range(self.sweeps))

    def _size(self, sweep: int) -> int:
        return max(1, self.at_once >> sweep)

    def blocks(self, seed: int, places: np.ndarray) -> Iterator[tuple[int, list[np.ndarray]]]:
        """Of each sweep the seed of what is drawn, and which of ``places`` are drawn together, in their order."""
        mixed = mix(torch.tensor(seed))
        for sweep in range(self.sweeps):
            own = mix(mixed + sweep)
            order = gumbel(own.expand(len(places)), torch.from_numpy(places), torch.tensor(ORDER)).argsort().numpy()
            size = self._size(sweep)
            yield int(own), [places[order[start : start + size]] for start in range(0, len(places), size)]


def infill(
    model: MaskedModel,
    reader: MaskedReader,
    templates: Sequence[tuple[np.ndarray, np.ndarray]],
    jobs: Sequence[Job],
    drawing: Drawing,
    schedule: Schedule,
    budget: int,
    progress: Callable[[int], None] = lambda rows: None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Fill a template for each job.

    Args:
        templates: ids (tokens,) without special tokens, and the places (positions,) to fill, upwards.
        jobs: ``prompt`` is the number of the template.
        drawing: of its settings all but the penalty on repeats are heeded.
        budget: padded tokens computed at once.
        progress: told how many rows were computed.

    Yields:
        number of the job, ids (tokens,).

    Raises:
        InputError: a model that gives no finite numbers, or a template that does not fit into memory.
    """
    chunk: list[int] = []
    held = done = 0
    for number, job in enumerate(jobs):
        chunk.append(number)
        held += len(templates[job.prompt][0])
        if held >= AT_ONCE or number == len(jobs) - 1:
            done = yield from _filled(model, reader, templates, jobs, chunk, drawing, schedule, budget, progress, done)
            chunk, held = [], 0


def _filled(model, reader, templates, jobs, chunk, drawing, schedule, budget, progress, done):
    states, steps = {}, {}
    for number in chunk:
        ids, places = templates[jobs[number].prompt]
        states[number] = ids.copy()
        states[number][places] = reader.mask
        steps[number] = (
            (seed, block) for seed, blocks in schedule.blocks(jobs[number].seed, places) for block in blocks
        )
    while True:
        now = {number: step for number in chunk if (step := next(steps[number], None))}
        if not now:
            break
        asked = (one for number, (_, block) in now.items() for one in reader.masked(states[number], block, number))
        owners, at, found = [], [], []
        for owner, places, values in log_probabilities(model, asked, reader.encoder.padding, budget, str):
            owners += [owner] * len(places)
            at.append(places)
            found.append(torch.from_numpy(values))
            done += 1
        at, logits = np.concatenate(at), torch.cat(found)
        seeds = torch.tensor([now[owner][0] for owner in owners])
        drawn = drawing.choose(logits, torch.zeros(len(logits), 1, dtype=torch.long), seeds, torch.from_numpy(at))
        for owner, place, token in zip(owners, at.tolist(), drawn.tolist(), strict=True):
            states[owner][place] = token
        progress(done)
    for number in chunk:
        yield number, states[number]
    return done
