"""The report of a tokenizer: does it read these sequences whole, how coarsely, and with how much of its vocabulary.

Imports matplotlib: set ``MPLCONFIGDIR`` first.
"""

from __future__ import annotations

from seqlm.cli.text import shown
from seqlm.cli.versions import versions
from seqlm.data.records import CANONICAL, LETTERS
from seqlm.report.report import Block, Bullets, Report, Table
from seqlm.report.words import percent

from .figures import figures_of
from .inspection import Inspection
from .verdict import changes, headline, notes, words

MOST_USED = 10
PACKAGES = ("tokenizers", "numpy", "matplotlib", "rdkit")
SETTINGS = ("alphabet", "prefix", "smiles", "tokenizer", "rows", "shown")


def tokenizer_report(found: Inspection) -> Report:
    """The whole report, in the order in which a reader asks."""
    report, arguments = Report("Tokens report", drawn=figures_of(found)), found.plan.arguments
    report.verdict(headline(found), _explanation(found), notes=notes(found))
    report.section("The first sequences, token by token", *report.pictures("tokens"))
    report.section("Repaired and as published", *_side_by_side(found))
    report.section("In numbers", Table(["what", "number"], _numbers(found)), *report.pictures("lengths"))
    report.section("Tokens used most", _most_used(found))
    report.section("Changed on the way", Bullets(changes(found)))
    parameters = {"model": found.plan.name} | {name: str(getattr(arguments, name)) for name in SETTINGS}
    report.closing(parameters, _versions(found), _cited(found))
    return report


def _explanation(found: Inspection) -> str:
    _, letter = words(found.plan.family.alphabet)
    if found.plan.encoder.repairs:
        return (
            "The vocabulary has tokens for Cl, Br and bracket atoms, but the published files do not say how to put "
            "them together from letters, so only single letters are found, and the others fall out. Repaired, a SMILES "
            "is split into atoms first, and each is looked up."
        )
    if found.unread:
        return (
            "A letter for which the vocabulary has no token is left out without a word: the model never sees it. In "
            "the picture such letters are struck through, and stand with the token before them."
        )
    if found.tokens == found.letters:
        return f"A vector or a prediction for each token is one for each {letter}."
    texts = [
        f"A token is what the model reads as one thing: it has one vector, however many {letter}s it stands for. What "
        f"stands for several {letter}s depends on what was frequent where the vocabulary was learnt."
    ]
    if found.shuffled:
        own, mixed = found.shuffled
        texts.append(
            f"Tokens are {own:.2f} {letter}s long here, and {mixed:.2f} in the same sequences with their {letter}s in "
            "random order, which is what a vocabulary gives that knows nothing of them."
        )
    return " ".join(texts)


def _side_by_side(found: Inspection) -> list[Block]:
    rows = [
        [shown(one.id, 20), " ".join(piece.token for piece in pieces), str(len(pieces))]
        for one in found.differing
        for pieces in (one.pieces, one.published)
    ]
    for number in range(1, len(rows), 2):
        rows[number][0] = "as published"
    return [Table(["molecule", "tokens", "number"], rows)] if rows else []


def _numbers(found: Inspection) -> list[list[str]]:
    sequence, letter = words(found.plan.family.alphabet)
    fewest, median, most = found.tokens_quantiles()
    vocabulary = len(found.plan.family.vocabulary)
    rows = [
        [f"{sequence}s", f"{found.sequences:,}"],
        [f"{letter}s", f"{found.letters:,}"],
        ["tokens", f"{found.tokens:,}"],
        [f"{letter}s per token", f"{found.letters_per_token:.2f}"],
        [f"tokens per {sequence} (fewest, median, most)", f"{fewest:,}, {median:,}, {most:,}"],
        [f"{letter}s read as unknown", f"{found.unknown:,} ({percent(found.unknown, found.letters)})"],
        [f"{letter}s not read at all", f"{found.unread:,} ({percent(found.unread, found.letters)})"],
        ["vocabulary in use", f"{found.used:,} of {vocabulary:,} tokens ({percent(found.used, vocabulary)})"],
    ]
    if found.plan.family.read_as:
        rows.append(["read as", found.plan.family.read_as])
    if found.plan.encoder.repairs:
        rows.append(["read otherwise as published", f"{found.repaired:,} of {found.sequences:,} molecules"])
    if found.plan.limit is not None:
        rows.append(["tokens that the model reads at once", f"{found.plan.limit:,}"])
        rows.append([f"{sequence}s with more", f"{found.over:,}"])
    return rows


def _most_used(found: Inspection) -> Table:
    names = {number: token for token, number in found.plan.family.vocabulary.items()}
    order = sorted(range(len(found.usage)), key=lambda number: (-found.usage[number], number))[:MOST_USED]
    rows = [
        [names.get(number, ""), str(number), f"{found.usage[number]:,}", percent(found.usage[number], found.tokens)]
        for number in order
        if found.usage[number]
    ]
    return Table(["token", "id", "times", "share"], rows)


def _versions(found: Inspection) -> dict[str, str]:
    molecules = found.plan.family.alphabet == CANONICAL
    return versions(package for package in PACKAGES if package != "rdkit" or molecules)


def _cited(found: Inspection) -> list[str]:
    family = found.plan.family
    keys = ["bpe"] if found.tokens != found.letters and family.alphabet in LETTERS else []
    keys += ["chemberta2"] if found.plan.encoder.repairs else []
    return keys + (["canonical-smiles"] if family.alphabet == CANONICAL else [])
