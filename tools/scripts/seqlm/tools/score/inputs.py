"""What scoring starts from: model, sequences, variants of them, and by which method. Checked without torch."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from seqlm.cli.errors import InputError
from seqlm.data.records import Record, identifier, quoted
from seqlm.inference.language_models import Opened, open_language_model
from seqlm.inference.score_methods import (
    AUTO,
    MASKED,
    NEXT,
    OF_SEQUENCES,
    OF_SUBSTITUTIONS,
    PERPLEXITY,
    PSEUDO,
    RATIO,
    WILD_TYPE,
)
from seqlm.inference.scored_model import ScoredModel, check_masks, check_tokens
from seqlm.tokenization.chains import reads_chains, refuse_longer
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.language_text import LanguageText, control_tokens
from seqlm.tokenization.structures import Structures, open_structures
from seqlm.tokenization.survey import records, survey
from seqlm.tokenization.unknown import refuse_unknown

from .variants import Columns, Variants, WildTypes, letters_of, read_variants

SEQUENCES, VARIANTS, SCAN = "sequences", "variants", "scan"
OUTPUTS = ("table", "matrix", "positions", "fasta", "report", "html", "figures")
LONGEST_SCAN = 100_000  # letters of one sequence, 2 million substitutions


@dataclass(kw_only=True)
class Plan(ScoredModel):
    """Checked inputs of one scoring.

    Attributes:
        mode: ``sequences``, ``variants`` or ``scan``.
        frequencies: letter -> how often it is in the sequences.
        others: further models whose scores are averaged with those of the first, each with how it reads: of a masked
            model its encoder, of a causal one its text.
        letters: those that take each other's place in a scan.
        wild_types, variants: of the mode ``variants``.
        notes: sentences for the user.
    """

    mode: str
    frequencies: Counter
    letters: str = ""
    wild_types: WildTypes | None = None
    variants: Variants | None = None
    others: tuple[tuple[Opened, Encoder | LanguageText], ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return self.mode == SEQUENCES

    def each(self) -> list[Plan]:
        """The plan of each model by itself."""
        kind = "encoder" if self.encoder else "text"
        return [self, *(replace(self, opened=opened, **{kind: reading}) for opened, reading in self.others)]

    @property
    def names(self) -> tuple[str, ...]:
        """What the models are called, each otherwise, as columns of a table can be."""
        given = [identifier(opened.name) for opened in (self.opened, *(opened for opened, _ in self.others))]
        names: list[str] = []
        for number, name in enumerate(given, start=1):
            while given.count(name) > 1 or name in names:
                name = f"{name}_{number}"
            names.append(name)
        return tuple(names)


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Open the model and go over all sequences and variants once. Does not import torch."""
    mode = VARIANTS if arguments.variants else SCAN if arguments.scan else SEQUENCES
    _check_options(arguments, mode)
    opened, *others = _opened(arguments, scratch)
    family = opened.family
    chains = reads_chains(arguments, family)
    placed = next((one.family for one in (opened, *others) if one.family.structured), family)
    structures = open_structures(arguments, placed, scratch)
    letters = letters_of(family.alphabet) if mode != SEQUENCES else ""
    method, notes = _method(arguments.method, mode, opened)
    text = encoder = None
    frequencies: Counter = Counter()
    ids, sequences = [], []
    if family.causal:
        text = LanguageText(family, opened.base.path, tokenizer=opened.tokenizer, control=arguments.control)
        if 2 * text.given > family.window > 2:  # it stands in every window of a long sequence
            raise InputError(
                f"the control tag has {text.given:,} of the {family.window:,} tokens that the model reads at once; "
                "give a shorter one (--control)"
            )
        if method == NEXT and not text.opening:
            raise InputError(
                f"{opened.name} has no token that begins a sequence, so its first letter has no probability; take "
                f"--method {RATIO}"
            )
    elif arguments.control:
        control_tokens(opened.base.path, family, arguments.control)  # which says whom it is for
    elif family.one_letter_tokens:  # others take seconds to load, so sequences are looked at first
        own = structures if family.structured else None
        encoder = Encoder(family, opened.base.path, tokenizer=opened.tokenizer, structures=own, chains=chains)
    several = [_beside(one, opened, method, structures, arguments) for one in others]

    def visit(record: Record, sequence: str) -> None:
        frequencies.update(record.letters(sequence))
        if record.light:
            refuse_longer(record.id, len(sequence) - 1, encoder.max_length)
        if structures:
            structures.of(record.id, sequence)
        if text:
            check_tokens(text, record, sequence, arguments)
            _check_alike(text, opened, several, record, sequence, arguments)
        if mode == SCAN and len(sequence) > LONGEST_SCAN:
            raise InputError(
                f"{Path(arguments.sequences).name}: record '{quoted(record.id)}' has {len(sequence):,} letters; a scan "
                f"takes up to {LONGEST_SCAN:,}, give the part that matters (--first-position keeps its numbering)"
            )
        if mode == VARIANTS:
            ids.append(record.id)
            sequences.append(sequence)

    found = survey(arguments, family, visit)
    if structures:
        structures.refuse_other_names(next(records(arguments)).id)
    encoder = encoder or (None if text else Encoder(family, opened.base.path, tokenizer=opened.tokenizer))
    if encoder:
        refuse_unknown(encoder, found.sample, Path(arguments.sequences).name)
    plan = Plan(
        arguments=arguments,
        opened=opened,
        method=method,
        survey=found,
        text=text,
        encoder=encoder,
        mode=mode,
        frequencies=frequencies,
        letters=letters,
        notes=notes,
    )
    plan.others = tuple(several)
    for one in plan.each() if encoder else ():
        if one.encoder.unplaced and one.encoder.unplaced not in notes:
            notes.append(one.encoder.unplaced)
    if not text:
        check_masks(opened)
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
    _check_reading(plan)
    plan.memory.foresee()
    return plan


