"""What sequences start from: beginnings for a model that writes, templates for one that fills in. Needs no torch.

In a template some positions are marked, and all others stay as they are given::

    MKT___AYIAKQR     marked by _
    MKTXXXAYIAKQR     marked by X
    MKTvlhAYIAKQR     marked by lower case: what stands there is known, and what is filled in is compared with it
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.records import PROTEIN, Record, Rules, quoted
from seqlm.data.sequences import Strangers, clean, read_records
from seqlm.data.unread_columns import count_unread_of
from seqlm.families.family import Family
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.language_text import LanguageText

FREE = "generated"  # how sequences are called that start from nothing
# how positions to fill are marked -> whether a letter as it was given is such a mark
MARKS: dict[str, Callable[[str], bool]] = {
    "underscore": lambda letter: letter == "_",
    "X": lambda letter: letter == "X",
    "lower-case": str.islower,
}


@dataclass(frozen=True)
class Prompt:
    """What one or more sequences start from.

    Attributes:
        ids: (tokens,) of a beginning, with the one that begins a sequence; of a template, without special tokens.
        places: (positions,) of a template, those to be filled, from 0 and upwards.
        known: whether ``letters`` says what stood at these places.
        first: of a beginning in 6-mers whose last letters are no whole one, the tokens that it may go on with.
    """

    name: str
    letters: str
    ids: np.ndarray
    places: np.ndarray | None = None
    known: bool = False
    first: np.ndarray | None = None

    def at_places(self, letters: str) -> str:
        """The letters of a sequence that were filled in."""
        return "".join(letters[place] for place in self.places)


def read_beginnings(arguments: Namespace, family: Family, text: LanguageText, rules: Rules) -> list[Prompt]:
    """Of a model that writes; one without letters where none were given.

    Raises:
        InputError: what no sequence can start with.
    """
    start = (family.token_of(text.start) or "") if not text.control else ""
    # as tutorials write it, with the token that begins a sequence in front
    records, source = _records(arguments, arguments.prompt.strip().removeprefix(start))
    if not records:
        return [Prompt(FREE, "", np.asarray(text.opening, dtype=np.int64))]
    cleaned = _cleaned(records, source, family, arguments, rules)
    encoded = text.encode(cleaned, complete=False)
    found = []
    for record, letters, ids in zip(records, cleaned, encoded, strict=True):
        ids, first = text.prompt(ids)
        found.append(Prompt(record.id, letters, ids, first=first))
    return found


def read_templates(arguments: Namespace, family: Family, encoder: Encoder, rules: Rules) -> list[Prompt]:
    """Of a masked model with a token for each letter.

    Raises:
        InputError: no template, or one without a position to fill.
    """
    records, source = _records(arguments, arguments.prompt)
    if not records:
        raise InputError("a masked model fills in positions of a template; give one (--prompt or --prompts)")
    marked, anything = MARKS[arguments.fill], "X" if family.alphabet == PROTEIN else "A"  # until it is masked
    known = arguments.fill == "lower-case"
    places, plain = [], []
    for record in records:
        sequence = record.sequence
        found = [place for place, letter in enumerate(sequence) if marked(letter)]
        if not found:
            raise InputError(
                f"{Path(source).name}: the template '{quoted(record.id)}' has no position to fill; it is marked by "
                + {"underscore": "_", "X": "X", "lower-case": "lower-case letters"}[arguments.fill]
            )
        places.append(np.asarray(found))
        letters = sequence.upper() if known else "".join(anything if marked(one) else one for one in sequence)
        plain.append(replace(record, sequence=letters, words=""))
    cleaned = _cleaned(plain, source, family, arguments, rules)
    readings = encoder.read([(record.id, letters) for record, letters in zip(records, cleaned, strict=True)])
    for record, letters, reading in zip(records, cleaned, readings, strict=True):
        if len(letters) != len(record.sequence) or len(reading.ids) != len(letters):
            raise InputError(
                f"{Path(source).name}: the template '{quoted(record.id)}' has letters that the model has no token "
                "for; give the sequence without them"
            )
    return [
        Prompt(record.id, letters, reading.ids.astype(np.int64), own, known)
        for record, letters, reading, own in zip(records, cleaned, readings, places, strict=True)
    ]


def _records(arguments: Namespace, given: str) -> tuple[list[Record], str]:
    """Records of the file or of the text that was given, and what to call it; none where nothing was given."""
    if not arguments.prompts:
        letters = "".join(given.split())  # with the line breaks of FASTA
        return [Record("prompt", letters, line=1)] if letters else [], "the prompt"
    records = list(
        read_records(
            arguments.prompts,
            format=arguments.format,
            id_column=arguments.id_column,
            sequence_column=arguments.sequence_column,
            rename=True,
        )
    )
    seen: dict[str, int] = {}
    for record in records:
        if record.id in seen:
            raise InputError(
                f"{Path(arguments.prompts).name}: record '{record.id}' (line {record.line}) has the same id as the "
                f"record on line {seen[record.id]}; ids must be unique"
            )
        seen[record.id] = record.line
    return records, arguments.prompts


def _cleaned(records: list[Record], source: str, family: Family, arguments: Namespace, rules: Rules) -> list[str]:
    """Letters of each record as the model reads them."""
    strangers = Strangers(family.alphabet)
    for record in records:
        strangers.see(record.sequence)
    cleaned = [clean(record, family.alphabet, family.replacements, rules, source) for record in records]
    strangers.refuse(source)
    if arguments.prompts:
        count_unread_of(source, arguments.format, rules, len(records))
    return cleaned
