#!/usr/bin/env python3
"""Train classical classifiers on embeddings of labelled sequences, or apply one that was trained."""

import tempfile
from pathlib import Path

from seqlm import __version__
from seqlm.cli.arguments import add_report, number
from seqlm.cli.errors import Parser, run

CLASSIFIERS = (
    "naive-bayes", "logistic-regression", "linear-svm", "rbf-svm", "random-forest", "gradient-boosting",
    "k-nearest-neighbours", "mlp",
)  # fmt: skip
METRICS = ("mcc", "balanced_accuracy", "accuracy", "f1", "auroc", "auprc")


def options():
    parser = Parser(description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--embeddings", required=True, metavar="FILE", help="a vector for each sequence: table, npz or parquet"
    )
    parser.add_argument("--model", metavar="ZIP", help="apply this classifier; without it one is trained")

    labels = parser.add_argument_group("labels")
    labels.add_argument("--labels", metavar="FILE", help="FASTA or table; else a column of the embeddings' own table")
    labels.add_argument("--label-column", metavar="COLUMN", help="by name or number; 'label' if not given")
    labels.add_argument("--label-pattern", default=r"LABEL=(\S+)", metavar="REGEX", help="finds it in a FASTA header")
    labels.add_argument(
        "--id-column", metavar="COLUMN", help="of a table of labels; 'id' if there is one, or the first"
    )
    labels.add_argument("--sequence-column", metavar="COLUMN", help="of a table of labels; 'sequence' if there is one")
    labels.add_argument(
        "--positive-label", metavar="LABEL", help="of two classes; the one that sorts last if not given"
    )

    judging = parser.add_argument_group("what is learnt from, and what judges")
    judging.add_argument("--test-fraction", default=0.3, type=number(float, 0, 0.9, above=True), metavar="SHARE")
    judging.add_argument(
        "--cross-validation", default=0, type=number(int, 0, 100), metavar="K", help="folds; 0: a test set is drawn"
    )
    judging.add_argument("--split-column", metavar="COLUMN", help="says train, validation or test; then none is drawn")
    judging.add_argument("--split-pattern", metavar="REGEX", help="the same in FASTA headers, such as SET=(\\w+)")
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
        nargs="+",
        choices=CLASSIFIERS,
        help="of several, the training set chooses one",
    )
    learning.add_argument(
        "--grid-search", default="none", choices=["none", "small"], help="whether the training set chooses settings too"
    )
    learning.add_argument("--class-weights", default="none", choices=["none", "balanced"])
    learning.add_argument(
        "--metric", default="mcc", choices=METRICS, help="that chooses, and that the verdict is about"
    )
    learning.add_argument("--seed", default=42, type=number(int, 0, 2**32 - 1), metavar="N")

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-predictions", metavar="TSV", help="class and probabilities of every sequence")
    outputs.add_argument("--output-metrics", metavar="TSV", help="scores with intervals, baselines beside them")
    outputs.add_argument("--output-classification-report", metavar="TSV", help="precision, recall and F1 of each class")
    outputs.add_argument("--output-model", metavar="ZIP", help="the classifier, to be applied")
    add_report(outputs)
    return parser.parse_args()


def main():
    arguments = options()
    from seqlm.cli.isolation import isolate
    from seqlm.cli.outputs import Outputs, check_targets

    check_targets(arguments)
    with tempfile.TemporaryDirectory(prefix="seqlm_") as scratch, Outputs() as outputs:
        isolate(Path(scratch))
        if arguments.model:
            from seqlm.tools.classify.apply import apply

            apply(arguments, Path(scratch), outputs)
        else:
            from seqlm.tools.classify.inputs import check

            plan = check(arguments)
            from seqlm.tools.classify.outputs import write
            from seqlm.tools.classify.run import train

            write(train(plan), outputs)


if __name__ == "__main__":
    run(main)
