"""What the training of a tokenizer starts from: checked options, the corpus on disk, others to compare with.

Needs no torch.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path

from seqlm.cli.errors import InputError
from seqlm.data.records import CANONICAL, DNA, PROTEIN, TEXT, Rules
from seqlm.tokenization.corpus import CANONICAL_LETTERS, Corpus, Units, pieces_of, read_corpus, training_units, units_of
from seqlm.tokenization.special_tokens import STYLES, Style

from .algorithms import base_letters
from .comparison import Reader, open_reader_of
from .names import LEARNT

MOST_KMERS = 1 << 18  # 9 bases, 4 residues
MOST_TOKENS = 1 << 20
# options that only some algorithms look at, and what they are where they were not given
DEFAULTS = {"vocab_size": 4096, "min_frequency": 2, "max_token_length": 16, "kmer": 6}
USED_BY = {
    "vocab_size": LEARNT,
    "min_frequency": (*LEARNT, "character"),
    "max_token_length": LEARNT,
    "kmer": ("kmer",),
}


@dataclass
class TrainingPlan:
    """Checked inputs of a training.

    Attributes:
        letters: tokens that are there in any case.
        chosen: numbers of the units to learn from.
        others: tokenizers to compare with.
        rules: what is done to the sequences on the way, counted.
    """

    arguments: Namespace
    corpus: Corpus
    units: Units
    style: Style
    letters: list[str]
    chosen: object
    others: list[Reader]
    scratch: Path
    rules: Rules = field(default_factory=Rules)

    @property
    def both_strands(self) -> bool:
        return self.arguments.both_strands


def check(arguments: Namespace, scratch: Path) -> TrainingPlan:
    """Look at all options, read the corpus once and open what is to be compared with.

    Raises:
        InputError: for whatever is wrong with them.
    """
    _check_options(arguments)
    others = _others(arguments, scratch)
    corpus = read_corpus(arguments, scratch)
    style = STYLES[arguments.special_tokens]
    letters = base_letters(corpus.alphabet, corpus.alphabets, corpus.characters())
    _check_fit(arguments, corpus, style, letters)
    units = units_of(corpus, arguments.held_out, arguments.chunk_length)
    chosen = training_units(units, arguments.training_letters, arguments.both_strands)
    plan = TrainingPlan(arguments, corpus, units, style, letters, chosen, others, scratch)
    _check_pieces(plan)
    plan.others = [open_reader_of(*other, corpus.alphabet) for other in others]
    return plan


def _check_options(arguments: Namespace) -> None:
    algorithm = arguments.algorithm
    if not arguments.corpus:
        raise InputError("--corpus is needed to train a tokenizer: one or more files of sequences")
    for option, value in DEFAULTS.items():
        given = getattr(arguments, option)
        if given is not None and algorithm not in USED_BY[option]:
            flag = "--" + option.replace("_", "-")
            raise InputError(f"{flag} has no meaning for {algorithm} tokenizers; leave it out")
        setattr(arguments, option, value if given is None and algorithm in USED_BY[option] else given)
    if arguments.overlapping and algorithm != "kmer":
        raise InputError("only k-mers can overlap (--overlapping); leave it out or choose --algorithm kmer")
    if arguments.model or arguments.sequences:
        raise InputError(
            "a new tokenizer is made from --corpus alone; leave out --model and --sequences, or give the model to "
            "--compare-with"
        )
    names = arguments.compare_name
    if names and len(names) != len(arguments.compare_with):
        raise InputError(
            f"--compare-name names {len(names)} tokenizers and --compare-with gives {len(arguments.compare_with)}"
        )


def _others(arguments: Namespace, scratch: Path) -> list[tuple[Path, Path, str]]:
    """(what was given, where it may be unpacked, name) of each tokenizer to compare with."""
    names = arguments.compare_name or [Path(path).name for path in arguments.compare_with]
    # two of one name are told apart
    unique = [name if names.count(name) == 1 else f"{name} ({at + 1})" for at, name in enumerate(names)]
    return [
        (Path(path), scratch / f"other_{number}", name)
        for number, (path, name) in enumerate(zip(arguments.compare_with, unique, strict=True))
    ]


def _check_fit(arguments: Namespace, corpus: Corpus, style: Style, letters: list[str]) -> None:
    """Options that the corpus does not allow."""
    algorithm, kinds = arguments.algorithm, set(corpus.alphabets)
    if arguments.both_strands and DNA not in kinds:
        raise InputError(
            f"only DNA has two strands, and the corpus holds {_words(kinds)}; read one strand only (--both-strands)"
        )
    if algorithm == "kmer":
        if corpus.alphabet not in CANONICAL_LETTERS:
            raise InputError(
                f"k-mers are for DNA or for proteins, and the corpus holds {_words(kinds)}; choose another algorithm"
            )
        number = len(CANONICAL_LETTERS[corpus.alphabet]) ** arguments.kmer
        if number > MOST_KMERS:
            raise InputError(
                f"there are {number:,} words of {arguments.kmer} letters of {_words(kinds)}, over the limit of "
                f"{MOST_KMERS:,}; choose a smaller k"
            )
    if algorithm in LEARNT:
        fixed = 255 if algorithm == "byte-bpe" else len(letters)
        if algorithm == "wordpiece":  # as the first of a word and as one that goes on
            fixed += len(CANONICAL_LETTERS.get(corpus.alphabet, letters))
        least = len(style.tokens) + fixed + 1
        if arguments.vocab_size < least:
            what = "bytes" if algorithm == "byte-bpe" else "letters"
            raise InputError(
                f"a vocabulary of {arguments.vocab_size} tokens is too small: {len(style.tokens)} special tokens and "
                f"{fixed} {what} are in it in any case; choose {least} or more, a thousand for example"
            )


def _check_pieces(plan: TrainingPlan) -> None:
    """Refuse a corpus in which there is nothing to learn from."""
    arguments, corpus = plan.arguments, plan.corpus
    longest = 0
    for piece, _ in pieces_of(plan.units, plan.chosen, arguments.chunk_length):
        longest = max(longest, len(piece))
        if longest >= (arguments.kmer or 2):
            return
    files = ", ".join(Path(path).name for path in arguments.corpus[:3])
    if not longest:
        of = {DNA: "A, C, G or T", PROTEIN: "one of the 20 amino acids"}.get(corpus.alphabet, "a known letter")
        raise InputError(f"{files}: no letter of the sequences is {of}, so nothing can be learnt (all N?)")
    if arguments.kmer:
        raise InputError(
            f"{files}: no sequence to learn from has {arguments.kmer} known letters in a row, so there is no k-mer; "
            "choose a smaller k or give longer sequences"
        )
    if arguments.algorithm in LEARNT:
        raise InputError(f"{files}: no sequence has two known letters in a row, so there is no token to learn")


def _words(alphabets: set[str]) -> str:
    names = {DNA: "DNA", PROTEIN: "proteins", TEXT: "molecules or other text", CANONICAL: "molecules"}
    return " and ".join(names[one] for one in sorted(alphabets))
