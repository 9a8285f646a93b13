"""What the extension of a vocabulary starts from: a whole model, checked, and a corpus. Needs no torch."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqlm.checkpoints.bundle import Bundle
from seqlm.checkpoints.folder import ModelFolder
from seqlm.checkpoints.opening import open_alone
from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, PROTEIN, Rules
from seqlm.data.tasks import WITHOUT_HEAD
from seqlm.families.family import Family
from seqlm.families.recognition import recognise
from seqlm.tokenization.corpus import Corpus, Units, pieces_of, read_corpus, training_units, units_of
from seqlm.tokenization.encoder import reader_of
from seqlm.tokenization.readers import loses_atoms

from .comparison import Reader
from .embedding_rows import rows_of

DEFAULTS = {"vocab_size": 256, "min_frequency": 2, "max_token_length": 16}
FOR_TRAINING = ("kmer", "overlapping", "compare_with", "compare_name", "sequences")
TRIED = 200_000  # letters by which it is seen whether model and corpus fit
MOST_UNKNOWN = 0.01


@dataclass
class ExtensionPlan:
    """Checked inputs of an extension.

    Attributes:
        base: the folder with all weights of the model.
        old: its tokenizer, as it reads the sequences.
        chosen: numbers of the units to learn from.
        rules: what is done to the sequences on the way, counted.
    """

    arguments: Namespace
    bundle: Bundle | None
    base: ModelFolder
    family: Family
    name: str
    corpus: Corpus
    units: Units
    chosen: np.ndarray
    old: Reader
    scratch: Path
    rules: Rules = field(default_factory=Rules)

    @property
    def has_head(self) -> bool:
        """Whether the model gives a probability to tokens."""
        head = self.family.language_head
        return head is not None and (head == "" or head in self.base.tensors)


def check(arguments: Namespace, scratch: Path) -> ExtensionPlan:
    """Open the model, read the corpus once, and see whether they fit.

    Raises:
        InputError: for whatever is wrong with them.
    """
    _check_options(arguments)
    bundle, base = open_alone(arguments.model, scratch)
    name = arguments.model_id or Path(arguments.model).name
    if base is None:
        raise InputError(
            f"{name} holds an adapter, whose vocabulary is that of its base model; extend the base model, and train an "
            "adapter on it again"
        )
    family = _family_of(bundle, base, name)
    corpus = read_corpus(arguments, scratch)
    kinds = set(corpus.alphabets)
    if family.alphabet == PROTEIN and DNA in kinds:
        raise InputError(
            f"{name} reads proteins, to which A, C, G and T are residues, so tokens of DNA would change how it reads "
            "them; extend a model of text or of DNA"
        )
    if arguments.both_strands and DNA not in kinds:
        raise InputError("only DNA has two strands, and the corpus holds none; leave out --both-strands")
    units = units_of(corpus, arguments.held_out, arguments.chunk_length)
    chosen = training_units(units, arguments.training_letters, arguments.both_strands)
    old = Reader(name, family, reader_of(family, base.path))
    plan = ExtensionPlan(arguments, bundle, base, family, name, corpus, units, chosen, old, scratch)
    _check_fit(plan)
    return plan


def _check_options(arguments: Namespace) -> None:
    if not arguments.model:
        raise InputError("--model is needed: the model whose vocabulary is to be extended, with its weights")
    if not arguments.corpus:
        raise InputError("--corpus is needed: sequences that the new tokens are learnt from")
    for option in FOR_TRAINING:
        if getattr(arguments, option):
            raise InputError(
                f"--{option.replace('_', '-')} has no meaning where a vocabulary is extended; leave it out"
            )
    if arguments.algorithm != "bpe":
        raise InputError("new tokens of a model are learnt as byte pairs; leave out --algorithm")
    for option, value in DEFAULTS.items():
        if getattr(arguments, option) is None:
            setattr(arguments, option, value)


def _family_of(bundle: Bundle | None, base: ModelFolder, name: str) -> Family:
    manifest = (bundle.manifest if bundle else None) or {}
    if manifest and manifest["task"] not in WITHOUT_HEAD:
        raise InputError(
            f"{name} was fine-tuned for {manifest['task']}; extend the model that it was made from, and fine-tune again"
        )
    family = recognise(base.path, base.config, manifest.get("alphabet", "auto"))
    if family.structured:
        raise InputError(
            f"each token of {family.name} is a residue and its 3Di state, so there are no words of several "
            "letters; extend a model of another kind"
        )
    if family.blocks:
        raise InputError(
            f"{family.name} reads DNA as words of six bases, counted and not learnt, so no token can be added to them; "
            "extend a model of another kind"
        )
    if family.token("A").startswith("▁"):
        raise InputError(
            f"{family.name} reads letters set apart by blanks, in which there are no words of several letters; "
            "extend one of another kind (GPT-2, LLaMA, BERT, RoBERTa, ESM)"
        )
    if loses_atoms(base.path, family.vocabulary):
        raise InputError(
            f"the tokenizer of {name} loses atoms as it was published, and is repaired by splitting molecules into "
            "atoms, so no token of several atoms could ever be read"
        )
    largest = max(family.vocabulary.values())
    if largest >= family.vocabulary_size:
        raise InputError(
            f"tokenizer and model do not fit each other: the tokenizer gives the token id {largest}, and the model's "
            f"vocabulary has {family.vocabulary_size} tokens; give the files of one and the same model"
        )
    rows_of(base.tensors, family.vocabulary_size, name)  # refuses a model without a known embedding
    return family


def _check_fit(plan: ExtensionPlan) -> None:
    """Refuse a corpus that the old tokenizer cannot read: new rows are made from the rows of what it reads."""
    letters, lost = 0, ""
    texts = []
    for piece, _ in pieces_of(plan.units, plan.chosen, plan.arguments.chunk_length):
        texts.append(piece)
        letters += len(piece)
        if letters >= TRIED:
            break
    if not letters:
        raise InputError("no letter of the corpus stands for one base or residue, so nothing can be learnt (all N?)")
    for reading in plan.old.read(texts):
        lost += reading.unknown + reading.unread
    if len(lost) > MOST_UNKNOWN * letters:
        raise InputError(
            f"tokenizer and corpus do not fit: {plan.name} has no token for {len(lost):,} of the first {letters:,} "
            f"letters, such as '{lost[0]}'; there is nothing to make new tokens from"
        )
