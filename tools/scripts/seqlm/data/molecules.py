"""SMILES checked and written in one way, by RDKit, which is imported where a molecule is read and nowhere else.

One molecule has many SMILES (CCO, OCC, C(O)C), and a model that was trained on one way of writing reads another less
well. Canonical SMILES (Weininger et al. 1989, https://doi.org/10.1021/ci00062a008) are the same for all of them. Salts,
charges, isotopes and stereochemistry stay as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from seqlm.cli.errors import InputError
from seqlm.cli.noticing import notice

from .lines import numbered_lines
from .records import Record, Rules, identifier, quoted

LONGEST = 5_000  # letters; RDKit takes minutes for more, and no molecule of this kind of data has a tenth of it
LONGEST_BLOCK = 2_000_000  # letters of one molecule in an SDF file
WRITTEN = "SMILES written in canonical form"
SMILES = ("as-given", "canonical")


def canonical(record: Record, smiles: str, rules: Rules, path: str | Path) -> str:
    """Canonical SMILES of a record that has ``smiles``; one that was written otherwise is counted.

    Raises:
        InputError: naming the record and what is wrong with its SMILES.
    """
    molecule, problem = parsed(smiles)
    if molecule is None:
        raise InputError(
            f"{Path(path).name}: record '{quoted(record.id)}' (line {record.line}) is no molecule that RDKit can read: "
            f"'{quoted(smiles)}', {problem}; mend or remove it, or choose SMILES as given"
        )
    written = _chemistry()[0].MolToSmiles(molecule)
    if written != smiles:
        rules.count(WRITTEN)
    return written


def one_way(text: str) -> str:
    """Canonical SMILES of a molecule, and any other text as it is."""
    molecule, _ = parsed(text)
    return text if molecule is None else _chemistry()[0].MolToSmiles(molecule)


def parsed(smiles: str):
    """(molecule, ""), or (None, what is wrong with the SMILES)."""
    if not smiles:
        return None, "it is empty"
    if len(smiles) > LONGEST:
        return None, f"it has {len(smiles):,} letters, over the limit of {LONGEST:,}"
    chemistry, complaints = _chemistry()
    complaints.said.clear()
    molecule = chemistry.MolFromSmiles(smiles)
    if molecule is None:
        return None, complaints.text()
    return (molecule, "") if molecule.GetNumAtoms() else (None, "it has no atom")


def read_sdf(path: Path) -> Iterator[Record]:
    """The molecules of an SDF file (CTfile formats, Dalby et al. 1992, https://doi.org/10.1021/ci00007a012).

    Each is written as canonical SMILES. Titles are the ids where each molecule has its own, else molecules are
    numbered.

    Raises:
        InputError: naming the molecule that cannot be read.
    """
    titles = [identifier(lines[0]) if lines else "" for _, lines in _blocks(path)]
    named = all(titles) and len(set(titles)) == len(titles)
    ids = "the titles are the ids" if named else "the ids are row_1, row_2 …"
    notice(f"{path.name} is an SDF file, whose molecules are written as canonical SMILES; {ids}")
    for number, ((line, lines), title) in enumerate(zip(_blocks(path), titles, strict=True), start=1):
        chemistry, complaints = _chemistry()
        complaints.said.clear()
        molecule = chemistry.MolFromMolBlock("\n".join(lines))
        name = title if named else f"row_{number}"
        if molecule is None or not molecule.GetNumAtoms():
            problem = complaints.text() if molecule is None else "it has no atom"
            raise InputError(
                f"{path.name}: molecule '{quoted(name)}' (line {line}) cannot be read by RDKit: {problem}; mend or "
                "remove it"
            )
        yield Record(name, chemistry.MolToSmiles(molecule), "", line)


def _blocks(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, lines) of each molecule, up to its ``$$$$`` or, without the data items, the end of the file."""
    start, lines, length = 1, [], 0
    for number, line in numbered_lines(path):
        if line.startswith("$$$$"):
            yield start, lines
            start, lines, length = number + 1, [], 0
            continue
        lines.append(line)
        length += len(line) + 1
        if length > LONGEST_BLOCK:
            raise InputError(f"{path.name}: the molecule on line {start} is over {LONGEST_BLOCK:,} characters long")
    if any(line.strip() for line in lines):
        yield start, lines


class _Complaints(logging.Handler):
    """What RDKit says of the SMILES that it cannot read."""

    def __init__(self):
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())

    def text(self) -> str:
        lines = [line.strip() for said in self.said for line in said.splitlines() if line.strip()]
        line = next((line for line in lines if "Error" in line or "valence" in line or "kekul" in line), None)
        line = (line or (lines[0] if lines else "it cannot be read")).partition("] ")[2] or line or "it cannot be read"
        return quoted(line.removeprefix("SMILES Parse Error: ").partition(" for input")[0], 120)


@cache
def _chemistry():
    """RDKit's module of molecules, and what it complains of."""
    from rdkit import Chem, rdBase

    rdBase.LogToPythonLogger()  # by itself it writes every complaint to stderr
    complaints, log = _Complaints(), logging.getLogger("rdkit")
    log.handlers, log.propagate = [complaints], False
    return Chem, complaints
