"""Whether a model has learnt to tell contacts from attention. Needs no torch.

transformers gives every ESM a head for contacts, and saves it with numbers drawn at random where nobody has fitted it:
ESM-1v, SaProt and the Nucleotide Transformers, and every ESM that is trained from scratch. What tells a fitted head is
its bias. Contacts are a few in a hundred pairs, so of two residues that pay each other no attention it says no; one
that was drawn at random says about one half.
"""

from __future__ import annotations

import math

from seqlm.checkpoints.safetensors_header import first_number, read_tensors
from seqlm.cli.errors import InputError
from seqlm.data.records import PROTEIN
from seqlm.families.esm import Esm
from seqlm.inference.language_models import Opened

BIAS = "contact_head.regression.bias"
UNTRAINED = 0.25  # probability of a contact without any attention, from which a head was never fitted
SUCH = "ESM-2 (facebook/esm2_t6_8M_UR50D to facebook/esm2_t48_15B_UR50D) or ESM-1b (facebook/esm1b_t33_650M_UR50S)"


def require_head(opened: Opened) -> None:
    """Refuse a model whose head for contacts is missing or was never fitted.

    Raises:
        InputError: naming models that have one.
    """
    family, base = opened.family, opened.base
    tensor = next((name for name in base.tensors if name == BIAS or name.endswith(f".{BIAS}")), None)
    fits = isinstance(family, Esm) and family.alphabet == PROTEIN and not family.structured
    if not fits or family.own_architecture or tensor is None:
        raise InputError(f"{opened.name} has no head that tells contacts from its attention; take {SUCH}")
    file = next(file for file in base.weights if tensor in read_tensors(file))
    bias = first_number(file, tensor)
    if bias is None or not (said := 1 / (1 + math.exp(-max(min(bias, 500), -500)))) < UNTRAINED:
        raise InputError(
            f"the head of {opened.name} that should tell contacts from its attention was never fitted: of residues "
            f"without any it says a contact with {'no number' if bias is None else f'{said:.0%}'}, where a fitted one "
            f"says a few percent; take {SUCH}"
        )
