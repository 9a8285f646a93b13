#!/usr/bin/env python3
"""Draw embeddings in two dimensions, one table or two in one projection, and say how well classes separate in them."""

import tempfile
from pathlib import Path

from seqlm import __version__
from seqlm.cli.arguments import add_report, number
from seqlm.cli.errors import Parser, run


def options():
    parser = Parser(description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--embeddings",
        required=True,
        nargs="+",
        metavar="FILE",
        help="one table, npz or parquet file, or two of the same sequences by one model, as before and after training",
    )
    parser.add_argument("--names", nargs="+", metavar="NAME", help="of the tables; the names of the files if not given")
    parser.add_argument("--method", default="pca", choices=["pca", "umap", "tsne"], help="how the points are projected")

    colours = parser.add_argument_group("colours")
    colours.add_argument(
        "--colour-by", default="none", choices=["none", "label", "value", "outcome"], help="outcome: of predictions"
    )
    colours.add_argument(
        "--labels", metavar="FILE", help="labels or values by id: FASTA or table; else a column of the embeddings"
    )
    colours.add_argument("--label-column", metavar="COLUMN", help="by name or 1-based number; 'label' if there is one")
    colours.add_argument("--label-id-column", metavar="COLUMN", help="'id' if there is one, else the first")
    colours.add_argument("--label-pattern", default=r"LABEL=(\S+)", metavar="REGEX", help="finds the label in a header")
    colours.add_argument(
        "--predictions", nargs="+", metavar="FILE", help="for outcome: a table with id and predicted, for all or each"
    )
    colours.add_argument("--positive-label", metavar="LABEL", help="that outcomes are about; of two the second")
    colours.add_argument("--split-column", metavar="COLUMN", help="of the labels: train, validation or test")
    colours.add_argument("--split-pattern", metavar="REGEX", help="finds the split in a FASTA header")
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
    projection.add_argument("--neighbours", default=15, type=number(int, 2, 1000), metavar="N", help="of UMAP")
    projection.add_argument("--min-dist", default=0.1, type=number(float, 0, 1), metavar="X", help="of UMAP")
    projection.add_argument("--perplexity", default=30.0, type=number(float, 1, 1000), metavar="X", help="of t-SNE")
    projection.add_argument(
        "--points", default=10_000, type=number(int, 5, 100_000), metavar="N", help="drawn and scored of each table"
    )
    projection.add_argument("--seed", default=42, type=number(int, 0, 2**32 - 1), metavar="N")

    scoring = parser.add_argument_group("scoring")
    scoring.add_argument("--score-neighbours", default=10, type=number(int, 1, 1000), metavar="N", help="of the scores")
    scoring.add_argument(
        "--resamples", default=1000, type=number(int, 100, 100_000), metavar="N", help="of the bootstrap"
    )

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-table", metavar="TSV", help="where each point lies in the picture")
    outputs.add_argument("--output-metrics", metavar="TSV", help="scores with intervals, and what chance gives")
    outputs.add_argument("--output-plot", metavar="PNG", help="the picture")
    outputs.add_argument("--output-svg", metavar="SVG", help="the picture, to be edited for a paper")
    add_report(outputs)
    return parser.parse_args()


def main():
    arguments = options()
    from seqlm.cli.isolation import isolate
    from seqlm.cli.outputs import Outputs, check_targets

    check_targets(arguments)
    with tempfile.TemporaryDirectory(prefix="seqlm_") as scratch, Outputs() as outputs:
        isolate(Path(scratch))
        from seqlm.tools.plot.inputs import gather

        points = gather(arguments)
        from seqlm.tools.plot.outputs import write

        write(arguments, points, outputs)


if __name__ == "__main__":
    run(main)
