#!/usr/bin/env python3
"""Predict with a fine-tuned model."""

import tempfile
from pathlib import Path

from seqlm import __version__
from seqlm.cli.arguments import add_columns, add_computing, add_model, add_sequences, number
from seqlm.cli.errors import Parser, run


def options():
    parser = Parser(description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    add_model(parser, "fine-tuned model: the bundle (zip) that finetune.py wrote, or a published LoRA adapter")
    parser.add_argument(
        "--base-model",
        metavar="PATH",
        help="Hugging Face folder or bundle that the adapter was trained on, where it is needed",
    )
    add_sequences(parser)
    add_columns(parser)
    parser.add_argument(
        "--labels", default="", metavar="A,B,…", help="names of the classes of a published adapter that has none"
    )
    parser.add_argument(
        "--threshold",
        default="model",
        type=threshold,
        metavar="X",
        help="probability from which the second of two classes is called; model: what its training chose",
    )
    parser.add_argument(
        "--sites",
        default="",
        metavar="LETTERS",
        help="scan whole proteins for these residues with a model of windows; model: those it was trained on",
    )
    pairs = parser.add_argument_group("pairs")
    pairs.add_argument("--pairs", metavar="TABLE", help="two names in each row, of sequences in --sequences")
    pairs.add_argument("--first-column", metavar="COLUMN", help="'first' or else column 1")
    pairs.add_argument("--second-column", metavar="COLUMN", help="'second' or else column 2")
    pairs.add_argument("--second-sequences", metavar="FILE", help="of second members, where they are in another file")
    pairs.add_argument("--second-model", metavar="PATH", help="that reads second members, where training had one")
    add_computing(parser)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-table", required=True, metavar="TSV")
    outputs.add_argument("--output-gff3", metavar="GFF3", help="called sites, for a genome browser")
    outputs.add_argument(
        "--site-type",
        default="polypeptide_region",
        choices=["polypeptide_region", "post_translationally_modified_region", "binding_site", "sequence_feature"],
        help="what a site is in GFF3, as a term of the Sequence Ontology",
    )
    outputs.add_argument("--output-plot", metavar="PNG", help="probability along each of the first proteins")
    outputs.add_argument("--plot-proteins", default=6, type=number(int, 1, 12), metavar="N")
    return parser.parse_args()


def threshold(text: str) -> str | float:
    return text if text == "model" else number(float, 0, 1)(text)


def main():
    arguments = options()
    from seqlm.cli.isolation import isolate
    from seqlm.cli.outputs import Outputs, check_targets
    from seqlm.tools.predict.inputs import check
    from seqlm.tools.predict.run import predict

    check_targets(arguments)
    with tempfile.TemporaryDirectory(prefix="seqlm_") as scratch, Outputs() as outputs:
        isolate(Path(scratch))
        predict(check(arguments, Path(scratch)), outputs)


if __name__ == "__main__":
    run(main)
