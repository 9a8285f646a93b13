"""Scores of whole sequences that stand beside their vectors: the perplexities that *Score* gives."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from seqlm.checkpoints.bundle import Bundle
from seqlm.checkpoints.folder import ModelFolder
from seqlm.cli.errors import InputError
from seqlm.inference.language_models import Opened, as_language_model
from seqlm.inference.score_methods import APPROXIMATE, EXACT, NONE, ONE_PASS, PERPLEXITY, PSEUDO
from seqlm.inference.scored_model import ScoredModel, check_masks
from seqlm.tokenization.language_text import LanguageText

COLUMNS = {  # of the table, by the method
    PERPLEXITY: ("perplexity", "log_likelihood"),
    PSEUDO: ("pseudo_perplexity", "pseudo_log_likelihood"),
    ONE_PASS: ("pseudo_perplexity_one_pass", "pseudo_log_likelihood_one_pass"),
}
AT_ONCE = 256  # sequences that are scored together


def open_scored(
    arguments: Namespace, bundle: Bundle | None, base: ModelFolder, tokenizer: str
) -> tuple[Opened, str, LanguageText | None] | None:
    """The model as one that scores, by which method, and how it reads if it is causal; None where nobody asked.

    Raises:
        InputError: a model that gives no probability to tokens, or vectors that are not of whole sequences.
    """
    if arguments.append_scores == NONE:
        return None
    if arguments.pooling == "none":
        raise InputError("scores are of whole sequences and stand beside one vector each; choose another pooling")
    opened = as_language_model(bundle, base, arguments)
    opened.family.check_language_model(base.tensors, opened.name)
    if not opened.family.causal:
        check_masks(opened)
        return opened, (PSEUDO if arguments.append_scores == EXACT else ONE_PASS), None
    if arguments.append_scores == APPROXIMATE:
        raise InputError(
            f"{opened.name} reads from left to right, so that one pass gives its perplexities as they are; take "
            f"--append-scores {EXACT}"
        )
    return opened, PERPLEXITY, LanguageText(opened.family, base.path, tokenizer=tokenizer)


def appended_scores(scored: ScoredModel, items: Iterable[tuple[str, str]]) -> np.ndarray:
    """Perplexity and log-likelihood, or pseudo-perplexity and pseudo-log-likelihood, of each sequence (name, sequence):
    (sequences, 2) float64, NaN for a sequence of unknown letters alone.

    Loads the model and lets go of it, so that the memory holds one model at a time.
    """
    from seqlm.cli.progress import Progress
    from seqlm.inference.scoring import Engine

    engine, found, done = Engine(scored), [], 0
    progress = Progress("scoring", scored.survey.letters, "letters")
    for chunk in _chunks(items):
        for one in engine.whole(chunk, lambda letters, before=done: progress(round(before + letters))):
            found.append((one.perplexity, one.log_probability) if one.tokens else (np.nan, np.nan))
        done += sum(len(sequence) for _, sequence in chunk)
    print(f"scored {len(found):,} sequences, by {scored.method}; rows of tokens computed: {engine.passes:,}",
          file=sys.stderr)  # fmt: skip
    return np.asarray(found).reshape(-1, 2)


def _chunks(items: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    items = iter(items)
    while chunk := list(islice(items, AT_ONCE)):
        yield chunk
