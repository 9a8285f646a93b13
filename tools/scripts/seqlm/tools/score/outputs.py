"""Tables of effects: of a list of variants, and of scans, written while they are computed.

::

    variants    id  variant  substitutions  score  [score_MODEL … spread]  [measured]  blosum62  hydropathy  note
    scan        id  position  wild_type  new  variant  score  [score_MODEL … spread]
    matrix      id  position  wild_type  A  C  D  …            0 for the wild-type letter
    positions   id  position  wild_type  mean  lowest  lowest_new  highest  highest_new  entropy  wild_type_probability

Positions have the numbers that the user counts in. Of several models the score is their mean; the spread is the
standard deviation of their scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from seqlm.cli.outputs import Outputs, cell, write_table

from .agreement import spreads
from .baselines import NUMBER
from .effects import Scanned
from .inputs import Plan
from .summary import Effects

WHOLE = "of another length than its wild type"


def write_variants(path: Path, plan: Plan, effects: Effects) -> None:
    """A row a variant, in the order of the list."""
    found, ids = plan.variants, plan.wild_types.ids
    baselines = {name: values.tolist() for name, values in effects.baselines.items() if name != NUMBER}
    names = {"hydropathy": "hydropathy_change", "transversions": "transversions"}
    columns = ["id", "variant", "substitutions", "score", *_of_models(plan)]
    taken = {*columns, *names.values(), *baselines, "note"}
    measured = f"measured_{found.measured}" if found.measured in taken else found.measured
    columns += [measured] * bool(measured) + [names.get(name, name) for name in baselines] + ["note"]

    deviations = [] if effects.each is None else spreads(effects.each)

    def rows() -> Iterator[list]:
        for number, variant in enumerate(found.all):
            row = [ids[variant.protein], variant.name, len(variant.changes), float(effects.scores[number])]
            if effects.each is not None:
                row += [*effects.each[:, number].tolist(), float(deviations[number])]
            row += [variant.measured] * bool(found.measured)
            row += [value[number] if name == "blosum62" else abs(value[number]) for name, value in baselines.items()]
            yield [*row, variant.note or (WHOLE if variant.sequence else "")]

    write_table(path, columns, rows())


def _of_models(plan: Plan) -> list[str]:
    """Columns of the scores of each model, where there are several, and of their deviation."""
    return [*(f"score_{name}" for name in plan.names), "spread"] if plan.others else []


@contextmanager
def scan_writers(plan: Plan, outputs: Outputs) -> Iterator[Callable[[Scanned], None]]:
    """Gives what writes one sequence into every table that was asked for."""
    wanted = (("table", _table(plan)), ("matrix", _matrix(plan)), ("positions", _positions(plan)))
    with ExitStack() as stack:
        writers = []
        for option, (columns, rows) in wanted:
            if target := getattr(plan.arguments, f"output_{option}"):
                file = stack.enter_context(open(outputs.file(target), "w", encoding="utf-8"))
                file.write("\t".join(columns) + "\n")
                writers.append((file, rows))

        def write(one: Scanned) -> None:
            for file, rows in writers:
                file.writelines("\t".join(map(cell, row)) + "\n" for row in rows(one))

        yield write


def _table(plan: Plan) -> tuple[list[str], Callable[[Scanned], Iterable[list]]]:
    first = plan.arguments.first_position

    def rows(one: Scanned) -> Iterator[list]:
        further = np.zeros((*one.scores.shape, 0))
        if one.each is not None:
            further = np.moveaxis(np.concatenate([one.each, spreads(one.each)[None]]), 0, -1)
        for place, (old, values) in enumerate(zip(one.sequence, one.scores.tolist(), strict=True)):
            for new, value, others in zip(one.letters, values, further[place].tolist(), strict=True):
                if new != old:
                    yield [one.id, place + first, old, new, f"{old}{place + first}{new}", value, *others]

    return ["id", "position", "wild_type", "new", "variant", "score", *_of_models(plan)], rows


def _matrix(plan: Plan) -> tuple[list[str], Callable[[Scanned], Iterable[list]]]:
    first = plan.arguments.first_position

    def rows(one: Scanned) -> Iterator[list]:
        for place, (old, values) in enumerate(zip(one.sequence, one.scores.tolist(), strict=True)):
            yield [one.id, place + first, old, *values]

    return ["id", "position", "wild_type", *plan.letters], rows


def _positions(plan: Plan) -> tuple[list[str], Callable[[Scanned], Iterable[list]]]:
    first = plan.arguments.first_position
    columns = ["id", "position", "wild_type", "mean", "lowest", "lowest_new", "highest", "highest_new", "entropy",
               "wild_type_probability"]  # fmt: skip

    def rows(one: Scanned) -> Iterator[list]:
        others, shares = one.others, one.probabilities
        scores = np.where(others, one.scores, np.nan)
        low, high = np.nanargmin(scores, 1).tolist(), np.nanargmax(scores, 1).tolist()
        of_wild = np.where(others, 0, shares).sum(1).tolist()
        means, entropy = one.means.tolist(), one.entropy.tolist()
        for place, old in enumerate(one.sequence):
            yield [
                one.id,
                place + first,
                old,
                means[place],
                float(scores[place, low[place]]),
                one.letters[low[place]],
                float(scores[place, high[place]]),
                one.letters[high[place]],
                entropy[place],
                of_wild[place] if not others[place].all() else float("nan"),
            ]

    return columns, rows
