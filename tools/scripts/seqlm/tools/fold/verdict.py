"""What the predicted structures are worth, in words."""

from __future__ import annotations

from seqlm.cli.text import shown
from seqlm.report.words import first_of, sentence

from .inputs import Plan
from .summary import CONFIDENT, SAME_FOLD, Summary, band

SMALL = 100_000_000  # weights; ESMFold has 3.5 billion
MEANING = (
    "pLDDT is the model's own guess, from 0 to 100, of how well the surroundings of a residue agree with an "
    "experiment: above 90 (very high) side chains mostly stand as they are drawn, from 70 (confident) the backbone "
    "does, from 50 (low) it is to be doubted, and below (very low) the residue is often disordered or the model at a "
    "loss. pTM is the same of the whole fold, from 0 to 1; above 0.5 it is probably right. PAE tells whether two parts "
    "that are each predicted well also stand to each other as drawn."
)
LIMITS = (
    "The model reads one sequence, without its relatives: it is surest of proteins that have many, and says little of "
    "what a single substitution does, of partners, ligands and other states. A high pLDDT of a designed sequence is no "
    "proof that it folds. Bonds, angles and clashes are as the model gives them, not checked and not relaxed."
)


def headline(plan: Plan, summary: Summary) -> str:
    """The verdict in one sentence."""
    found, given = [*summary.folded.values()], len(plan.proteins)
    if given == 1:
        one = found[0]
        return (
            f"The structure of {shown(plan.proteins[0].id)} was predicted with a mean pLDDT of {one.mean:.1f} "
            f"({band(one.mean)}) and a pTM of {one.ptm:.2f}."
        )
    good = sum(one.mean >= CONFIDENT for one in found)
    likely = sum(one.ptm > SAME_FOLD for one in found)
    return (
        f"{len(found):,} of {given:,} proteins were folded; {good or 'none':{',' if good else ''}} of them with a mean "
        f"pLDDT of 70 or more, and {likely or 'none':{',' if likely else ''}} with a pTM above 0.5."
    )


def warnings(plan: Plan, summary: Summary) -> list[str]:
    """What a reader must not overlook."""
    found = [sentence(note) for note in plan.notes]
    if plan.base.parameters < SMALL:
        found.append(
            f"The model has {plan.base.parameters:,} weights, and ESMFold 3.5 billion. What it gives shows that the "
            "tool works, and is no structure of a protein."
        )
    if left_out := [one for one in plan.proteins if one.left_out]:
        found.append(
            f"{len(left_out):,} protein{'s were' if len(left_out) > 1 else ' was'} left out: "
            f"{first_of([one.id for one in left_out])}. The table says why of each."
        )
    folded = [plan.proteins[place] for place in summary.folded]
    if unknown := sum(one.unknown for one in folded):
        which = sum(bool(one.unknown) for one in folded)
        atoms = (
            "they have no atoms in the structure" if not plan.architecture.atoms_of_unknown else "they have a backbone"
        )
        found.append(
            f"{unknown:,} residue{'s' * (unknown != 1)} of {which:,} protein{'s' * (which != 1)} "
            f"{'are' if unknown != 1 else 'is'} none of the twenty standard ones and read as X; {atoms}."
        )
    if not any(one.mean >= CONFIDENT for one in summary.folded.values()):
        found.append("No structure reaches a mean pLDDT of 70: take none of them for more than a guess.")
    return found
