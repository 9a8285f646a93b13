"""Contacts of proteins from checked inputs: one protein at a time, rows of the table as they come."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from seqlm.cli.outputs import Outputs, write_table
from seqlm.cli.progress import Progress

from .inputs import Plan
from .ranges import LEAST, LONG, RANGES, best, judged, pairs, range_of
from .structures import distances_of, precisions
from .summary import LIKELY, Checks, Protein, Summary

DRAWN = (
    6  # proteins whose maps are kept and drawn, the first of those that are checked, of known structure before others
)
STRONGEST = 6  # pairs that are named in the report
COLUMNS = ["id", "position_1", "letter_1", "position_2", "letter_2", "probability", "range"]


def explain(plan: Plan, outputs: Outputs) -> Summary:
    """Compute all maps, write the table, and say on stderr what was changed on the way."""
    print("loading the libraries", file=sys.stderr)
    from seqlm.inference import loading

    arguments = plan.arguments
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    plan.memory.on(device)
    model = _loaded(plan, device)
    tokens = [encoded.rows[0] for encoded in plan.encoder.encode_many(plan.sequences)]
    generator = np.random.default_rng(arguments.seed)
    count = min(arguments.checked, len(tokens))
    checked = sorted(generator.choice(len(tokens), count, replace=False).tolist())
    proteins: list[Protein] = []
    unknown = [plan.sequences[place][0] not in plan.known for place in checked]
    drawn = [checked[at] for at in np.argsort(unknown, kind="stable")[:DRAWN]]
    rows = _rows(plan, model, tokens, set(drawn), proteins)
    write_table(outputs.file(arguments.output_table), COLUMNS + ["distance"] * bool(plan.chains), rows)
    summary = Summary(proteins, _checks(plan, model, tokens, checked, proteins, generator), plan.survey.rules)
    for line in [*plan.notes, *summary.rules.lines()]:
        print(f"note: {line}", file=sys.stderr)
    print(f"predicted the contacts of {len(proteins):,} proteins", file=sys.stderr)
    return summary


def _loaded(plan: Plan, device):
    """The model, in single precision: contacts are differences of small numbers."""
    from seqlm.inference import loading
    from seqlm.inference.language_models import load_language_model

    from .attention import ContactModel

    opened, family = plan.opened, plan.opened.family
    if opened.bundle and opened.bundle.adapter_config:
        model = load_language_model(opened, device, plan.arguments.precision).get_base_model().esm
    else:
        dtype = loading.precision_of(plan.arguments.precision, device, family)
        model = loading.load_backbone(opened.base.path, family, dtype, device)
    return ContactModel(model, (len(family.prefix), len(family.suffix)))


def _rows(plan: Plan, model, tokens: list[np.ndarray], drawn: set[int], proteins: list[Protein]) -> Iterator[list]:
    """Rows of the table; what is kept of each protein is added to ``proteins``."""
    told = Progress("contacts", len(tokens), "proteins")
    for number, ((name, sequence), ids) in enumerate(zip(plan.sequences, tokens, strict=True)):
        found = model.contacts(ids)
        distances = distances_of(sequence, plan.chains)[0] if name in plan.known else None
        proteins.append(_protein(name, sequence, found, distances, number in drawn))
        first, second = pairs(len(sequence))
        written = found[first, second] >= plan.arguments.contact_floor
        for one, other in zip(first[written].tolist(), second[written].tolist(), strict=True):
            row = [name, one + 1, sequence[one], other + 1, sequence[other], float(found[one, other])]
            measured = [] if distances is None else [float(distances[one, other])]
            yield [*row, range_of(other - one), *(measured or [None] * bool(plan.chains))]
        told(number + 1)


def _protein(name: str, sequence: str, found: np.ndarray, distances: np.ndarray | None, drawn: bool) -> Protein:
    top, is_long = judged(found)
    likely = {
        kind: int((found[pairs(len(sequence), low, high)] >= LIKELY).sum()) for kind, (low, high) in RANGES.items()
    }
    first, second = pairs(len(sequence), LONG if is_long else LEAST)
    strongest = [
        (int(first[at]) + 1, sequence[first[at]], int(second[at]) + 1, sequence[second[at]],
         float(found[first[at], second[at]]))
        for at in best(found[first, second], STRONGEST).tolist()
    ]  # fmt: skip
    measured = {} if distances is None else precisions(found, distances)
    kept = (found, None, distances) if drawn else (None, None, None)
    return Protein(name, sequence, top, is_long, likely, strongest, measured, *kept)


def _checks(plan: Plan, model, tokens, checked: list[int], proteins: list[Protein], generator) -> Checks:
    """The same of shuffled weights, and of the same residues in another order."""
    from seqlm.tools.explain.shuffled import shuffled

    arguments, first, last = plan.arguments, *model.special
    of_shuffled = np.zeros((arguments.random_models, len(checked)))
    of_reordered = np.zeros_like(of_shuffled)
    told = Progress("chance", 2 * of_shuffled.size, "proteins")
    for number in range(arguments.random_models):
        with shuffled(model.learnt, arguments.seed + number):
            for column, place in enumerate(checked):
                found = model.contacts(tokens[place])
                of_shuffled[number, column] = judged(found)[0]
                if not number and proteins[place].map is not None:
                    proteins[place].shuffled = found
                told((2 * number) * len(checked) + column + 1)
        for column, place in enumerate(checked):
            ids = tokens[place].copy()
            ids[first : len(ids) - last] = generator.permutation(ids[first : len(ids) - last])
            of_reordered[number, column] = judged(model.contacts(ids))[0]
            told((2 * number + 1) * len(checked) + column + 1)
    return Checks(np.asarray([proteins[at].top for at in checked]), of_shuffled, of_reordered, arguments.seed)
