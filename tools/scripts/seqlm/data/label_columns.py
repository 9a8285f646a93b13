"""Several labels in columns of their own, each with 0 or 1 in it, or nothing where that is not known.

::

    smiles   NR-AR  SR-p53         present      not known
    CCO      1                     NR-AR        SR-p53
    c1ccccc1 0      1              SR-p53

Tox21, SIDER and ClinTox are such tables. What is not known counts nowhere: in no loss, score, baseline or threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seqlm.cli.errors import InputError

from .numbers import decimal, is_decimal, whole
from .records import quoted
from .tables import Table

YES = frozenset({"yes", "y", "true", "t", "active", "positive", "pos", "+", "present"})
NO = frozenset({"no", "n", "false", "f", "inactive", "negative", "neg", "absent"})
NOT_KNOWN = frozenset({"", "na", "n/a", "nan", "null", "?", ".", "unknown"})
NOT_KNOWN_MARK = "?"  # before a label in a text of several: whether the sequence has it is not known

Found = tuple[tuple[str, ...], tuple[str, ...]]  # labels that a sequence has, and those of which that is not known


def label_places(table: Table, wanted: str) -> list[int]:
    """Where the label columns stand.

    Args:
        wanted: names, which may hold commas themselves, and 1-based numbers or ranges of them, with commas between:
            ``NR-AR,SR-p53`` or ``3-12,14``.

    Raises:
        InputError: a column that is not there or comes twice, fewer than two.
    """
    parts, places, at = wanted.split(","), [], 0
    columns, most = set(table.columns), 1 + max(name.count(",") for name in table.columns)
    while at < len(parts):
        # the longest run of parts that is a name
        ends = (end for end in range(min(at + most, len(parts)), at, -1) if ",".join(parts[at:end]).strip() in columns)
        if end := next(ends, None):
            places.append(table.index(",".join(parts[at:end]).strip(), "label columns"))
            at = end
            continue
        places += _numbered(table, parts[at].strip())
        at += 1
    names = [table.columns[place] for place in places]
    if len(places) < 2:
        raise InputError("several label columns are two at least; for one column choose a task of classes")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{table.path.name}: the label column '{quoted(name)}' is named twice")
        if not name or len(name) > 100 or not name.isprintable() or ";" in name or name.startswith(NOT_KNOWN_MARK):
            raise InputError(
                f"{table.path.name}: a column called '{quoted(name)}' cannot name a label; use 1 to 100 printable "
                f"characters, no ';', and no '{NOT_KNOWN_MARK}' in front"
            )
    return places


def _numbered(table: Table, part: str) -> list[int]:
    first, dash, last = part.partition("-")
    try:
        numbers = range(whole(first.strip()), whole(last.strip()) + 1) if dash else [whole(part)]
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < 1 or numbers[-1] > len(table.columns):
        return [table.index(part, "label columns")]  # which says what there is
    return [number - 1 for number in numbers]


def label_names(table: Table, wanted: str) -> list[str]:
    """Names of the label columns; arguments as for :func:`label_places`."""
    return [table.columns[place] for place in label_places(table, wanted)]


def label_cells(table: Table, places: Sequence[int]) -> Callable[[Sequence[str], str], Found]:
    """A function of a row, and of the words that name it, that gives its labels."""
    columns = [(place, table.columns[place]) for place in places]

    def found(row: Sequence[str], where: str) -> Found:
        has, unknown = [], []
        for place, name in columns:
            known = _yes_or_no(row[place], name, where)
            if known is None:
                unknown.append(name)
            elif known:
                has.append(name)
        return tuple(has), tuple(unknown)

    return found


def in_a_cell(labels: Sequence[str], unknown: Sequence[str] = ()) -> str:
    """Labels of a sequence in one text, as prediction tables have them in their column ``truth``.

    >>> in_a_cell(("NR-AR",), ("SR-p53",))
    'NR-AR;?SR-p53'
    """
    return ";".join([*labels, *(NOT_KNOWN_MARK + name for name in unknown)]) or "none"


def _yes_or_no(cell: str, column: str, where: str) -> bool | None:
    text = cell.casefold()
    if text in NOT_KNOWN:
        return None
    if text in YES or text in NO:
        return text in YES
    if is_decimal(cell) and decimal(cell) in (0, 1):
        return decimal(cell) == 1
    hint = "; write 0 where it is absent, and nothing where that is not known" if cell in ("-1", "-", "none") else ""
    raise InputError(f"{where} has '{quoted(cell)}' in label column '{quoted(column)}', where 0 or 1 is needed{hint}")
