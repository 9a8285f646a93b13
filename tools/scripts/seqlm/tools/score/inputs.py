"""What scoring starts from: model, sequences, variants of them, and by which method. Checked without torch."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from seqlm.cli.errors import InputError
from seqlm.data.records import Record, quoted
from seqlm.families.family import Family
from seqlm.inference.language_models import Opened, open_language_model
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.language_text import LanguageText
from seqlm.tokenization.readers import UNKNOWN_TOKENS
from seqlm.tokenization.survey import Survey, survey

from .methods import AUTO, MASKED, OF_SEQUENCES, OF_SUBSTITUTIONS, PERPLEXITY, PSEUDO, RATIO, WILD_TYPE
from .variants import Columns, Variants, WildTypes, letters_of, read_variants

SEQUENCES, VARIANTS, SCAN = "sequences", "variants", "scan"
OUTPUTS = ("table", "matrix", "positions", "fasta", "report", "html", "figures")
LONGEST_SCAN = 100_000  # letters of one sequence, 2 million substitutions


@dataclass
class Plan:
    """Checked inputs of one scoring.

    Attributes:
        mode: ``sequences``, ``variants`` or ``scan``.
        survey: what the file of sequences holds.
        frequencies: letter -> how often it is in the sequences.
        text: how a causal model reads sequences; None for a masked model.
        encoder: how a masked model reads them; None for a causal one.
        letters: those that take each other's place in a scan.
        wild_types, variants: of the mode ``variants``.
        notes: sentences for the user.
    """

    arguments: Namespace
    opened: Opened
    mode: str
    method: str
    survey: Survey
    frequencies: Counter
    text: LanguageText | None = None
    encoder: Encoder | None = None
    letters: str = ""
    wild_types: WildTypes | None = None
    variants: Variants | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def family(self) -> Family:
        return self.opened.family

    @property
    def limit(self) -> int:
        """Tokens that the model reads at once; of a causal model with the one that begins a sequence."""
        if self.encoder:
            return self.encoder.max_length
        return self.family.window + len(self.family.prefix) + len(self.family.suffix)

    @property
    def unknown(self) -> int | None:
        """Id of the token for letters that have none."""
        vocabulary = self.family.vocabulary
        return next((vocabulary[token] for token in UNKNOWN_TOKENS if token in vocabulary), None)


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Open the model and go over all sequences and variants once. Does not import torch."""
    mode = VARIANTS if arguments.variants else SCAN if arguments.scan else SEQUENCES
    _check_options(arguments, mode)
    opened = open_language_model(arguments, scratch)
    family = opened.family
    family.check_language_model(opened.base.tensors, opened.name)
    letters = letters_of(family.alphabet) if mode != SEQUENCES else ""
    method, notes = _method(arguments.method, mode, opened)
    text = encoder = None
    frequencies: Counter = Counter()
    ids, sequences = [], []
    if family.causal:
        text = LanguageText(family, opened.base.path, tokenizer=opened.tokenizer)
    elif family.one_letter_tokens:  # others take seconds to load, so sequences are looked at first
        encoder = Encoder(family, opened.base.path, tokenizer=opened.tokenizer)

    def visit(record: Record, sequence: str) -> None:
        frequencies.update(sequence)
        if text:
            _check_tokens(text, record, sequence, arguments)
        if mode == SCAN and len(sequence) > LONGEST_SCAN:
            raise InputError(
                f"{Path(arguments.sequences).name}: record '{quoted(record.id)}' has {len(sequence):,} letters; a scan "
                f"takes up to {LONGEST_SCAN:,}, give the part that matters (--first-position keeps its numbering)"
            )
        if mode == VARIANTS:
            ids.append(record.id)
            sequences.append(sequence)

    found = survey(arguments, family, visit)
    encoder = encoder or (None if text else Encoder(family, opened.base.path, tokenizer=opened.tokenizer))
    plan = Plan(arguments, opened, mode, method, found, frequencies, text, encoder, letters, notes=notes)
    if not text and family.mask_token is None:
        raise InputError(f"{opened.name} has no token that masks (<mask> or [MASK]), so it cannot guess a position")
    if mode == VARIANTS:
        plan.wild_types = WildTypes(ids, sequences, family.alphabet, arguments.first_position, family.replacements)
        columns = Columns(
            arguments.variant_column,
            arguments.variant_sequence_column,
            arguments.protein_column,
            arguments.measured_column,
        )
        plan.variants = read_variants(arguments.variants, columns, plan.wild_types, found.rules, arguments.misfits)
        if plan.variants.left_out:
            notes.append(plan.variants.left_out)
        _check_lengths(plan)
    if text and mode != SEQUENCES:
        _check_letters(plan)
    return plan


