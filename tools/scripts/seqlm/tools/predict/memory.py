"""The memory that a prediction takes."""

from __future__ import annotations

from seqlm.inference.fitting import Memory
from seqlm.inference.memory import OF_A_LETTER, STREAMED, Need, beside, weights_in


def memory_of(plan) -> Memory:
    """Of a checked :class:`seqlm.tools.predict.inputs.Plan`."""
    family, held = plan.family, OF_A_LETTER * STREAMED + beside(plan.bundle)
    limit = (plan.bundle.manifest or {}).get("max_length") or family.window
    letters = min(limit, plan.longest) if plan.longest else limit
    weights, stored = weights_in(plan.base)
    if plan.second:  # which is held while the first is loaded
        held += 4 * weights_in(plan.second[0])[0]
    if plan.members[0]:
        held += 4 * family.hidden_size * len(set(plan.members[0]) | set(plan.members[1]))
    longest = letters + len(family.prefix) + len(family.suffix)
    most = min(2 * max(plan.items, 1) * longest, STREAMED)
    return Memory(Need(family, weights, stored, longest, most=most, held=held), plan.arguments)
