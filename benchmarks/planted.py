"""Does the verdict of an explanation tell models that learnt something from those that did not?

    python benchmarks/planted.py [--tasks gapped dna …] [--seeds 1 2] [--arms taught …] [--method occlusion]

Small sequences in which something was planted, another in each seed: a motif with gaps, a motif in DNA, a composition,
a number that grows with the copies of a motif, a residue that is a site because of another one. The small models of
test-data learn them (all weights, or the head alone), or the same sequences with their labels in random order; and of
those that learnt them there is a copy with the numbers of each tensor in another order. What maps say of 50 new
sequences is judged on 10, 20 and all of them. Everything runs in one process by the tools' own code.

Outcomes are those of three rules: the one before, which asked nothing of how well a model predicts; the one of the
tool, with the scores of the test set; and the same where a bundle has only those of its validation set.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import os
import random
import runpy
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

import numpy as np  # noqa: E402

from makers.planted import AMINO_ACIDS, Planted, relabelled, reordered, share_found, with_motif, write_fasta  # noqa: E402

TASKS = ("gapped", "dna", "composition", "number", "residue")
ARMS = ("taught", "taught, head", "random labels", "random labels, head", "shuffled")
RULES = ("before", "with the test set", "with the validation set alone")
SIZES = (10, 20, 50)
TRAIN, TEST, NEW = 300, 100, 50
LENGTH, BASES = 24, 60


def gapped(rng: random.Random, count: int, motif: random.Random) -> list[Planted]:
    letters = motif.sample(AMINO_ACIDS, 3)
    return with_motif(f"{letters[0]}.{letters[1]}..{letters[2]}", count, rng.random(), length=LENGTH)


def dna(rng: random.Random, count: int, motif: random.Random) -> list[Planted]:
    return with_motif("".join(motif.choices("ACGT", k=9)), count, rng.random(), letters="ACGT", length=BASES)


def composition(rng: random.Random, count: int, motif: random.Random) -> list[Planted]:
    """Every other one has three times as much of two letters."""
    often, found = motif.sample(AMINO_ACIDS, 2), []
    for number in range(count):
        weights = [3 if number % 2 and letter in often else 1 for letter in AMINO_ACIDS]
        text = rng.choices(AMINO_ACIDS, weights, k=LENGTH)
        places = tuple(place for place, letter in enumerate(text) if letter in often) if number % 2 else ()
        found.append(Planted(f"s{number}", "".join(text), "motif" if number % 2 else "none", places))
    return found


def number(rng: random.Random, count: int, motif: random.Random) -> list[Planted]:
    """None, one or two copies of three letters, and noise."""
    letters, found = motif.sample(AMINO_ACIDS, 3), []
    for one in range(count):
        text = rng.choices(AMINO_ACIDS, k=LENGTH)
        starts = rng.sample(range(0, LENGTH - 2, 3), one % 3)
        places = tuple(start + offset for start in starts for offset in range(3))
        for place in places:
            text[place] = letters[place % 3]
        found.append(Planted(f"s{one}", "".join(text), f"{len(starts) + rng.gauss(0, 0.3):.3f}", places))
    return found


def residue(rng: random.Random, count: int, motif: random.Random) -> list[Planted]:
    """A letter is a site where another one stands two places before it; both are made frequent."""
    (before, site), found = motif.sample(AMINO_ACIDS, 2), []
    weights = [4 if letter in (before, site) else 1 for letter in AMINO_ACIDS]
    for one in range(count):
        text = rng.choices(AMINO_ACIDS, weights, k=LENGTH)
        sites = [place for place in range(2, LENGTH) if text[place] == site and text[place - 2] == before]
        label = "".join("1" if place in sites else "0" for place in range(LENGTH))
        found.append(Planted(f"s{one}", "".join(text), label, tuple(sites)))
    return found


MAKERS = {one.__name__: one for one in (gapped, dna, composition, number, residue)}
KINDS = {"number": "sequence-regression", "residue": "residue-classification"}


def tool(name: str, work: Path, arguments: list) -> None:
    """One run of a script in this process."""
    from seqlm.cli.outputs import Outputs

    script = runpy.run_path(str(ROOT / "scripts" / f"{name}.py"))
    quiet = io.StringIO()
    with (
        contextlib.redirect_stderr(quiet), contextlib.redirect_stdout(quiet),
        tempfile.TemporaryDirectory(dir=work) as scratch, Outputs() as outputs,
    ):  # fmt: skip
        script["work"](script["options"]().parse_args(list(map(str, arguments))), Path(scratch), outputs)


def base_of(task: str) -> Path:
    return ROOT / "test-data" / "models" / ("dna-modernbert-0.2m" if task == "dna" else "protein-esm-0.2m")


def taught(task: str, sets: dict[str, list[Planted]], head: bool, work: Path) -> Path:
    """A bundle that learnt the training set."""
    files, extra = {}, []
    if task == "residue":
        for name, planted in sets.items():
            files[name] = work / f"{name}-labels.fasta"
            files[name].write_text("".join(f">{name}{one.id}\n{one.label}\n" for one in planted))
        proteins = work / "proteins.fasta"
        proteins.write_text("".join(
            f">{name}{one.id}\n{one.letters}\n" for name, planted in sets.items() for one in planted
        ))  # fmt: skip
        extra = ["--sequences", proteins]
    else:
        files = {name: write_fasta(planted, work / f"{name}.fasta") for name, planted in sets.items()}
    bundle = work / f"bundle-{len(list(work.iterdir()))}.zip"
    tool("finetune", work, [
        "--model", base_of(task), "--train", files["train"], "--test", files["test"], *extra,
        "--task", KINDS.get(task, "sequence-classification"), "--method", "head" if head else "full", "--epochs", 10,
        *([] if head else ["--learning-rate", 0.002]), "--batch-size", 16, "--threads", 1, "--batch-tokens", 4096,
        "--output-model", bundle,
    ])  # fmt: skip
    return bundle


def checked(bundle: Path, task: str, planted: list[Planted], work: Path, method: str, head: bool):
    """Size -> what is found on so many of the sequences, as the tool does it but for how much shuffled models lose in
    orders of their own, which the verdict does not ask; and the share of what was planted in the highest positions."""
    from seqlm.inference import loading
    from seqlm.tools.explain import deletion
    from seqlm.tools.explain.function import Function
    from seqlm.tools.explain.inputs import check
    from seqlm.tools.explain.run import _maps
    from seqlm.tools.explain.shuffled import shuffled
    from seqlm.tools.explain.summary import Checks, likeness

    arguments = runpy.run_path(str(ROOT / "scripts" / "explain.py"))["options"]().parse_args([
        "--model", str(bundle), "--sequences", str(write_fasta(planted, work / "new.fasta")), "--method", method,
        *(["--explained-class", "motif"] if task not in KINDS else []), "--threads", "1", "--batch-tokens", "4096",
        "--output-table", "none.tsv", *(["--base-model", str(base_of(task))] if head else []),
    ])  # fmt: skip
    with tempfile.TemporaryDirectory(dir=work) as scratch, contextlib.redirect_stderr(io.StringIO()):
        plan = check(arguments, Path(scratch))
        device = loading.prepare(1, arguments.seed, "cpu")
        restored = loading.load_finetuned(plan.bundle, plan.base, device, "fp32")
        function = Function(restored, 4096, plan.hidden[0], plan.family.masked_tokens)
        items = function.items(plan.sequences, plan.goal, plan.site)
        memory = plan.memory.on(device)
        maps = functools.partial(_maps, plan, function, items, memory, lambda done: None)
        values, rng = [own for own, *_ in maps()], np.random.default_rng(arguments.seed)
        orders = [
            [deletion.by_value(own), *deletion.random_orders(item, rng)]
            for own, item in zip(values, items, strict=True)
        ]
        curves = deletion.curves(function, items, orders)
        alike, telling = [], []
        for seed in range(arguments.random_models):
            with shuffled(function.model, arguments.seed + seed):
                telling.append([function.telling(items[:size], only=0) for size in SIZES])
                others = [own for own, *_ in maps(only=0)]
            alike.append([likeness(own, other) for own, other in zip(values, others, strict=True)])
        found = {
            size: Checks(
                curves[:size], deletion.gains(curves[:size]), np.zeros((1, size)), np.asarray(alike)[:, :size],
                function.telling(items[:size]), np.asarray(telling)[:, place], arguments.seed,
            )
            for place, size in enumerate(SIZES)
        }  # fmt: skip
    by_letter = {item.id: item.by_letter(own) for item, own in zip(items, values, strict=True)}
    if task == "residue":  # of the site that is explained, if it is one
        planted = [
            Planted(one.id, one.letters, "", (item.site - 2, item.site) if item.site in one.places else ())
            for one, item in zip(planted, items, strict=True)
        ]
    return found, share_found(planted, by_letter), plan


def by_rule(found, manifest: dict) -> dict[str, str]:
    """Outcome by each of the rules."""
    from seqlm.tools.explain.held_out import held_out

    scores = manifest["metrics"]
    known = (None, held_out(manifest), held_out({"metrics": {"validation": scores["validation"]}}))
    return {rule: replace(found, held_out=one).outcome for rule, one in zip(RULES, known, strict=True)}


def print_rates(outcomes: list[tuple[str, int, dict[str, str]]]) -> None:
    """How often a model is said to show more than chance, with Wilson's interval."""
    from seqlm.metrics.comparisons import share_interval

    print(f"\n| model | sequences | {' | '.join(RULES)} |\n|---|---|---|---|---|")
    for arm in ARMS:
        for size in SIZES:
            own = [rules for name, number, rules in outcomes if (name, number) == (arm, size)]
            cells = []
            for rule in RULES if own else ():
                count = sum(rules[rule] == "more" for rules in own)
                low, high = share_interval(count, len(own))
                cells.append(f"{count} of {len(own)} ({low:.0%} to {high:.0%})")
            if own:
                print(f"| {arm} | {size} | {' | '.join(cells)} |")


