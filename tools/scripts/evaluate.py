#!/usr/bin/env python3
"""Score and compare any number of prediction tables against what is true."""

import tempfile
from pathlib import Path

from seqlm import __version__
from seqlm.cli.arguments import add_report, number
from seqlm.cli.errors import Parser, run


def options():
    parser = Parser(description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--predictions", required=True, nargs="+", metavar="FILE", help="tables that prediction or fine-tuning wrote"
    )
    parser.add_argument("--names", nargs="+", metavar="NAME", help="of the models; the names of the files if not given")
    parser.add_argument(
        "--kind",
        default="auto",
        choices=["auto", "classification", "multi-label", "regression"],
        help="auto: told from the tables",
    )

    truth = parser.add_argument_group("truth")
    truth.add_argument(
        "--truth",
        metavar="FILE",
        help="table, FASTA with labels in headers, sites, or strings of residue labels; else the column 'truth'",
    )
    truth.add_argument("--truth-column", metavar="COLUMN", help="of a table, by name or 1-based number")
    truth.add_argument("--truth-id-column", metavar="COLUMN", help="'id' if there is one, else the first")
    truth.add_argument("--label-pattern", default=r"LABEL=(\S+)", metavar="REGEX", help="finds the label in a header")
    truth.add_argument("--mask", metavar="FASTA", help="0 and 1 for each residue; where it is 0 nothing is scored")
    truth.add_argument("--unknown-label", default=[], nargs="+", metavar="LABEL", help="truths that are left out")
    truth.add_argument(
        "--unlisted",
        default="auto",
        choices=["auto", "negative", "ignore"],
        help="residues that a table of positions does not list; auto: negative if it lists one kind only",
    )

    scoring = parser.add_argument_group("scoring")
    scoring.add_argument("--split", metavar="NAME", help="of the column 'split'; test if there is one")
    scoring.add_argument(
        "--positive-label", metavar="LABEL", help="of two classes; that of the last column if not given"
    )
    scoring.add_argument(
        "--threshold",
        default=None,
        type=threshold,
        metavar="P|auto",
        help="probability from which the positive class, or a label, is called; auto: as the tables call",
    )
    scoring.add_argument("--metric", default="auto", metavar="NAME", help="that decides; auto: mcc, fmax or spearman")
    scoring.add_argument(
        "--resamples", default=1000, type=number(int, 100, 100_000), metavar="N", help="of the bootstrap"
    )
    scoring.add_argument("--seed", default=42, type=number(int, 0, 2**32 - 1), metavar="N")

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-table", metavar="TSV", help="every score of every model, with its interval")
    outputs.add_argument("--output-comparisons", metavar="TSV", help="tests of every pair of models")
    outputs.add_argument(
        "--output-classes", metavar="TSV", help="scores of each class, or of each quarter of the values"
    )
    outputs.add_argument("--output-proteins", metavar="TSV", help="scores within each protein, of residues")
    add_report(outputs)
    return parser.parse_args()


def threshold(text: str) -> float | None:
    return None if text == "auto" else number(float, 0, 1)(text)


def main():
    arguments = options()
    from seqlm.cli.isolation import isolate
    from seqlm.cli.outputs import Outputs, check_targets

    check_targets(arguments)
    with tempfile.TemporaryDirectory(prefix="seqlm_") as scratch, Outputs() as outputs:
        isolate(Path(scratch))
        from seqlm.tools.evaluate.inputs import gather
        from seqlm.tools.evaluate.outputs import check, write

        cases = gather(arguments)
        check(arguments, cases)
        write(arguments, cases, outputs)


if __name__ == "__main__":
    run(main)
