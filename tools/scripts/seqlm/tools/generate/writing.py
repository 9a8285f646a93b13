"""From a plan to written sequences: sampled in slots, or by transformers' beam search, and turned into letters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from seqlm.cli.errors import InputError
from seqlm.cli.progress import Progress
from seqlm.data.records import Rules
from seqlm.inference.drawing import Drawing
from seqlm.inference.finite import check_results
from seqlm.inference.guidance import Guided
from seqlm.inference.inference import out_of_memory
from seqlm.inference.likelihood import Likelihood
from seqlm.inference.sampling import Job, Limits, Written, sample
from seqlm.similarity.duplicates import Duplicate

from .inputs import Plan
from .prompts import FREE, Prompt

EMPTY = "ended before the first letter, left out"


@dataclass
class Generated:
    """One sequence that was written, or filled in.

    Attributes:
        start: what it started from.
        complete: the model ended it; otherwise it ran into a limit.
        likelihood: what the model says of it, or of what was filled in; None for a sequence that it cannot read.
        base: what the base model says of it, where it had a say.
        prediction: of the model that accepts, where there is one, and the number of the ``tries`` that it took.
        properties: as :func:`seqlm.tools.generate.properties.columns` names them.
        composition: distance of its single letters to those of the reference set; NaN without one.
        dropped: why it is not kept; empty if it is.
        rank: among those that are kept, from 1; 0 if it is not.
    """

    id: str
    start: Prompt
    letters: str
    complete: bool = True
    likelihood: Likelihood | None = None
    base: Likelihood | None = None
    prediction: float = math.nan
    tries: int = 1
    accepted: bool = True
    properties: list = field(default_factory=list)
    composition: float = math.nan
    duplicate: Duplicate = field(default_factory=Duplicate)
    dropped: str = ""
    rank: int = 0

    @property
    def perplexity(self) -> float:
        return self.likelihood.perplexity if self.likelihood else math.nan

    @property
    def letter_perplexity(self) -> float:
        """Perplexity per letter, which does not depend on how letters are split into tokens."""
        if not self.likelihood:
            return math.nan
        return float(np.exp(-self.likelihood.log_probability / self.scored))

    @property
    def prompt(self) -> str:
        """The name of what it started from; empty if that was nothing."""
        return "" if self.start.name == FREE else self.start.name

    @property
    def scored(self) -> int:
        """Letters that its likelihood is of."""
        return len(self.letters) if self.start.places is None else len(self.start.places)

    @property
    def filled(self) -> str:
        """The letters that were filled in."""
        return self.start.at_places(self.letters)


def write_all(plan: Plan, model, rules: Rules, numbers: list[int], attempt: int = 0) -> dict[int, Generated]:
    """Sequences of these numbers as letters, in order. What wrote nothing is counted and left out."""
    progress = Progress("writing", len(numbers), "sequences")
    found: dict[int, Written] = {}
    ways = _beams(plan, model) if plan.arguments.strategy == "beam" else _sampled(plan, model, numbers, attempt)
    for number, written in ways:
        found[number] = written
        progress(len(found))
    sequences = {}
    for number in numbers:
        prompt, of_prompt = plan.prompts[number // plan.each], number % plan.each
        letters, complete = _letters(plan, prompt, found[number])
        if letters:
            sequences[number] = Generated(f"{prompt.name}_{of_prompt + 1}", prompt, letters, complete)
        else:
            rules.count(EMPTY)
    return sequences


def _letters(plan: Plan, prompt: Prompt, written: Written) -> tuple[str, bool]:
    """The letters of a sequence, without what follows the text to stop at or the most letters it may have."""
    letters, complete = plan.text.written(written.ids), written.complete
    stop, most = plan.arguments.stop_at, plan.arguments.max_letters
    if stop and (at := letters.find(stop, len(prompt.letters))) >= 0:
        letters, complete = letters[:at], True
    if most and len(letters) > most:
        letters, complete = letters[:most], False
    return letters, complete


def drawing_of(plan: Plan, device) -> Drawing:
    arguments = plan.arguments
    forbidden = torch.tensor(plan.forbidden, device=device) if plan.forbidden else None
    return Drawing(
        sample=arguments.strategy == "sample",
        temperature=arguments.temperature,
        top_k=plan.top_k,
        top_p=arguments.top_p,
        min_p=arguments.min_p,
        typical_p=arguments.typical_p,
        repetition_penalty=plan.penalty,
        forbidden=forbidden,
    )


def jobs_of(plan: Plan, numbers: list[int], attempt: int) -> list[Job]:
    """What is to be written."""
    places = [(number // plan.each, number % plan.each) for number in numbers]
    return [Job(place, plan.seed_of(plan.prompts[place], of_prompt, attempt)) for place, of_prompt in places]


def _sampled(plan: Plan, model, numbers: list[int], attempt: int) -> Iterator[tuple[int, Written]]:
    limits = Limits(plan.ends, plan.arguments.max_length, _stop(plan), tuple(prompt.first for prompt in plan.prompts))
    found = sample(
        Guided(model, plan.arguments.guidance) if plan.guided else model,
        [prompt.ids for prompt in plan.prompts],
        jobs_of(plan, numbers, attempt),
        drawing_of(plan, model.device),
        limits,
        plan.memory.on(model.device).slots,
    )
    for place, written in found:
        yield numbers[place], written


def _stop(plan: Plan):
    """Whether a sequence is at the text to stop at, or has as many letters as it may; None where neither matters."""
    stop, most = plan.arguments.stop_at, plan.arguments.max_letters
    if not stop and not most:
        return None
    opening, write = len(plan.text.opening), plan.text.write
    given = [len(prompt.ids) for prompt in plan.prompts]
    over = [len(prompt.letters) - len(write(prompt.ids)) for prompt in plan.prompts]  # of the first new token
    lengths = [len(text.strip()) for text in plan.text.texts]

    def reached(ids: list[int], prompt: int) -> bool | None:
        # each token has a letter or is a line break, so so many of the last hold the whole text
        start = max(given[prompt], len(ids) - 2 * len(stop) - 2)
        if stop and stop in write(ids[start:])[over[prompt] if start == given[prompt] else 0 :]:
            return True
        return False if most and sum(map(lengths.__getitem__, ids[opening:])) >= most else None

    return reached


def _finite(_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """The same scores (rows, vocabulary), looked at: what is not to be taken has minus infinity, and nothing NaN."""
    check_results([scores.amax(1)])
    return scores


def _first(prompt: Prompt):
    """Leaves of the scores (rows, vocabulary) those of tokens that a prompt may go on with, where these are some."""

    def left(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if prompt.first is None or ids.shape[1] > len(prompt.ids):
            return scores
        few = torch.from_numpy(prompt.first).to(scores.device)
        return torch.full_like(scores, -torch.inf).index_copy(1, few, scores[:, few])

    return left


def _beams(plan: Plan, model) -> Iterator[tuple[int, Written]]:
    """The most probable sequences that a beam of transformers finds, prompt by prompt."""
    arguments = plan.arguments
    ends = list(plan.ends) or None
    for place, prompt in enumerate(plan.prompts):
        ids = torch.from_numpy(prompt.ids).to(model.device)[None]
        beams = arguments.num_beams
        try:
            with torch.inference_mode():
                found = model.generate(
                    ids,
                    attention_mask=torch.ones_like(ids),
                    max_length=arguments.max_length,
                    do_sample=False,
                    num_beams=beams,
                    num_return_sequences=plan.each,
                    repetition_penalty=plan.penalty,
                    suppress_tokens=list(plan.forbidden) or None,
                    eos_token_id=ends,
                    pad_token_id=ends[0] if ends else plan.text.opening[-1],
                    early_stopping=True,
                    logits_processor=[_finite, _first(prompt)],
                )
        except (torch.OutOfMemoryError, RuntimeError) as problem:
            if not out_of_memory(problem):
                raise
            raise InputError(
                f"{beams:,} beams of {arguments.max_length:,} tokens do not fit into memory; ask for fewer or shorter"
            ) from None
        for number, row in enumerate(found.tolist()):
            new = row[len(prompt.ids) :]
            end = next((at for at, token in enumerate(new) if token in plan.ends), None)
            kept = prompt.ids.tolist() + (new if end is None else new[:end])
            yield place * plan.each + number, Written(np.asarray(kept, np.int64), end is not None)
