"""The memory that a generation takes."""

from __future__ import annotations

from seqlm.inference.fitting import Memory
from seqlm.inference.memory import OF_A_LETTER, STREAMED, Need, beside, weights_in


def memory_of(plan) -> Memory:
    """Of a checked :class:`seqlm.tools.generate.inputs.Plan`."""
    family, arguments = plan.family, plan.arguments
    weights, stored = weights_in(plan.opened.base, encoder=False)
    most = plan.each * len(plan.prompts)
    other = beside(plan.opened.bundle)
    if plan.wish:  # the model that accepts
        other += 4 * weights_in(plan.wish.base)[0] + beside(plan.wish.bundle)
    if plan.encoder:
        longest = min(
            max(len(prompt.ids) for prompt in plan.prompts) + len(family.prefix) + len(family.suffix), plan.limit
        )
        held = OF_A_LETTER * STREAMED + other
        return Memory(Need(family, weights, stored, longest, most=min(most * longest, STREAMED), held=held), arguments)
    # keys and values of all places; logits in three copies, one of them in double precision where all are drawn from
    slot = 8 * family.depth * family.key_width * arguments.max_length + 24 * family.vocabulary_size
    if plan.guided:  # of the tuned and of the base model
        slot *= 2
    if arguments.strategy == "beam":  # all beams of a prompt at once, and once more when they are put in order
        slot, most = 2 * slot * arguments.num_beams, 1
    need = Need(
        family,
        weights,
        stored,
        arguments.max_length,
        most=min(plan.each * len(plan.prompts) * arguments.max_length, STREAMED),
        held=OF_A_LETTER * min(plan.each * len(plan.prompts) * arguments.max_length, STREAMED) + other,
        logits=family.vocabulary_size,
        slot=slot,
        slots=most,
    )
    return Memory(need, arguments)
