"""How well classes or values separate in an embedding, judged in all its dimensions and not in a picture.

- **Purity**: of a point's k nearest neighbours, the share that has its label; its mean, and the mean over classes
  (macro), in which a rare class counts as much as a frequent one.
- **Silhouette**: (b - a) / max(a, b), where a is the mean distance to the points of the own class and b that to the
  nearest other class; 1 for far apart, 0 for on top of each other (Rousseeuw 1987, 10.1016/0377-0427(87)90125-7).
- **Neighbour mean**, of values: the mean value of a point's k nearest neighbours, against its own: Spearman's
  correlation and R².
- How much of the neighbourhood a picture keeps: the share of the k nearest neighbours that are among the k nearest in
  the picture too, and trustworthiness, which also asks how far away intruders come from (Venna & Kaski 2001,
  10.1007/3-540-44668-0_68).

Every score has a bootstrap interval over points, which are resampled with what was computed for each; and what chance
gives, from labels that were permuted (of a picture, from points that were). Two tables are scored on the same points
and the same resamples, so that their difference has an interval too (see :mod:`seqlm.metrics.resampling`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from seqlm.metrics.resampling import Sample, Score, Scorer, counters, mean_defined, ratio, samples
from seqlm.metrics.value_metrics import Values

CLASS_METRICS = ("macro_purity", "purity", "silhouette")  # the first decides
VALUE_METRICS = ("spearman", "r2")
PICTURE_METRICS = ("neighbours_kept", "trustworthiness")
LABELS = {
    "macro_purity": "Purity, mean over classes",
    "purity": "Purity",
    "silhouette": "Silhouette",
    "spearman": "Spearman correlation of the neighbours' mean",
    "r2": "R² of the neighbours' mean",
    "neighbours_kept": "Neighbours kept in the picture",
    "trustworthiness": "Trustworthiness of the picture",
}
PERMUTATIONS = 100
MOST_FOR_SILHOUETTE = 5_000  # points; all their distances are held: 200 MB
MOST_FOR_TRUST = 2_000


@dataclass(frozen=True)
class Judged:
    """A score with its interval; what chance gives, with the middle 95 % of permutations; on how many points."""

    score: Score
    chance: Score
    points: int

    @property
    def beyond_chance(self) -> bool:
        """Whether the whole interval lies above the middle 95 % of chance."""
        return bool(self.score.low > self.chance.high)


@dataclass
class Scores:
    """What was scored.

    Attributes:
        tables: one dictionary metric -> score for each table.
        classes: for each table, class index -> purity of the points of this class.
        differences: metric -> second table less the first; empty for one table.
        neighbours: k of the scores.
    """

    tables: list[dict[str, Judged]]
    neighbours: int
    classes: list[dict[int, Score]] = field(default_factory=list)
    differences: dict[str, Score] = field(default_factory=dict)

    def sign(self, metric: str) -> int:
        """1 or -1 where the second table is clearly above or below the first, else 0.

        Clear is a difference whose whole interval lies on one side of zero, where at least one table is beyond chance:
        resamples of points do not know how much of two scores near chance is the luck of the labels.
        """
        if not any(table[metric].beyond_chance for table in self.tables):
            return 0
        difference = self.differences[metric]
        return int(difference.low > 0) - int(difference.high < 0)


def score_classes(
    tables: Sequence[np.ndarray],
    codes: np.ndarray,
    *,
    neighbours: int = 10,
    metric: str = "euclidean",
    resamples: int = 1000,
    seed: int = 42,
) -> Scores:
    """Purity and silhouette of classes.

    Args:
        tables: one or two arrays (n, d), rows in one order.
        codes: (n,) class indices from 0 on, at least two of them, fewer than points.
        neighbours: k; at most n - 1.
        metric: of the distances, as for scikit-learn.
    """
    present, codes = np.unique(codes, return_inverse=True)
    classes, n = len(present), len(codes)
    if not 2 <= classes < n:
        raise ValueError(f"from 2 to {n - 1} classes wanted for {n} points, got {classes}")
    k = min(neighbours, n - 1)
    rng = np.random.default_rng(seed)
    chosen = stratified(codes, MOST_FOR_SILHOUETTE, seed)
    few = np.unique(codes[chosen], return_inverse=True)[1]
    permuted = np.stack([rng.permutation(codes) for _ in range(PERMUTATIONS)])
    few_permuted = np.stack([rng.permutation(few) for _ in range(PERMUTATIONS)])
    near = [nearest(table, k, metric) for table in tables]
    pure = [_Means((codes[index] == codes[:, None]).mean(axis=1), codes, "purity") for index in near]
    drawn = [{} for _ in tables]
    for number, sample in enumerate(samples(pure, None, resamples, seed)):
        drawn[number] |= sample
    silhouettes, chances = [], []
    for table, index in zip(tables, near, strict=True):
        distances = _distances(table[chosen], metric)
        silhouettes.append(_Means(silhouette(distances, few), few, "silhouette", macro=False))
        chance = {
            "silhouette": np.array([values.mean() for values in _silhouettes(distances, few_permuted)]),
            "purity": np.empty(PERMUTATIONS),
            "macro_purity": np.empty(PERMUTATIONS),
        }
        sizes = np.bincount(codes)
        for draw, labels in enumerate(permuted):
            same = (labels[index] == labels[:, None]).mean(axis=1)
            chance["purity"][draw] = same.mean()
            chance["macro_purity"][draw] = (np.bincount(labels, same) / sizes).mean()
        chances.append(chance)
        del distances
    for number, sample in enumerate(samples(silhouettes, None, resamples, seed)):
        drawn[number] |= sample
    points = {"purity": n, "macro_purity": n, "silhouette": len(chosen)}
    found = _judged(drawn, chances, CLASS_METRICS, points, k)
    found.classes = [
        {int(code): sample[f"purity of {c}"].score() for c, code in enumerate(present)} for sample in drawn
    ]
    return found


def score_values(
    tables: Sequence[np.ndarray],
    values: np.ndarray,
    *,
    neighbours: int = 10,
    metric: str = "euclidean",
    resamples: int = 1000,
    seed: int = 42,
) -> Scores:
    """How well the mean of its neighbours tells a point's value; arguments as for :func:`score_classes`."""
    values = np.asarray(values, dtype=float)
    k = min(neighbours, len(values) - 1)
    rng = np.random.default_rng(seed)
    permuted = [rng.permutation(values) for _ in range(PERMUTATIONS)]
    near = [nearest(table, k, metric) for table in tables]
    drawn = samples([Values(values, values[i].mean(axis=1), VALUE_METRICS) for i in near], None, resamples, seed)
    chances = []
    for index in near:
        points = [Values(some, some[index].mean(axis=1), VALUE_METRICS).point() for some in permuted]
        chances.append({name: np.array([point[name] for point in points]) for name in VALUE_METRICS})
    return _judged(drawn, chances, VALUE_METRICS, dict.fromkeys(VALUE_METRICS, len(values)), k)


