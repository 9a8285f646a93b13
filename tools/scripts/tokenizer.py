#!/usr/bin/env python3
"""Show how the tokenizer of a protein, DNA or molecule language model splits sequences."""

import tempfile
from pathlib import Path

from seqlm import __version__
from seqlm.arguments import add_columns, add_model, add_molecules, add_report, add_sequences, number
from seqlm.errors import Parser, run


def options():
    parser = Parser(description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--inspect", action="store_true", help="split sequences into tokens, and say what is lost")
    add_model(parser, "a Hugging Face folder, an archive of one, or a bundle; its tokenizer files are enough")
    parser.add_argument("--model-id", default="", metavar="TEXT", help="its name, for the report")
    parser.add_argument(
        "--alphabet",
        default="auto",
        choices=["auto", "protein", "DNA", "text"],
        help="auto: told from the model's vocabulary",
    )
    add_sequences(parser)
    add_columns(parser)
    add_molecules(parser)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-table", metavar="TSV", help="the tokens")
    outputs.add_argument(
        "--rows", default="token", choices=["token", "sequence"], help="of the table: one for each token or sequence"
    )
    outputs.add_argument("--output-usage", metavar="TSV", help="the vocabulary, and how often each token is used")
    outputs.add_argument(
        "--shown", default=6, type=number(int, 1, 20), metavar="N", help="so many of the first sequences are drawn"
    )
    add_report(outputs)
    return parser.parse_args()


def main():
    arguments = options()
    from seqlm.isolation import isolate
    from seqlm.outputs import Outputs, check_targets

    check_targets(arguments)
    with tempfile.TemporaryDirectory(prefix="seqlm_") as scratch, Outputs() as outputs:
        isolate(Path(scratch))
        from seqlm.tokenizer_inputs import check
        from seqlm.tokenizer_outputs import write

        write(check(arguments, Path(scratch)), outputs)


if __name__ == "__main__":
    run(main)
