#!/usr/bin/env python3
"""Train classical classifiers on embeddings of labelled sequences, or apply one that was trained."""

from argparse import Namespace
from pathlib import Path

from seqlm.cli.arguments import Number
from seqlm.cli.errors import Parser
from seqlm.cli.options import REPORT, add
from seqlm.cli.outputs import Outputs
from seqlm.cli.running import run
from seqlm.metrics.names import DECIDING_CLASSES
from seqlm.tools.classify.methods import METHODS


def options() -> Parser:
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--embeddings", required=True, metavar="FILE", help="a vector for each sequence: table, npz or parquet"
    )
    parser.add_argument(
        "--feature-column",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column of numbers beside the vectors that is a feature too, such as pseudo_perplexity; may be repeated",
    )
    parser.add_argument("--model", metavar="ZIP", help="apply this classifier; without it one is trained")

    labels = parser.add_argument_group("labels")
    add(labels, "--labels", "--class-fasta", "--label-column", "--label-pattern")
    labels.add_argument(
        "--id-column", metavar="COLUMN", help="of a table of labels; 'id' if there is one, or the first"
    )
    labels.add_argument("--sequence-column", metavar="COLUMN", help="of a table of labels; 'sequence' if there is one")
    add(labels, "--positive-label")

    judging = parser.add_argument_group("what is learnt from, and what judges")
    add(judging, "--test-fraction", default=0.3, type=Number(float, 0, 0.9, above=True))
    judging.add_argument(
        "--cross-validation", default=0, type=Number(int, 0, 100), metavar="K", help="folds; 0: a test set is drawn"
    )
    add(judging, "--split-column", help="says train, validation or test; then none is drawn")
    add(judging, "--split-pattern")
    judging.add_argument(
        "--identical",
        default="together",
        choices=["together", "ignore"],
        help="equal embeddings, mostly of equal sequences: on one side of a drawn split, or wherever they fall",
    )

    learning = parser.add_argument_group("learning")
    learning.add_argument(
        "--classifier",
        default=["logistic-regression"],
        action="append",
        choices=list(METHODS),
        help="may be repeated; of several, the training set chooses one",
    )
    learning.add_argument(
        "--grid-search", default="none", choices=["none", "small"], help="whether the training set chooses settings too"
    )
    add(learning, "--class-weights")
    learning.add_argument(
        "--metric", default="mcc", choices=DECIDING_CLASSES, help="that chooses, and that the verdict is about"
    )
    add(learning, "--seed")

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-predictions", metavar="TSV", help="class and probabilities of every sequence")
    add(outputs, "--output-metrics")
    outputs.add_argument("--output-classification-report", metavar="TSV", help="precision, recall and F1 of each class")
    outputs.add_argument("--output-model", metavar="ZIP", help="the classifier, to be applied")
    add(outputs, *REPORT)
    return parser


def work(arguments: Namespace, scratch: Path, outputs: Outputs) -> None:
    if arguments.model:
        from seqlm.tools.classify.apply import apply

        apply(arguments, scratch, outputs)
    else:
        from seqlm.tools.classify.inputs import check

        plan = check(arguments)
        from seqlm.tools.classify.outputs import write
        from seqlm.tools.classify.run import train

        write(train(plan), outputs)


if __name__ == "__main__":
    run(options(), work)
