#!/usr/bin/env python3
"""Draw embeddings in two dimensions, one table or two in one projection, and say how well classes separate in them."""

from argparse import Namespace
from pathlib import Path

from seqlm.cli.arguments import Number
from seqlm.cli.errors import Parser
from seqlm.cli.options import REPORT, add
from seqlm.cli.outputs import Outputs
from seqlm.cli.running import run
from seqlm.tools.plot.methods import METHODS


def options() -> Parser:
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--embeddings",
        required=True,
        action="append",
        metavar="FILE",
        help="a table, npz or parquet file; given again, one of the same sequences, as before and after training",
    )
    add(parser, "--names")
    parser.add_argument("--method", default="pca", choices=list(METHODS), help="how the points are projected")

    colours = parser.add_argument_group("colours")
    colours.add_argument(
        "--colour-by", default="none", choices=["none", "label", "value", "outcome"], help="outcome: of predictions"
    )
    add(colours, "--labels", "--label-column")
    colours.add_argument("--label-id-column", metavar="COLUMN", help="'id' if there is one, else the first")
    add(colours, "--label-pattern")
    colours.add_argument(
        "--predictions",
        action="append",
        metavar="FILE",
        help="for outcome: a table with id and predicted, for all embeddings or once for each",
    )
    add(colours, "--positive-label", help="that outcomes are about; of two the second")
    add(colours, "--split-column", "--split-pattern")
    colours.add_argument("--split", choices=["train", "validation", "test"], help="the only one drawn and scored")

    projection = parser.add_argument_group("projection")
    projection.add_argument("--scale", default="none", choices=["none", "standard"], help="of the columns")
    projection.add_argument(
        "--centre",
        default="together",
        choices=["together", "each", "spread"],
        help="of two tables; each: no offset between them is left; spread: nor a difference in spread",
    )
    projection.add_argument(
        "--metric", default="euclidean", choices=["euclidean", "cosine"], help="distance of UMAP, t-SNE and all scores"
    )
    projection.add_argument("--neighbours", default=15, type=Number(int, 2, 1000), metavar="N", help="of UMAP")
    projection.add_argument("--min-dist", default=0.1, type=Number(float, 0, 1), metavar="X", help="of UMAP")
    projection.add_argument("--perplexity", default=30.0, type=Number(float, 1, 1000), metavar="X", help="of t-SNE")
    projection.add_argument(
        "--points", default=10_000, type=Number(int, 5, 100_000), metavar="N", help="drawn and scored of each table"
    )
    add(projection, "--seed")

    scoring = parser.add_argument_group("scoring")
    scoring.add_argument("--score-neighbours", default=10, type=Number(int, 1, 1000), metavar="N", help="of the scores")
    add(scoring, "--resamples")

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-table", metavar="TSV", help="where each point lies in the picture")
    add(outputs, "--output-metrics", help="scores with intervals, and what chance gives")
    outputs.add_argument("--output-plot", metavar="PNG", help="the picture")
    outputs.add_argument("--output-svg", metavar="SVG", help="the picture, to be edited for a paper")
    add(outputs, *REPORT)
    return parser


def work(arguments: Namespace, scratch: Path, outputs: Outputs) -> None:
    from seqlm.tools.plot.inputs import gather

    points = gather(arguments)
    from seqlm.tools.plot.outputs import write

    write(arguments, points, outputs)


if __name__ == "__main__":
    run(options(), work)
