"""What a generation starts from: the model, the beginnings, how tokens are chosen. Checked without torch."""

from __future__ import annotations

import hashlib
from argparse import Namespace
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, LETTERS, PROTEIN, Record, Rules
from seqlm.data.sequences import Strangers, clean, read_records
from seqlm.data.unread_columns import count_unread_of
from seqlm.families.family import Family
from seqlm.inference.fitting import Memory
from seqlm.inference.language_models import Opened, open_language_model
from seqlm.similarity import mmseqs
from seqlm.similarity.duplicates import Reference
from seqlm.tokenization.language_text import LanguageText
from seqlm.tokenization.unknown import unknown_letters

from .memory import memory_of
from .properties import BASES, STANDARD

FREE = "generated"  # how sequences are called that start from nothing
MOST = 1_000_000  # sequences, from all prompts together
# ProtGPT2's authors' choice, and its tutorial's: https://doi.org/10.1038/s41467-022-32007-7
TOP_K, PENALTY = 950, 1.2


@dataclass(frozen=True)
class Prompt:
    """A beginning: its name, its letters, its tokens (tokens,) with the one that begins a sequence.

    Of 6-mers the letters that are left over are no token: ``first`` are those of which the next one is then.
    """

    name: str
    letters: str
    ids: np.ndarray
    first: np.ndarray | None = None


