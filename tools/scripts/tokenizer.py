#!/usr/bin/env python3
"""Train a tokenizer of sequences, extend the vocabulary of a model, or show how a model splits sequences."""

import tempfile
from pathlib import Path

from seqlm import __version__
from seqlm.cli.arguments import add_columns, add_molecules, add_report, add_sequences, number
from seqlm.cli.errors import Parser, run


def options():
    parser = Parser(description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--inspect", action="store_true", help="split sequences into tokens, and say what is lost")
    what.add_argument("--train", action="store_true", help="learn a new tokenizer from a corpus")
    what.add_argument("--extend", action="store_true", help="add tokens learnt from a corpus to a model's vocabulary")
    parser.add_argument(
        "--model",
        metavar="PATH",
        help="to inspect: a Hugging Face folder, an archive of one, or a bundle; its tokenizer files are enough. To "
        "extend: one with its weights",
    )
    parser.add_argument("--model-id", default="", metavar="TEXT", help="its name, for the report")
    parser.add_argument("--base-model", metavar="PATH", help="not needed: models are whole here")
    parser.add_argument(
        "--alphabet",
        default="auto",
        choices=["auto", "protein", "DNA", "text"],
        help="auto: told from the model's vocabulary, or from the corpus",
    )
    add_sequences(parser, required=False)
    add_columns(parser)
    add_molecules(parser)

    corpus = parser.add_argument_group("to train, or to extend")
    corpus.add_argument("--corpus", nargs="+", action="extend", default=[], metavar="FILE", help="what is learnt from")
    corpus.add_argument(
        "--algorithm",
        default="bpe",
        choices=["bpe", "byte-bpe", "unigram", "wordpiece", "kmer", "character"],
        help="of a new tokenizer",
    )
    corpus.add_argument(
        "--vocab-size",
        type=number(int, 1, 1 << 20),
        metavar="N",
        help="tokens, special ones counted (4096 if not given); to extend: new tokens (256 if not given)",
    )
    corpus.add_argument(
        "--min-frequency", type=number(int, 1), metavar="N", help="times that a token must occur; 2 if not given"
    )
    corpus.add_argument(
        "--max-token-length", type=number(int, 0, 1000), metavar="N", help="letters; 0: any; 16 if not given"
    )
    corpus.add_argument("--kmer", type=number(int, 1, 32), metavar="K", help="letters of a k-mer; 6 if not given")
    corpus.add_argument("--overlapping", action="store_true", help="a k-mer at every letter")
    corpus.add_argument("--both-strands", action="store_true", help="of DNA the reverse complement as well")
    corpus.add_argument(
        "--chunk-length",
        default=512,
        type=number(int, 16, 100_000),
        metavar="N",
        help="letters that are learnt from at once; long sequences are cut",
    )
    corpus.add_argument(
        "--training-letters",
        default=20_000_000,
        type=number(int, 100),
        metavar="N",
        help="learnt from at most, both strands counted; about 70 bytes of memory for each",
    )
    corpus.add_argument(
        "--held-out", default=0.1, type=number(float, 0, 0.9), metavar="SHARE", help="of the letters, to measure on"
    )
    corpus.add_argument(
        "--special-tokens",
        default="bert",
        choices=["bert", "roberta", "esm", "gpt2", "llama"],
        help="those of the models that the tokenizer is for",
    )
    corpus.add_argument(
        "--compare-with", action="append", default=[], metavar="PATH", help="a model or a tokenizer; may be repeated"
    )
    corpus.add_argument(
        "--compare-name", action="append", default=[], metavar="TEXT", help="its name, one for each of them"
    )
    corpus.add_argument("--seed", default=42, type=number(int, 0, 2**32 - 1), metavar="N", help="of the intervals")

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-table", metavar="TSV", help="to inspect: the tokens")
    outputs.add_argument(
        "--rows", default="token", choices=["token", "sequence"], help="of the table: one for each token or sequence"
    )
    outputs.add_argument("--output-usage", metavar="TSV", help="the vocabulary, and how often each token is used")
    outputs.add_argument(
        "--shown", default=6, type=number(int, 1, 20), metavar="N", help="so many of the first sequences are drawn"
    )
    outputs.add_argument("--output-tokenizer", metavar="ZIP", help="to train: the new tokenizer")
    outputs.add_argument("--output-model", metavar="ZIP", help="to extend: the model with its new vocabulary")
    outputs.add_argument("--output-vocabulary", metavar="TSV", help="to train or to extend: the tokens")
    outputs.add_argument("--output-comparison", metavar="TSV", help="to train: beside other tokenizers")
    add_report(outputs)
    return parser.parse_args()


def main():
    arguments = options()
    from seqlm.cli.isolation import isolate
    from seqlm.cli.outputs import Outputs, check_targets

    check_targets(arguments)
    with tempfile.TemporaryDirectory(prefix="seqlm_") as scratch, Outputs() as outputs:
        isolate(Path(scratch))
        if arguments.train:
            from seqlm.tools.tokenizer.training import train
            from seqlm.tools.tokenizer.training_inputs import check
            from seqlm.tools.tokenizer.training_report import write

            write(train(check(arguments, Path(scratch))), outputs)
        elif arguments.extend:
            from seqlm.tools.tokenizer.extension import extend
            from seqlm.tools.tokenizer.extension_inputs import check
            from seqlm.tools.tokenizer.extension_report import write

            write(extend(check(arguments, Path(scratch))), outputs)
        else:
            from seqlm.tools.tokenizer.inputs import check
            from seqlm.tools.tokenizer.outputs import write

            write(check(arguments, Path(scratch)), outputs)


if __name__ == "__main__":
    run(main)
