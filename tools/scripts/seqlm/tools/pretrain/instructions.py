"""Instruction tuning: questions and answers as rows of tokens of which only the answers count (Taori et al. 2023,
https://crfm.stanford.edu/2023/03/13/alpaca.html).

A file holds an object of JSON on each line, or is a table; its entries are an instruction, an input (a sequence, say),
which may be empty, and the output that is to be learnt::

    {"instruction": "Is this a promoter?", "input": "TATAAT…", "output": "yes"}

What the model reads is a template with both filled in, then the output, then the token that ends a text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqlm.archives import strict_json
from seqlm.cli.errors import InputError
from seqlm.data.lines import numbered_lines
from seqlm.data.parquet import is_parquet
from seqlm.data.records import quoted
from seqlm.data.sequences import read_table
from seqlm.inference.batching import Row

from .plan import Plan

PLAIN = r"{instruction}\n{input}\n"
MOST = 1_000_000  # examples
LONGEST = 1_000_000  # characters of a line


@dataclass(frozen=True)
class Example:
    """One question: the text before the answer, and the answer."""

    instruction: str
    input: str
    output: str
    line: int


@dataclass(frozen=True)
class Asked:
    """An example as tokens: ``row`` with the answer, whose first ``given`` tokens are the question."""

    example: Example
    row: Row
    given: int


def read_all(plan: Plan) -> None:
    """Read all files, split where no files were given for it, and turn every example into tokens.

    Raises:
        InputError: naming the file and the line of what cannot be read.
    """
    arguments = plan.arguments
    # as one line: seqlm.json, the report and checkpoints hold it
    template = (arguments.template or PLAIN).replace("\n", "\\n").replace("\t", "\\t")
    if "{input}" not in template and "{instruction}" not in template:
        raise InputError("the template must hold {instruction} or {input}, or the model is never told what is asked")
    arguments.template = template
    if len(arguments.corpus) > 1:
        raise InputError("give one file of instructions; --validation and --test take those that are held out")
    digest = hashlib.sha256()
    sets = {
        split: _read(Path(path), arguments, digest)
        for split, path in (
            ("train", arguments.corpus[0]),
            ("validation", arguments.validation),
            ("test", arguments.test),
        )
        if path
    }
    _hold_out(sets, arguments)
    plan.examples = {split: _asked(plan, examples, split) for split, examples in sets.items() if examples}
    plan.sha256 = digest.hexdigest()
    trained = {(one.instruction, one.input) for one in sets["train"]}
    for split in ("validation", "test"):
        if repeated := sum((one.instruction, one.input) in trained for one in sets.get(split) or ()):
            plan.rules.count(f"questions of the {split} set that are in the training set too", number=repeated,
                             unit="question")  # fmt: skip


def _read(path: Path, arguments, digest) -> list[Example]:
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    names = (arguments.instruction_column, arguments.input_column, arguments.output_column)
    found = list(_of_json(path, names) if _is_json(path) else _of_table(path, names, arguments.format))
    if not found:
        raise InputError(f"{path.name} holds no instructions")
    for one in found:
        digest.update(strict_json.text_of([one.instruction, one.input, one.output]))
    return found


def _is_json(path: Path) -> bool:
    if is_parquet(path):
        return False
    return next((line.lstrip().startswith(("{", "[")) for _, line in numbered_lines(path) if line.strip()), False)


def _of_json(path: Path, names: tuple[str, str, str]) -> Iterator[Example]:
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}"
        if len(line) > LONGEST or number > MOST:
            raise InputError(f"{where}: over the limit of {MOST:,} lines of {LONGEST:,} characters")
        try:
            content = strict_json.parse(line.encode(), "it", depth=8)
        except InputError as problem:
            raise InputError(f"{where} is no JSON object: {str(problem).removeprefix('it is ')}") from None
        if not isinstance(content, dict):
            raise InputError(f'{where} is no JSON object; each line is one such as {{"instruction": …, "output": …}}')
        yield _example([content.get(name, "") for name in names], names, where, number)


def _of_table(path: Path, names: tuple[str, str, str], format: str) -> Iterator[Example]:
    table = read_table(path, format)
    places = [
        table.index(name, f"{what} column") if name in table.columns or name.isdigit() or what == "output" else None
        for name, what in zip(names, ("instruction", "input", "output"), strict=True)
    ]
    for number, row in table.rows():
        cells = ["" if place is None else row[place] for place in places]
        yield _example(cells, names, f"{path.name}, line {number}", number)


def _example(cells: list, names: tuple[str, str, str], where: str, number: int) -> Example:
    for cell, name in zip(cells, names, strict=True):
        if not isinstance(cell, str):
            raise InputError(f"{where}: '{name}' must be a text")
    if not cells[2]:
        raise InputError(f"{where} has no '{names[2]}', so there is nothing to learn")
    if not cells[0] and not cells[1]:
        raise InputError(f"{where} has neither '{names[0]}' nor '{names[1]}'")
    return Example(*cells, number)


def _hold_out(sets: dict[str, list[Example]], arguments) -> None:
    """Examples for the sets for which no file was given; equal questions stay together."""
    rng, everything = np.random.default_rng(arguments.seed), sets["train"]
    questions = list(dict.fromkeys((one.instruction, one.input) for one in everything))
    order, at = rng.permutation(len(questions)), 0
    for split, fraction in (("test", arguments.test_fraction), ("validation", arguments.validation_fraction)):
        if split in sets or not fraction:
            continue
        number = max(1, round(fraction * len(questions)))
        chosen = {questions[place] for place in order[at : at + number]}
        at += number
        sets[split] = [one for one in everything if (one.instruction, one.input) in chosen]
        sets["train"] = [one for one in sets["train"] if (one.instruction, one.input) not in chosen]
    if not sets["train"]:
        raise InputError(f"{len(everything)} instructions leave nothing to learn from; give more, or hold out less")


def question(plan: Plan, example: Example) -> str:
    template = plan.arguments.template.replace("\\n", "\n").replace("\\t", "\t")
    filled = template.replace("{instruction}", "\0").replace("{input}", example.input)
    return filled.replace("\0", example.instruction)


def _asked(plan: Plan, examples: list[Example], split: str) -> list[Asked]:
    found = []
    for number, example in enumerate(examples):
        given = _ids(plan, question(plan, example), example)
        told = _ids(plan, example.output, example)
        ids = np.concatenate([plan.prefix, given, told, plan.suffix]).astype(np.int64)
        if len(ids) > plan.context:
            raise InputError(
                f"the instruction on line {example.line} ({split} set) has {len(ids):,} tokens with its answer, over "
                f"the context of {plan.context:,}; shorten it or choose a longer context"
            )
        weights = np.ones(len(ids), np.float32)
        first = len(plan.prefix) + len(given)
        weights[:first] = 0
        if not first:
            raise InputError(f"the question on line {example.line} has no token")
        found.append(Asked(example, Row(ids, weights, number), first))
    return found


def _ids(plan: Plan, text: str, example: Example) -> np.ndarray:
    if not text:
        return np.zeros(0, np.int64)
    if wrong := next((letter for letter in text if not letter.isascii()), None):
        raise InputError(f"line {example.line}: '{wrong}' is no ASCII character, which sequences and labels are")
    try:
        reading = plan.encoder.reader.read([text])[0]
    except (KeyError, IndexError):
        reading = None
    # a blank is part of the word behind it, which readers of sequences do not see
    wrong = (reading.unknown or reading.unread.replace(" ", "")) if reading is not None else ""
    if reading is None or wrong or (reading.ids < 0).any():
        shown = wrong[:1] or next((one for one, number in zip(text, reading.ids, strict=False) if number < 0), "?")
        raise InputError(
            f"line {example.line}: the tokenizer of {plan.name} has no token for {shown!r} in '{quoted(text)}'; extend "
            "the vocabulary (seqlm_tokenizer), use another template, or take a model that reads text"
        )
    return reading.ids.astype(np.int64)


class Rows:
    """Rows of a training set that is held in memory."""

    def __init__(self, rows: list[Row]):
        self.rows = rows
        self.lengths = np.array([len(row.ids) for row in rows])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Row:
        return self.rows[number]


def rows_of_examples(plan: Plan):
    """What is learnt from and judged on, as :func:`seqlm.tools.pretrain.run.read_data` gives it."""
    from .plan import Data, HeldOut

    held = {}
    for split in ("validation", "test"):
        if asked := plan.examples.get(split):
            tokens = np.array([one.row.weights.sum() for one in asked], float)
            letters = np.array([len(one.example.output) for one in asked], float)
            held[split] = HeldOut([one.row for one in asked], tokens, letters, [])
    train = Rows([one.row for one in plan.examples["train"]])
    return Data(train, held, None, int(sum(row.weights.sum() for row in train.rows)))
