"""The memory that an explanation takes."""

from __future__ import annotations

from seqlm.inference.fitting import Memory
from seqlm.inference.memory import OF_A_LETTER, STREAMED, Need, Rows, beside, weights_in

from .methods import ATTENTION, GRADIENTS


def memory_of(plan) -> Memory:
    """Of a checked :class:`seqlm.tools.explain.inputs.Plan`."""
    family, manifest = plan.family, plan.manifest
    limit = manifest.get("max_length") or family.window
    windows = manifest.get("long_sequences", "window") == "window"
    rows = Rows.of([len(text) for _, text in plan.sequences], family, limit, windows)
    gradients = plan.arguments.method == GRADIENTS
    scores = 4 * family.depth * family.heads * rows.longest**2 * (plan.arguments.method == ATTENTION)
    return Memory(
        Need(
            family,
            *weights_in(plan.base, encoder=not plan.language),
            rows.longest,
            item=rows.item if gradients else 0,  # all windows of a sequence have their gradients at once
            most=STREAMED,
            held=OF_A_LETTER * STREAMED + beside(plan.bundle) + scores,
            logits=family.vocabulary_size if plan.language else 0,
            trains=gradients,
        ),
        plan.arguments,
    )
