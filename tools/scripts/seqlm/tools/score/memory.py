"""The memory that a scoring takes."""

from __future__ import annotations

from seqlm.inference.fitting import Memory
from seqlm.inference.memory import OF_A_LETTER, STREAMED, Need, beside, weights_in

from .methods import ONE_PASS, WILD_TYPE


def memory_of(plan) -> Memory:
    """Of a checked :class:`seqlm.tools.score.inputs.Plan`."""
    family = plan.family
    weights, stored = weights_in(plan.opened.base, encoder=False)
    special = len(family.prefix) + len(family.suffix)
    longest = min(plan.survey.longest, plan.limit) + special
    every = family.causal or plan.method in (ONE_PASS, WILD_TYPE)  # place is asked for its token
    rows = plan.survey.sequences if every else plan.survey.letters  # or one for each place that is masked
    most = min(2 * rows * longest, STREAMED) if plan.mode == "sequences" else STREAMED
    need = Need(
        family,
        weights,
        stored,
        longest,
        most=most,
        held=OF_A_LETTER * STREAMED + beside(plan.opened.bundle),
        logits=family.vocabulary_size if every else 0,
    )
    return Memory(need, plan.arguments)
