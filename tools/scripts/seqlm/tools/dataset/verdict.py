"""Whether a split can be trusted, and what to do if not, in words a biologist understands."""

from __future__ import annotations

from collections import Counter, defaultdict

from seqlm.cli.text import shown
from seqlm.data.datasets import SPLITS
from seqlm.data.records import DNA, TEXT
from seqlm.report.words import FEW_OF_A_CLASS, FEW_UNITS
from seqlm.similarity.edits import SHORT
from seqlm.similarity.homology import HALF
from seqlm.similarity.mmseqs import LONGEST_ALIGNED

from .leakage import Measure
from .run import Made

# Shares of the test set. Up to A_FEW is luck of the draw; from MANY on they change a score visibly.
A_FEW, MANY = 0.01, 0.1
VAGUE_DNA = 0.75  # identity below which MMseqs2 misses many relatives of DNA of 200 bases, most of shorter ones

TRUSTED, CAREFUL, LEAKING, NO_TEST, UNKNOWN = "trusted", "careful", "leaking", "no test", "unknown"


def grade(made: Made) -> str:
    """One of ``TRUSTED``, ``CAREFUL``, ``LEAKING``, ``NO_TEST`` and ``UNKNOWN``, where too little could be compared."""
    leakage = made.leakage
    if not leakage.deciding:
        return NO_TEST
    if leakage.worst(3)[0] > A_FEW or leakage.worst(2)[0] > MANY:
        return LEAKING
    if leakage.worst(2)[0] > A_FEW or leakage.worst(1)[0] > MANY:
        return CAREFUL
    return UNKNOWN if leakage.blind > A_FEW * len(made.of(leakage.deciding)) else TRUSTED


def headline(made: Made) -> str:
    """The verdict in one sentence."""
    name = made.leakage.deciding
    return {
        NO_TEST: "The examples are in one set; there is no test set to trust or not.",
        TRUSTED: f"The {name} set is independent of the training set, as far as its sequences show.",
        CAREFUL: f"The {name} set is mostly independent of the training set; some of it has relatives there.",
        UNKNOWN: f"Whether the {name} set is independent of the training set cannot be said.",
        LEAKING: f"The {name} set is not independent of the training set: scores on it will be too good.",
    }[grade(made)]


def explanation(made: Made) -> str:
    """What the verdict rests on, and what to do."""
    found = grade(made)
    if found == NO_TEST:
        return "Choose a split to get training, validation and test sets, and a report on what leaks between them."
    leakage = made.leakage
    if found == UNKNOWN:
        return f"{_blind(made)} What could be compared has hardly anything in common with the training set."
    severity = next((level for level in (3, 2, 1) if leakage.worst(level)[0] > (A_FEW if level > 1 else MANY)), 1)
    beyond, measure = leakage.worst(severity)
    if measure is None or beyond <= 0:
        text = "None of the measures below finds more in common than chance explains."
    elif found == TRUSTED:
        text = (
            f"Beyond what chance explains, none of the measures below concerns more than {percent(beyond)} of the "
            f"{leakage.deciding} examples."
        )
    else:
        text = f"{sentence(measure, leakage.deciding)}."
        if measure.at_random is not None and made.plan.arguments.split != "random":
            text += f" If these examples were split at random it would be {percent(measure.at_random)}."
    if found in (CAREFUL, LEAKING):
        text += " " + advice(made)
    return text


def sentence(measure: Measure, split: str) -> str:
    """A measure as a sentence without its full stop."""
    found, of = measure.found[split], measure.of[split]
    text = f"{found:,} of {of:,} {split} examples ({percent(found / max(of, 1))}) {measure.what}"
    if measure.by_chance is not None:
        text += f" (shuffled: {percent(measure.by_chance)})"
    return text


def _blind(made: Made) -> str:
    """What was not compared, and why."""
    leakage, few = made.leakage, len(made.of(made.leakage.deciding))
    if made.related:
        return f"Related sequences were not looked for, since {made.related}."
    return (
        f"For {leakage.blind:,} of {few:,} {leakage.deciding} examples ({percent(leakage.blind / few)}) a relative in "
        "the training set would not have been seen: they are too short for a likeness to be told from chance, too long "
        "to be aligned, or without known letters."
    )


def advice(made: Made) -> str:
    """What makes the split better."""
    arguments, plan = made.plan.arguments, made.plan
    if plan.alphabet == TEXT:
        if arguments.split == "scaffold":
            return "Molecules with other scaffolds can still be alike; report the score by similarity to training too."
        return "Split by scaffold, so that molecules with the same ring system stay on one side."
    if arguments.split == "homology":
        lower = f"Lower the identity from which sequences count as related (now {arguments.identity:g})"
        if plan.windows:
            return f"{lower}; what windows still share is repeats and short motifs."
        return f"{lower}, or the coverage ({arguments.coverage:g})."
    torn = arguments.split == "random" and plan.windows and not plan.whole
    kind = "random split tears windows of one protein apart" if torn else ""
    related = "proteins" if plan.windows or plan.alphabet != DNA else "sequences"
    return ("A " + kind + ". " if kind else "") + f"Split by homology, so that related {related} stay on one side."


