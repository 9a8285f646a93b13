"""One pass over all sequences before any work: what is wrong with any of them is said at once, without torch.

Sixteen bytes a sequence are kept; names only where two may be equal, and stretches of a hundred sequences.
"""

from __future__ import annotations

from argparse import Namespace
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.records import Record, Rules
from seqlm.data.sequences import Strangers, clean, read_records
from seqlm.data.unread_columns import count_unread_of
from seqlm.families.family import Family

from .unknown import Sample


@dataclass(frozen=True)
class Survey:
    """What a file of sequences holds.

    Attributes:
        letters, longest: of the cleaned sequences, all together and in the longest.
        longest_id: characters in the longest id.
        repeated: sequences that are equal to one before them.
        rules: what cleaning changed.
        sample: of a model of pieces, some of the cleaned sequences, to see whether it knows their letters.
    """

    sequences: int
    letters: int
    longest: int
    longest_id: int
    repeated: int
    rules: Rules = field(default_factory=Rules)
    sample: Sample = field(default_factory=Sample)


def records(arguments: Namespace) -> Iterator[Record]:
    """The sequences of ``--sequences``, as they were given."""
    return read_records(
        arguments.sequences,
        format=arguments.format,
        id_column=arguments.id_column,
        sequence_column=arguments.sequence_column,
        light_column=getattr(arguments, "light_column", None),  # which only some tools have
        rename=True,
    )


def survey(
    arguments: Namespace,
    family: Family,
    visit: Callable[[Record, str], None] = lambda *_: None,
    unread: bool = True,
) -> Survey:
    """Go over all records of ``--sequences``.

    Args:
        family: of the model that is to read them.
        visit: called with every record and its cleaned sequence.
        unread: say which columns of a table are not read; False where something else reads it too.

    Raises:
        InputError: letters that are not in the model's alphabet, sequences of another kind than the model reads, or
            an id that comes twice.
    """
    ids, sequences, rules = array("q"), array("q"), Rules()
    letters = longest = longest_id = 0
    strangers, sample = Strangers(family.alphabet), Sample()
    for record in records(arguments):
        sequence = clean(record, family.alphabet, family.replacements, rules, arguments.sequences)
        ids.append(hash(record.id))
        sequences.append(hash(sequence))
        size = len(record.letters(sequence))
        letters += size
        longest, longest_id = max(longest, size), max(longest_id, len(record.id))
        strangers.see(record.sequence)
        if not family.one_letter_tokens:
            sample.see(sequence)
        visit(record, sequence)
    strangers.refuse(arguments.sequences)
    _refuse_repeated_ids(arguments, set(_repeated(ids).tolist()))
    if unread:
        count_unread_of(arguments.sequences, arguments.format, rules, len(ids))
    return Survey(len(ids), letters, longest, longest_id, len(_repeated(sequences)), rules, sample)


def _repeated(hashes: array) -> np.ndarray:
    """Every hash that was there before."""
    ordered = np.sort(np.frombuffer(hashes, dtype=np.int64))
    return ordered[1:][ordered[1:] == ordered[:-1]]


def _refuse_repeated_ids(arguments: Namespace, repeated: set[int]) -> None:
    if not repeated:
        return
    lines: dict[str, int] = {}
    for record in records(arguments):
        if hash(record.id) in repeated:
            if record.id in lines:
                raise InputError(
                    f"{Path(arguments.sequences).name}: record '{record.id}' (line {record.line}) has the same id as "
                    f"the record on line {lines[record.id]}; ids must be unique"
                )
            lines[record.id] = record.line
