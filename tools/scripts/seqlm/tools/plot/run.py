"""Vectors of many dimensions drawn in two: PCA, UMAP or t-SNE, one projection for all tables.

Pictures of two tables can be compared only when both were made by one projection, so it is fitted on all their rows
together:

::

    before (n, d) ─┐                                               ┌─ points (n, 2)
                   ├─ scaled ─ stacked (2n, d) ─ fitted ─ (2n, 2) ─┤
    after  (n, d) ─┘                                               └─ points (n, 2)

Sources: Jolliffe & Cadima (2016) 10.1098/rsta.2015.0202 (PCA); McInnes et al. (2018) 10.21105/joss.00861 (UMAP);
van der Maaten & Hinton (2008) JMLR 9:2579 (t-SNE); Kobak & Berens (2019) 10.1038/s41467-019-13056-x (t-SNE after PCA to
50 dimensions, started from PCA).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from seqlm.cli.errors import InputError

ALIKE = 1e-6  # what rounding leaves of equal directions
FEWEST = 5  # points, of all tables, that a projection is made of
TSNE_DIMENSIONS = 50  # kept by the PCA that goes before t-SNE
PERPLEXITY_SHARE = 3  # a perplexity takes about three times as many neighbours, so n - 1 over this is the highest
OFFSET_SHARE = 0.5  # of the variance along an axis that lies between tables, from which it tells of little else


@dataclass
class Projection:
    """Points of each table, and how they came about.

    Attributes:
        points: one (n, 2) array a table.
        axes: names of the two axes.
        explained: of PCA, the share of the variance of all rows on each axis; else empty.
        explained_of: of PCA, the same of each table around its own mean.
        between: (2,) share of the variance along each axis that lies between the means of the tables; 0 for one table.
        settings: what the method ran with, by name.
        notes: one sentence for each thing that was changed.
    """

    points: list[np.ndarray]
    axes: tuple[str, str]
    explained: list[float] = field(default_factory=list)
    explained_of: list[list[float]] = field(default_factory=list)
    between: list[float] = field(default_factory=lambda: [0.0, 0.0])
    settings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def prepared(tables: Sequence[np.ndarray], *, scale: str = "none", centre: str = "together") -> list[np.ndarray]:
    """The tables as the projection and all scores see them.

    Args:
        tables: (n, d) arrays of one width.
        scale: ``standard`` gives every column mean 0 and standard deviation 1 over all tables; constant columns are 0.
        centre: ``each`` moves the tables to one mean, so that no constant offset between them is left; ``spread`` also
            scales them to one spread (root mean square distance from the mean), so that neither shrinks to a dot beside
            the other; ``together`` leaves them as they are.

    Returns:
        float64 arrays. Euclidean distances within a table do not depend on ``centre`` but for one factor, and scores
        of neighbours and silhouettes do not change with that.
    """
    tables = [np.asarray(table, dtype=np.float64) for table in tables]
    mean = np.concatenate(tables).mean(axis=0)
    if centre != "together":
        factors = [1.0] * len(tables)
        if centre == "spread":
            spreads = [spread_of(table) for table in tables]
            wanted = float(np.mean(spreads))
            factors = [wanted / spread if spread else 1.0 for spread in spreads]
        tables = [(table - table.mean(axis=0)) * factor + mean for table, factor in zip(tables, factors, strict=True)]
    if scale == "standard":
        stacked = np.concatenate(tables)
        spread, largest = stacked.std(axis=0), np.abs(stacked).max(axis=0)
        varies = spread > 1e-7 * largest  # what rounding leaves of a constant column is no spread
        tables = [np.where(varies, (table - mean) / np.where(varies, spread, 1), 0) for table in tables]
    return tables


def spread_of(table: np.ndarray) -> float:
    """Root mean square distance of the rows from their mean."""
    return float(np.sqrt(np.asarray(table, dtype=np.float64).var(axis=0).sum()))


def project(
    tables: Sequence[np.ndarray],
    method: str,
    *,
    metric: str = "euclidean",
    neighbours: int = 15,
    min_dist: float = 0.1,
    perplexity: float = 30.0,
    seed: int = 42,
) -> Projection:
    """Two dimensions for the rows of all tables, by one projection.

    Args:
        tables: (n, d) arrays of one width, as :func:`prepared` gives them.
        method: one of ``METHODS``.
        metric: of UMAP and t-SNE, ``euclidean`` or ``cosine``; PCA knows no other than the first.
        neighbours, min_dist: of UMAP.
        perplexity: of t-SNE.
        seed: equal seeds give equal points.

    Raises:
        ValueError: fewer than ``FEWEST`` rows, or rows that are all the same.

    >>> project([np.eye(6), 2 * np.eye(6)], "pca").axes
    ('PC1 (20 %)', 'PC2 (20 %)')
    """
    stacked = np.concatenate(tables)
    if len(stacked) < FEWEST or not np.ptp(stacked, axis=0).any():
        raise ValueError(f"{FEWEST} rows that are not all the same are wanted, got {stacked.shape}")
    if method != "pca" and metric == "cosine":
        _require_directions(stacked)
    if method == "pca":
        found = _pca(stacked, tables)
    elif method == "umap":
        found = _umap(stacked, metric, neighbours, min_dist, seed)
    else:
        found = _tsne(stacked, metric, perplexity, seed)
    points = found.points[0]
    found.points = np.split(points, np.cumsum([len(table) for table in tables])[:-1])
    found.between = _between(found.points)
    return found


def principal_components(rows: np.ndarray, dimensions: int):
    """A fitted exact PCA; ``rows`` (n, d) float64, ``dimensions`` cut to what there are."""
    from sklearn.decomposition import PCA

    n, d = rows.shape
    # Both are exact; with more rows than columns the matrix of covariances is the smaller problem.
    solver = "covariance_eigh" if n >= d else "full"
    return PCA(min(dimensions, n, d), svd_solver=solver).fit(rows)


def _pca(stacked: np.ndarray, tables: Sequence[np.ndarray]) -> Projection:
    pca = principal_components(stacked, 2)
    points = pca.transform(stacked)
    shares = pca.explained_variance_ratio_.tolist()
    of_tables = []
    for table in tables:
        total = float(table.var(axis=0).sum())
        along = pca.transform(table).var(axis=0)
        of_tables.append([float(share) / total if total > 0 else 0.0 for share in along])
    if points.shape[1] == 1:  # vectors of one dimension are drawn on a line
        points = np.column_stack([points, np.zeros(len(points))])
        shares, of_tables = [*shares, 0.0], [[*share, 0.0] for share in of_tables]
    axes = tuple(f"PC{number} ({share:.0%})".replace("%", " %") for number, share in enumerate(shares, start=1))
    return Projection([points], axes, shares, of_tables)


def _umap(stacked: np.ndarray, metric: str, neighbours: int, min_dist: float, seed: int) -> Projection:
    from umap import UMAP

    notes = []
    if neighbours > (most := len(stacked) - 1):
        notes.append(f"UMAP was asked for {neighbours} neighbours; a point has only {most} here, which it took.")
        neighbours = most
    with warnings.catch_warnings():
        # points in several unconnected groups are what embeddings look like, and their picture is sound
        warnings.filterwarnings("ignore", message="(?s).*(k >= N|spectral|disconnected|connected components).*")
        points = UMAP(
            n_neighbors=neighbours, min_dist=min_dist, metric=metric, random_state=seed, n_jobs=1
        ).fit_transform(stacked.astype(np.float32))
    settings = {"neighbours": str(neighbours), "least distance": f"{min_dist:g}", "distance": metric}
    return Projection([_finite(points)], ("UMAP 1", "UMAP 2"), settings=settings, notes=notes)


def _tsne(stacked: np.ndarray, metric: str, perplexity: float, seed: int) -> Projection:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    notes = []
    highest = (len(stacked) - 1) / PERPLEXITY_SHARE
    if perplexity > highest:
        notes.append(
            f"t-SNE was asked for a perplexity of {perplexity:g}; {len(stacked):,} points allow {highest:.3g} at most, "
            "which it took."
        )
        perplexity = highest
    if metric == "cosine":  # between rows of length 1, Euclidean distances are those of angles
        length = np.linalg.norm(stacked, axis=1, keepdims=True)
        stacked = stacked / np.where(length > 0, length, 1)
    reduced = principal_components(stacked, TSNE_DIMENSIONS).transform(stacked).astype(np.float32)
    _require_distances(reduced)
    # Threads add up in no fixed order, and t-SNE makes another picture of a difference in the last digit.
    with threadpool_limits(1):
        points = TSNE(perplexity=perplexity, init="pca" if reduced.shape[1] > 1 else "random", random_state=seed)
        points = points.fit_transform(reduced)
    settings = {
        "perplexity": f"{perplexity:.4g}",
        "dimensions kept by the PCA before it": str(reduced.shape[1]),
        "distance": metric,
    }
    return Projection([_finite(points)], ("t-SNE 1", "t-SNE 2"), settings=settings, notes=notes)


def _require_directions(rows: np.ndarray) -> None:
    """Vectors that differ in length alone are one point to whoever looks at angles."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    turned = rows / np.where(length > 0, length, 1)
    if np.ptp(turned, axis=0).max() < ALIKE:
        raise InputError(
            "all vectors point in one direction, and with the cosine distance only directions count, so there is "
            "nothing to draw; choose the Euclidean distance, or leave the vectors as they are (no scaling)"
        )


