#!/usr/bin/env python3
"""Train a tokenizer of sequences, extend the vocabulary of a model, or show how a model splits sequences."""

from argparse import Namespace
from pathlib import Path

from seqlm.cli.arguments import Number
from seqlm.cli.errors import Parser
from seqlm.cli.options import COLUMNS, MOLECULES, REPORT, add, add_group
from seqlm.cli.outputs import Outputs
from seqlm.cli.running import run
from seqlm.tokenization.special_tokens import STYLES
from seqlm.tools.tokenizer.names import ALGORITHMS


def options() -> Parser:
    parser = Parser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--inspect", action="store_true", help="split sequences into tokens, and say what is lost")
    what.add_argument("--train", action="store_true", help="learn a new tokenizer from a corpus")
    what.add_argument("--extend", action="store_true", help="add tokens learnt from a corpus to a model's vocabulary")
    add(
        parser,
        "--model",
        required=False,
        help="to inspect: a Hugging Face folder, an archive of one, or a bundle; its tokenizer files are enough. To "
        "extend: one with its weights",
    )
    add(parser, "--model-id")
    add(parser, "--alphabet", help="auto: told from the model's vocabulary, or from the corpus")
    add(parser, "--sequences", required=False)
    add(parser, "--prefix")
    add_group(parser, COLUMNS)
    add_group(parser, MOLECULES)

    corpus = parser.add_argument_group("to train, or to extend")
    add(corpus, "--corpus", default=[], help="what is learnt from; may be repeated")
    corpus.add_argument(
        "--algorithm",
        default="bpe",
        choices=list(ALGORITHMS),
        help="of a new tokenizer",
    )
    corpus.add_argument(
        "--vocab-size",
        type=Number(int, 1, 1 << 20),
        metavar="N",
        help="tokens, special ones counted (4096 if not given); to extend: new tokens (256 if not given)",
    )
    corpus.add_argument(
        "--min-frequency", type=Number(int, 1), metavar="N", help="times that a token must occur; 2 if not given"
    )
    corpus.add_argument(
        "--max-token-length", type=Number(int, 0, 1000), metavar="N", help="letters; 0: any; 16 if not given"
    )
    corpus.add_argument("--kmer", type=Number(int, 1, 32), metavar="K", help="letters of a k-mer; 6 if not given")
    corpus.add_argument("--overlapping", action="store_true", help="a k-mer at every letter")
    add(corpus, "--both-strands")
    corpus.add_argument(
        "--chunk-length",
        default=512,
        type=Number(int, 16, 100_000),
        metavar="N",
        help="letters that are learnt from at once; long sequences are cut",
    )
    corpus.add_argument(
        "--training-letters",
        default=20_000_000,
        type=Number(int, 100),
        metavar="N",
        help="learnt from at most, both strands counted; about 70 bytes of memory for each",
    )
    corpus.add_argument(
        "--held-out", default=0.1, type=Number(float, 0, 0.9), metavar="SHARE", help="of the letters, to measure on"
    )
    corpus.add_argument(
        "--special-tokens",
        default="bert",
        choices=list(STYLES),
        help="those of the models that the tokenizer is for",
    )
    corpus.add_argument(
        "--compare-with", action="append", default=[], metavar="PATH", help="a model or a tokenizer; may be repeated"
    )
    corpus.add_argument(
        "--compare-name", action="append", default=[], metavar="TEXT", help="its name, one for each of them"
    )
    add(corpus, "--seed", help="of the intervals")

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-table", metavar="TSV", help="to inspect: the tokens")
    outputs.add_argument(
        "--rows", default="sequence", choices=["sequence", "token"], help="of the table: one for each token or sequence"
    )
    outputs.add_argument("--output-usage", metavar="TSV", help="the vocabulary, and how often each token is used")
    outputs.add_argument(
        "--shown", default=6, type=Number(int, 1, 20), metavar="N", help="so many of the first sequences are drawn"
    )
    outputs.add_argument("--output-tokenizer", metavar="ZIP", help="to train: the new tokenizer")
    outputs.add_argument("--output-model", metavar="ZIP", help="to extend: the model with its new vocabulary")
    outputs.add_argument("--output-vocabulary", metavar="TSV", help="to train or to extend: the tokens")
    outputs.add_argument("--output-comparison", metavar="TSV", help="to train: beside other tokenizers")
    add(outputs, *REPORT)
    return parser


def work(arguments: Namespace, scratch: Path, outputs: Outputs) -> None:
    if arguments.train:
        from seqlm.tools.tokenizer.training_inputs import check

        plan = check(arguments, scratch)
        from seqlm.tools.tokenizer.training import train
        from seqlm.tools.tokenizer.training_report import write

        write(train(plan), outputs)
    elif arguments.extend:
        from seqlm.tools.tokenizer.extension_inputs import check

        plan = check(arguments, scratch)
        from seqlm.tools.tokenizer.extension import extend
        from seqlm.tools.tokenizer.extension_report import write

        write(extend(plan), outputs)
    else:
        from seqlm.tools.tokenizer.inputs import check
        from seqlm.tools.tokenizer.outputs import write

        write(check(arguments, scratch), outputs)


if __name__ == "__main__":
    run(options(), work)
