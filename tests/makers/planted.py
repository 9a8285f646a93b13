"""Sequences in which something was planted, bundles that have forgotten what they learnt, and whether maps find it."""

import random
import zipfile
from dataclasses import dataclass, replace

import numpy as np
from safetensors.numpy import load, save

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"


@dataclass(frozen=True)
class Planted:
    """One sequence, its label, and where (numbers from 0) what was planted lies."""

    id: str
    letters: str
    label: str
    places: tuple[int, ...] = ()


def with_motif(motif, count, seed, *, letters=AMINO_ACIDS, length=24):
    """Random sequences of which every other one holds the motif somewhere; a dot in it stands for any letter."""
    rng, found = random.Random(seed), []
    for number in range(count):
        text, places = rng.choices(letters, k=length), ()
        if number % 2:
            at = rng.randint(0, length - len(motif))
            places = tuple(at + offset for offset, letter in enumerate(motif) if letter != ".")
            for place in places:
                text[place] = motif[place - at]
        found.append(Planted(f"s{number}", "".join(text), "motif" if places else "none", places))
    return found


def relabelled(planted, seed):
    """The same sequences with their labels in another order: there is nothing in them to be learnt."""
    labels = [one.label for one in planted]
    random.Random(seed).shuffle(labels)
    return [replace(one, label=label) for one, label in zip(planted, labels, strict=True)]


def write_fasta(planted, path):
    path.write_text("".join(f">{one.id} LABEL={one.label}\n{one.letters}\n" for one in planted))
    return path


def reordered(bundle, target, seed=5):
    """The same bundle with the numbers of each tensor in another order."""
    rng = np.random.default_rng(seed)
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(".safetensors"):
                tensors = {key: rng.permutation(one.ravel()).reshape(one.shape) for key, one in load(content).items()}
                content = save(tensors, metadata={"format": "pt"})
            new.writestr(name, content)
    return target


def share_found(planted, values):
    """How many of the positions that speak the most lie where something was planted, of the sequences that hold it; as
    many positions are looked at as were planted.

    Args:
        values: id -> (letters,) of the map.
    """
    found = []
    for one in planted:
        if one.places:
            best = np.argsort(-np.asarray(values[one.id]), kind="stable")[: len(one.places)]
            found.append(np.isin(best, one.places).mean())
    return float(np.mean(found)) if found else float("nan")
