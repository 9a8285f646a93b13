#!/usr/bin/env python3
"""Train a language model of sequences from scratch, go on training one, or teach one to follow instructions."""

import sys
from argparse import Namespace
from pathlib import Path

from seqlm.cli.arguments import Number
from seqlm.cli.errors import Parser
from seqlm.cli.options import COLUMNS, COMPUTING, PROCESSES, REPORT, add, add_group
from seqlm.cli.outputs import Outputs
from seqlm.cli.running import run
from seqlm.tools.pretrain.architectures import ARCHITECTURES, OBJECTIVES, SIZES


def options() -> Parser:
    parser = Parser(description=__doc__)

    data = parser.add_argument_group("data")
    add(
        data,
        "--corpus",
        required=True,
        help="sequences to learn from: FASTA or tables, once for each; of instructions one file, JSON lines or a table",
    )
    add(data, "--alphabet", help="of the corpus; auto: told from its letters")
    add(data, "--smiles", "--both-strands")
    data.add_argument(
        "--context",
        default=0,
        type=Number(int, 0, 1 << 20),
        metavar="N",
        help="tokens read at once, start and end of a sequence among them; 0: 512, or fewer where the model has fewer",
    )
    data.add_argument(
        "--overlap",
        default=0.0,
        type=Number(float, 0, 0.9),
        metavar="SHARE",
        help="of a context that the next one of a long sequence repeats",
    )
    add(data, "--validation-fraction", default=0.1)
    add(data, "--test-fraction", default=0.1)
    data.add_argument(
        "--split",
        default="auto",
        choices=["auto", "record", "stretch"],
        help="hold out whole sequences, or stretches of long ones; auto: stretches if sequences are few or chromosomes",
    )
    data.add_argument(
        "--gap", default=1000, type=Number(int, 0), metavar="LETTERS", help="unused on both sides of a stretch"
    )
    data.add_argument(
        "--held-out-letters",
        default=200_000,
        type=Number(int, 10),
        metavar="N",
        help="in each held-out set at most",
    )
    data.add_argument("--validation-pattern", default="", metavar="REGEX", help="names of sequences, such as ^chr8$")
    data.add_argument("--test-pattern", default="", metavar="REGEX")
    add_group(parser, COLUMNS)

    model = parser.add_argument_group("a new model")
    model.add_argument("--architecture", choices=list(ARCHITECTURES))
    model.add_argument("--tokenizer", metavar="PATH", help="archive of a tokenizer, or of a model with its tokenizer")
    model.add_argument("--tokenizer-name", default="", metavar="TEXT", help="what messages call it")
    model.add_argument("--size", default="tiny", choices=list(SIZES))
    model.add_argument("--layers", type=Number(int, 1, 200), metavar="N", help="in place of those of the size")
    model.add_argument("--width", type=Number(int, 4, 16384), metavar="N")
    model.add_argument("--heads", type=Number(int, 1, 256), metavar="N")
    model.add_argument("--inner", type=Number(int, 4, 65536), metavar="N", help="width of the feed-forward")
    model.add_argument("--dropout", default=0.1, type=Number(float, 0, 0.9), metavar="SHARE")

    old = parser.add_argument_group("a model to go on with")
    add(old, "--model", required=False, help="a Hugging Face folder or a bundle with all weights")
    add(old, "--model-id", "--model-revision")
    old.add_argument("--method", default="full", choices=["full", "lora"])
    add(old, "--lora-rank", "--lora-alpha")
    add(old, "--lora-dropout", default=0.05)
    add(old, "--lora-modules", default="all-linear")
    old.add_argument(
        "--lora-embeddings",
        default="train",
        choices=["train", "keep"],
        help="whether embeddings and head are trained and saved as well",
    )
    old.add_argument(
        "--lora-output",
        default="adapter",
        choices=["adapter", "merged"],
        help="adapter: small, needs its base model; merged: a whole model, which can be fine-tuned and taught further",
    )

    objective = parser.add_argument_group("what is learnt")
    objective.add_argument("--objective", choices=OBJECTIVES, help="that of the architecture if not given")
    objective.add_argument("--masked-share", default=0.15, type=Number(float, 0.01, 0.9), metavar="SHARE")
    objective.add_argument(
        "--masking", default="token", choices=["token", "span", "codon"], help="what is hidden together"
    )
    objective.add_argument(
        "--span", default=1.0, type=Number(float, 1, 100), metavar="N", help="mean tokens of a span; 3 if not given"
    )

    instructions = parser.add_argument_group("instructions")
    add(instructions, "--validation", help="instructions to choose the epoch by")
    add(instructions, "--test", help="instructions that are answered at the end")
    instructions.add_argument("--instruction-column", default="instruction", metavar="NAME")
    instructions.add_argument("--input-column", default="input", metavar="NAME")
    instructions.add_argument("--output-column", default="output", metavar="NAME")
    instructions.add_argument(
        "--template",
        default="",
        metavar="TEXT",
        help="what is put before an answer, with {instruction} and {input}; \\n is a line break",
    )
    instructions.add_argument("--max-answer", default=64, type=Number(int, 1, 4096), metavar="TOKENS")

    learning = parser.add_argument_group("learning")
    add(learning, "--epochs", default=10)
    learning.add_argument("--max-steps", default=0, type=Number(int, 0), metavar="N", help="updates; 0: all epochs")
    add(learning, "--batch-size", default=32, metavar="CONTEXTS")
    add(learning, "--learning-rate", default=5e-4)
    add(learning, "--weight-decay")
    add(learning, "--warmup", default=0.05)
    add(learning, "--schedule", default="cosine")
    learning.add_argument(
        "--clip", default=1.0, type=Number(float, 0), metavar="NORM", help="of the gradients; 0: not clipped"
    )
    add(
        learning,
        "--patience",
        help="looks at the validation set after the warm-up without a better loss before it stops; 0: it goes on",
    )
    learning.add_argument(
        "--evaluate-every", default=0, type=Number(int, 0), metavar="UPDATES", help="0: after each epoch"
    )

    going_on = parser.add_argument_group("stopping and going on")
    going_on.add_argument("--resume", metavar="ZIP", help="a checkpoint of the same training")
    going_on.add_argument("--output-checkpoint", metavar="ZIP", help="where the state of the training is kept")
    going_on.add_argument("--checkpoint-minutes", default=0.0, type=Number(float, 0), metavar="MINUTES")
    going_on.add_argument(
        "--max-minutes", default=0.0, type=Number(float, 0), metavar="MINUTES", help="stop then; 0: no limit"
    )
    going_on.add_argument("--pause-after", default=0, type=Number(int, 0), metavar="UPDATES", help="of this run")

    add_group(parser, COMPUTING)
    add_group(parser, PROCESSES)

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-model", required=True, metavar="ZIP", help="bundle")
    add(outputs, "--output-metrics")
    outputs.add_argument("--output-log", metavar="TSV", help="losses, a row for each look at the validation set")
    outputs.add_argument("--output-predictions", metavar="TSV", help="of instructions: the answers to the test set")
    add(outputs, *REPORT)
    return parser


def work(arguments: Namespace, scratch: Path, outputs: Outputs) -> None:
    from seqlm.tools.pretrain.inputs import check

    plan = check(arguments, scratch)
    print("loading the libraries", file=sys.stderr)
    from seqlm.tools.pretrain.run import pretrain

    result = pretrain(plan)
    if result is not None:
        from seqlm.tools.pretrain.outputs import write

        write(result, outputs)
        plan.memory.say()


if __name__ == "__main__":
    run(options(), work)
