#!/usr/bin/env python3
"""Fine-tune a protein, DNA or molecule language model on labelled sequences, or to write sequences like those given."""

import sys
from argparse import Namespace
from pathlib import Path

from seqlm.cli.arguments import Number, Numbers
from seqlm.cli.errors import InputError, Parser
from seqlm.cli.options import COLUMNS, COMPUTING, MOLECULES, PROCESSES, REPORT, add, add_group
from seqlm.cli.outputs import Outputs
from seqlm.cli.running import run
from seqlm.data.tasks import FINE_TUNED
from seqlm.metrics.names import DECIDING
from seqlm.tools.finetune.methods import GROUPS, LEARNING_RATES


def options() -> Parser:
    parser = Parser(description=__doc__)
    add(parser, "--model", help="base model: a Hugging Face folder, or a bundle (zip) that holds a whole model")
    add(parser, "--model-id", "--model-revision")

    data = parser.add_argument_group("data")
    data.add_argument(
        "--train",
        metavar="FILE",
        help="labelled sequences: FASTA or table; for causal-lm the sequences alone",
    )
    add(data, "--validation", help="to pick the best epoch; else a share of --train")
    add(data, "--test", help="never used in training")
    add(data, "--validation-fraction", default=0.15)
    add(data, "--test-fraction", default=0.0)
    add(data, "--class-fasta", help="training sequences of one class, once for each class, in place of --train")
    for name in ("--validation-class-fasta", "--test-class-fasta"):
        data.add_argument(name, action="append", default=[], metavar="CLASS=FASTA")
    add(data, "--label-pattern", "--label-column")
    data.add_argument(
        "--label-columns",
        metavar="COLUMNS",
        help="of several labels, where each has a column with 0, 1 or nothing: names, numbers or ranges of these, with "
        "commas between",
    )
    data.add_argument(
        "--label-separator", default=";", metavar="TEXT", help="between the labels of a sequence that can have several"
    )
    add(data, "--split-column")
    data.add_argument("--validation-column", metavar="COLUMN", help="says true for training rows kept for validation")
    add(data, "--split-pattern", "--positive-label")
    add(data, "--alphabet", help="auto: told from the model's vocabulary")
    add(data, "--structures")
    data.add_argument(
        "--duplicates",
        default="report",
        choices=["report", "remove", "refuse"],
        help="training sequences that are in the validation or test set too",
    )
    add(add_group(parser, COLUMNS), "--light-column")
    add_group(parser, MOLECULES)

    residues = parser.add_argument_group("labels of residues, and pairs")
    add(
        residues,
        "--sequences",
        required=False,
        help="the sequences, where --train holds label strings (FASTA), positions of sites (table) or pairs (table)",
    )
    add(residues, "--mask")
    residues.add_argument(
        "--unknown-labels", default="?", metavar="LETTERS", help="letters of a label string that count nowhere"
    )
    residues.add_argument(
        "--merge-labels",
        default="",
        metavar="LETTERS=CLASS,…",
        help="labels that are counted as one class, such as 1234567=1 or HGI=H,EB=E",
    )
    add(residues, "--position-column")
    residues.add_argument(
        "--unlisted",
        default="negative",
        choices=["negative", "unknown"],
        help="what a residue is that a table of sites does not list",
    )
    add(residues, "--misfits", help="what sites of a table do that cannot be read or do not fit their sequence")
    add(residues, "--second-sequences")
    add(residues, "--second-model", help="that reads second members, such as DNA; not trained")
    residues.add_argument("--second-model-id", default="", metavar="TEXT", help="its name, as noted in the bundle")
    add(residues, "--first-column", "--second-column")
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

    folds = parser.add_argument_group("cross-validation")
    folds.add_argument(
        "--folds",
        default=0,
        type=Number(int, 0, 20),
        metavar="K",
        help="train K models, each on all labelled sequences but one in K, which it is judged by; 0: one model",
    )
    folds.add_argument(
        "--fold-repeats",
        default=1,
        type=Number(int, 1, 10),
        metavar="N",
        help="divide anew and train again; all models are in the bundle",
    )
    folds.add_argument(
        "--fold-groups",
        default="auto",
        choices=GROUPS,
        help="what stays in one fold; auto: the windows of a protein, molecules of one scaffold, related sequences "
        "(MMseqs2), pairs by their members",
    )
    add(folds, "--group-column")
    add(
        folds,
        "--coverage",
        help="of conformal sets or intervals, checked in the report; 0.9 if not given, without folds 0: no check",
    )

    tries = parser.add_argument_group(
        "sweep", "settings that are tried on folds within the training set; the best one is trained"
    )
    listed = {"default": [], "metavar": "N,N,…"}
    tries.add_argument("--sweep-learning-rates", type=Numbers(Number(float, 0, 1, above=True)), **listed)
    tries.add_argument("--sweep-ranks", type=Numbers(Number(int, 1, 1024)), **listed)
    tries.add_argument("--sweep-layers", type=Numbers(Number(int, 0, 1000)), help="0: all", **listed)

    learning = parser.add_argument_group("learning")
    learning.add_argument("--task", default=FINE_TUNED[0], choices=FINE_TUNED)
    learning.add_argument(
        "--method",
        default="lora",
        choices=list(LEARNING_RATES),
        help="what is trained: an adapter, all weights, or only the head on fixed embeddings",
    )
    add(learning, "--lora-rank", "--lora-alpha")
    add(learning, "--lora-dropout", default=0.1)
    add(learning, "--lora-modules", default="attention")
    learning.add_argument(
        "--lora-last-layers",
        default=0,
        type=Number(int, 0, 1000),
        metavar="N",
        help="0: every layer; with fewer, those below are computed once and training is much faster",
    )
    learning.add_argument("--lora-scaling", default="standard", choices=["standard", "rslora"])
    learning.add_argument("--lora-start", default="default", choices=["default", "pissa"])
    learning.add_argument(
        "--vera-rank", type=Number(int, 1, 1024), metavar="N", help="of the matrices that VeRA shares; 256 if not given"
    )
    learning.add_argument("--train-layer-norms", action="store_true")
    learning.add_argument("--head", default="mlp", choices=["linear", "mlp"])
    learning.add_argument("--head-dropout", default=0.2, type=Number(float, 0, 0.95), metavar="SHARE")
    learning.add_argument("--pooling", default="mean", choices=["mean", "cls"])
    add(learning, "--max-length", help="tokens read at once; 0: what the model was made for")
    add(learning, "--prefix")
    add(learning, "--long-sequences")
    add(learning, "--epochs", default=20)
    add(
        learning,
        "--learning-rate",
        help="0.0003 if not given; of AdaLoRA and of the head alone 0.001, of IA3 0.003, of VeRA 0.004, of all weights "
        "0.00002",
    )
    add(learning, "--batch-size", default=8, help="sequences an update; they are run in passes of --batch-tokens")
    add(learning, "--weight-decay")
    add(learning, "--warmup", default=0.1)
    add(learning, "--schedule", default="linear")
    learning.add_argument(
        "--metric",
        default="auto",
        help="picks the best epoch, and is what models are compared by; auto, as loss: the loss picks it, and what "
        "compares is mcc, auprc for residues of two classes, fmax for several labels, spearman for numbers",
        choices=["auto", "loss", *DECIDING],
    )
    add(
        learning,
        "--patience",
        help="epochs after the warm-up without a better validation score before training stops; 0: train them all",
    )
    add(learning, "--class-weights")
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
    add_group(parser, COMPUTING)
    add_group(parser, PROCESSES)

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-model", required=True, metavar="ZIP", help="bundle: adapter (or model) and head")
    add(outputs, "--output-metrics")
    outputs.add_argument(
        "--output-predictions",
        metavar="TSV",
        help="of the test set, or else the validation set; with folds of all labelled sequences, out of fold",
    )
    outputs.add_argument("--output-log", metavar="TSV", help="losses and validation scores, a row an epoch")
    add(outputs, *REPORT)
    return parser


def work(arguments: Namespace, scratch: Path, outputs: Outputs) -> None:
    if bool(arguments.train) == bool(arguments.class_fasta):
        raise InputError("give the training data: either one file (--train), or one for each class (--class-fasta)")
    if arguments.task == "causal-lm":
        from seqlm.tools.finetune.language.inputs import check
    else:
        from seqlm.tools.finetune.inputs import check

    plan = check(arguments, scratch)
    print("loading the libraries", file=sys.stderr)
    if arguments.task == "causal-lm":
        from seqlm.tools.finetune.language.outputs import write
        from seqlm.tools.finetune.language.run import finetune
    else:
        from seqlm.tools.finetune.outputs import write

        if arguments.folds:
            from seqlm.tools.finetune.cross_validation import cross_validate as finetune
        else:
            from seqlm.tools.finetune.run import finetune

    result = finetune(plan)
    if result is not None:
        write(result, outputs)
        plan.memory.say()


if __name__ == "__main__":
    run(options(), work)
