"""Options that several tools share, and the checks of single values."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from .errors import Parser


def number(kind: type, low: float, high: float = math.inf, above: bool = False) -> Callable[[str], float]:
    """A parser of one int or float within ``low`` (not included with ``above``) and ``high``."""

    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not a{'n integer' if kind is int else ' number'}") from None
        # written so that NaN, which is in no range, is refused
        if not ((value > low if above else value >= low) and value <= high):
            bound = f"above {low:g}" if above else f"at least {low:g}"
            raise argparse.ArgumentTypeError(
                f"{text} is out of range: {bound}" + (f" and at most {high:g}" if high < math.inf else "")
            )
        return value

    return parse


def tokens_or_auto(text: str) -> str | int:
    return text if text == "auto" else number(int, 1)(text)


def add_sequences(parser: Parser, required: bool = True) -> None:
    parser.add_argument("--sequences", required=required, metavar="FILE", help="FASTA or table, plain or gzipped")


def add_columns(parser: Parser) -> None:
    group = parser.add_argument_group("columns of a table, by name or 1-based number")
    group.add_argument(
        "--format", default="auto", choices=["auto", "fasta", "tabular", "csv"], help="auto: told from the content"
    )
    group.add_argument("--id-column", metavar="COLUMN", help="'id' if there is one, else the rows are numbered")
    group.add_argument("--sequence-column", metavar="COLUMN", help="'sequence' if not given")


def add_model(parser: Parser, help: str) -> None:
    parser.add_argument("--model", required=True, metavar="PATH", help=help)


def add_molecules(parser: Parser, finetuned: bool = False) -> None:
    """``finetuned``: the model may be one that was fine-tuned with choices of its own, which ``auto`` follows."""
    group = parser.add_argument_group("molecules")
    auto, note = (["auto"], "; auto: as the model was fine-tuned, else {}") if finetuned else ([], "")
    group.add_argument(
        "--smiles",
        default=[*auto, "as-given"][0],
        choices=[*auto, "as-given", "canonical"],
        help="canonical: every molecule in RDKit's one way of writing it" + note.format("as given"),
    )
    group.add_argument(
        "--tokenizer",
        default=[*auto, "repaired"][0],
        choices=[*auto, "repaired", "as-published"],
        help="what to do with a published tokenizer that loses atoms, as that of ChemBERTa-2 loses Cl and Br"
        + note.format("repaired"),
    )


def add_computing(parser: Parser) -> None:
    group = parser.add_argument_group("computing")
    group.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="auto: a GPU if there is one")
    group.add_argument(
        "--precision",
        default="auto",
        choices=["auto", "fp32", "bf16", "fp16"],
        help="auto: fp32 on a CPU, on a GPU what is safe for the model",
    )
    group.add_argument(
        "--batch-tokens",
        default="auto",
        type=tokens_or_auto,
        metavar="N",
        help="padded tokens computed at once; changes memory and speed, not the result",
    )
    group.add_argument("--threads", default=0, type=number(int, 0), metavar="N", help="0: all")
    group.add_argument("--seed", default=42, type=number(int, 0, 2**32 - 1), metavar="N")


def add_report(group: argparse._ArgumentGroup) -> None:
    """The forms in which a tool writes its report."""
    group.add_argument("--output-report", metavar="MD", help="Galaxy tool markdown")
    group.add_argument("--output-figures", metavar="FOLDER", help="the report's figures as files")
    group.add_argument("--figure-format", default="png", choices=["png", "svg", "pdf"], help="beside the PNG")
    group.add_argument("--output-html", metavar="HTML", help="the report as one self-contained page")


def add_processes(parser: Parser) -> None:
    """Options of tools that train in several processes."""
    group = parser.add_argument_group("several processes")
    group.add_argument(
        "--processes",
        default=1,
        type=number(int, 1, 64),
        metavar="N",
        help="that share each update, one for each GPU; started here, unless torchrun has started them",
    )
    group.add_argument(
        "--strategy",
        default="ddp",
        choices=["ddp", "fsdp", "deepspeed"],
        help="what they share: the data, or the weights as well",
    )
    group.add_argument("--zero-stage", default=2, type=int, choices=[2, 3], help="of DeepSpeed")
