"""What a prediction of contacts starts from: a model with a head for them, and proteins. Checked without torch."""

from __future__ import annotations

import copy
from argparse import Namespace
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from seqlm.checkpoints.opening import open_model
from seqlm.cli.errors import InputError
from seqlm.data.records import Record, quoted
from seqlm.inference.fitting import Memory
from seqlm.inference.language_models import Opened, as_language_model
from seqlm.inference.memory import OF_A_LETTER, STREAMED, Need, beside, weights_in
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.survey import Survey, survey

from .head import require_head
from .ranges import LEAST
from .structures import Chain, distances_of, read_chains

MOST_PAIRS = 10_000_000  # rows of a table of all pairs
ALL = 0.01  # probability from which on a table holds few of the pairs
HELD = 5  # numbers of every two tokens and each head of one layer, that a pass makes
OF_POSITIONS = (
    "explained_class",
    "labels",
    "explained_position",
    "structures",
    "output_matrix",
    "output_bedgraph",
    "output_gff3",
)


@dataclass
class Plan:
    """Checked inputs.

    Attributes:
        sequences: (id, cleaned sequence) of all.
        chains: of known structures; empty where none were given.
        known: id -> the chain that is the protein's.
        notes: sentences for the user.
    """

    arguments: Namespace
    opened: Opened
    encoder: Encoder
    sequences: list[tuple[str, str]]
    survey: Survey
    chains: list[Chain]
    known: dict[str, str]
    notes: list[str] = field(default_factory=list)

    @cached_property
    def memory(self) -> Memory:
        """What the job takes: one protein at a time, and of it the attention of one layer."""
        family = copy.copy(self.opened.family)
        family.numbers_of_pair = HELD
        longest = self.survey.longest + len(family.prefix) + len(family.suffix)
        need = Need(
            family,
            *weights_in(self.opened.base),
            longest,
            most=longest,
            held=OF_A_LETTER * STREAMED + beside(self.opened.bundle) + 40 * self.survey.longest**2,
        )
        return Memory(need, self.arguments)


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Open the model and go over all sequences once. Does not import torch."""
    bundle, base = open_model(arguments, scratch)
    opened = as_language_model(bundle, base, arguments)
    require_head(opened)
    for option in OF_POSITIONS:
        if getattr(arguments, option):
            raise InputError(
                "contacts are of pairs of positions, and no values of positions; leave "
                f"--{option.replace('_', '-')} out"
            )
    family, name = opened.family, Path(arguments.sequences).name
    sequences: list[tuple[str, str]] = []

    def visit(record: Record, sequence: str) -> None:
        if len(sequences) == arguments.most_sequences:
            raise InputError(
                f"{name} holds more than {arguments.most_sequences:,} sequences, and each is computed many times; give "
                "those that matter, or allow more (--most-sequences)"
            )
        if len(sequence) > family.window:
            raise InputError(
                f"{name}: record '{quoted(record.id)}' has {len(sequence):,} residues, and the model reads "
                f"{family.window:,} at once; give the domain that matters"
            )
        sequences.append((record.id, sequence))

    found = survey(arguments, family, visit)
    if found.longest <= LEAST:
        raise InputError(f"{name}: no sequence has more than {LEAST} residues, so no pair is {LEAST} or more apart")
    rows = sum(len(text) * len(text) // 2 for _, text in sequences)
    if arguments.contact_floor < ALL and rows > MOST_PAIRS:
        raise InputError(
            f"a table of all pairs would have about {rows:,} rows; write those of a probability of {ALL} or more "
            "(--contact-floor), or give fewer sequences"
        )
    chains = read_chains(arguments.known_structures or [])
    known = {one: of[1] for one, text in sequences if chains and (of := distances_of(text, chains))}
    if chains and not known:
        raise InputError("none of the known structures is that of one of these sequences; leave them out, or see that "
                         "nine in ten of their residues are the same (--known-structures)")  # fmt: skip
    encoder = Encoder(family, base.path, tokenizer=opened.tokenizer)
    plan = Plan(arguments, opened, encoder, sequences, found, chains, known, _notes(opened, chains, known))
    plan.memory.foresee()
    return plan


def _notes(opened: Opened, chains: list[Chain], known: dict[str, str]) -> list[str]:
    notes = []
    if opened.bundle and opened.bundle.manifest:
        notes.append(
            "the model went on training after its head for contacts was fitted, so what the head says may be off; "
            "compare with the model that it was trained from"
        )
    if unused := [chain.name for chain in chains if chain.name not in known.values()]:
        notes.append(f"of no protein here, or knowing less of it: {len(unused):,} of the structures' chains")
    return notes
