#!/usr/bin/env python3
"""Train a language model of sequences from scratch, go on training one, or teach one to follow instructions."""

import sys
import tempfile
from pathlib import Path

from seqlm import __version__
from seqlm.cli.arguments import add_columns, add_computing, add_processes, add_report, number
from seqlm.cli.errors import Parser, run


def options():
    parser = Parser(description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)

    data = parser.add_argument_group("data")
    data.add_argument(
        "--corpus",
        required=True,
        nargs="+",
        metavar="FILE",
        help="sequences to learn from: FASTA or tables; of instructions one file, JSON lines or a table",
    )
    data.add_argument(
        "--alphabet",
        default="auto",
        choices=["auto", "protein", "DNA", "text"],
        help="of the corpus; auto: told from its letters",
    )
    data.add_argument(
        "--smiles",
        default="as-given",
        choices=["as-given", "canonical"],
        help="canonical: every molecule in RDKit's one way of writing it",
    )
    data.add_argument("--both-strands", action="store_true", help="of DNA, learn from the reverse complement as well")
    data.add_argument(
        "--context",
        default=0,
        type=number(int, 0, 1 << 20),
        metavar="N",
        help="tokens read at once, start and end of a sequence among them; 0: 512, or fewer where the model has fewer",
    )
    data.add_argument(
        "--overlap",
        default=0.0,
        type=number(float, 0, 0.9),
        metavar="SHARE",
        help="of a context that the next one of a long sequence repeats",
    )
    data.add_argument("--validation-fraction", default=0.1, type=number(float, 0, 0.9), metavar="SHARE")
    data.add_argument("--test-fraction", default=0.1, type=number(float, 0, 0.9), metavar="SHARE")
    data.add_argument(
        "--split",
        default="auto",
        choices=["auto", "record", "stretch"],
        help="hold out whole sequences, or stretches of long ones; auto: stretches if sequences are few or chromosomes",
    )
    data.add_argument(
        "--gap", default=1000, type=number(int, 0), metavar="LETTERS", help="unused on both sides of a stretch"
    )
    data.add_argument(
        "--held-out-letters",
        default=200_000,
        type=number(int, 10),
        metavar="N",
        help="in each held-out set at most",
    )
    data.add_argument("--validation-pattern", default="", metavar="REGEX", help="names of sequences, such as ^chr8$")
    data.add_argument("--test-pattern", default="", metavar="REGEX")
    add_columns(parser)

    model = parser.add_argument_group("a new model")
    model.add_argument("--architecture", choices=["gpt2", "llama", "bert", "roberta", "esm", "modernbert"])
    model.add_argument("--tokenizer", metavar="PATH", help="archive of a tokenizer, or of a model with its tokenizer")
    model.add_argument("--tokenizer-name", default="", metavar="TEXT", help="what messages call it")
    model.add_argument("--size", default="tiny", choices=["tiny", "mini", "small", "medium", "base"])
    model.add_argument("--layers", type=number(int, 1, 200), metavar="N", help="in place of those of the size")
    model.add_argument("--width", type=number(int, 4, 16384), metavar="N")
    model.add_argument("--heads", type=number(int, 1, 256), metavar="N")
    model.add_argument("--inner", type=number(int, 4, 65536), metavar="N", help="width of the feed-forward")
    model.add_argument("--dropout", default=0.1, type=number(float, 0, 0.9), metavar="SHARE")

    old = parser.add_argument_group("a model to go on with")
    old.add_argument("--model", metavar="PATH", help="a Hugging Face folder or a bundle with all weights")
    old.add_argument("--model-id", default="", metavar="TEXT", help="its name, as noted in the bundle")
    old.add_argument("--model-revision", default="", metavar="TEXT")
    old.add_argument("--method", default="full", choices=["full", "lora"])
    old.add_argument("--lora-rank", default=8, type=number(int, 1, 1024), metavar="N")
    old.add_argument("--lora-alpha", default=16, type=number(float, 0, 10000, above=True), metavar="X")
    old.add_argument("--lora-dropout", default=0.05, type=number(float, 0, 0.9), metavar="SHARE")
    old.add_argument("--lora-modules", default="all-linear", choices=["query-value", "attention", "all-linear"])
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
    objective.add_argument(
        "--objective", choices=["causal", "masked", "instruction"], help="that of the architecture if not given"
    )
    objective.add_argument("--masked-share", default=0.15, type=number(float, 0.01, 0.9), metavar="SHARE")
    objective.add_argument(
        "--masking", default="token", choices=["token", "span", "codon"], help="what is hidden together"
    )
    objective.add_argument(
        "--span", default=1.0, type=number(float, 1, 100), metavar="N", help="mean tokens of a span; 3 if not given"
    )

    instructions = parser.add_argument_group("instructions")
    instructions.add_argument("--validation", metavar="FILE", help="instructions to choose the epoch by")
    instructions.add_argument("--test", metavar="FILE", help="instructions that are answered at the end")
    instructions.add_argument("--instruction-column", default="instruction", metavar="NAME")
    instructions.add_argument("--input-column", default="input", metavar="NAME")
    instructions.add_argument("--output-column", default="output", metavar="NAME")
    instructions.add_argument(
        "--template",
        default="",
        metavar="TEXT",
        help="what is put before an answer, with {instruction} and {input}; \\n is a line break",
    )
    instructions.add_argument("--max-answer", default=64, type=number(int, 1, 4096), metavar="TOKENS")

    learning = parser.add_argument_group("learning")
    learning.add_argument("--epochs", default=10, type=number(int, 1, 100_000), metavar="N")
    learning.add_argument("--max-steps", default=0, type=number(int, 0), metavar="N", help="updates; 0: all epochs")
    learning.add_argument("--batch-size", default=32, type=number(int, 1, 100_000), metavar="CONTEXTS")
    learning.add_argument("--learning-rate", default=5e-4, type=number(float, 0, 1, above=True), metavar="X")
    learning.add_argument("--weight-decay", default=0.01, type=number(float, 0, 1), metavar="X")
    learning.add_argument("--warmup", default=0.05, type=number(float, 0, 0.9), metavar="SHARE")
    learning.add_argument("--schedule", default="cosine", choices=["cosine", "linear", "constant_with_warmup"])
    learning.add_argument(
        "--clip", default=1.0, type=number(float, 0), metavar="NORM", help="of the gradients; 0: not clipped"
    )
    learning.add_argument(
        "--patience",
        default=5,
        type=number(int, 0),
        metavar="N",
        help="looks at the validation set without a better loss before training stops; 0: it does not",
    )
    learning.add_argument(
        "--evaluate-every", default=0, type=number(int, 0), metavar="UPDATES", help="0: after each epoch"
    )

    going_on = parser.add_argument_group("stopping and going on")
    going_on.add_argument("--resume", metavar="ZIP", help="a checkpoint of the same training")
    going_on.add_argument("--output-checkpoint", metavar="ZIP", help="where the state of the training is kept")
    going_on.add_argument("--checkpoint-minutes", default=0.0, type=number(float, 0), metavar="MINUTES")
    going_on.add_argument(
        "--max-minutes", default=0.0, type=number(float, 0), metavar="MINUTES", help="stop then; 0: no limit"
    )
    going_on.add_argument("--pause-after", default=0, type=number(int, 0), metavar="UPDATES", help="of this run")

    add_computing(parser)
    add_processes(parser)

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-model", required=True, metavar="ZIP", help="bundle")
    outputs.add_argument("--output-metrics", metavar="TSV", help="scores with intervals, baselines beside them")
    outputs.add_argument("--output-log", metavar="TSV", help="losses, a row for each look at the validation set")
    outputs.add_argument("--output-predictions", metavar="TSV", help="of instructions: the answers to the test set")
    add_report(outputs)
    return parser.parse_args()


def main():
    arguments = options()
    from seqlm.cli.isolation import isolate
    from seqlm.cli.outputs import Outputs, check_targets
    from seqlm.tools.pretrain.inputs import check

    check_targets(arguments)
    with tempfile.TemporaryDirectory(prefix="seqlm_") as scratch, Outputs() as outputs:
        isolate(Path(scratch))
        plan = check(arguments, Path(scratch))
        print("loading the libraries", file=sys.stderr)
        from seqlm.tools.pretrain.run import pretrain

        result = pretrain(plan)
        if result is not None:
            from seqlm.tools.pretrain.outputs import write

            write(result, outputs)


if __name__ == "__main__":
    run(main)