def cell(task: str, seed: int, arms: list[str], method: str) -> Iterator[tuple[str, int, dict[str, str]]]:
    """All arms of one task and seed: (arm, sequences, outcome by each rule)."""
    from seqlm.tools.explain.held_out import held_out

    with tempfile.TemporaryDirectory() as folder:
        work, bundles = Path(folder), {}
        sets = {
            name: MAKERS[task](random.Random(f"{task} {seed} {name}"), count, random.Random(f"{task} {seed}"))
            for name, count in (("train", TRAIN), ("test", TEST), ("new", NEW))
        }
        new = sets.pop("new")
        wrong = {name: relabelled(planted, seed) for name, planted in sets.items()}
        for arm in arms:
            started = time.process_time()
            if arm == "shuffled":
                bundles[arm] = reordered(bundles["taught"], work / "shuffled.zip", seed)
            else:
                bundles[arm] = taught(task, wrong if arm.startswith("random") else sets, arm.endswith("head"), work)
            found, share, plan = checked(bundles[arm], task, new, work, method, arm.endswith("head"))
            most = found[SIZES[-1]]
            outcomes = {size: by_rule(found[size], plan.manifest) for size in SIZES}
            yield from ((arm, size, outcome) for size, outcome in outcomes.items())
            gain, like, score = most.gain, most.likeness, held_out(plan.manifest).score
            cells = [
                task, seed, arm, f"{score.value:.2f} ({score.low:.2f} to {score.high:.2f})",
                "–" if np.isnan(share) else f"{share:.0%}",
                f"{gain.value:.3g} ({gain.low:.3g} to {gain.high:.3g})", f"{like.value:.2f}",
                f"{most.telling:.3g} / {most.bound:.3g}", *(", ".join(one.values()) for one in outcomes.values()),
                f"{time.process_time() - started:.0f}",
            ]  # fmt: skip
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--method", default="occlusion")
    arguments = parser.parse_args()
    print("| task | seed | model | test score | found | gain | likeness | told / bound | 10 | 20 | 50 | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    cells = (cell(task, seed, arguments.arms, arguments.method) for seed in arguments.seeds for task in arguments.tasks)
    print_rates([one for outcomes in cells for one in outcomes])


if __name__ == "__main__":
    main()
