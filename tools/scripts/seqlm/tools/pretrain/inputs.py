"""What the training of a new language model starts from: options, corpus, tokenizer and model. Needs no torch."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seqlm.checkpoints.folder import ModelFolder
from seqlm.checkpoints.manifest import FILE as MANIFEST
from seqlm.checkpoints.manifest import read_manifest
from seqlm.checkpoints.opening import open_base_model
from seqlm.checkpoints.tokenizer_bundle import TrainedTokenizer, open_trained_tokenizer
from seqlm.cli.errors import InputError
from seqlm.data.records import DNA, TEXT
from seqlm.data.tasks import WITHOUT_HEAD
from seqlm.families.family import Family
from seqlm.families.recognition import recognise
from seqlm.families.vocabulary import alphabet_of
from seqlm.tokenization.corpus import Corpus, read_corpus
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.kmer_overlaps import KmerReader
from seqlm.tokenization.unknown import LOOKED_AT, refuse_unknown, stretches
from seqlm.training.launching import check_processes

from .architectures import ARCHITECTURES, CAUSAL, INSTRUCTION, MASKED
from .checkpoint import check_parameters, open_checkpoint
from .models import check_tokenizer, config_of, write_model_folder
from .plan import Plan
from .split import TRAIN, Documents, split_corpus

CONTEXT = 512
SHORTEST = 8  # tokens of a context


def check(arguments: Namespace, scratch: Path) -> Plan:
    """Look at all options, open what is given, and go over the data once.

    Raises:
        InputError: for whatever is wrong with them.
    """
    _check_options(arguments)
    plan = (
        _of_instructions(arguments, scratch) if arguments.objective == INSTRUCTION else _of_corpus(arguments, scratch)
    )
    if arguments.resume:
        plan.checkpoint = open_checkpoint(Path(arguments.resume), scratch / "checkpoint")
        check_parameters(plan.checkpoint, plan.parameters())
    plan.memory.foresee()
    return plan


def _check_options(arguments: Namespace) -> None:
    new = not arguments.model
    if new and not arguments.architecture:
        raise InputError("say what to train: --architecture with --tokenizer for a new model, or --model to go on with")
    if not new and (arguments.architecture or arguments.tokenizer):
        raise InputError("a model that is gone on with has its architecture and tokenizer; leave both out")
    if new:
        if not arguments.tokenizer:
            raise InputError("--tokenizer is needed for a new model: a tokenizer that was trained, or that of a model")
        architecture = ARCHITECTURES[arguments.architecture]
        arguments.objective = arguments.objective or architecture.objective
        if arguments.objective not in (architecture.objective, INSTRUCTION):
            raise InputError(
                f"a {architecture.name} learns {architecture.objective} language modelling, not {arguments.objective}; "
                "leave --objective out or choose another architecture"
            )
        if arguments.objective == INSTRUCTION:
            raise InputError("instructions are taught to a model that has learnt sequences before; give it as --model")
        if arguments.method != "full":
            raise InputError("an adapter needs a model to be put on; a new one is trained with the method full")
    if arguments.validation_fraction + arguments.test_fraction > 0.9:
        raise InputError("validation and test set take over 0.9 of the corpus together; leave more to learn from")
    paused = arguments.pause_after or arguments.max_minutes or arguments.checkpoint_minutes
    if paused and not arguments.output_checkpoint:
        raise InputError("a training that is interrupted needs --output-checkpoint, or its work would be lost")
    _check_masking(arguments)
    check_processes(arguments, "contexts")


def _of_corpus(arguments: Namespace, scratch: Path) -> Plan:
    base = tokenizer = None
    if arguments.model:
        base, family, name = open_base(arguments, scratch)
        folder = base.path
        _check_objective(arguments, family)
    else:
        tokenizer = open_trained_tokenizer(arguments.tokenizer, scratch / "tokenizer", arguments.tokenizer_name)
        name = f"new {ARCHITECTURES[arguments.architecture].name}"
        check_tokenizer(ARCHITECTURES[arguments.architecture], tokenizer)
    corpus = read_corpus(arguments, scratch)
    if not corpus.letters:
        raise InputError("the corpus holds no letters")
    if arguments.both_strands and DNA not in corpus.alphabets:
        raise InputError("only DNA has two strands, and the corpus holds none; leave --both-strands out")
    if tokenizer:
        arguments.context = arguments.context or CONTEXT
        folder = scratch / "new_model"
        write_model_folder(config_of(arguments, tokenizer, arguments.context), tokenizer, folder)
        family = recognise(folder, config_of(arguments, tokenizer, arguments.context), corpus.alphabet)
        _check_alphabet(corpus, tokenizer)
    elif family.alphabet != TEXT and TEXT not in corpus.alphabets and corpus.alphabet != family.alphabet:
        raise InputError(f"the model reads {family.alphabet}, and the corpus holds {corpus.alphabet}; give another one")
    context = context_of(arguments, family)
    encoder = Encoder(family, folder, tokenizer="repaired")
    if arguments.objective == MASKED and family.mask_token is None:
        raise InputError(f"the tokenizer of {name} has no mask token, so nothing can be hidden; take another one")
    if arguments.objective == MASKED and arguments.masking == "codon" and not _single_bases(family):
        raise InputError("whole codons can be hidden only where each base of DNA is one token; choose token or span")
    k = _overlap_of(encoder) if arguments.objective == MASKED else 0
    if k and (arguments.masking != "span" or arguments.span < k):
        raise InputError(
            f"the k-mers of {name if base else tokenizer.name} overlap, so a hidden one is told by its neighbours; "
            f"hide spans of {k} or more tokens (--masking span --span {k})"
        )
    documents = split_corpus(corpus, arguments, context)
    _check_size(corpus, documents, context)
    refuse_unknown(encoder, _sample(corpus, documents, family), "the corpus")
    plan = Plan(arguments, scratch, folder, family, encoder, name, context, corpus, documents, base)
    plan.sha256, plan.rules = corpus.sha256, corpus.rules.merged(documents.rules)
    return plan


def _sample(corpus: Corpus, documents: Documents, family: Family) -> Iterator[list[str]]:
    """Stretches of some parts of the corpus, spread over it, as the model reads them."""
    for number in np.unique(np.linspace(0, len(documents.record) - 1, LOOKED_AT).astype(int)):
        text = corpus.text(documents.start[number], documents.end[number])
        yield stretches(text.translate(str.maketrans(family.replacements)))


def _of_instructions(arguments: Namespace, scratch: Path) -> Plan:
    from .instructions import read_all

    base, family, name = open_base(arguments, scratch)
    if not family.causal:
        raise InputError(f"models of the family {family.name} cannot write answers; take a causal one (GPT-2, LLaMA)")
    context = context_of(arguments, family)
    encoder = Encoder(family, base.path, tokenizer="repaired")
    plan = Plan(arguments, scratch, base.path, family, encoder, name, context, None, None, base)
    read_all(plan)
    return plan


def open_base(arguments: Namespace, scratch: Path) -> tuple[ModelFolder, Family, str]:
    """The whole model that is gone on with.

    Raises:
        InputError: a bundle that holds an adapter, or a model with another head than that for tokens.
    """
    base = open_base_model(arguments.model, scratch / "base")
    name = arguments.model_id or Path(arguments.model).name
    manifest = read_manifest(base.path / MANIFEST) if (base.path / MANIFEST).is_file() else {}
    if manifest and manifest["task"] not in WITHOUT_HEAD:
        raise InputError(
            f"{name} was fine-tuned for {manifest['task']} and has no head for tokens; take its base model"
        )
    family = recognise(base.path, base.config, manifest.get("alphabet", "auto"))
    family.check_language_model(base.tensors, name)
    lora = arguments.method == "lora"
    family.check_training(arguments.lora_modules if lora else None)
    family.check_adapter(arguments.lora_rank if lora else 0)
    return base, family, name


def _check_objective(arguments: Namespace, family: Family) -> None:
    own = CAUSAL if family.causal else MASKED
    arguments.objective = arguments.objective or own
    if arguments.objective != own:
        raise InputError(
            f"{family.name} was trained with {own} language modelling and cannot go on with {arguments.objective}"
        )


def _check_alphabet(corpus: Corpus, tokenizer: TrainedTokenizer) -> None:
    """A tokenizer of proteins reads DNA without a complaint, since every base is the letter of an amino acid."""
    made_for = tokenizer.alphabet if tokenizer.alphabet != "auto" else alphabet_of(tokenizer.vocabulary)
    if {made_for, corpus.alphabet} == {"protein", "DNA"}:
        raise InputError(
            f"{tokenizer.name} splits {made_for}, and the corpus holds {corpus.alphabet}; give a tokenizer of the same "
            "kind, or say what the corpus is (--alphabet)"
        )


def context_of(arguments: Namespace, family: Family) -> int:
    """Tokens of a row, special ones among them."""
    longest = family.window + len(family.prefix) + len(family.suffix)
    asked = arguments.context or min(longest, CONTEXT)
    if asked < SHORTEST:
        raise InputError(f"a context must have at least {SHORTEST} tokens; {asked} were asked for")
    if asked > longest and family.hard_limit:
        raise InputError(f"this model reads at most {longest} tokens at once; set the context to that or less")
    arguments.context = asked
    return asked


def _check_size(corpus: Corpus, documents: Documents, context: int) -> None:
    letters = documents.letters(TRAIN)
    if letters < context:
        raise InputError(
            f"the corpus of {corpus.records:,} sequence{'s' * (corpus.records != 1)} leaves {letters:,} letters to "
            f"learn from, less than one context of {context:,} tokens; give more sequences or choose a shorter context"
        )


def _check_masking(arguments: Namespace) -> None:
    if arguments.objective == MASKED:
        if arguments.span > 1 and arguments.masking != "span":
            raise InputError("--span is for masking by spans; choose --masking span or leave it out")
        if arguments.masking == "span" and arguments.span <= 1:
            arguments.span = 3.0


def _overlap_of(encoder: Encoder) -> int:
    """Letters of k-mers of which one begins at every letter; 0 for any other tokenizer."""
    return encoder.reader.k if isinstance(encoder.reader, KmerReader) else 0


def _single_bases(family: Family) -> bool:
    return family.alphabet == DNA and family.one_letter_tokens
