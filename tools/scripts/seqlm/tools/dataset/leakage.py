"""What a test set shares with the training set, which makes its scores too good.

Every measure is set beside the same measure of a random split of the same examples, and the likeness of windows also
beside that of shuffled windows, which is what equal composition alone gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from seqlm.data.datasets import SPLITS
from seqlm.data.records import DNA, PROTEIN, TEXT
from seqlm.similarity import homology, neighbours
from seqlm.similarity.homology import Hits

from .site_windows import Entry

# Identity (of molecules: Tanimoto similarity) from which a neighbour is counted -> how severe that is. DNA of unrelated
# sequences is a quarter identical already; molecules with a similarity of 0.4 are common among any drugs.
THRESHOLDS = {PROTEIN: {0.3: 1, 0.5: 2, 0.9: 3}, DNA: {0.7: 1, 0.8: 2, 0.9: 3}, TEXT: {0.4: 0, 0.6: 1, 0.9: 2}}
MOST_MOLECULES = 20_000_000  # pairs compared, about 7 s


@dataclass
class Measure:
    """How many held-out examples share something with the training set.

    Attributes:
        what: what is shared, to go on from "test examples …".
        found, of: split -> examples that share it, and examples looked at.
        at_random: the share of test examples (or else validation examples) in a random split; None if not measured.
        by_chance: the share of them that shuffled windows reach; None if not measured.
        severity: 3 is the same sequence again, 2 a close relative, 1 a distant one, 0 hardly any.
    """

    what: str
    found: dict[str, int]
    of: dict[str, int]
    at_random: float | None = None
    by_chance: float | None = None
    severity: int = 1


@dataclass
class Likeness:
    """How near each held-out example is to its nearest training example.

    Attributes:
        of: what is compared: ``windows``, ``short sequences``, ``proteins``, ``sequences`` or ``molecules``.
        by_split: split -> (m,) shares of equal letters (Tanimoto similarities of molecules).
        at_random: the same in a random split; None if not measured.
        by_chance: the same of shuffled windows; None if not measured.
        thresholds: from which a neighbour is counted.
        total: split -> held-out examples, of which those in ``by_split`` may be a sample.
    """

    of: str
    by_split: dict[str, np.ndarray]
    at_random: np.ndarray | None
    by_chance: np.ndarray | None
    thresholds: tuple[float, ...]
    total: dict[str, int]


@dataclass
class Leakage:
    """All that was measured; empty where there is one split only."""

    measures: list[Measure] = field(default_factory=list)
    likeness: list[Likeness] = field(default_factory=list)
    deciding: str = ""  # the split that the verdict is about: the test set, or else the validation set
    blind: int = 0  # examples of that split whose relatives the search would not have seen

    def worst(self, severity: int) -> tuple[float, Measure | None]:
        """The largest share of the deciding split beyond chance in a measure of at least this severity, and which."""
        beyond = [
            (each.found[self.deciding] / max(each.of[self.deciding], 1) - (each.by_chance or 0.0), each)
            for each in self.measures
            if each.severity >= severity
        ]
        return max(beyond, key=lambda pair: pair[0], default=(0.0, None))


@dataclass
class Compared:
    """What is compared, beside the entries themselves.

    Attributes:
        alphabet: ``protein``, ``DNA`` or ``text`` (molecules).
        groups: (n,) number of each entry's group, or None.
        group_name: what a group is in a word, such as ``cluster``.
        padding: what fills up sequences that are all of one length and compared letter by letter; None if they are not.
        hits: all pairs of related sequences; None if not searched for.
        places: (n,) place of each entry's sequence, or protein, among those that were searched.
        fingerprints: of molecules; None for anything else.
        texts: what is compared for equality, where it is not the sequence (canonical SMILES).
    """

    alphabet: str = PROTEIN
    groups: np.ndarray | None = None
    group_name: str = "group"
    padding: str | None = None
    hits: Hits | None = None
    places: np.ndarray | None = None
    fingerprints: Sequence | None = None
    texts: Sequence[str] | None = None


def measure_leakage(entries: list[Entry], split: np.ndarray, compared: Compared, seed: int) -> Leakage:
    """Compare the validation and the test set with the training set.

    Args:
        entries: all examples that are in a split.
        split: (n,) places in ``SPLITS``.
        seed: of the random split, of the shuffled windows and of samples.
    """
    held_out = [place for place in (1, 2) if (split == place).any()]
    if not held_out or not (split == 0).any():
        return Leakage()
    found = Leakage(deciding=SPLITS[held_out[-1]])
    randomly = np.random.default_rng([seed, 1]).permutation(split)
    texts = compared.texts if compared.texts is not None else [entry.sequence for entry in entries]
    equal = "are the same molecule as" if compared.alphabet == TEXT else "have the same sequence as"
    found.measures.append(_shared(f"{equal} a training example", texts, split, randomly, held_out, 3))
    if entries[0].protein >= 0:
        proteins = [entry.protein for entry in entries]
        found.measures.append(
            _shared("are of a protein that has training examples too", proteins, split, randomly, held_out, 2)
        )
    if compared.groups is not None:
        what = f"are of a {compared.group_name} that has training examples too"
        found.measures.append(_shared(what, compared.groups.tolist(), split, randomly, held_out, 2))
    if compared.padding is not None:
        _compare_windows(found, entries, split, randomly, held_out, compared, seed)
    if compared.fingerprints is not None:
        _compare_molecules(found, compared.fingerprints, split, randomly, held_out, seed)
    if compared.hits is not None:
        _compare_related(found, entries, split, randomly, held_out, compared)
        found.blind = int((~compared.hits.compared[compared.places[split == held_out[-1]]]).sum())
    elif compared.fingerprints is None:
        found.blind = int((split == held_out[-1]).sum())
    return found


def _shared(what: str, names: Sequence, split, randomly, held_out: list[int], severity: int) -> Measure:
    """Count the held-out examples whose name is one of the training set."""

    def count(assigned: np.ndarray, place: int) -> int:
        training = {name for name, where in zip(names, assigned.tolist(), strict=True) if where == 0}
        return sum(name in training for name, where in zip(names, assigned.tolist(), strict=True) if where == place)

    of = {SPLITS[place]: int((split == place).sum()) for place in held_out}
    last = held_out[-1]
    return Measure(
        what,
        {SPLITS[place]: count(split, place) for place in held_out},
        of,
        count(randomly, last) / of[SPLITS[last]],
        severity=severity,
    )


def _compare_windows(found: Leakage, entries, split, randomly, held_out, compared: Compared, seed: int) -> None:
    codes = neighbours.as_codes([entry.sequence for entry in entries], compared.padding)
    length = codes.shape[1]
    run = (length + 1) // 2
    letters = "bases" if compared.alphabet == DNA else "residues"
    name = "window" if entries[0].protein >= 0 else "sequence"
    last = held_out[-1]

    def overlapping(held: np.ndarray, assigned: np.ndarray) -> int:
        return int(neighbours.shares_run(held, codes[assigned == 0], run).sum())

    rng = np.random.default_rng([seed, 2])
    training = codes[split == 0]
    mixed = neighbours.shuffled(codes[split == last], rng)
    of = {SPLITS[place]: int((split == place).sum()) for place in held_out}
    found.measures.append(
        Measure(
            f"share {run} {letters} in a row with a training {name}",
            {SPLITS[place]: overlapping(codes[split == place], split) for place in held_out},
            of,
            overlapping(codes[randomly == last], randomly) / of[SPLITS[last]],
            overlapping(mixed, split) / of[SPLITS[last]],
            severity=2,
        )
    )

    def sample(assigned: np.ndarray, place: int) -> np.ndarray:
        places = np.flatnonzero(assigned == place)
        most = neighbours.how_many(len(places), len(training), length)
        return places if most == len(places) else np.sort(rng.choice(places, most, replace=False))

    chosen = {place: sample(split, place) for place in held_out}
    values = {SPLITS[place]: neighbours.nearest(codes[places], training) for place, places in chosen.items()}
    at_random = neighbours.nearest(codes[sample(randomly, last)], codes[randomly == 0])
    # the last held-out places are in the order of ``mixed``
    picked = np.searchsorted(np.flatnonzero(split == last), chosen[last])
    by_chance = neighbours.nearest(mixed[picked], training)
    of_what = "windows" if name == "window" else "short sequences"
    _add_likeness(found, of_what, values, at_random, by_chance, THRESHOLDS[compared.alphabet], of)


def _compare_molecules(found: Leakage, fingerprints, split, randomly, held_out, seed: int) -> None:
    from seqlm.similarity.scaffolds import nearest

    rng, last = np.random.default_rng([seed, 2]), held_out[-1]

    def values(assigned: np.ndarray, place: int) -> np.ndarray:
        places, training = np.flatnonzero(assigned == place), np.flatnonzero(assigned == 0)
        most = max(MOST_MOLECULES // max(len(training), 1), neighbours.FEWEST_COMPARED)
        if most < len(places):
            places = np.sort(rng.choice(places, most, replace=False))
        return nearest([fingerprints[p] for p in places], [fingerprints[p] for p in training])

    of = {SPLITS[place]: int((split == place).sum()) for place in held_out}
    by_split = {SPLITS[place]: values(split, place) for place in held_out}
    _add_likeness(found, "molecules", by_split, values(randomly, last), None, THRESHOLDS[TEXT], of)


def _compare_related(found: Leakage, entries, split, randomly, held_out, compared: Compared) -> None:
    last = held_out[-1]

    def values(assigned: np.ndarray, place: int) -> np.ndarray:
        places = compared.places
        return homology.nearest(compared.hits, places[assigned == place], np.unique(places[assigned == 0]))

    of = {SPLITS[place]: int((split == place).sum()) for place in held_out}
    by_split = {SPLITS[place]: values(split, place) for place in held_out}
    name = "proteins" if entries[0].protein >= 0 else "sequences"
    _add_likeness(found, name, by_split, values(randomly, last), None, THRESHOLDS[compared.alphabet], of)


_WORDS = {
    "windows": "have a training window {} % identical or more",
    "short sequences": "have a training sequence {} % identical, place by place",
    "proteins": "are of a protein {} % identical to a training one",
    "sequences": "have a training sequence {} % identical or more",
    "molecules": "have a training molecule {} % alike (Tanimoto)",
}


def _add_likeness(found: Leakage, of: str, by_split, at_random, by_chance, thresholds, total) -> None:
    found.likeness.append(Likeness(of, by_split, at_random, by_chance, tuple(thresholds), total))
    for threshold, severity in thresholds.items():
        found.measures.append(
            Measure(
                _WORDS[of].format(round(100 * threshold)),
                {split: int((values >= threshold - 1e-6).sum()) for split, values in by_split.items()},
                {split: len(values) for split, values in by_split.items()},
                float((at_random >= threshold - 1e-6).mean()),
                None if by_chance is None else float((by_chance >= threshold - 1e-6).mean()),
                severity,
            )
        )
