"""What an explanation starts from: the model, what of it is explained, and the sequences. Checked without torch."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from seqlm.checkpoints.bundle import Bundle
from seqlm.checkpoints.folder import ModelFolder
from seqlm.checkpoints.manifest import reading_of
from seqlm.checkpoints.opening import open_model, require_head
from seqlm.checkpoints.published_adapters import TASKS, inspect_published
from seqlm.cli.errors import InputError
from seqlm.cli.text import shown
from seqlm.data.records import DNA, PROTEIN, Record, quoted
from seqlm.data.tasks import WITHOUT_HEAD, level_of
from seqlm.families.family import Family
from seqlm.families.recognition import recognise
from seqlm.families.vocabulary import AMINO_ACIDS
from seqlm.inference.fitting import Memory
from seqlm.inference.language_models import Opened, as_language_model
from seqlm.tokenization.encoder import Encoder, require_letter_tokens
from seqlm.tokenization.language_text import LanguageText
from seqlm.tokenization.readers import UNKNOWN_TOKENS
from seqlm.tokenization.structures import Structures, open_structures
from seqlm.tokenization.survey import Survey, records, survey
from seqlm.tokenization.unknown import refuse_unknown

from .memory import memory_of
from .methods import ATTENTION, CONTACTS, GRADIENTS, MUTAGENESIS, OCCLUSION

SUBSTITUTED = {PROTEIN: "".join(sorted(AMINO_ACIDS)), DNA: "ACGT"}  # letters that take each other's place


@dataclass
class Plan:
    """Checked inputs of one explanation.

    Attributes:
        task, labels: of the model; ``labels`` is None for numbers.
        goal: place among the labels of the class that is explained; None for the one predicted of each sequence.
        sequences: (id, cleaned sequence) of all.
        hidden: id of the token that stands in the place of what is hidden, and what that is in words.
        survey: what the file of sequences holds.
        language: a model of which the log-likelihood is explained, with what reads for it: ``text`` of a causal one,
            ``encoder`` of a masked one; None of a fine-tuned model with a head of its own.
        published: the model is an adapter that this tool suite did not make.
        notes: sentences for the user.
    """

    arguments: Namespace
    bundle: Bundle | None
    base: ModelFolder
    family: Family
    task: str
    labels: tuple[str, ...] | None
    goal: int | None = None
    sequences: list[tuple[str, str]] = field(default_factory=list)
    hidden: tuple[int, str] = (0, "")
    survey: Survey | None = None
    structures: Structures | None = None
    language: Opened | None = None
    text: LanguageText | None = None
    encoder: Encoder | None = None
    published: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def level(self) -> str:
        return level_of(self.task)

    @property
    def manifest(self) -> dict:
        return (self.bundle and self.bundle.manifest) or {}

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.arguments.model_id or Path(self.arguments.model).name

    @property
    def protein(self) -> bool:
        return self.family.alphabet == PROTEIN

    @property
    def letter(self) -> str:
        """What one letter of a sequence is, in words."""
        return {"protein": "residue", "DNA": "base"}.get(self.family.alphabet, "letter")

    @property
    def site(self) -> int | None:
        """Of a model of residues which one is explained, from 0; None for the one of the highest number."""
        return self.arguments.explained_position - 1 if self.arguments.explained_position else None

    @property
    def substituted(self) -> str:
        """Letters that take each other's place, of in-silico mutagenesis."""
        return SUBSTITUTED[self.family.alphabet]

    @property
    def codes(self) -> list[int]:
        """The tokens of these letters."""
        return [self.family.vocabulary[self.family.token(letter)] for letter in self.substituted]

    @property
    def letters(self) -> list[int]:
        """Ids of the tokens of one letter that the model reads."""
        found = (self.family.vocabulary.get(self.family.token(letter)) for letter in self.family.letters)
        return [token for token in found if token is not None]

    @cached_property
    def memory(self) -> Memory:
        """What the job takes, and how it is computed so that it fits."""
        return memory_of(self)


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Open the model and go over all sequences once. Does not import torch."""
    if arguments.known_structures:
        raise InputError(f"known structures are compared with contacts; take --method {CONTACTS}, or leave them out")
    bundle, base = open_model(arguments, scratch)
    if bundle and bundle.kind == "peft" and bundle.adapter_config.get("task_type") in TASKS:
        return _published(arguments, scratch, bundle, base)
    if arguments.labels:
        raise InputError("only published adapters are told the names of their classes; leave them empty (--labels)")
    if not ((bundle and bundle.manifest) or {}).get("head"):
        return _language(arguments, as_language_model(bundle, base, arguments), scratch)
    manifest = require_head(bundle, arguments.model)
    task = manifest["task"]
    if level_of(task) == "pair":
        raise InputError(
            f"{Path(arguments.model).name} was made for the task '{task}'; models of sequences, windows and residues "
            "are explained, and none of pairs"
        )
    if manifest.get("light_chains"):
        raise InputError(
            f"{Path(arguments.model).name} was trained with light chains beside heavy ones, and explanations are of "
            "one sequence; take a model of single chains"
        )
    family = recognise(base.path, base.config, **reading_of(manifest))
    labels = tuple(manifest["labels"]) if manifest["labels"] else None
    return _with_head(Plan(arguments, bundle, base, family, task, labels), scratch)


def _published(arguments: Namespace, scratch: Path, bundle: Bundle, base: ModelFolder) -> Plan:
    """The plan of an adapter that others published."""
    names = tuple(name.strip() for name in arguments.labels.split(",")) if arguments.labels else None
    found = inspect_published(bundle, base, names)
    family = recognise(base.path, base.config)
    notes = [*found.notes, "how well a published adapter predicts is not known here; see what its authors say of it"]
    plan = Plan(arguments, bundle, base, family, found.task, found.labels, published=True, notes=notes)
    return _with_head(plan, scratch)


def _with_head(plan: Plan, scratch: Path) -> Plan:
    """The rest of the plan of a model that predicts classes or numbers."""
    arguments, family, labels, level = plan.arguments, plan.family, plan.labels, plan.level
    if arguments.explained_position and level != "residue":
        raise InputError("a position is explained of models of residues; leave it empty (--explained-position)")
    plan.goal, plan.hidden = _goal(arguments.explained_class, labels, level), hidden_token(family)
    if level == "residue":
        require_letter_tokens(family)
    if arguments.method == MUTAGENESIS and (
        family.alphabet not in SUBSTITUTED or family.structured or not family.one_letter_tokens
    ):
        raise InputError(
            f"this {family.name} model does not read one letter a token, so letters cannot be substituted one by one; "
            f"take --method {OCCLUSION} or {GRADIENTS}"
        )
    if arguments.method == ATTENTION and (family.causal or family.own_architecture):
        raise InputError(
            f"attention is rolled out in encoders of transformers' own, and this {family.name} model is none; take "
            f"--method {GRADIENTS} or {OCCLUSION}"
        )
    if arguments.output_matrix and arguments.method != MUTAGENESIS:
        raise InputError(f"--output-matrix is of substitutions; take --method {MUTAGENESIS}")
    plan.structures = _structures(arguments, plan.manifest, family, scratch)
    plan.sequences, plan.survey = _sequences(arguments, family, plan.structures)
    if not family.one_letter_tokens:
        refuse_unknown(
            Encoder(family, plan.base.path, tokenizer=plan.manifest.get("tokenizer", "as-published")),
            plan.survey.sample,
            Path(arguments.sequences).name,
        )
    plan.memory.foresee()
    return plan


def _language(arguments: Namespace, opened: Opened, scratch: Path) -> Plan:
    """The plan of a language model, whose log-likelihood is explained."""
    family = opened.family
    family.check_language_model(opened.base.tensors, opened.name)
    for option in ("explained_class", "explained_position"):
        if getattr(arguments, option):
            raise InputError(
                f"{opened.name} is a language model, of which the log-likelihood of whole sequences is explained; "
                f"leave --{option.replace('_', '-')} empty"
            )
    if arguments.method == ATTENTION:
        raise InputError("attention is rolled out of models with a head of their own; take another --method")
    if arguments.method == MUTAGENESIS or arguments.output_matrix:
        raise InputError(
            f"{opened.name} is a language model; what substitutions do to it is what the tool that scores variants "
            f"says (score.py --scan); take --method {GRADIENTS} or {OCCLUSION} here"
        )
    if family.blocks:
        raise InputError(f"models of the family {family.name} read 6-mers and are not explained; take another model")
    hidden, structures, text, encoder = hidden_token(family), None, None, None
    if family.causal:
        text = LanguageText(family, opened.base.path, tokenizer=opened.tokenizer)
    else:
        structures = open_structures(arguments, family, scratch)

    def check_length(record: Record, sequence: str) -> None:
        try:
            (ids,) = text.encode([sequence])
        except InputError as problem:
            raise InputError(f"{Path(arguments.sequences).name}: record '{quoted(record.id)}': {problem}") from None
        if len(ids) > family.window + len(family.prefix) + len(family.suffix):
            raise InputError(
                f"{Path(arguments.sequences).name}: record '{quoted(record.id)}' has {len(ids):,} tokens, and the "
                f"model reads {family.window:,} at once; give the part that matters"
            )

    sequences, found = _sequences(arguments, family, structures, check_length if text else None)
    if not text:
        encoder = Encoder(family, opened.base.path, tokenizer=opened.tokenizer, structures=structures)
        refuse_unknown(encoder, found.sample, Path(arguments.sequences).name)
    task = WITHOUT_HEAD[not family.causal]
    plan = Plan(
        arguments, opened.bundle, opened.base, family, task, None, None, sequences, hidden, found, structures, opened,
        text, encoder,
    )  # fmt: skip
    plan.memory.foresee()
    return plan


def _sequences(
    arguments: Namespace,
    family: Family,
    structures: Structures | None,
    look: Callable[[Record, str], None] | None = None,
) -> tuple[list[tuple[str, str]], Survey]:
    """All sequences, which are few.

    Raises:
        InputError: more than were allowed, or one that lacks the position that is explained.
    """
    sequences: list[tuple[str, str]] = []

    def visit(record: Record, sequence: str) -> None:
        if len(sequences) == arguments.most_sequences:
            raise InputError(
                f"{Path(arguments.sequences).name} holds more than {arguments.most_sequences:,} sequences, and each is "
                "computed many times; give those that matter, or allow more (--most-sequences)"
            )
        if structures:
            structures.of(record.id, sequence)
        if (arguments.explained_position or 0) > len(sequence):
            raise InputError(
                f"{Path(arguments.sequences).name}: record '{quoted(record.id)}' has {len(sequence):,} letters, so "
                f"there is no position {arguments.explained_position:,} (--explained-position)"
            )
        if look:
            look(record, sequence)
        sequences.append((record.id, sequence))

    found = survey(arguments, family, visit)
    if structures:
        structures.refuse_other_names(next(records(arguments)).id)
    return sequences, found


def _goal(name: str, labels: tuple[str, ...] | None, level: str) -> int | None:
    """The place of the class that was asked for; of residues that are sites or none, that of sites.

    Raises:
        InputError: a class that the model does not have, or none of several of residues.
    """
    if not name:
        if level == "residue" and labels and len(labels) > 2:
            raise InputError("of a model of residues one class is explained; name it (--explained-class)")
        return 1 if level == "residue" and labels else None
    if labels is None:
        raise InputError("this model gives numbers and knows no classes; leave the class empty (--explained-class)")
    if name not in labels:
        known = ", ".join(shown(label, 30) for label in labels[:6]) + (", …" if len(labels) > 6 else "")
        raise InputError(f"the model knows no class '{shown(name, 40)}'; its classes are {known} (--explained-class)")
    return labels.index(name)


def hidden_token(family: Family) -> tuple[int, str]:
    """Id of the token in whose place nothing is known, and what it is in words: that which masks, a letter for any
    other, or the unknown token.

    Raises:
        InputError: a model that has none of them.
    """
    if (mask := family.mask_token) is not None:
        return mask, "the token that masks"
    vocabulary, letter = family.vocabulary, "X" if family.alphabet == PROTEIN else "N"
    if family.one_letter_tokens and family.token(letter) in vocabulary:
        return vocabulary[family.token(letter)], f"the letter {letter}"
    for token in UNKNOWN_TOKENS:
        if token in vocabulary:
            return vocabulary[token], f"the token {token}"
    if family.causal and family.start_token is not None:
        return family.start_token, "the token that begins a text"
    raise InputError(
        f"this {family.name} model has no token that masks and none for what is unknown, so nothing can be hidden from "
        "it; take another model"
    )


def _structures(arguments: Namespace, manifest: dict, family: Family, scratch: Path) -> Structures | None:
    """3Di states, which a model needs that was trained with them, and no other."""
    needed = manifest.get("structures", False)
    if needed and not arguments.structures:
        raise InputError("the model was trained with structures; give the 3Di states of these sequences (--structures)")
    if arguments.structures and not needed and family.structured:
        raise InputError("the model was trained without structures; leave them out (--structures)")
    return open_structures(arguments, family, scratch)
