"""What a generation starts from: the model, the beginnings, how tokens are chosen. Checked without torch."""

from __future__ import annotations

import hashlib
from argparse import Namespace
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, LETTERS, PROTEIN, Rules
from seqlm.data.sequences import Strangers, clean
from seqlm.families.family import Family
from seqlm.inference.fitting import Memory
from seqlm.inference.language_models import Opened, open_language_model
from seqlm.similarity import mmseqs
from seqlm.similarity.duplicates import Reference
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.language_text import LanguageText
from seqlm.tokenization.unknown import unknown_letters

from .acceptance import Wish, read_wish
from .memory import memory_of
from .prompts import Prompt, read_beginnings, read_templates
from .properties import BASES, STANDARD

MOST = 1_000_000  # sequences, from all prompts together
# ProtGPT2's authors' choice, and its tutorial's: https://doi.org/10.1038/s41467-022-32007-7
TOP_K, PENALTY = 950, 1.2


@dataclass
class Plan:
    """Checked inputs of one generation.

    Attributes:
        text: how a model that writes reads and writes; None for a masked model.
        encoder: how a masked model reads; None for one that writes.
        prompts: at least one.
        each: sequences from each prompt.
        ends: ids of the tokens that end a sequence.
        forbidden: ids that are never chosen.
        top_k: 0 for all.
        notes: sentences for the user.
        wish: what another model has to predict for a sequence to be accepted.
    """

    arguments: Namespace
    scratch: Path
    opened: Opened
    text: LanguageText | None
    encoder: Encoder | None
    prompts: list[Prompt]
    each: int
    ends: tuple[int, ...]
    forbidden: tuple[int, ...]
    top_k: int
    penalty: float
    reference: Reference | None
    rules: Rules
    notes: list[str] = field(default_factory=list)
    wish: Wish | None = None

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

    @property
    def limit(self) -> int:
        """Tokens that the model reads at once, special ones among them."""
        return self.family.window + len(self.family.prefix) + len(self.family.suffix)

    @property
    def guided(self) -> bool:
        """Whether the base model has a say beside the tuned one."""
        return self.arguments.guidance not in (None, 1)

    def seed_of(self, prompt: Prompt, number: int, attempt: int = 0) -> int:
        """Seed of one try of one sequence, int64: it depends on the seed, the prompt's name, the sequence's number and
        the try alone."""
        again = f"/{attempt}" if attempt else ""
        digest = hashlib.sha256(f"{self.arguments.seed}/{prompt.name}/{number}{again}".encode()).digest()
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
    plan = (_writing if opened.family.causal else _filling)(arguments, scratch, opened)
    plan.wish = read_wish(arguments, scratch, opened.family)
    each, prompts = plan.each, plan.prompts
    if each * len(prompts) > MOST:
        raise InputError(
            f"{each:,} sequences from each of {len(prompts):,} prompts are more than {MOST:,}; ask for fewer"
        )
    plan.memory.foresee()
    return plan


def _writing(arguments: Namespace, scratch: Path, opened: Opened) -> Plan:
    """Of a model that writes from left to right."""
    family, notes = opened.family, []
    if arguments.fill:
        raise InputError(
            f"{opened.name} writes from left to right and fills in no template; take a masked model such as ESM-2"
        )
    family.check_language_model(opened.base.tensors, opened.name)
    if arguments.guidance not in (None, 1) and not (opened.bundle and opened.bundle.adapter_config):
        raise InputError(
            f"{opened.name} has no adapter that could be switched off, so there is no base model to mix it with; "
            "guidance is for a model that was fine-tuned with LoRA or its kin (--guidance)"
        )
    if arguments.guidance not in (None, 1) and opened.bundle.adapter_config.get("bias", "none") != "none":
        raise InputError(
            f"{opened.name} has trained biases, which cannot be switched off with its adapter, so there is no base "
            "model to mix it with (--guidance)"
        )
    if family.alphabet in LETTERS:
        arguments.stop_at = arguments.stop_at.upper()
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
    prompts = read_beginnings(arguments, family, text, rules)
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
    most_of_one = {"greedy": 1, "beam": arguments.num_beams}.get(arguments.strategy, arguments.num_sequences)
    lined = bool(text.line_length)
    top_k = TOP_K if lined and arguments.top_k == "auto" else _top_k(arguments)
    penalty = (PENALTY if lined else 1.0) if arguments.repetition_penalty == "auto" else arguments.repetition_penalty
    return Plan(
        arguments,
        scratch,
        opened,
        text,
        None,
        prompts,
        _each(arguments, most_of_one, notes),
        ends,
        _forbidden(arguments, family, text.texts, ends, bool(text.line_length)),
        top_k,
        penalty,
        _reference(arguments, family),
        rules,
        notes,
    )


