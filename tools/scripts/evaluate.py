#!/usr/bin/env python3
"""Score and compare any number of prediction tables against what is true."""

from argparse import Namespace
from pathlib import Path

from seqlm.cli.arguments import Number
from seqlm.cli.errors import Parser
from seqlm.cli.options import REPORT, add
from seqlm.cli.outputs import Outputs
from seqlm.cli.running import run
from seqlm.metrics.names import CLASSIFICATION, MULTILABEL, REGRESSION


def options() -> Parser:
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--predictions",
        required=True,
        action="append",
        metavar="FILE",
        help="a table that prediction or fine-tuning wrote; once for each model",
    )
    add(parser, "--names")
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
    add(truth, "--label-pattern", "--mask")
    truth.add_argument(
        "--unknown-label",
        default=[],
        action="append",
        metavar="LABEL",
        help="a truth that is left out; may be repeated",
    )
    truth.add_argument(
        "--unlisted",
        default="auto",
        choices=["auto", "negative", "ignore"],
        help="residues that a table of positions does not list; auto: negative if it lists one kind only",
    )
    add(truth, "--misfits", help="what true residues do that are others than were predicted; stop, or not known")

    scoring = parser.add_argument_group("scoring")
    scoring.add_argument("--split", metavar="NAME", help="of the column 'split'; test if there is one")
    add(scoring, "--positive-label", help="of two classes; that of the last column if not given")
    scoring.add_argument(
        "--threshold",
        type=Number(float, 0, 1, words=("auto",)),
        metavar="P|auto",
        help="probability from which the positive class, or a label, is called; auto: as the tables call",
    )
    scoring.add_argument(
        "--metric",
        default="auto",
        choices=["auto", *CLASSIFICATION, *MULTILABEL, *REGRESSION],
        metavar="NAME",
        help="that decides; auto: mcc, fmax or spearman",
    )
    add(scoring, "--resamples", "--seed")

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-table", metavar="TSV", help="every score of every model, with its interval")
    outputs.add_argument("--output-comparisons", metavar="TSV", help="tests of every pair of models")
    outputs.add_argument(
        "--output-classes", metavar="TSV", help="scores of each class, or of each quarter of the values"
    )
    outputs.add_argument("--output-proteins", metavar="TSV", help="scores within each protein, of residues")
    add(outputs, *REPORT)
    return parser


def work(arguments: Namespace, scratch: Path, outputs: Outputs) -> None:
    from seqlm.tools.evaluate.inputs import gather
    from seqlm.tools.evaluate.outputs import check, write

    cases = gather(arguments)
    check(arguments, cases)
    write(arguments, cases, outputs)


if __name__ == "__main__":
    run(options(), work)
