"""The memory that a generation takes."""

from __future__ import annotations

from seqlm.inference.fitting import Memory
from seqlm.inference.memory import OF_A_LETTER, STREAMED, Need, beside, weights_in


def memory_of(plan) -> Memory:
    """Of a checked :class:`seqlm.tools.generate.inputs.Plan`."""
    family, arguments = plan.family, plan.arguments
    weights, stored = weights_in(plan.opened.base, encoder=False)
    most = plan.each * len(plan.prompts)
    # keys and values of all places; logits in three copies, one of them in double precision where all are drawn from
    slot = 8 * family.depth * family.key_width * arguments.max_length + 24 * family.vocabulary_size
    if arguments.strategy == "beam":  # all beams of a prompt at once, and once more when they are put in order
        slot, most = 2 * slot * arguments.num_beams, 1
    need = Need(
        family,
        weights,
        stored,
        arguments.max_length,
        most=min(plan.each * len(plan.prompts) * arguments.max_length, STREAMED),
        held=OF_A_LETTER * min(plan.each * len(plan.prompts) * arguments.max_length, STREAMED)
        + beside(plan.opened.bundle),
        logits=family.vocabulary_size,
        slot=slot,
        slots=most,
    )
    return Memory(need, arguments)
