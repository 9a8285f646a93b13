"""3Di states of proteins, beside their residues: a second FASTA with the same ids and as many letters.

Foldseek (van Kempen et al. 2024, https://doi.org/10.1038/s41587-023-01773-0) writes them for each structure, in
capitals or in lower case. They lie in a file of the job, so that memory does not grow with their number.
"""

from __future__ import annotations

import re
import sqlite3
from argparse import Namespace
from contextlib import closing
from pathlib import Path

from seqlm.cli.errors import InputError
from seqlm.data.records import LETTERS, STATES, identifier, quoted
from seqlm.data.sequences import read_records
from seqlm.families.family import Family
from seqlm.families.vocabulary import UNSTRUCTURED

_WRONG = re.compile(f"[^{LETTERS[STATES]}{UNSTRUCTURED}]")
CERTAIN = 10  # letters from which on states that are the residues are no coincidence


class Structures:
    """The states of a file, looked up by id.

    Args:
        path: FASTA of 3Di states; # or X where one is not known.
        scratch: folder of the job.

    Raises:
        InputError: a letter that is no state, a header that comes twice.
    """

    def __init__(self, path: str | Path, scratch: Path):
        self.name = Path(path).name
        self._found = False
        self._other = ""  # an id that has no sequence, perhaps
        self._file = scratch / "structures.db"
        self._held = self._opened()
        self._held.execute("PRAGMA journal_mode=OFF")
        self._held.execute("PRAGMA synchronous=OFF")
        self._held.execute("CREATE TABLE structures (id TEXT PRIMARY KEY, states TEXT) WITHOUT ROWID")
        self._held.execute("BEGIN")
        for record in read_records(path, format="fasta", rename=True):
            states = record.sequence.lower().replace("x", UNSTRUCTURED)
            where = f"{self.name}: record '{quoted(record.id)}' (line {record.line})"
            if wrong := _WRONG.search(states):
                raise InputError(
                    f"{where} has '{record.sequence[wrong.start()]}' at position {wrong.start() + 1}; 3Di states are "
                    f"the letters {LETTERS[STATES]}, and # where none is known"
                )
            if record.id not in (record.header.split(None, 1)[0], identifier(record.header)):  # it was numbered
                raise InputError(
                    f"{self.name}: the record on line {record.line} has the header of one before it, "
                    f"'{quoted(record.header)}'; each structure needs a name of its own"
                )
            self._held.execute("INSERT INTO structures VALUES (?, ?)", (record.id, states))
            self._other = self._other or record.id
        self._held.execute("COMMIT")

    def _opened(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, isolation_level=None)

    def __getstate__(self) -> dict:
        """For the other processes of a training, each of which opens the file anew."""
        return {name: value for name, value in vars(self).items() if name != "_held"}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        self._held = self._opened()

    def of(self, name: str, sequence: str) -> str | None:
        """States of one sequence; None where the file has none for it.

        Raises:
            InputError: as many as the sequence has letters they are not, or they are its residues.
        """
        with closing(self._held.execute("SELECT states FROM structures WHERE id = ?", (name,))) as found:
            row = found.fetchone()
        if row is None:
            return None
        (states,) = row
        if len(states) != len(sequence):
            raise InputError(
                f"{self.name}: '{quoted(name)}' has {len(states):,} 3Di states, and the sequence of that name "
                f"{len(sequence):,} residues; each residue needs its state"
            )
        known = [place for place, state in enumerate(states) if state != UNSTRUCTURED]  # X is read as no state
        if len(known) >= CERTAIN and all(states[place].upper() == sequence[place] for place in known):
            raise InputError(
                f"{self.name}: what stands for '{quoted(name)}' is its residues; give the FASTA of 3Di states"
            )
        self._found = True
        return states

    def refuse_other_names(self, name: str) -> None:
        """Raise InputError if no sequence that was asked for has states.

        Args:
            name: id of one of the sequences.
        """
        if not self._found:
            raise InputError(
                f"{self.name} has no structure of any sequence: its ids are such as '{quoted(self._other)}', those of "
                f"the sequences such as '{quoted(name)}'; they must be the same"
            )


def open_structures(arguments: Namespace, family: Family, scratch: Path) -> Structures | None:
    """The states of ``--structures``, where they are given.

    Raises:
        InputError: a model that reads no structures, besides what is wrong with the file.
    """
    if not arguments.structures:
        return None
    if not family.structured:
        raise InputError(
            f"--structures is for models that read 3Di states beside residues, such as SaProt; this one is of the "
            f"family {family.name}"
        )
    return Structures(arguments.structures, scratch)
