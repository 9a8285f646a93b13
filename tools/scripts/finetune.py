#!/usr/bin/env python3
"""Fine-tune a protein, DNA or molecule language model on labelled sequences, or to write sequences like those given."""

import sys
import tempfile
from pathlib import Path

from seqlm import __version__
from seqlm.cli.arguments import add_columns, add_computing, add_model, add_molecules, add_processes, add_report, number
from seqlm.cli.errors import Parser, run

TASKS = (
    "sequence-classification", "multi-label", "sequence-regression", "residue-classification", "residue-regression",
    "pair-classification", "pair-regression", "causal-lm",
)  # fmt: skip
METRICS = (
    "mcc", "balanced_accuracy", "accuracy", "f1", "auroc", "auprc", "macro_f1", "micro_f1", "fmax", "macro_auroc",
    "macro_auprc", "micro_auprc", "spearman", "pearson", "rmse", "r2",
)  # fmt: skip


def options():
    parser = Parser(description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    add_model(parser, "base model: a Hugging Face folder, or a bundle (zip) that holds a whole model")
    parser.add_argument("--model-id", default="", metavar="TEXT", help="its name, as noted in the bundle")
    parser.add_argument("--model-revision", default="", metavar="TEXT")

    data = parser.add_argument_group("data")
    data.add_argument(
        "--train",
        required=True,
        metavar="FILE",
        help="labelled sequences: FASTA or table; for causal-lm the sequences alone",
    )
    data.add_argument("--validation", metavar="FILE", help="to pick the best epoch; else a share of --train")
    data.add_argument("--test", metavar="FILE", help="never used in training")
    data.add_argument("--validation-fraction", default=0.15, type=number(float, 0, 0.9), metavar="SHARE")
    data.add_argument("--test-fraction", default=0.0, type=number(float, 0, 0.9), metavar="SHARE")
    data.add_argument(
        "--label-pattern",
        default=r"LABEL=(\S+)",
        metavar="REGEX",
        help="finds the label in a FASTA header; the first group is the label",
    )
    data.add_argument("--label-column", metavar="COLUMN", help="'label' if not given")
    data.add_argument(
        "--label-separator", default=";", metavar="TEXT", help="between the labels of a sequence that can have several"
    )
    data.add_argument("--split-column", metavar="COLUMN", help="says train, validation or test")
    data.add_argument("--validation-column", metavar="COLUMN", help="says true for training rows kept for validation")
    data.add_argument(
        "--split-pattern", metavar="REGEX", help="finds train, validation or test in a FASTA header, such as SET=(\\w+)"
    )
    data.add_argument("--positive-label", metavar="LABEL", help="of two classes; the one that sorts last if not given")
    data.add_argument(
        "--alphabet",
        default="auto",
        choices=["auto", "protein", "DNA", "text"],
        help="auto: told from the model's vocabulary",
    )
    data.add_argument(
        "--duplicates",
        default="report",
        choices=["report", "remove", "refuse"],
        help="training sequences that are in the validation or test set too",
    )
    add_columns(parser)

    add_molecules(parser)
    residues = parser.add_argument_group("labels of residues, and pairs")
    residues.add_argument(
        "--sequences",
        metavar="FILE",
        help="the sequences, where --train holds label strings (FASTA), positions of sites (table) or pairs (table)",
    )
    residues.add_argument("--mask", metavar="FASTA", help="strings of 0 and 1; residues with 0 count nowhere")
    residues.add_argument(
        "--unknown-labels", default="?", metavar="LETTERS", help="letters of a label string that count nowhere"
    )
    residues.add_argument(
        "--merge-labels",
        default="",
        metavar="LETTERS=CLASS,…",
        help="labels that are counted as one class, such as 1234567=1 or HGI=H,EB=E",
    )
    residues.add_argument("--position-column", metavar="COLUMN", help="of a table of sites; 'position' if not given")
    residues.add_argument(
        "--unlisted",
        default="negative",
        choices=["negative", "unknown"],
        help="what a residue is that a table of sites does not list",
    )
    residues.add_argument(
        "--second-sequences", metavar="FILE", help="of second members, where they are in another file"
    )
    residues.add_argument("--second-model", metavar="PATH", help="that reads second members, such as DNA; not trained")
    residues.add_argument("--second-model-id", default="", metavar="TEXT", help="its name, as noted in the bundle")
    residues.add_argument("--first-column", metavar="COLUMN", help="of a table of pairs; 'first' or else column 1")
    residues.add_argument("--second-column", metavar="COLUMN", help="'second' or else column 2")
    residues.add_argument(
        "--pair-order",
        default="auto",
        choices=["auto", "symmetric", "ordered"],
        help="whether A with B is the same pair as B with A; auto: yes, unless there are two files of sequences",
    )
    residues.add_argument(
        "--pair-split",
        default="member",
        choices=["member", "pair"],
        help="how sets are drawn: no sequence in two of them, or pair by pair",
    )

    learning = parser.add_argument_group("learning")
    learning.add_argument("--task", default=TASKS[0], choices=TASKS)
    learning.add_argument(
        "--method",
        default="lora",
        choices=["lora", "dora", "full", "head"],
        help="what is trained: an adapter, all weights, or only the head on fixed embeddings",
    )
    learning.add_argument("--lora-rank", default=8, type=number(int, 1, 1024), metavar="N")
    learning.add_argument("--lora-alpha", default=16, type=number(float, 0, 10000, above=True), metavar="X")
    learning.add_argument("--lora-dropout", default=0.1, type=number(float, 0, 0.9), metavar="SHARE")
    learning.add_argument("--lora-modules", default="attention", choices=["query-value", "attention", "all-linear"])
    learning.add_argument("--lora-last-layers", default=0, type=number(int, 0), metavar="N", help="0: every layer")
    learning.add_argument("--lora-scaling", default="standard", choices=["standard", "rslora"])
    learning.add_argument("--lora-start", default="default", choices=["default", "pissa"])
    learning.add_argument("--train-layer-norms", action="store_true")
    learning.add_argument("--head", default="mlp", choices=["linear", "mlp"])
    learning.add_argument("--head-dropout", default=0.2, type=number(float, 0, 0.95), metavar="SHARE")
    learning.add_argument("--pooling", default="mean", choices=["mean", "cls"])
    learning.add_argument(
        "--max-length",
        default=0,
        type=number(int, 0, 100_000),
        metavar="N",
        help="tokens read at once; 0: what the model was made for",
    )
    learning.add_argument("--long-sequences", default="window", choices=["window", "truncate", "refuse"])
    learning.add_argument("--epochs", default=20, type=number(int, 1, 10_000), metavar="N")
    learning.add_argument("--learning-rate", default=3e-4, type=number(float, 0, 1, above=True), metavar="X")
    learning.add_argument(
        "--batch-size",
        default=8,
        type=number(int, 1, 100_000),
        metavar="N",
        help="sequences an update; they are run in passes of --batch-tokens",
    )
    learning.add_argument("--weight-decay", default=0.01, type=number(float, 0, 1), metavar="X")
    learning.add_argument("--warmup", default=0.1, type=number(float, 0, 0.9), metavar="SHARE")
    learning.add_argument("--schedule", default="linear", choices=["linear", "cosine", "constant_with_warmup"])
    learning.add_argument(
        "--metric",
        default="auto",
        help="picks the best epoch; auto: mcc, auprc for residues of two classes, fmax for several labels, spearman",
        choices=["auto", "loss", *METRICS],
    )
    learning.add_argument(
        "--patience",
        default=5,
        type=number(int, 0),
        metavar="N",
        help="epochs without a better validation score before training stops; 0: train them all",
    )
    learning.add_argument("--class-weights", default="none", choices=["none", "balanced"])
    learning.add_argument(
        "--threshold-by",
        default="mcc",
        choices=["mcc", "f1", "none"],
        help="score on the validation set that chooses the probability from which a class is called; none: 0.5",
    )
    learning.add_argument(
        "--calibration",
        default="none",
        choices=["none", "temperature"],
        help="divide the logits by the temperature that fits the validation set best",
    )
    learning.add_argument("--gradient-checkpointing", action="store_true", help="less memory, more time")
    add_computing(parser)
    add_processes(parser)

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-model", required=True, metavar="ZIP", help="bundle: adapter (or model) and head")
    outputs.add_argument("--output-metrics", metavar="TSV", help="scores with intervals, baselines beside them")
    outputs.add_argument("--output-predictions", metavar="TSV", help="of the test set, or else the validation set")
    outputs.add_argument("--output-log", metavar="TSV", help="losses and validation scores, a row an epoch")
    add_report(outputs)
    return parser.parse_args()


def main():
    arguments = options()
    from seqlm.cli.isolation import isolate
    from seqlm.cli.outputs import Outputs, check_targets

    if arguments.task == "causal-lm":
        from seqlm.tools.finetune.language.inputs import check
    else:
        from seqlm.tools.finetune.inputs import check
    check_targets(arguments)
    with tempfile.TemporaryDirectory(prefix="seqlm_") as scratch, Outputs() as outputs:
        isolate(Path(scratch))
        plan = check(arguments, Path(scratch))
        print("loading the libraries", file=sys.stderr)
        if arguments.task == "causal-lm":
            from seqlm.tools.finetune.language.outputs import write
            from seqlm.tools.finetune.language.run import finetune
        else:
            from seqlm.tools.finetune.outputs import write
            from seqlm.tools.finetune.run import finetune

        result = finetune(plan)
        if result is not None:
            write(result, outputs)


if __name__ == "__main__":
    run(main)
