"""From examples to a split dataset: groups, split, and what leaks from one side to the other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqlm.cli.errors import InputError
from seqlm.data.datasets import SPLITS
from seqlm.data.group_splits import group_split, numbered, strata_of
from seqlm.data.records import DNA, TEXT
from seqlm.similarity.homology import clusters

from .inputs import Plan
from .leakage import Compared, Leakage, measure_leakage
from .site_windows import Entry
from .splitting import given_split, largest_first, random_split

ACYCLIC = "acyclic"  # the scaffold of all molecules without a ring
SHORT = 101  # letters, up to which sequences of one length are compared letter by letter


@dataclass
class Made:
    """A dataset.

    Attributes:
        entries: the examples that are in a split, in the order of the input.
        split: (n,) places in ``SPLITS``.
        left_out: examples that could not be used, in no split.
        groups: name of the group of each entry (cluster, scaffold, group of the user); empty where there are none.
        group_name: what a group is in a word.
        related: why related sequences were not looked for; empty where they were.
        texts: what each entry is compared by, canonical SMILES of molecules; empty where that is its sequence.
        tools: program -> version, of what was run.
        short: how many different sequences were compared by edit distance as well.
        by_chance: length -> identity of them that chance explains.
    """

    plan: Plan
    entries: list[Entry]
    split: np.ndarray
    left_out: list[Entry] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    group_name: str = ""
    related: str = ""
    leakage: Leakage = field(default_factory=Leakage)
    texts: Sequence[str] = ()
    tools: dict[str, str] = field(default_factory=dict)
    short: int = 0
    by_chance: dict[int, float] = field(default_factory=dict)

    def of(self, split: str) -> list[Entry]:
        """The examples of one split."""
        place = SPLITS.index(split)
        return [entry for entry, where in zip(self.entries, self.split.tolist(), strict=True) if where == place]

    @property
    def splits(self) -> list[str]:
        """Splits that have examples."""
        return [name for place, name in enumerate(SPLITS) if (self.split == place).any()]


def make(plan: Plan, scratch: Path) -> Made:
    """Split the examples of a plan and measure what leaks.

    Raises:
        InputError: a split that cannot be made of these examples, or MMseqs2 that fails.
    """
    arguments, made = plan.arguments, Made(plan, list(plan.entries), np.zeros(len(plan.entries), np.int8))
    compared = Compared(alphabet=plan.alphabet, padding=_padding(plan))
    if plan.alphabet == TEXT:
        scaffolds = _molecules(made, compared)
    if arguments.split == "homology":
        _related(made, compared, scratch)
    made.texts = compared.texts or ()
    strata = strata_of([entry.label for entry in made.entries], plan.numbers, plan.parts)
    count, seed = len(made.entries), arguments.seed
    match arguments.split:
        case "none":
            return made
        case "random":
            units = numbered([entry.protein for entry in made.entries]) if plan.whole else np.arange(count)
            made.split = random_split(int(units.max()) + 1, plan.parts, seed)[units]
        case "given":
            made.split = given_split([entry.split for entry in made.entries])
        case "stratified":
            # equal sequences, or the windows of a protein, stay together
            texts = compared.texts or [entry.sequence for entry in made.entries]
            units = [entry.protein for entry in made.entries] if plan.windows else texts
            what = "proteins" if plan.windows else "different sequences"
            made.split = group_split(numbered(units), strata, plan.parts, seed, what)
        case "group":
            named = bool(made.entries[0].group)
            made.groups = [entry.group if named else plan.proteins[entry.protein].id for entry in made.entries]
            made.group_name = "group" if named else ""  # a protein has a measure of its own
            what = "groups" if named else "proteins"
            made.split = group_split(numbered(made.groups), strata, plan.parts, seed, what)
        case "scaffold":
            made.groups, made.group_name = [scaffold or ACYCLIC for scaffold in scaffolds], "scaffold"
            if arguments.scaffolds == "balanced":
                made.split = group_split(numbered(made.groups), strata, plan.parts, seed, "scaffolds")
            else:
                made.split = largest_first(numbered(made.groups), plan.parts)
        case "homology":
            searched = int(compared.places.max()) + 1
            found = clusters(compared.hits, searched, arguments.identity, arguments.coverage)[compared.places]
            made.groups, made.group_name = [str(cluster + 1) for cluster in found.tolist()], "cluster"
            made.split = group_split(found, strata, plan.parts, seed, "clusters of related sequences")
    if arguments.split != "homology":  # after the split, which may be impossible, since it takes longest
        _related(made, compared, scratch)
    if made.group_name:
        compared.groups, compared.group_name = numbered(made.groups), made.group_name
    made.leakage = measure_leakage(made.entries, made.split, compared, seed)
    return made


def _padding(plan: Plan) -> str | None:
    """What fills up windows, or sequences that look like windows; None where lengths differ."""
    if plan.windows:
        return plan.arguments.padding
    lengths = {len(entry.sequence) for entry in plan.entries}
    if plan.alphabet == TEXT or len(lengths) > 1 or max(lengths) > SHORT:
        return None
    return "N" if plan.alphabet == DNA else "X"


def _molecules(made: Made, compared: Compared) -> list[str]:
    """Leave out what RDKit cannot read; returns the scaffolds of the others."""
    from seqlm.similarity import scaffolds

    made.tools["RDKit"] = scaffolds.version()
    found = scaffolds.read_molecules([entry.sequence for entry in made.entries])
    readable = [text is not None for text in found.canonical]
    if not any(readable):
        raise InputError(
            f"none of the {len(readable):,} sequences is a molecule that RDKit can read, the first being "
            f"'{made.entries[0].sequence[:40]}'; say with --alphabet what they are"
        )
    made.left_out = [entry for entry, good in zip(made.entries, readable, strict=True) if not good]
    made.entries = [entry for entry, good in zip(made.entries, readable, strict=True) if good]
    made.split = np.zeros(len(made.entries), np.int8)
    if made.left_out:
        made.plan.counted["SMILES that cannot be read, left out of every split"] += len(made.left_out)
    compared.texts = [text for text in found.canonical if text is not None]
    compared.fingerprints = [each for each in found.fingerprints if each is not None]
    return [scaffold for scaffold in found.scaffolds if scaffold is not None]


def _related(made: Made, compared: Compared, scratch: Path) -> None:
    """Search for related sequences, unless there is no need or no way to."""
    from seqlm.similarity import homology, mmseqs

    plan = made.plan
    if plan.alphabet == TEXT:
        return
    if plan.arguments.neighbours == "skip" and plan.arguments.split != "homology":
        made.related = "the search was switched off"
    elif not mmseqs.version():
        made.related = "MMseqs2 is not installed"
    if made.related:
        print(f"note: related sequences are not looked for: {made.related}", file=sys.stderr)
        return
    if plan.windows:
        sequences = [plan.proteins[entry.protein].sequence for entry in made.entries]
    else:
        sequences = [entry.sequence for entry in made.entries]
    compared.places = numbered(sequences)  # equal ones are searched once and have one place
    folder = scratch / "mmseqs"
    folder.mkdir()
    made.tools["MMseqs2"] = mmseqs.version()
    compared.hits = homology.search(
        list(dict.fromkeys(sequences)), folder, threads=plan.arguments.threads, dna=plan.alphabet == DNA
    )
    made.short, made.by_chance = int(compared.hits.short.sum()), compared.hits.by_chance