def warnings(made: Made) -> list[str]:
    """What a reader must not overlook."""
    plan, found = made.plan, []
    if plan.left_out:
        found.append(f"{shown(plan.left_out, 400)}.")
    labels = [entry.label for entry in made.entries]
    if not plan.numbers and any(labels) and len(set(labels)) == 1:
        found.append(f"All examples have the label {shown(labels[0])}; a classifier needs at least two classes.")
    found += _two_labels(made)
    if made.leakage.blind and grade(made) != UNKNOWN:
        found.append(_blind(made))
    if plan.arguments.split == "none":
        return found
    found += _shares(made) + _middles(made)
    if plan.arguments.split == "random" and plan.windows and not plan.whole:
        found.append(
            "A random split puts windows of one protein, and overlapping ones, on both sides. Take it only to compare "
            "with results that were made so."
        )
    deciding = made.leakage.deciding
    if deciding:
        test = [entry.label for entry in made.of(deciding)]
        if len(test) < FEW_UNITS:
            found.append(f"The {deciding} set has {len(test):,} examples; scores on it will have wide intervals.")
        if not plan.numbers and any(labels):
            counts = Counter(test)
            few = [name for name in dict.fromkeys(labels) if counts[name] < FEW_OF_A_CLASS]
            if few:
                listed = ", ".join(f"{shown(name, 20)} ({counts[name]})" for name in few[:5])
                found.append(f"Classes with few {deciding} examples: {listed}{' …' if len(few) > 5 else ''}.")
    found += _too_long(made) + _short(made)
    searched = not plan.windows and "MMseqs2" in made.tools
    if searched and plan.alphabet == DNA and plan.arguments.split == "homology" and plan.arguments.identity < VAGUE_DNA:
        found.append(
            f"Of DNA, MMseqs2 finds most relatives from {percent(VAGUE_DNA)} identity on and misses more the lower it "
            f"is; the {percent(plan.arguments.identity)} asked for are not reached."
        )
    return found


def _two_labels(made: Made) -> list[str]:
    """Equal examples of which no model can get all right."""
    texts = made.texts or [entry.sequence for entry in made.entries]
    labels: dict[str, set] = defaultdict(set)
    for text, entry in zip(texts, made.entries, strict=True):
        labels[text].add(entry.label)
    twice = {text for text, different in labels.items() if len(different) > 1}
    if not twice:
        return []
    first = next(entry for text, entry in zip(texts, made.entries, strict=True) if text in twice)
    what = "molecules" if made.plan.alphabet == TEXT else "sequences"
    differing = "values" if made.plan.numbers else "labels"
    return [f"Equal {what} with different {differing}: {len(twice):,}, {shown(first.id, 30)} for one."]


def _short(made: Made) -> list[str]:
    """How short sequences were compared."""
    if not made.short:
        return []
    least, most = min(made.by_chance.values()), max(made.by_chance.values())
    dna = made.plan.alphabet == DNA
    limits = percent(most) if most == least else f"{percent(least)} (the longest) to {percent(most)} (the shortest)"
    return [
        f"Short sequences, of up to {SHORT[dna]} letters: {made.short:,}. They were compared by edit distance as well, "
        f"and count as related beyond {limits} identity, which random sequences do not reach."
    ]


def _too_long(made: Made) -> list[str]:
    """Sequences of which no alignment can cover enough."""
    if "MMseqs2" not in made.tools:
        return []
    dna, plan = made.plan.alphabet == DNA, made.plan
    most = int(LONGEST_ALIGNED[dna] / max(HALF, plan.arguments.coverage))
    sequences = [protein.sequence for protein in plan.proteins] or [entry.sequence for entry in made.entries]
    if not (count := sum(len(sequence) > most for sequence in sequences)):
        return []
    return [
        f"Sequences longer than {most:,} letters: {count:,}. One alignment of MMseqs2 has about "
        f"{LONGEST_ALIGNED[dna]:,} letters at most and cannot cover enough of them, so their relatives are missed."
    ]


def _middles(made: Made) -> list[str]:
    """Letters in the middle of windows that are all of one label, so that the letter alone tells it."""
    labels: dict[str, Counter] = defaultdict(Counter)
    for entry in made.entries:
        if entry.protein >= 0:
            labels[entry.residue][entry.label] += 1
    alone = [(letter, *next(iter(counts.items()))) for letter, counts in sorted(labels.items()) if len(counts) == 1]
    if not alone or len({entry.label for entry in made.entries}) < 2:
        return []
    listed = ", ".join(f"{letter} ({count:,} of label {shown(label, 20)})" for letter, label, count in alone)
    return [
        f"Some residues in the middle have one label only: {listed}. A model can learn the label from the letter; "
        "choose the residues, or look at where the sites come from."
    ]


def _shares(made: Made) -> list[str]:
    """Splits whose share is far from the one asked for."""
    plan, count = made.plan, len(made.entries)
    if plan.arguments.split == "given":
        return []
    far = []
    for place, name in enumerate(SPLITS):
        got = float((made.split == place).mean())
        if abs(got - plan.parts[place]) > max(0.02, 0.15 * plan.parts[place]):
            far.append(f"{name} {percent(got)} instead of {percent(plan.parts[place])}")
    if not far:
        return []
    text = f"The shares asked for could not be reached: {', '.join(far)}."
    units = made.groups or [str(entry.protein) for entry in made.entries]
    largest = Counter(units).most_common(1)[0][1]
    return [text + f" The largest group that stays together has {percent(largest / count)} of the examples."]


def percent(share: float) -> str:
    """A share with as many digits as say something."""
    return f"{100 * share:.2g} %" if 0 < share < 0.0995 or 0.995 <= share < 1 else f"{share:.0%}".replace("%", " %")
