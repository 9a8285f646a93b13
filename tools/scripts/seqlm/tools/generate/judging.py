"""How probable a model finds sequences: whole ones to a model that writes, what was filled in to a masked model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.cli.progress import Progress
from seqlm.inference.likelihood import Likelihood, TokenModel, likelihoods
from seqlm.inference.masked_likelihood import Asked, MaskedModel, MaskedReader, log_probabilities
from seqlm.tokenization.language_text import LanguageText

from .inputs import Plan
from .writing import Generated


class WriterJudge:
    """Likelihoods of whole sequences, each read from its letters as any other sequence would be.

    Args:
        model: transformers' class, with its adapter if it has one.
        base: the adapter is switched off.
    """

    def __init__(self, plan: Plan, model, budget: int, base: bool = False):
        self.plan, self.budget, self.base = plan, budget, base
        self.model, self.inner = TokenModel(model, plan.text.six_mers), model

    def of(self, sequences: Sequence[Generated]) -> list[Likelihood | None]:
        """What the model says of each, equal ones read once; None of one that it cannot read."""
        wanted = dict.fromkeys((one.letters, one.complete) for one in sequences)
        rows = {key: row for key in wanted if (row := readable(self.plan.text, *key)) is not None}
        progress = Progress("scoring", len(rows), "sequences", lines=5)
        with self.inner.disable_adapter() if self.base else nullcontext():
            given = likelihoods(
                self.model,
                list(rows.values()),
                self.budget,
                [letters[:20] for letters, _ in rows],
                lambda share: progress(round(share * len(rows))),
                self.plan.limit,
                self.plan.text.given,
                self.plan.text.units([letters for letters, _ in rows]),
            )
        wanted |= dict(zip(rows, given, strict=True))
        return [wanted[one.letters, one.complete] for one in sequences]


def readable(text: LanguageText, letters: str, complete: bool) -> np.ndarray | None:
    """Token ids of a sequence; None if the model has no tokens for it."""
    try:
        return text.encode([letters], complete and text.closes)[0]
    except InputError:
        return None


class FilledJudge:
    """Pseudo-likelihoods of the letters that were filled in: each masked in its turn, all others as they are (Salazar
    et al. 2020, https://doi.org/10.18653/v1/2020.acl-main.240)."""

    def __init__(self, plan: Plan, model: MaskedModel, reader: MaskedReader, budget: int):
        self.plan, self.model, self.reader, self.budget = plan, model, reader, budget

    def of(self, sequences: Sequence[Generated]) -> list[Likelihood | None]:
        """What the model says of each, equal ones read once."""
        wanted = {(one.start.name, one.letters): one for one in sequences}
        owners = list(wanted.values())
        ids = [reading.ids for reading in self.plan.encoder.read([(one.id, one.letters) for one in owners])]
        sums = np.zeros(len(owners))
        rows = sum(len(one.start.places) for one in owners)
        progress = Progress("scoring", rows, "positions", lines=5)

        def asked() -> Iterator[Asked]:
            for owner, (one, tokens) in enumerate(zip(owners, ids, strict=True)):
                for place in one.start.places:
                    yield from self.reader.masked(tokens, [place], owner)

        padding = self.plan.encoder.padding
        found = log_probabilities(
            self.model, asked(), padding, self.budget, lambda owner: owners[owner].id, progress=progress
        )
        for owner, places, values in found:
            sums[owner] += values[np.arange(len(places)), ids[owner][places]].sum()
        given = [Likelihood(float(total), len(one.start.places)) for total, one in zip(sums, owners, strict=True)]
        by_key = dict(zip(wanted, given, strict=True))
        return [by_key[one.start.name, one.letters] for one in sequences]
