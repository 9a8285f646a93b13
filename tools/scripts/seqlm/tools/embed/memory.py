"""The memory that an embedding takes."""

from __future__ import annotations

from seqlm.data.tasks import WITHOUT_HEAD
from seqlm.inference.fitting import Memory
from seqlm.inference.memory import OF_A_LETTER, STREAMED, Need, Rows, beside, weights_in

COPIES = 8  # of the vectors of labelled sequences, while linear models are fitted to them
HELD = 4 << 25  # bytes of vectors of positions that are held together


def memory_of(plan) -> Memory:
    """Of a checked :class:`seqlm.tools.embed.inputs.Plan`."""
    found, family, bundle = plan.survey, plan.family, plan.bundle
    whole = bool(bundle and bundle.manifest and bundle.manifest["task"] in WITHOUT_HEAD)
    weights, stored = weights_in(plan.base, encoder=not whole)
    rows = Rows.of([found.longest], family, plan.encoder.max_length)
    special = len(family.prefix) + len(family.suffix)
    vectors = 4 * family.hidden_size * plan.vectors
    held = 2 * min(vectors, HELD) + OF_A_LETTER * min(found.letters, STREAMED) + beside(bundle)
    if plan.labelled:
        held += COPIES * 4 * family.hidden_size * len(plan.labelled)
    most = max(found.letters * 4 // 3, rows.item) + special * found.sequences
    return Memory(Need(family, weights, stored, rows.longest, most=most, held=held), plan.arguments)
