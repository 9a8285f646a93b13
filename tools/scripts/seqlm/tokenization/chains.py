"""Two chains of an antibody in one text, as IgBert and IgT5 were trained to read them (Kenlay et al. 2024,
https://doi.org/10.1371/journal.pcbi.1012646).

The heavy chain comes first, then a token that otherwise ends a sequence, then the light chain::

    [CLS] H1 … Hn [SEP] L1 … Lm [SEP]        IgBert; all tokens of one type
    ▁H1 … ▁Hn </s> ▁L1 … ▁Lm </s>            IgT5

The token between them is no residue: it has no part in a mean and gets no vector of its own. Both chains are read at
once or not at all, as a window of one of them would not be what the model was trained on.
"""

from __future__ import annotations

from argparse import Namespace

from seqlm.cli.errors import InputError
from seqlm.data.records import quoted
from seqlm.families.family import Family


def reads_chains(arguments: Namespace, family: Family) -> bool:
    """Whether heavy and light chains are read together, as ``--light-column`` asks for.

    Raises:
        InputError: a model that reads one chain at a time.
    """
    if not arguments.light_column:
        return False
    if not family.between_chains:
        raise InputError(
            f"--light-column is for models that read heavy and light chain together, IgBert and IgT5; this one is of "
            f"the family {family.name}"
        )
    return True


def refuse_longer(name: str, residues: int, limit: int) -> None:
    """Raise InputError if two chains are longer than the model reads at once.

    Args:
        residues: of both chains; limit: tokens, one of which stands between the chains.
    """
    if residues >= limit:
        raise InputError(
            f"the two chains of '{quoted(name)}' have {residues:,} residues, and the model reads {limit - 1:,} at "
            "once; two chains are not read in windows: give their variable domains, or leave them out"
        )
