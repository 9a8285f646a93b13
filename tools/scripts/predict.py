#!/usr/bin/env python3
"""Predict with a fine-tuned model."""

import tempfile
from pathlib import Path

from seqlm import __version__
from seqlm.arguments import add_columns, add_computing, add_model, add_sequences
from seqlm.errors import Parser, run


def options():
    parser = Parser(description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    add_model(parser, "fine-tuned model: the bundle (zip) that finetune.py wrote")
    parser.add_argument(
        "--base-model",
        metavar="PATH",
        help="Hugging Face folder or bundle that the adapter was trained on, where it is needed",
    )
    add_sequences(parser)
    add_columns(parser)
    add_computing(parser)
    parser.add_argument("--output-table", required=True, metavar="TSV")
    return parser.parse_args()


def main():
    arguments = options()
    from seqlm.isolation import isolate
    from seqlm.outputs import Outputs, check_targets
    from seqlm.prediction import check, predict

    check_targets(arguments)
    with tempfile.TemporaryDirectory(prefix="seqlm_") as scratch, Outputs() as outputs:
        isolate(Path(scratch))
        predict(check(arguments, Path(scratch)), outputs)


if __name__ == "__main__":
    run(main)
