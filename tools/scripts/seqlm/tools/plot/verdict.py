"""What a plot shows and how far it can be trusted, in words a biologist understands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqlm.cli.text import shown
from seqlm.report.words import FEW_UNITS, UNBALANCED, with_interval

from .inputs import Points
from .methods import METHODS
from .run import OFFSET_SHARE, Projection
from .scores import LABELS, Judged, Scores

LITTLE_VARIANCE = 0.5  # of all, on the two axes of a PCA
FEW_KEPT = 0.3  # of the nearest neighbours
NAMED = 4


@dataclass
class Plot:
    """The points, where they lie in the picture, and the scores: of classes or values (if any), and of the picture."""

    points: Points
    method: str
    projection: Projection
    separation: Scores | None
    picture: Scores

    @property
    def names(self) -> list[str]:
        names = [shown(name) for name in self.points.names]
        if len(set(names)) < len(names):  # once they are shortened
            return [f"{number}: {name}" for number, name in enumerate(names, start=1)]
        return names

    @property
    def quoted(self) -> list[str]:
        """The names as they stand in a sentence."""
        return [f"'{name}'" for name in self.names]

    @property
    def deciding(self) -> str:
        return "spearman" if self.points.colour == "value" else "macro_purity"

    def outcome(self) -> str:
        """``better``, ``worse`` or ``open``: the second table beside the first, in the deciding score."""
        return {1: "better", -1: "worse", 0: "open"}[self.separation.sign(self.deciding)]


def headline(found: Plot) -> str:
    """The verdict in one sentence."""
    names = found.quoted
    if found.separation is None:
        return (
            f"{METHODS[found.method]} of {len(found.points):,} sequences. Without labels or values nothing can be said "
            "about what separates."
        )
    beyond = [scores[found.deciding].beyond_chance for scores in found.separation.tables]
    words = _WORDS[found.points.colour == "value"]
    if not any(beyond):
        where = f" in {names[0]}" if len(names) == 1 else f", neither in {names[0]} nor in {names[1]}"
        return f"{words['not']} beyond chance{where}."
    if len(names) == 1:
        return f"{words['do']} beyond chance in {names[0]}."
    outcome = found.outcome()
    if outcome == "open":
        return f"{words['open']} does not clearly differ between {names[0]} and {names[1]}."
    text = f"{words[outcome]} in {names[1]} than in {names[0]}."
    return text if beyond[1] else f"{text} {words['not']} beyond chance in {names[1]}."


_WORDS = {
    False: {
        "do": "The classes separate",
        "not": "The classes do not separate",
        "open": "How well the classes separate",
        "better": "The classes separate better",
        "worse": "The classes separate worse",
    },
    True: {
        "do": "Sequences with similar values lie near each other",
        "not": "Sequences with similar values do not lie near each other",
        "open": "How near sequences with similar values lie to each other",
        "better": "Sequences with similar values lie nearer each other",
        "worse": "Sequences with similar values lie less near each other",
    },
}


def explanation(found: Plot) -> str:
    points, scores = found.points, found.separation
    width = points.tables[0].shape[1]
    if scores is None:
        return f"The vectors have {width:,} dimensions, of which the picture shows two."
    parts = []
    for name, judged in zip(found.quoted, (table[found.deciding] for table in scores.tables), strict=True):
        parts.append(_in_words(found, name, judged))
    where = f" of the split '{points.split}'" if points.split else ""
    text = " ".join(parts)
    text += (
        f" This was measured on {len(points):,} sequences{where} in all {width:,} dimensions of the embeddings, not in "
        "the picture. Ranges are 95 % intervals."
    )
    if scores.differences:
        text += " A difference is called clear when its whole interval is above or below zero."
    return text


def _in_words(found: Plot, name: str, judged: Judged) -> str:
    k = found.separation.neighbours
    if found.points.colour == "value":
        return (
            f"In {name}, the mean value of a sequence's {k} nearest neighbours has a Spearman correlation of "
            f"{with_interval(judged.score)} with its own; chance gives {judged.chance.value:.2f}."
        )
    return (
        f"In {name}, of the {k} nearest neighbours of a sequence {_percent(judged)} have its label (mean over "
        f"classes); chance gives {100 * judged.chance.value:.0f} %."
    )


def _percent(judged: Judged) -> str:
    score = judged.score
    return f"{100 * score.value:.0f} % ({100 * score.low:.0f} to {100 * score.high:.0f} %)"


def differences(found: Plot) -> list[str]:
    """One sentence for each score of two tables."""
    if found.separation is None or not found.separation.differences:
        return []
    before, after = found.quoted
    lines = []
    for name, difference in found.separation.differences.items():
        if not any(table[name].beyond_chance for table in found.separation.tables):
            lines.append(f"{LABELS[name]}: beyond chance in neither.")
            continue
        way = {1: "clearly higher", -1: "clearly lower", 0: "no clear difference"}[found.separation.sign(name)]
        lines.append(f"{LABELS[name]}: {way}; {after} less {before} is {with_interval(difference)}.")
    return lines


def warnings(found: Plot) -> list[str]:
    """What makes the picture or the verdict weaker than it looks, the most serious first."""
    points, lines = found.points, []
    if points.colour != "none":
        if points.split == "train":
            lines.append(
                "These are training sequences. A model that was trained on their labels separates them better than new "
                "ones."
            )
        elif not points.split and len(points.names) == 2:
            what = "values" if points.colour == "value" else "labels"
            lines.append(
                f"If a model was fine-tuned on some of these {what}, its training sequences look better than new ones "
                "will. Choose the test split to see how it does on new ones."
            )
    lines += _about_the_picture(found)
    if len(points) < FEW_UNITS:
        lines.append(f"There are only {len(points):,} sequences; small differences mean nothing.")
    if points.codes is not None:
        lines += _about_classes(found)
    return lines


def _about_the_picture(found: Plot) -> list[str]:
    lines, projection = [], found.projection
    if found.method != "pca":
        lines.append(
            f"{METHODS[found.method]} tries to keep neighbours together and nothing else: how far groups lie from each "
            "other, how large they are and what shape they have means nothing."
        )
    elif (share := sum(projection.explained)) < LITTLE_VARIANCE:
        lines.append(
            f"The two axes hold {100 * share:.0f} % of the variance; what overlaps in the picture may be apart "
            "in other dimensions. The scores look at all of them."
        )
    for axis, share in zip(projection.axes, projection.between, strict=True):
        if share > OFFSET_SHARE:
            name = axis.split(" (")[0]
            lines.append(
                f"Along {name}, {100 * share:.0f} % of the variance lies between the tables: all vectors moved "
                "together, which separates no classes. Centring each table takes this out of the picture."
            )
    if len(projection.explained_of) == 2:
        shares = [sum(shares) for shares in projection.explained_of]
        more, less = int(shares[1] > shares[0]), int(shares[1] <= shares[0])
        if shares[less] < shares[more] / 2:
            lines.append(
                f"The axes follow {found.quoted[more]}, whose vectors are spread further: they hold "
                f"{100 * shares[more]:.0f} % of its variance and {100 * shares[less]:.0f} % of that of "
                f"{found.quoted[less]}. The picture shows less of {found.quoted[less]} than a PCA of its own would."
            )
    kept = [scores["neighbours_kept"].score.value for scores in found.picture.tables]
    if min(kept) < FEW_KEPT:
        shares = " and ".join(f"{100 * share:.0f} %" for share in kept)
        whose = f" of {' and '.join(found.quoted)}" if len(kept) > 1 else ""
        lines.append(
            f"The picture keeps {shares} of the nearest neighbours{whose}: who lies beside whom in it says little."
        )
    return lines


def _about_classes(found: Plot) -> list[str]:
    points, lines = found.points, []
    counts = np.bincount(points.codes, minlength=len(points.classes))
    k = found.separation.neighbours
    small = [points.classes[c] for c in np.flatnonzero((counts > 0) & (counts <= k))]
    if small:
        more = f" and {len(small) - NAMED:,} more" if len(small) > NAMED else ""
        lines.append(
            f"{', '.join(shown(name, 24) for name in small[:NAMED])}{more}: with {k} sequences or fewer, not all "
            f"{k} neighbours can be of the own class, so purity stays below 1."
        )
    most, least = counts.max(), counts[counts > 0].min()
    if most >= UNBALANCED * least:
        lines.append(
            f"The classes are unbalanced ({most:,} sequences of the largest, {least:,} of the smallest): look at the "
            "mean over classes, as plain purity is high by chance."
        )
    return lines