def _opened(arguments: Namespace, scratch: Path) -> list[Opened]:
    """The models of ``--model``, in that order.

    Raises:
        InputError: one without a head for tokens, one that comes twice, or a base model beside several.
    """
    paths, ids = arguments.model, arguments.model_id or []
    if ids and len(ids) != len(paths):
        raise InputError(f"--model was given {len(paths)} times and --model-id {len(ids)} times; name each model once")
    if len(paths) > 1 and arguments.base_model:
        raise InputError("several models are averaged as they are; leave out --base-model")
    found = []
    for number, path in enumerate(paths):
        own = scratch / f"model_{number}"
        own.mkdir()
        one = Namespace(**{**vars(arguments), "model": path, "model_id": ids[number] if ids else ""})
        opened = open_language_model(one, own)
        opened.family.check_language_model(opened.base.tensors, opened.name)
        same = [before.name for before in found if before.base.path == opened.base.path]
        if same or (len(paths) > 1 and opened.base.sha256 in {before.base.sha256 for before in found}):
            raise InputError(f"{opened.name} was given twice; several models are averaged, each of them once")
        found.append(opened)
    return found


def _beside(
    one: Opened, first: Opened, method: str, structures: Structures | None, arguments: Namespace
) -> tuple[Opened, Encoder | LanguageText]:
    """A further model with how it reads.

    Raises:
        InputError: models or methods whose scores have no mean.
    """
    if method == RATIO:
        raise InputError(
            f"several models are averaged on whole sequences, or on variants and scans by {MASKED} or {WILD_TYPE}; "
            f"give one model for {method}"
        )
    if method == PERPLEXITY:
        if not one.family.causal:
            raise InputError(
                f"{first.name} reads from left to right and {one.name} from both sides; models that are averaged are "
                "of one kind"
            )
        return one, LanguageText(one.family, one.base.path, tokenizer=one.tokenizer, control=arguments.control)
    for model in (one, first):
        if model.family.causal or not model.family.one_letter_tokens:
            raise InputError(
                f"{model.name} has no probability of single letters; several models are averaged where each is a "
                "masked one with a token for each letter, such as ESM-1v"
            )
    if one.family.alphabet != first.family.alphabet:
        raise InputError(
            f"{first.name} reads {first.family.alphabet} and {one.name} {one.family.alphabet}; models that are "
            "averaged read the same letters"
        )
    check_masks(one)
    own, chains = structures if one.family.structured else None, reads_chains(arguments, one.family)
    return one, Encoder(one.family, one.base.path, tokenizer=one.tokenizer, structures=own, chains=chains)


def _check_alike(
    text: LanguageText,
    first: Opened,
    others: list[tuple[Opened, LanguageText]],
    record: Record,
    sequence: str,
    arguments: Namespace,
) -> None:
    """Refuse causal models that read a sequence as different numbers of tokens: their perplexities have no mean."""
    for opened, own in others:
        check_tokens(own, record, sequence, arguments)
        tokens, more = (len(one.encode([sequence])[0]) - one.given for one in (text, own))
        if tokens != more:
            raise InputError(
                f"{first.name} reads '{quoted(record.id)}' as {tokens:,} tokens and {opened.name} as {more:,}; models "
                "that are averaged on whole sequences have the same tokens"
            )


def _check_reading(plan: Plan) -> None:
    """Refuse letters that not all models have a token for."""
    if plan.text:  # which looked at every sequence
        return
    new = {new for each in plan.variants.all for _, new in each.changes} if plan.variants else set(plan.letters)
    for opened, _ in plan.others:
        if lacking := sorted((set(plan.frequencies) | new) - set(opened.family.letters)):
            raise InputError(
                f"{opened.name} has no token for {lacking[0]}, which {plan.opened.name} reads; put X in its place, or "
                "score with one of the models"
            )


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
        ("light_column", (SEQUENCES,), "is for scores of whole sequences; leave out --variants and --scan"),
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
    if asked == NEXT and causal and not (letters or family.blocks):
        raise InputError(
            f"{opened.name} reads several letters as one token, so the next letter has no probability; take --method "
            f"{RATIO}, which compares whole sequences"
        )
    if asked == NEXT and not causal:
        raise InputError(
            f"{opened.name} is a masked model, which guesses no next letter; take --method "
            f"{MASKED if marginals else RATIO}, or a causal model such as GENERator"
        )
    if causal and asked not in (PERPLEXITY, RATIO, NEXT):
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
    if longer and plan.encoder and plan.encoder.structures:
        raise InputError(
            f"{plan.variants.path.name}: {len(longer):,} variants have another length than their wild type, whose "
            "structure does not fit them; leave them out, or score without structures"
        )