@dataclass
class Plan:
    """Checked inputs of one generation.

    Attributes:
        text: how the model reads and writes.
        prompts: at least one.
        each: sequences from each prompt.
        ends: ids of the tokens that end a sequence.
        forbidden: ids that are never chosen.
        top_k: 0 for all.
        notes: sentences for the user.
    """

    arguments: Namespace
    scratch: Path
    opened: Opened
    text: LanguageText
    prompts: list[Prompt]
    each: int
    ends: tuple[int, ...]
    forbidden: tuple[int, ...]
    top_k: int
    penalty: float
    reference: Reference | None
    rules: Rules
    notes: list[str] = field(default_factory=list)

    @property
    def family(self) -> Family:
        return self.opened.family

    @property
    def alphabet(self) -> str:
        return self.family.alphabet

    @property
    def letter(self) -> str:
        """The word for one letter of a sequence."""
        return {PROTEIN: "residue", DNA: "base"}.get(self.alphabet, "character")

    def seed_of(self, prompt: Prompt, number: int) -> int:
        """Seed of one sequence, int64: it depends on the seed, the prompt's name and the sequence's number alone."""
        digest = hashlib.sha256(f"{self.arguments.seed}/{prompt.name}/{number}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)

    @cached_property
    def memory(self) -> Memory:
        """What the job takes, and how it is computed so that it fits."""
        return memory_of(self)


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Open the model and read the prompts.

    Raises:
        InputError: for whatever is wrong with them.
    """
    _check_options(arguments)
    if not arguments.equal_only:
        mmseqs.program()
    opened = open_language_model(arguments, scratch)
    family, notes = opened.family, []
    if not family.causal:
        raise InputError(
            f"{opened.name} cannot write sequences: models of the kind {family.name} complete masked letters; take one "
            "such as GPT-2 or LLaMA, or score sequences with it"
        )
    line_length = None if arguments.line_length == "auto" else arguments.line_length
    text = LanguageText(
        family, opened.base.path, line_length=line_length, tokenizer=opened.tokenizer, control=arguments.control
    )
    ends = _ends(arguments.end_token, family)
    if not text.opening and not (arguments.prompt.strip() or arguments.prompts):
        raise InputError(
            f"{opened.name} has no token that begins a sequence (bos_token_id, eos_token_id in its config.json), so it "
            "writes nothing without a prompt; give one"
        )
    if not ends:
        notes.append("the model has no token that ends a sequence, so every sequence is cut at the limit of its length")
    limit = family.window + len(family.prefix) + len(family.suffix)
    if arguments.max_length > limit:
        notes.append(
            f"{opened.name} reads at most {limit:,} tokens, so sequences are cut there and not at "
            f"{arguments.max_length:,}"
        )
        arguments.max_length = limit
    rules = Rules()
    prompts = _prompts(arguments, family, text, rules)
    notes += [told[0].lower() + told[1:].rstrip(".") for told in unknown_letters(rules, None)]
    longest = max(prompts, key=lambda prompt: len(prompt.ids))
    if len(longest.ids) >= arguments.max_length:
        before = "the control tag" if text.control else "the one that begins a sequence"
        raise InputError(
            f"the prompt '{longest.name}' has {len(longest.ids):,} tokens, with {before}, and the maximal length is "
            f"{arguments.max_length:,}, which leaves none to be written; shorten it or allow more (the model reads "
            f"{limit:,})"
        )
    most = max(len(prompt.letters) for prompt in prompts)
    if arguments.max_letters and most >= arguments.max_letters:
        raise InputError(
            f"a prompt has {most:,} letters, and a sequence may have {arguments.max_letters:,}, which leaves none to "
            "be written; allow more"
        )
    each = arguments.num_sequences
    most_of_one = {"greedy": 1, "beam": arguments.num_beams}.get(arguments.strategy, each)
    if each > most_of_one:
        each = most_of_one
        notes.append(
            f"{'the most probable sequence is one' if each == 1 else f'{each} beams give {each} sequences'} for each "
            f"prompt, so that many were written and not {arguments.num_sequences:,}"
        )
    if each * len(prompts) > MOST:
        raise InputError(
            f"{each:,} sequences from each of {len(prompts):,} prompts are more than {MOST:,}; ask for fewer"
        )
    lined = bool(text.line_length)
    top_k = (TOP_K if lined else 0) if arguments.top_k == "auto" else 0 if arguments.top_k == "all" else arguments.top_k
    penalty = (PENALTY if lined else 1.0) if arguments.repetition_penalty == "auto" else arguments.repetition_penalty
    plan = Plan(
        arguments,
        scratch,
        opened,
        text,
        prompts,
        each,
        ends,
        _forbidden(arguments, family, text, ends),
        top_k,
        penalty,
        _reference(arguments, family),
        rules,
        notes,
    )
    plan.memory.foresee()
    return plan


def _check_options(arguments: Namespace) -> None:
    if arguments.prompt and arguments.prompts:
        raise InputError("a prompt and a file of prompts were both given; give one of them")
    if arguments.strategy == "sample":
        if arguments.temperature == 0:
            raise InputError(
                "a temperature of 0 leaves nothing to chance; choose the strategy greedy, or a temperature above 0"
            )
        if arguments.top_k == 0:
            raise InputError("top-k 0 leaves no token to choose from; give a number from 1 on, or all")


def _ends(asked: str, family: Family) -> tuple[int, ...]:
    if asked == "auto":
        return family.end_tokens
    number = int(asked) if asked.isdecimal() and len(asked) < 10 else family.vocabulary.get(asked)
    if number is None or not 0 <= number < family.vocabulary_size:
        raise InputError(f"the model has no token '{asked}' that could end a sequence; give its number or its text")
    return (number,)


def _prompts(arguments: Namespace, family: Family, text: LanguageText, rules: Rules) -> list[Prompt]:
    if arguments.prompts:
        records = list(
            read_records(
                arguments.prompts,
                format=arguments.format,
                id_column=arguments.id_column,
                sequence_column=arguments.sequence_column,
                rename=True,
            )
        )
        source = arguments.prompts
    else:
        start = (family.token_of(text.start) or "") if not text.control else ""
        # as tutorials write it, with the token that begins a sequence in front and the line breaks of FASTA
        letters = "".join(arguments.prompt.strip().removeprefix(start).split())
        if not letters:
            return [Prompt(FREE, "", np.asarray(text.opening, dtype=np.int64))]
        records, source = [Record("prompt", letters, line=1)], "the prompt"
    seen: dict[str, int] = {}
    strangers = Strangers(family.alphabet)
    for record in records:
        if record.id in seen:
            raise InputError(
                f"{Path(source).name}: record '{record.id}' (line {record.line}) has the same id as the record on line "
                f"{seen[record.id]}; ids must be unique"
            )
        seen[record.id] = record.line
        strangers.see(record.sequence)
    cleaned = [clean(record, family.alphabet, family.replacements, rules, source) for record in records]
    strangers.refuse(source)
    if arguments.prompts:
        count_unread_of(source, arguments.format, rules, len(records))
    return [
        Prompt(record.id, letters, *text.prompt(ids))
        for record, letters, ids in zip(records, cleaned, text.encode(cleaned, complete=False), strict=True)
    ]


def _forbidden(arguments: Namespace, family: Family, text: LanguageText, ends: tuple[int, ...]) -> tuple[int, ...]:
    """Tokens that write what may not be written, or nothing at all.

    Raises:
        InputError: nothing is left to be written.
    """
    allowed = None
    if family.alphabet in LETTERS and arguments.letters != "any":
        standard = {PROTEIN: STANDARD, DNA: BASES}[family.alphabet]
        allowed = set(standard if arguments.letters == "standard" else LETTERS[family.alphabet])
    unwanted = set(arguments.forbid)
    if family.alphabet in LETTERS:
        unwanted |= set(arguments.forbid.upper())
    found = []
    for number, written in enumerate(text.texts):
        letters = set(written) - set("\n ")
        bad = letters & unwanted or (allowed is not None and not letters <= allowed)
        # a line break is no letter, and what writes nothing (padding, an unknown letter) is no part of any sequence
        if number not in ends and (bad or not (letters or (written == "\n" and text.line_length))):
            found.append(number)
    if len(found) + len(set(ends)) >= len(text.texts):
        raise InputError("no token is left that may be written; forbid fewer letters")
    return tuple(found)


def _reference(arguments: Namespace, family: Family) -> Reference | None:
    """The reference file, read once to its end so that what is wrong with it is said before any work."""
    if not arguments.reference:
        return None
    reference, strangers = Reference(arguments.reference), Strangers(family.alphabet)
    for record in reference.records():
        clean(record, family.alphabet, {}, Rules(), arguments.reference)
        strangers.see(record.sequence)
    strangers.refuse(arguments.reference)
    return reference