def _check_options(arguments: Namespace, mode: str) -> None:
    """Refuse options that have no meaning together."""
    if arguments.variants and arguments.scan:
        raise InputError("--variants scores those of a list and --scan all single ones; give one of them")
    if not any(getattr(arguments, f"output_{name}") for name in OUTPUTS):
        raise InputError("no output was asked for; give --output-table, or another --output option")
    of_list = ("variant_column", "variant_sequence_column", "protein_column", "measured_column")
    for option, modes, why in (
        *((name, (VARIANTS,), "is about the table of --variants") for name in of_list),
        ("output_matrix", (SCAN,), "needs --scan"),
        ("output_positions", (SCAN,), "needs --scan"),
        ("output_fasta", (SEQUENCES,), "is of whole sequences; leave out --variants and --scan"),
        ("max_perplexity", (SEQUENCES,), "is about whole sequences; leave out --variants and --scan"),
        ("keep_best", (SEQUENCES,), "is about whole sequences; leave out --variants and --scan"),
    ):
        if getattr(arguments, option) is not None and mode not in modes:
            raise InputError(f"--{option.replace('_', '-')} {why}")
    if arguments.variant_column is not None and arguments.variant_sequence_column is not None:
        raise InputError("variants are read from one column: give --variant-column or --variant-sequence-column")


def _method(asked: str, mode: str, opened: Opened) -> tuple[str, list[str]]:
    """The method that suits the mode and the model, and what the user should know about it.

    Raises:
        InputError: a method for the other mode, or for another kind of model.
    """
    family = opened.family
    causal, letters = family.causal, family.one_letter_tokens
    marginals = not causal and letters
    if asked == AUTO:
        if mode == SEQUENCES:
            return (PERPLEXITY if causal else PSEUDO), []
        if not causal and not letters:
            note = "the model reads several letters as one token, so variants are scored as whole sequences"
            return RATIO, [note]
        return (MASKED if marginals else RATIO), []
    if asked in OF_SEQUENCES and mode != SEQUENCES:
        raise InputError(
            f"--method {asked} scores whole sequences; for substitutions take {MASKED if marginals else RATIO}"
        )
    if asked in OF_SUBSTITUTIONS and mode == SEQUENCES:
        raise InputError(
            f"--method {asked} scores substitutions: give --variants or --scan, or take "
            f"{PERPLEXITY if causal else PSEUDO} for whole sequences"
        )
    if causal and asked not in (PERPLEXITY, RATIO):
        other = PERPLEXITY if mode == SEQUENCES else RATIO
        raise InputError(
            f"{opened.name} is a causal model, which reads from left to right and guesses nothing that is masked; take "
            f"--method {other}, or a masked model such as ESM-2"
        )
    if not causal and asked == PERPLEXITY:
        raise InputError(
            f"{opened.name} is a masked model, which gives no probability to a whole sequence; take --method {PSEUDO}, "
            "or a causal model such as ProtGPT2"
        )
    if asked in (MASKED, WILD_TYPE) and not letters:
        raise InputError(
            f"{opened.name} reads several letters as one token, so single letters have no probability; take --method "
            f"{RATIO}, which compares whole sequences"
        )
    return asked, []


def _check_tokens(text: LanguageText, record: Record, sequence: str, arguments: Namespace) -> None:
    try:
        text.encode([sequence])
    except InputError as problem:
        raise InputError(f"{Path(arguments.sequences).name}: record '{quoted(record.id)}': {problem}") from None


def _check_letters(plan: Plan) -> None:
    """Refuse new letters for which a causal model has no token."""
    new = set(plan.letters) if plan.mode == SCAN else {new for each in plan.variants.all for _, new in each.changes}
    for letter in sorted(new):
        try:
            plan.text.encode([letter])
        except InputError:
            raise InputError(
                f"{plan.opened.name} has no token for {letter}, so it cannot read such a variant"
            ) from None


def _check_lengths(plan: Plan) -> None:
    """Only whole sequences can be compared where a variant is longer or shorter than its wild type."""
    longer = [each for each in plan.variants.all if each.sequence]
    if longer and plan.method != RATIO:
        wild = plan.wild_types.sequences[longer[0].protein]
        raise InputError(
            f"{plan.variants.path.name}: a variant has {len(longer[0].sequence):,} letters where "
            f"'{quoted(plan.wild_types.ids[longer[0].protein])}' has {len(wild):,} ({len(longer):,} variants of "
            f"another length); insertions and deletions can be scored by --method {RATIO} alone"
        )
