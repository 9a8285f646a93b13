"""How much of the labels the vectors hold: linear probes of each layer, of scores and of what needs no model.

All are judged on the same folds by models of the other folds, whose penalty is chosen within these, as is the layer:
see :mod:`seqlm.baselines.probes`. Where there are scores, they are given as much room as all dimensions together, so
that the penalty does not drown them (after Hsu et al. 2022, https://doi.org/10.1038/s41587-021-01146-5, who leave the
score of a model beside one-hot sequences all but free).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from seqlm.baselines.linear_models import Goal, in_memory
from seqlm.baselines.probes import Probe, chosen, divided, probe
from seqlm.cli.errors import InputError
from seqlm.cli.progress import Progress
from seqlm.data.records import quoted
from seqlm.inference.layer_file import LayerFile
from seqlm.metrics.metrics import scorer_for
from seqlm.metrics.resampling import Sample, Score, samples

from .labelled import Labelled

COMPOSITION, ONE_HOT, SCORES, VECTORS, BOTH = (
    "letter composition", "one-hot sequence", "scores alone", "vectors alone", "vectors and scores",
)  # fmt: skip
METRICS = {True: ("spearman", "pearson", "r2"), False: ("mcc", "accuracy", "auroc")}  # of values, of classes
RESAMPLES = 1000
SMALL = 1 << 20  # numbers of the vectors of one layer
MOST_CELLS = 1 << 26  # of one-hot sequences: 256 MB


@dataclass(frozen=True)
class Entry:
    """One kind of features, judged on the folds.

    Attributes:
        samples: metric -> score with its resamples, the same resamples for every entry.
        loss: squared error or log-loss on folds of all labelled sequences, by which a layer is chosen.
        folds: in how many folds a layer was chosen; None of what nobody chooses.
    """

    samples: dict[str, Sample]
    loss: float
    folds: int | None = None

    def score(self, metric: str) -> Score:
        return self.samples[metric].score()


@dataclass(frozen=True)
class Judged:
    """What probes found.

    Attributes:
        layers: layer -> what its vectors alone reach; of a mean of several layers, the one key -1.
        best: the layer that all labelled sequences choose.
        named: what stands beside each other, :data:`VECTORS` with the layer chosen in each fold anew.
        final: of ``named``, what predictions are from.
        fold: (m,) of each labelled sequence.
        held_out: (m, classes) or (m,) predictions of ``final``, each by models that had not seen the sequence.
        predicted: (sequences, classes) or (sequences,) by the model of all labelled sequences.
    """

    labelled: Labelled
    layers: dict[int, Entry]
    best: int
    named: dict[str, Entry]
    final: str
    fold: np.ndarray
    held_out: np.ndarray
    predicted: np.ndarray
    notes: list[str] = field(default_factory=list)

    @property
    def metric(self) -> str:
        return METRICS[self.labelled.classes is None][0]

    def less(self, name: str, metric: str = "") -> Score:
        """What :attr:`final` reaches more than another of ``named``, on the same resamples."""
        metric = metric or self.metric
        return self.named[self.final].samples[metric].less(self.named[name].samples[metric]).score()


def judge(
    labelled: Labelled, file: LayerFile, layers: tuple[int, ...], scores: np.ndarray | None, ids: list[str], *,
    folds: int, seed: int, threads: int = 0,
) -> Judged:  # fmt: skip
    """Probe each layer, choose one, and judge it beside what needs no vectors.

    Args:
        layers: the number of each layer of ``file``.
        scores: (sequences, columns) that stand beside the vectors of all sequences; None without.
        threads: of large products; of small ones more than one wait for each other for longer than they compute.
    """
    from threadpoolctl import threadpool_limits

    small = len(labelled) * file.width < SMALL
    with threadpool_limits(1 if small else threads or None, user_api="blas"):
        return _judge(labelled, file, layers, scores, ids, folds, seed)


def _judge(
    labelled: Labelled, file: LayerFile, layers: tuple[int, ...], scores: np.ndarray | None, ids: list[str],
    folds: int, seed: int,
) -> Judged:  # fmt: skip
    truth, blocks, rows = labelled.truth, labelled.blocks, labelled.rows
    goal = Goal(labelled.classes is None, len(labelled.classes or ()), seed=seed)
    fold = divided(truth, goal, folds, blocks)
    beside = {COMPOSITION: composition(labelled.sequences)}
    if (letters := one_hot(labelled.sequences)) is not None:
        beside[ONE_HOT] = letters
    if scores is not None:
        if not (known := np.isfinite(scores).all(1)).all():
            raise InputError(f"'{quoted(ids[int(np.argmin(known))])}' has no score to stand beside its vector")
        scores = np.asarray(scores, np.float32)
        beside[SCORES] = scores[rows]
    progress = Progress("judging", (len(layers) + len(beside)) * (folds + 1), "linear models")
    done = 0

    def judged(features: np.ndarray) -> Probe:
        nonlocal done

        def told() -> None:
            nonlocal done
            done += 1
            progress(done)

        return probe(features, truth, goal, fold, blocks, told)

    of_layer = [judged(file.of_layer(place, rows)) for place in range(len(layers))]
    place, of_folds, held_out = chosen(of_layer, fold)
    probes = {name: judged(features) for name, features in beside.items()}
    probes[VECTORS] = replace(of_layer[place], predictions=held_out)
    final = VECTORS
    if scores is not None:
        final, together = BOTH, {}
        for one in sorted({place, *of_folds.tolist()}):
            together[one] = probe(_both(file.of_layer(one, rows), scores[rows]), truth, goal, fold, blocks)
        held_out = np.empty_like(held_out)
        for number, one in enumerate(of_folds.tolist()):
            held_out[fold == number] = together[one].predictions[fold == number]
        probes[BOTH] = replace(together[place], predictions=held_out)
    everything = [*of_layer, *probes.values()]
    positive = 1 if goal.classes == 2 else None
    scorers = [scorer_for(METRICS[goal.regression], truth, one.predictions, positive) for one in everything]
    drawn = samples(scorers, blocks, RESAMPLES, seed)
    entries = [Entry(sample, one.model.loss) for sample, one in zip(drawn, everything, strict=True)]
    counts = np.bincount(of_folds, minlength=len(layers)).tolist()
    return Judged(
        labelled,
        {layer: replace(entry, folds=count) for layer, entry, count in zip(layers, entries, counts, strict=False)},
        layers[place],
        dict(zip(probes, entries[len(layers) :], strict=True)),
        final,
        fold,
        held_out,
        _predicted(probes[final], file, place, scores),
    )


def _both(vectors: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Vectors (n, width) and scores (n, columns), repeated until they are as many as the dimensions."""
    return np.column_stack([vectors, np.repeat(scores, max(1, vectors.shape[1] // scores.shape[1]), axis=1)])


def _predicted(found: Probe, file: LayerFile, place: int, scores: np.ndarray | None) -> np.ndarray:
    """What the model of all labelled sequences says of every sequence."""
    made = []
    for rows, vectors in file.parts(place):
        features = vectors if scores is None else _both(vectors, scores[rows])
        made.append(in_memory(features, np.empty(len(features))).predict(found.model))
    return np.concatenate(made)


def composition(sequences: list[str]) -> np.ndarray:
    """(n, letters) the share of each letter."""
    letters = sorted(set("".join(sequences)))
    counts = np.array([[sequence.count(letter) for letter in letters] for sequence in sequences], np.float32)
    return counts / np.array([[max(1, len(sequence))] for sequence in sequences], np.float32)


def one_hot(sequences: list[str]) -> np.ndarray | None:
    """(n, columns) which letter stands where, for each letter of each position that differs; None where sequences
    differ in length, or are too many for that."""
    if len({len(sequence) for sequence in sequences}) > 1:
        return None
    codes = np.array([[ord(letter) for letter in sequence] for sequence in sequences], np.int32)
    columns = []
    for column in codes[:, np.ptp(codes, axis=0) > 0].T:
        columns += [column == letter for letter in np.unique(column)]
        if len(columns) * len(sequences) > MOST_CELLS:
            return None
    return np.stack(columns, 1).astype(np.float32) if columns else None
