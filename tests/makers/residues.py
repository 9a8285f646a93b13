"""Made-up proteins with a label for each residue: bound are H, C and W."""

import random

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def proteins(count, seed, shortest=18, longest=70):
    rng = random.Random(seed)
    return {f"p{n}": "M" + "".join(rng.choices(LETTERS, k=rng.randint(shortest, longest))) for n in range(count)}


def fasta(records, headers=None):
    return "".join(f">{name}{(headers or {}).get(name, '')}\n{text}\n" for name, text in records.items())


PROTEINS = proteins(24, seed=1) | {"p4": "MKVHCYWLLADEKRCC"}
BOUND = {name: "".join("1" if one in "HCW" else "0" for one in text) for name, text in PROTEINS.items()}
MASK = {name: "1" * (len(text) - 4) + "0" * 4 for name, text in PROTEINS.items()}
SPLIT = {name: ("train", "train", "train", "validation", "test", "test")[n % 6] for n, name in enumerate(PROTEINS)}
TEST = {name: PROTEINS[name] for name in PROTEINS if SPLIT[name] == "test"}