def _require_distances(rows: np.ndarray) -> None:
    """t-SNE divides by what single precision makes of distances, and ends the process where that is nothing."""
    with np.errstate(over="ignore", under="ignore"):
        squares = np.square(np.ptp(rows, axis=0))  # single precision, as t-SNE has them
    if not np.isfinite(squares).all() or squares.max() < np.finfo(np.float32).tiny:
        extent = "large" if not np.isfinite(squares).all() else "small"
        raise InputError(
            f"the differences between the vectors are too {extent} for t-SNE; scale the columns (--scale standard), or "
            "choose PCA"
        )


def _finite(points: np.ndarray) -> np.ndarray:
    if not np.isfinite(points).all():
        raise InputError("the projection gives no finite points for these vectors; scale them, or choose PCA")
    return points.astype(np.float64)


def _between(points: Sequence[np.ndarray]) -> list[float]:
    """(2,) share of the variance along each axis that lies between tables."""
    if len(points) < 2:
        return [0.0, 0.0]
    stacked = np.concatenate(points)
    centres = np.concatenate([np.tile(table.mean(axis=0), (len(table), 1)) for table in points])
    total = stacked.var(axis=0)
    return np.where(total > 0, centres.var(axis=0) / np.where(total > 0, total, 1), 0.0).tolist()