def score_pictures(
    tables: Sequence[np.ndarray],
    pictures: Sequence[np.ndarray],
    *,
    neighbours: int = 10,
    metric: str = "euclidean",
    resamples: int = 1000,
    seed: int = 42,
) -> Scores:
    """How much of the neighbourhood the pictures (n, 2) keep; arguments as for :func:`score_classes`."""
    n = len(tables[0])
    k = min(neighbours, n - 1)
    some = stratified(np.zeros(n, dtype=np.int64), MOST_FOR_TRUST, seed)
    k_some = max(1, min(neighbours, (len(some) - 1) // 2))
    rng = np.random.default_rng(seed)
    kept, trusted, chances = [], [], []
    for table, picture in zip(tables, pictures, strict=True):
        near, in_picture = nearest(table, k, metric), nearest(picture, k)
        kept.append(_Means(_overlap(near, in_picture), None, "neighbours_kept"))
        distances = _distances(table[some], metric)
        trusted.append(_Means(trust(distances, nearest(picture[some], k_some)), None, "trustworthiness"))
        shuffled = [rng.permutation(len(some)) for _ in range(PERMUTATIONS // 5)]
        chances.append(
            {
                "neighbours_kept": np.full(PERMUTATIONS, k / (n - 1)),  # what any other place of a point would keep
                "trustworthiness": np.array(
                    [trust(distances, nearest(picture[some][order], k_some)).mean() for order in shuffled]
                ),
            }
        )
    drawn = [
        first | second
        for first, second in zip(
            samples(kept, None, resamples, seed), samples(trusted, None, resamples, seed), strict=True
        )
    ]
    return _judged(drawn, chances, PICTURE_METRICS, {"neighbours_kept": n, "trustworthiness": len(some)}, k)


def nearest(rows: np.ndarray, k: int, metric: str = "euclidean") -> np.ndarray:
    """(n, k) indices of the nearest other rows, the nearest first."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=k, metric=metric).fit(rows).kneighbors(return_distance=False)


def stratified(codes: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Sorted indices of at most ``most`` points, drawn at random, of each class its share (to within one point)."""
    n = len(codes)
    if n <= most:
        return np.arange(n)
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(n), codes))
    return np.sort(order[((np.arange(most) + rng.random()) * n / most).astype(np.int64)])


def silhouette(distances: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(n,) silhouette of each point, 0 in a class of one.

    scikit-learn's silhouette_samples gives the same, once; here a hundred permutations of the labels have to be scored,
    which as products with one matrix of distances take seconds and not minutes.

    Args:
        distances: (n, n). codes: (n,) class indices.
    """
    return next(_silhouettes(distances, codes[None]))


def _silhouettes(distances: np.ndarray, labellings: np.ndarray):
    """Yield the silhouettes (n,) of each row of ``labellings`` (labellings, n); all have the same class sizes."""
    n, sizes = len(distances), np.bincount(labellings[0]).astype(float)
    rows = np.arange(n)
    for codes in labellings:
        sums = counters(codes, rows, (len(sizes), n)) @ distances  # (classes, n), from each point to all of a class
        own = sums[codes, rows] / np.maximum(sizes[codes] - 1, 1)
        sums /= sizes[:, None]
        sums[codes, rows] = np.inf
        other = sums.min(axis=0)
        larger = np.maximum(own, other)
        values = np.divide(other - own, larger, out=np.zeros(n), where=larger > 0)
        yield np.where(sizes[codes] > 1, values, 0.0)


def trust(distances: np.ndarray, in_picture: np.ndarray) -> np.ndarray:
    """(n,) what each point adds to the trustworthiness of a picture, which is their mean.

    Args:
        distances: (n, n) before the projection.
        in_picture: (n, k) nearest neighbours in the picture, k below n / 2.
    """
    n, k = in_picture.shape
    distances = distances.copy()
    np.fill_diagonal(distances, np.inf)
    ranks = np.empty((n, n), dtype=np.int64)
    np.put_along_axis(ranks, distances.argsort(axis=1), np.arange(1, n + 1)[None], axis=1)
    excess = np.maximum(np.take_along_axis(ranks, in_picture, axis=1) - k, 0).sum(axis=1)
    return 1 - 2 * excess / (k * (2 * n - 3 * k - 1))


def _overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n,) share of the indices (n, k) in ``first`` that are in the same row of ``second``."""
    apart = len(first) * np.arange(len(first))[:, None]  # so that rows share no numbers
    return np.isin(first + apart, second + apart).mean(axis=1)


def _distances(rows: np.ndarray, metric: str) -> np.ndarray:
    from sklearn.metrics import pairwise_distances

    return pairwise_distances(rows, metric=metric)


class _Means(Scorer):
    """The mean of one number a point (n,), and with ``codes`` those over classes and of each class.

    The metrics are called ``name``, ``macro_name`` and ``name of 0``, ``name of 1`` … for each class.
    """

    def __init__(self, values: np.ndarray, codes: np.ndarray | None, name: str, *, macro: bool = True):
        self.values, self.name, self.n = values, name, len(values)
        self.macro = codes is not None and macro
        self.codes = codes if self.macro else np.zeros(self.n, dtype=np.int64)
        self.classes = int(self.codes.max()) + 1
        self.width = 2 * self.classes

    def point(self):
        everyone = np.arange(self.n)
        score = self.counted(everyone, np.zeros_like(everyone), 1)
        return {name: float(value[0]) for name, value in score(np.ones((1, 1))).items()}

    def counted(self, units, owner, blocks):
        from scipy.sparse import csr_matrix

        codes, shape = self.codes[units], (self.classes, blocks)
        counts = counters(codes, owner, shape)
        sums = csr_matrix((self.values[units], (codes, owner)), shape=shape)

        def score(weights):
            held, total = (counts @ weights.T), (sums @ weights.T)  # (classes, resamples)
            result = {self.name: total.sum(axis=0) / held.sum(axis=0)}
            if self.macro:
                means = ratio(total, held)
                result[f"macro_{self.name}"] = mean_defined(means, axis=0)
                result |= {f"{self.name} of {c}": mean for c, mean in enumerate(means)}
            return result

        return score


def _judged(
    drawn: list[dict[str, Sample]],
    chances: list[dict[str, np.ndarray]],
    metrics: Sequence[str],
    points: dict[str, int],
    k: int,
) -> Scores:
    tables = [
        {name: Judged(sample[name].score(), _middle(chance[name]), points[name]) for name in metrics}
        for sample, chance in zip(drawn, chances, strict=True)
    ]
    found = Scores(tables, k)
    if len(drawn) == 2:
        for name in metrics:
            found.differences[name] = drawn[1][name].less(drawn[0][name]).score()
    return found


def _middle(values: np.ndarray) -> Score:
    return Score(float(values.mean()), *(float(side) for side in np.percentile(values, [2.5, 97.5])))