def _filling(arguments: Namespace, scratch: Path, opened: Opened) -> Plan:
    """Of a masked model."""
    family, notes = opened.family, []
    if not arguments.fill:
        raise InputError(
            f"{opened.name} cannot write sequences: models of the kind {family.name} complete masked letters; give a "
            "template and say how its positions are marked (--fill), or take a model such as GPT-2 or LLaMA"
        )
    family.check_language_model(opened.base.tensors, opened.name)
    if family.alphabet not in LETTERS or family.structured or not family.one_letter_tokens:
        raise InputError(
            f"{opened.name} does not read one letter a token, so it fills in no single letters; take a model such as "
            "ESM-2"
        )
    for option, unfit in (
        ("--strategy beam", arguments.strategy == "beam"),
        ("--guidance", arguments.guidance not in (None, 1)),
        ("--control", arguments.control),
        ("--stop-at", arguments.stop_at),
        ("--max-letters", arguments.max_letters),
        ("--repetition-penalty", arguments.repetition_penalty not in ("auto", 1)),
        ("--end-token", arguments.end_token != "auto"),
        ("--line-length", arguments.line_length not in ("auto", 0)),
    ):
        if unfit:
            raise InputError(f"{option} is for models that write from left to right; leave it out with a template")
    encoder = Encoder(family, opened.base.path, tokenizer=opened.tokenizer)
    rules = Rules()
    prompts = read_templates(arguments, family, encoder, rules)
    letters = {family.vocabulary.get(family.token(letter)): letter for letter in reversed(family.letters)}
    texts = [letters.get(number, "") for number in range(family.vocabulary_size)]
    return Plan(
        arguments,
        scratch,
        opened,
        None,
        encoder,
        prompts,
        _each(arguments, 1 if arguments.strategy == "greedy" else arguments.num_sequences, notes),
        (),
        _forbidden(arguments, family, texts, (), False),
        _top_k(arguments),
        1.0,
        _reference(arguments, family),
        rules,
        notes,
    )


def _top_k(arguments: Namespace) -> int:
    return 0 if arguments.top_k in ("auto", "all") else arguments.top_k


def _each(arguments: Namespace, most: int, notes: list[str]) -> int:
    """Sequences from each prompt."""
    if arguments.num_sequences <= most:
        return arguments.num_sequences
    notes.append(
        f"{'the most probable sequence is one' if most == 1 else f'{most} beams give {most} sequences'} for each "
        f"prompt, so that many were written and not {arguments.num_sequences:,}"
    )
    return most


def _check_options(arguments: Namespace) -> None:
    if arguments.prompt and arguments.prompts:
        raise InputError("a prompt and a file of prompts were both given; give one of them")
    if arguments.guidance not in (None, 1) and arguments.strategy == "beam":
        raise InputError("guidance is for sequences that are drawn or greedy, not for beam search (--guidance)")
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


def _forbidden(
    arguments: Namespace, family: Family, texts: list[str], ends: tuple[int, ...], lined: bool
) -> tuple[int, ...]:
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
    for number, written in enumerate(texts):
        letters = set(written) - set("\n ")
        bad = letters & unwanted or (allowed is not None and not letters <= allowed)
        # a line break is no letter, and what writes nothing (padding, an unknown letter) is no part of any sequence
        if number not in ends and (bad or not (letters or (written == "\n" and lined))):
            found.append(number)
    if len(found) + len(set(ends)) >= len(texts):
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
