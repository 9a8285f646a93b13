"""A tokenizer learnt from a corpus, written as an archive, and what it makes of the sequences that were held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np

from seqlm import __version__
from seqlm.checkpoints.tokenizer_bundle import FORMAT, write_tokenizer_folder
from seqlm.cli.progress import Progress
from seqlm.data.records import DNA, LETTERS, TEXT
from seqlm.metrics.resampling import Score
from seqlm.tokenization.corpus import AMBIGUOUS_LEFT_OUT, pieces_of, reverse_complement

from .algorithms import (
    learn_pairs,
    learn_unigram,
    learn_wordpiece,
    of_characters,
    of_kmers,
)
from .card import tokenizer_card
from .comparison import (
    EVALUATED,
    Measured,
    Reader,
    letters_per_token,
    open_reader_of,
    read_units,
    shuffled,
)
from .names import LEARNT
from .training_inputs import TrainingPlan

SETTINGS = (
    "vocab_size", "min_frequency", "max_token_length", "kmer", "overlapping", "both_strands", "chunk_length",
    "training_letters", "held_out", "smiles",
)  # fmt: skip
NEW = "new"  # what the tokenizer is called among others


@dataclass
class Trained:
    """A new tokenizer and what is known of it.

    Attributes:
        folder: its files.
        reader: as the tools read with it.
        letters, pieces: that it was learnt from, both strands counted.
        seldom: kinds of atoms that came too seldom to be tokens.
        measured: of the new one, of the same with letters in random order, where there is more than one letter to a
            token, and of the others.
        scores: of each, letters per token and the ratio to the new one.
    """

    plan: TrainingPlan
    folder: Path
    reader: Reader
    vocabulary: dict[str, int]
    letters: int
    pieces: int
    seldom: int = 0
    measured: list[Measured] = field(default_factory=list)
    scores: list[tuple[Score, Score]] = field(default_factory=list)

    @property
    def special(self) -> tuple[str, ...]:
        return self.plan.style.tokens

    def texts(self) -> dict[str, str]:
        """Letters that each token that is not special stands for; bytes are shown as the library writes them."""
        return {
            token: token.removeprefix("##") if self.plan.arguments.algorithm == "wordpiece" else token
            for token in self.vocabulary
            if token not in self.special
        }


def train(plan: TrainingPlan) -> Trained:
    """Learn the vocabulary, write the files of the tokenizer, read them back and measure."""
    counted = Counter()
    tokenizer, seldom = _learn(plan, counted)
    folder = plan.scratch / "tokenizer"
    folder.mkdir()
    found = _description(plan, tokenizer, counted)
    write_tokenizer_folder(tokenizer, found, tokenizer_card(found), folder)
    reader = open_reader_of(folder, plan.scratch / "unused", NEW, plan.corpus.alphabet)
    trained = Trained(
        plan, folder, reader, tokenizer.get_vocab(with_added_tokens=True), counted["letters"], counted["pieces"], seldom
    )
    texts = [plan.units.text(unit) for unit in plan.units.evaluated(EVALUATED).tolist()]
    own = read_units(reader, texts)
    trained.measured = [own]
    if (
        plan.arguments.algorithm in LEARNT
        and plan.corpus.alphabet in LETTERS
        and own.tokens.sum() < 0.99 * own.letters.sum()
    ):
        trained.measured.append(shuffled(reader, texts, plan.arguments.seed))
    trained.measured += [read_units(other, texts) for other in plan.others]
    trained.scores = letters_per_token(trained.measured, plan.arguments.seed)
    return trained


def _learn(plan: TrainingPlan, counted: Counter):
    """The tokenizer of the library, and how many kinds of atoms came too seldom."""
    arguments, style, letters = plan.arguments, plan.style, plan.letters
    algorithm, alphabet = arguments.algorithm, plan.corpus.alphabet
    pieces = _pieces(plan, counted)
    size, least, longest = arguments.vocab_size, arguments.min_frequency, arguments.max_token_length
    if algorithm in ("bpe", "byte-bpe"):
        return learn_pairs(pieces, letters, style, size, least, longest, algorithm == "byte-bpe"), 0
    if algorithm == "wordpiece":
        return learn_wordpiece(pieces, letters, alphabet, style, size, least, longest), 0
    if algorithm == "unigram":
        return learn_unigram(pieces, letters, style, size, least, longest), 0
    if algorithm == "character":
        return of_characters(pieces, letters, alphabet, style, least)
    for _ in pieces:  # nothing is learnt, but what there is to learn from is counted
        pass
    return of_kmers(letters, alphabet, style, arguments.kmer, arguments.overlapping), 0


def _pieces(plan: TrainingPlan, counted: Counter) -> Iterator[str]:
    """Pieces to learn from; of DNA each followed by its other strand, if both are to be read."""
    chunk = plan.arguments.chunk_length
    total = int(plan.units.lengths[plan.chosen].sum()) * (1 + plan.both_strands)
    progress = Progress("reading the corpus", total, "letters", lines=5)
    for piece, alphabet in pieces_of(plan.units, plan.chosen, chunk, plan.rules):
        strands = [piece, reverse_complement(piece)] if plan.both_strands and alphabet == DNA else [piece]
        for one in strands:
            counted["letters"] += len(one)
            counted["pieces"] += 1
            yield one
        progress(counted["letters"])


def _description(plan: TrainingPlan, tokenizer, counted: Counter) -> dict:
    arguments = plan.arguments
    return {
        "format": FORMAT,
        "algorithm": arguments.algorithm,
        "alphabet": plan.corpus.alphabet,
        "alphabets": sorted(set(plan.corpus.alphabets)),
        "special_tokens": arguments.special_tokens,
        "vocabulary": tokenizer.get_vocab_size(with_added_tokens=True),
        "settings": {name: getattr(arguments, name) for name in SETTINGS if getattr(arguments, name) is not None},
        "seed": arguments.seed,
        "corpus_sha256": plan.corpus.sha256,
        "corpus_letters": plan.corpus.letters,
        "trained_on_letters": counted["letters"],
        "versions": {"seqlm": __version__} | {name: metadata.version(name) for name in ("tokenizers", "numpy")},
    }


VOCABULARY_COLUMNS = ["token_id", "token", "length", "count", "special"]


def vocabulary_rows(trained: Trained) -> Iterator[list]:
    """The vocabulary in the order of its ids, with how often each token comes in the sequences held out."""
    usage, texts = trained.measured[0].usage, trained.texts()
    for token, number in sorted(trained.vocabulary.items(), key=lambda item: item[1]):
        special = token not in texts
        yield [number, token, None if special else len(texts[token]), int(usage[number]), "yes" if special else "no"]


COMPARISON_COLUMNS = [
    "tokenizer", "vocabulary", "used", "letters", "tokens", "letters_per_token", "low", "high", "ratio_to_new",
    "ratio_low", "ratio_high", "unknown", "unread",
]  # fmt: skip


def comparison_rows(measured: list[Measured], scores: list[tuple[Score, Score]]) -> Iterator[list]:
    """A row for each tokenizer, the new one first."""
    for reading, (rate, ratio) in zip(measured, scores, strict=True):
        yield [
            reading.name, reading.vocabulary, reading.used, int(reading.letters.sum()), int(reading.tokens.sum()),
            rate.value, rate.low, rate.high, ratio.value, ratio.low, ratio.high, reading.unknown, reading.unread,
        ]  # fmt: skip


def repeats(token: str, longest: int = 3) -> bool:
    """Whether a token of 4 letters or more is one short unit again and again: AAAA, ATATAT, CAGCAGCA."""
    return len(token) >= 4 and any(
        token == (token[:unit] * len(token))[: len(token)] for unit in range(1, min(longest, len(token) // 2) + 1)
    )


@dataclass(frozen=True)
class VocabularyFacts:
    """What the vocabulary itself is like, without the special tokens.

    Attributes:
        lengths: (longest + 1,) tokens of each length.
        repeated: tokens that are short units repeated.
        both: of tokens that are longer than a letter, those whose reverse complement is a token too; None where there
            is no other strand.
        longest: some of the longest tokens, the most used first among equals.
    """

    lengths: np.ndarray
    repeated: list[str]
    both: tuple[int, int] | None
    longest: list[tuple[str, int]]


def vocabulary_facts(trained: Trained, shown: int = 8) -> VocabularyFacts:
    texts, usage = trained.texts(), trained.measured[0].usage
    lengths = np.bincount([len(text) for text in texts.values()], minlength=2)
    several = {text for text in texts.values() if len(text) > 1}
    repeated = sorted((text for text in several if repeats(text)), key=lambda text: (-len(text), text))
    both = None
    if DNA in trained.plan.corpus.alphabets and trained.plan.arguments.algorithm in LEARNT:
        words = {text for text in several if set(text) <= set("ACGT")}
        both = (sum(reverse_complement(word) in words for word in words), len(words))
    ordered = sorted(texts, key=lambda token: (-len(texts[token]), -usage[trained.vocabulary[token]], token))
    longest = [(texts[token], int(usage[trained.vocabulary[token]])) for token in ordered[:shown]]
    return VocabularyFacts(lengths, repeated, both, longest)


def notes(trained: Trained) -> list[str]:
    """What must not be overlooked, in words."""
    plan, arguments = trained.plan, trained.plan.arguments
    told = []
    size = len(trained.vocabulary)
    if arguments.algorithm in LEARNT and size < arguments.vocab_size:
        told.append(
            f"{arguments.vocab_size:,} tokens were asked for, and {size:,} were found: no further word of at most "
            f"{arguments.max_token_length or 'any number of'} letters occurs {arguments.min_frequency} times or more. "
            "Give more sequences, or ask for fewer tokens."
        )
    if plan.units.shared:
        told.append(
            "The corpus is too small to hold anything out, or nothing was to be held out: all numbers are of the "
            "sequences that the vocabulary was learnt from, and are better than they would be on others."
        )
    units = len(trained.measured[0].letters)
    if 1 < units < 20:
        told.append(f"Only {units} sequences or stretches were held out, so the intervals are rough.")
    if units == 1:
        told.append("Only one sequence or stretch was looked at, so there are no intervals.")
    available = int(plan.units.lengths[~plan.units.held_out].sum())
    if (used := int(plan.units.lengths[plan.chosen].sum())) < available:
        told.append(
            f"Of {available:,} letters that could be learnt from, {used:,} were used, chosen evenly by a hash of their "
            "content: as many as were allowed (--training-letters). More would take more memory."
        )
    if trained.seldom:
        told.append(f"Kinds of atoms that came fewer than {arguments.min_frequency} times, and are unknown: "
                    f"{trained.seldom:,}.")  # fmt: skip
    if plan.corpus.alphabet == TEXT and len(set(plan.corpus.alphabets)) > 1:
        told.append(
            f"The files hold different kinds of sequences ({', '.join(sorted(set(plan.corpus.alphabets)))}), and "
            "have one vocabulary. A model will take each as text: choose 'molecules or other text' as its alphabet."
        )
    return told


def changes(trained: Trained) -> list[str]:
    """What happened to the sequences on the way, counted."""
    rules = trained.plan.corpus.rules.merged(trained.plan.rules)
    lines = [line for line in rules.lines() if not line.startswith(AMBIGUOUS_LEFT_OUT)]
    if left := trained.plan.rules.letters[AMBIGUOUS_LEFT_OUT]:
        lines.append(f"{AMBIGUOUS_LEFT_OUT}: {left:,} letters")
    if repeated := trained.plan.corpus.repeated:
        lines.append(f"equal to a sequence before, and learnt from as often as they come: {repeated:,}")
    return lines
