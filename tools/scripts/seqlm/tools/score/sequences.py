"""Perplexities of a stream of sequences: computed, ranked, filtered, written in the order given.

Some numbers a sequence are kept; the sequences themselves lie in a file until the ranks are known.
"""

from __future__ import annotations

import itertools
import math
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.cli.outputs import cell, write_table
from seqlm.cli.progress import Progress
from seqlm.data.records import BREAK, Record, Rules, quoted
from seqlm.data.sequences import clean
from seqlm.inference.likelihood import Likelihood
from seqlm.inference.score_methods import ONE_PASS
from seqlm.inference.scoring import Engine
from seqlm.tokenization.survey import records

from .agreement import spreads
from .inputs import Plan

CHUNK_SEQUENCES, CHUNK_LETTERS = 1024, 500_000
COLUMNS = ["id", "perplexity", "log_likelihood", "tokens", "length", "bits_per_letter", "rank"]
LINE = 60  # letters of a line of FASTA
CHECKED = 10  # sequences that are scored exactly beside one pass, if that is no more work than all of it


@dataclass(frozen=True)
class Check:
    """Pseudo-perplexities of a few sequences (n,), of one pass and with each token masked."""

    approximate: np.ndarray
    exact: np.ndarray


@dataclass(frozen=True)
class OfModel:
    """What one model says of each sequence (sequences,), and of a few of them in one pass and exactly."""

    log_likelihood: np.ndarray
    tokens: np.ndarray
    approximate: list[Likelihood]
    exact: list[Likelihood]


@dataclass(frozen=True)
class SequenceScores:
    """What is said of each sequence, (sequences,) each, in the order of the file.

    Attributes:
        log_likelihood: natural logarithm, or of a masked model the pseudo-log-likelihood; of several models their mean.
        tokens: how many it is a sum over.
        baseline: bits a letter where letters are drawn by how often they are in all sequences together.
        rank: from 1, the lowest perplexity first; equal ones in the order of the file.
        kept: what the filters leave.
        check: some of them in one pass and exactly; of any other method empty.
        each: (models, sequences) log-likelihoods of which these are the mean.
    """

    log_likelihood: np.ndarray
    tokens: np.ndarray
    lengths: np.ndarray
    baseline: np.ndarray
    perplexity: np.ndarray
    rank: np.ndarray
    kept: np.ndarray
    check: Check
    each: np.ndarray

    @property
    def bits(self) -> np.ndarray:
        """Bits a letter, which compares models whose tokens differ."""
        return self.bits_of(self.log_likelihood)

    def bits_of(self, log_likelihood: np.ndarray) -> np.ndarray:
        """Bits a letter of log-likelihoods (…, sequences)."""
        return np.where(self.tokens > 0, -log_likelihood / math.log(2) / self.lengths, np.nan)

    def perplexities_of(self, log_likelihood: np.ndarray) -> np.ndarray:
        """Perplexities of log-likelihoods (…, sequences)."""
        return _perplexities(log_likelihood, self.tokens)


