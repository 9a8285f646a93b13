"""What can be said of a substitution without a model, and how that and a model's scores follow measured values.

BLOSUM62 (Henikoff & Henikoff 1992, https://doi.org/10.1073/pnas.89.22.10915) is summed over the substitutions, as is
the change of hydropathy (Kyte & Doolittle 1982, https://doi.org/10.1016/0022-2836(82)90515-0), whichever way it goes.
Of DNA, transversions (a purine for a pyrimidine) are counted. Signs are such that more damage is expected where a
number is lower.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from seqlm.data.records import DNA
from seqlm.metrics.resampling import Score, samples
from seqlm.metrics.value_metrics import Values

from .variants import Variant

NUMBER, BLOSUM, HYDROPATHY, TRANSVERSIONS = "substitutions", "blosum62", "hydropathy", "transversions"
MEANINGS = {
    NUMBER: "the number of substitutions",
    BLOSUM: "the sum of BLOSUM62",
    HYDROPATHY: "the summed change of hydropathy",
    TRANSVERSIONS: "the number of transversions",
}
FEWEST = 3  # measured variants that a correlation says anything of
RESAMPLES = 1000
_PURINES = "AG"


@cache
def blosum62() -> dict[tuple[str, str], float]:
    """(letter, letter) -> score; letters that the matrix lacks are read as X."""
    from Bio.Align import substitution_matrices

    matrix = substitution_matrices.load("BLOSUM62")
    known = set(matrix.alphabet)
    letters = "ACDEFGHIKLMNPQRSTVWYBJOUXZ"
    return {
        (one, other): float(matrix[one if one in known else "X"][other if other in known else "X"])
        for one in letters
        for other in letters
    }


@cache
def hydropathy() -> dict[str, float]:
    """letter -> Kyte–Doolittle hydropathy; a letter that is none of the twenty has their mean."""
    from Bio.SeqUtils.ProtParamData import kd

    mean = sum(kd.values()) / len(kd)
    return {letter: kd.get(letter, mean) for letter in "ACDEFGHIKLMNPQRSTVWYBJOUXZ"}


def of_change(alphabet: str, old: str, new: str) -> dict[str, float]:
    """What is said of one substitution."""
    if alphabet == DNA:
        return {TRANSVERSIONS: -float((old in _PURINES) != (new in _PURINES))}
    scale = hydropathy()
    return {BLOSUM: blosum62()[old, new], HYDROPATHY: -abs(scale[old] - scale[new])}


def of_variants(alphabet: str, variants: Iterable[Variant], wild: list[str]) -> dict[str, np.ndarray]:
    """baseline -> (variants,); NaN for a variant of another length, but for the number of letters that were changed."""
    kinds = (TRANSVERSIONS,) if alphabet == DNA else (BLOSUM, HYDROPATHY)
    found: dict[str, list[float]] = {name: [] for name in (NUMBER, *kinds)}
    for variant in variants:
        sequence = wild[variant.protein]
        parts = [of_change(alphabet, sequence[place], new) for place, new in variant.changes]
        longer = abs(len(variant.sequence) - len(sequence)) if variant.sequence else 0
        found[NUMBER].append(-float(len(parts) + longer))
        for kind in kinds:
            found[kind].append(np.nan if longer else sum(part[kind] for part in parts))
    return {name: np.asarray(values) for name, values in found.items()}


@dataclass(frozen=True)
class Correlation:
    """How the scores of one model or baseline follow measured values.

    Attributes:
        less: of a baseline, the model's Spearman correlation less its own, each taken without its sign.
    """

    spearman: Score
    pearson: Score
    less: Score | None = None


@dataclass(frozen=True)
class Correlations:
    """The model beside its baselines, on the same variants.

    Attributes:
        n: variants with a measured value.
        inverse: higher measured values go with lower scores.
        undefined: why there is no correlation; empty where there is one.
    """

    n: int
    model: Correlation | None
    baselines: dict[str, Correlation]
    inverse: bool = False
    undefined: str = ""


def correlations(
    scores: np.ndarray,
    measured: np.ndarray,
    baselines: dict[str, np.ndarray],
    *,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> Correlations:
    """Correlations (variants,) with 95 % bootstrap intervals; variants without a measured value are left out.

    Args:
        groups: (variants,) what resamples draw together; None for single variants.
    """
    known = np.isfinite(measured)
    n = int(known.sum())
    if n < FEWEST:
        return Correlations(n, None, {}, undefined=f"only {n} variants have a measured value; {FEWEST} are the fewest")
    truth = measured[known]
    if np.ptp(truth) == 0:
        return Correlations(n, None, {}, undefined="all measured values are the same")
    usable = {name: values[known] for name, values in baselines.items() if np.isfinite(values[known]).all()}
    scorers = [Values(truth, values, ("spearman", "pearson")) for values in (scores[known], *usable.values())]
    model, *others = samples(scorers, None if groups is None else groups[known], RESAMPLES, seed)
    sign = -1.0 if model["spearman"].value < 0 else 1.0

    def strength(sample):
        """Of a correlation that may go either way; the sign of the whole sample is kept in its resamples."""
        own = -1.0 if sample.value < 0 else 1.0
        return type(sample)(own * sample.value, own * sample.drawn)

    return Correlations(
        n,
        Correlation(model["spearman"].score(), model["pearson"].score()),
        {
            name: Correlation(
                other["spearman"].score(),
                other["pearson"].score(),
                strength(model["spearman"]).less(strength(other["spearman"])).score(),
            )
            for name, other in zip(usable, others, strict=True)
        },
        inverse=sign < 0,
    )
