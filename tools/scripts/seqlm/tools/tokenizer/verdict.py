"""The words of an inspection: does this tokenizer read these sequences whole, and how coarsely."""

from __future__ import annotations

from seqlm.data.records import DNA, LETTERS, PROTEIN, STATES, Rules
from seqlm.report.words import percent
from seqlm.tokenization.encoder import REPAIRED
from seqlm.tokenization.reading import UNKNOWN, UNREAD

from .inspection import Inspection

MANY_UNKNOWN = 0.01  # share of letters from which what the model sees is no longer the sequence
LIKE_SHUFFLED = 1.02  # a vocabulary that fits has tokens this much longer than for the same letters in random order
WORDS = {PROTEIN: ("protein", "residue"), DNA: ("DNA sequence", "base"), STATES: ("structure", "3Di state")}


def words(alphabet: str) -> tuple[str, str]:
    """What a sequence and one of its letters are called."""
    return WORDS.get(alphabet, ("molecule", "letter"))


def headline(found: Inspection) -> str:
    """One sentence for who reads no further."""
    sequence, letter = words(found.plan.family.alphabet)
    many = f"{found.sequences:,} {sequence}{'s' * (found.sequences != 1)}"
    if found.unread and found.plan.family.alphabet not in LETTERS:
        return f"This tokenizer drops {found.unread:,} letters of {many}: the model reads something else."
    if found.repaired:
        return (
            f"As published, this tokenizer loses atoms: {found.repaired:,} of {many} would be read as something else. "
            "Repaired, as here, it reads them."
        )
    if found.unread or found.unknown:
        lost = found.unread + found.unknown
        of_all = f"{lost:,} of {found.letters:,} {letter}s ({percent(lost, found.letters)})"
        return f"The tokenizer has no token of its own for {of_all} in {many}."
    if found.tokens == found.letters:
        return f"Every {letter} is one token, and all {found.letters:,} of {many} are known to the tokenizer."
    return (
        f"The tokenizer reads all {found.letters:,} {letter}s of {many}, in tokens of {found.letters_per_token:.1f} "
        f"{letter}s on average."
    )


def notes(found: Inspection) -> list[str]:
    """What a reader must not overlook."""
    _, letter = words(found.plan.family.alphabet)
    told = []
    if found.unread and found.plan.family.alphabet not in LETTERS:
        told.append(
            "Of atoms such as Cl or [nH] only those letters are left that are tokens by themselves. Choose the "
            "repaired tokenizer, unless you want what others got with the published one."
            if not found.plan.encoder.repairs
            else "Letters without a token were left out."
        )
    lost = found.unknown + found.unread
    if lost > MANY_UNKNOWN * found.letters and (found.unknown or found.plan.family.alphabet in LETTERS):
        told.append(
            f"{percent(lost, found.letters)} of all {letter}s have no token of their own. The model cannot tell them "
            "from each other; embeddings and predictions of such sequences say little."
        )
    if found.over:
        told.append(
            f"Sequences with more than the {found.plan.limit:,} tokens that the model reads at once: {found.over:,}. "
            "Other tools read these in overlapping windows, or cut them, as you choose there."
        )
    if found.shuffled and found.shuffled[0] < LIKE_SHUFFLED * found.shuffled[1]:
        told.append(
            f"With their {letter}s in random order the same sequences have tokens as long as in their own. The "
            "vocabulary was learnt from other sequences, or these hold nothing that repeats."
        )
    return told


def changes(found: Inspection) -> list[str]:
    """What happened to sequences on the way to tokens, counted."""
    rules = Rules().merged(found.plan.survey.rules)
    for rule, letters in ((UNKNOWN, found.unknown), (UNREAD, found.unread)):
        if letters:
            rules.count(rule, letters, number=letters, unit="letter")
    if found.repaired:
        rules.count(REPAIRED, found.repaired, number=found.repaired)
    return rules.lines()