def _perplexities(log_likelihood: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """exp(-log-likelihood / tokens), NaN where there are no tokens."""
    return np.exp(-log_likelihood / np.where(tokens > 0, tokens, np.nan))


def score_model(plan: Plan, engine: Engine, spool: Spool | None = None) -> OfModel:
    """What one model says of all sequences of the file.

    Args:
        spool: takes the sequences, for :func:`write_fasta`.
    """
    sums, tokens = array("d"), array("q")
    progress = Progress("scoring", plan.survey.letters, "letters")
    done, number = 0, -1
    drawn = _drawn(plan)
    checked: list[tuple[str, str]] = []
    approximate = []
    for chunk in _chunks(plan):
        items = [(record.id, sequence) for record, sequence in chunk]
        found = engine.whole(items, lambda letters, before=done: progress(round(before + letters)))
        for (record, sequence), one in zip(chunk, found, strict=True):
            sums.append(one.log_probability)
            tokens.append(one.tokens)
            if spool:
                spool.add(record)
            number += 1
            work = sum(len(each) ** 2 for _, each in checked) + len(sequence) ** 2
            if number in drawn and one.tokens and work <= plan.survey.letters:
                checked.append((record.id, sequence))
                approximate.append(one)
        done += sum(len(sequence) for _, sequence in chunk)
    return OfModel(np.asarray(sums), np.asarray(tokens), approximate, engine.exact(checked))


def sequence_scores(plan: Plan, found: list[OfModel]) -> SequenceScores:
    """Scores of all sequences, of several models the means of their log-likelihoods.

    Raises:
        InputError: models that score different numbers of tokens of a sequence.
    """
    tokens = found[0].tokens
    for name, one in zip(plan.names[1:], found[1:], strict=True):
        if len(other := np.flatnonzero(one.tokens != tokens)):
            record = next(itertools.islice(records(plan.arguments), int(other[0]), None))
            raise InputError(
                f"of '{quoted(record.id)}' {plan.names[0]} scores {tokens[other[0]]:,} tokens and {name} "
                f"{one.tokens[other[0]]:,}, so that their scores have no mean; leave such sequences out"
            )
    lengths, baseline, cost = array("q"), array("d"), letter_bits(plan.frequencies)
    for record, sequence in cleaned(plan):
        letters = record.letters(sequence)
        lengths.append(len(letters))
        baseline.append(sum(map(cost.__getitem__, letters)) / len(letters))
    each = np.stack([one.log_likelihood for one in found])
    mean = each.mean(0)
    perplexity = _perplexities(mean, tokens)
    order = np.argsort(perplexity, kind="stable")  # NaN last
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    return SequenceScores(
        mean,
        tokens,
        np.asarray(lengths),
        np.asarray(baseline),
        perplexity,
        rank,
        _kept(plan, perplexity, order),
        Check(_together([one.approximate for one in found]), _together([one.exact for one in found])),
        each,
    )


def _together(found: list[list[Likelihood]]) -> np.ndarray:
    """Perplexities (sequences,) of what each model says of the same sequences."""
    sums = np.asarray([[one.log_probability for one in each] for each in found]).mean(0)
    return _perplexities(sums, np.asarray([one.tokens for one in found[0]]))


def _drawn(plan: Plan) -> set[int]:
    """Numbers of the sequences whose approximate scores are checked."""
    if plan.method != ONE_PASS:
        return set()
    generator = np.random.default_rng(plan.arguments.seed)
    count = plan.survey.sequences
    return set(generator.choice(count, min(CHECKED, count), replace=False).tolist())


def _kept(plan: Plan, perplexity: np.ndarray, order: np.ndarray) -> np.ndarray:
    kept = ~np.isnan(perplexity)
    if plan.arguments.max_perplexity is not None:
        kept &= perplexity <= plan.arguments.max_perplexity
    if plan.arguments.keep_best is not None:
        best = np.zeros(len(order), bool)
        best[order[kept[order]][: plan.arguments.keep_best]] = True
        kept &= best
    return kept


def filtered(plan: Plan) -> bool:
    """Whether the user asked for some of the sequences only."""
    return plan.arguments.max_perplexity is not None or plan.arguments.keep_best is not None


def letter_bits(frequencies: Counter) -> dict[str, float]:
    """letter -> bits that it costs where letters are drawn by these frequencies."""
    total = sum(frequencies.values())
    return {letter: -math.log2(count / total) for letter, count in frequencies.items()}


def _chunks(plan: Plan) -> Iterator[list[tuple[Record, str]]]:
    chunk, letters = [], 0
    for record, sequence in cleaned(plan):
        chunk.append((record, sequence))
        letters += len(sequence)
        if len(chunk) >= CHUNK_SEQUENCES or letters >= CHUNK_LETTERS:
            yield chunk
            chunk, letters = [], 0
    if chunk:
        yield chunk


def cleaned(plan: Plan) -> Iterator[tuple[Record, str]]:
    """Every record with its sequence as the model reads it; what is changed was counted by the survey."""
    family, path = plan.family, plan.arguments.sequences
    for record in records(plan.arguments):
        yield record, clean(record, family.alphabet, family.replacements, Rules(), path)


def write_scores(path: Path, plan: Plan, scores: SequenceScores) -> None:
    """A row a sequence; of several models also the perplexity of each, and the deviation of their bits a letter; with a
    filter, also whether it was kept."""
    columns, values = [*COLUMNS], [scores.perplexity, scores.log_likelihood, scores.tokens, scores.lengths, scores.bits]
    values.append(scores.rank)
    if plan.others:
        columns += [*(f"perplexity_{name}" for name in plan.names), "spread"]
        values += [*scores.perplexities_of(scores.each), spreads(scores.bits_of(scores.each))]
    if filtered(plan):
        columns.append("kept")
        values.append(np.where(scores.kept, "yes", "no"))
    found = zip(records(plan.arguments), *(each.tolist() for each in values), strict=True)
    write_table(path, columns, ([record.id, *row] for record, *row in found))


class Spool:
    """Sequences as they were given, in a file, to be read again in another order."""

    def __init__(self):
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - gone with this object
        self._ends = array("q", [0])

    def add(self, record: Record) -> None:
        light = "".join((record.light or "").split())
        self._file.write(f"{record.id}\n{BREAK.join(filter(None, (record.sequence, light)))}".encode())
        self._ends.append(self._file.tell())

    def read(self, numbers: Iterable[int]) -> Iterator[tuple[str, str]]:
        """(id, sequence) of these records."""
        for number in numbers:
            self._file.seek(self._ends[number])
            text = self._file.read(self._ends[number + 1] - self._ends[number]).decode()
            name, _, sequence = text.partition("\n")
            yield name, sequence


def write_fasta(path: Path, scores: SequenceScores, spool: Spool) -> None:
    """The sequences that were kept, as they were given, the lowest perplexity first; between two chains a colon, as
    programs that fold several chains read it."""
    numbers = np.argsort(scores.rank)[: len(scores.rank)]
    numbers = numbers[scores.kept[numbers]].tolist()
    with open(path, "w", encoding="utf-8") as file:
        for number, (name, sequence) in zip(numbers, spool.read(numbers), strict=True):
            file.write(f">{name} perplexity={cell(float(scores.perplexity[number]))} rank={scores.rank[number]}\n")
            file.writelines(f"{sequence[at : at + LINE]}\n" for at in range(0, len(sequence), LINE))
