#!/usr/bin/env python3
"""Predict with a fine-tuned model."""

from argparse import Namespace
from pathlib import Path

from seqlm.cli.arguments import Number
from seqlm.cli.errors import Parser
from seqlm.cli.options import COLUMNS, COMPUTING, add, add_group
from seqlm.cli.outputs import Outputs
from seqlm.cli.running import run


def options() -> Parser:
    parser = Parser(description=__doc__)
    add(
        parser, "--model", help="fine-tuned model: the bundle (zip) that finetune.py wrote, or a published LoRA adapter"
    )
    add(parser, "--base-model", "--installed-models", "--sequences", "--structures")
    add(add_group(parser, COLUMNS), "--light-column")
    parser.add_argument(
        "--labels", default="", metavar="A,B,…", help="names of the classes of a published adapter that has none"
    )
    parser.add_argument(
        "--threshold",
        default="model",
        type=Number(float, 0, 1, words=("model",)),
        metavar="X",
        help="probability from which the second of two classes is called; model: what its training chose",
    )
    add(
        parser,
        "--coverage",
        help="add sets of classes, or intervals, that hold the truth for this share of new sequences",
    )
    parser.add_argument(
        "--sites",
        default="",
        metavar="LETTERS",
        help="scan whole proteins for these residues only, windows or residues; model: those it was trained on",
    )
    pairs = parser.add_argument_group("pairs")
    pairs.add_argument("--pairs", metavar="TABLE", help="two names in each row, of sequences in --sequences")
    add(pairs, "--first-column", "--second-column", "--second-sequences")
    add(pairs, "--second-model", help="that reads second members, where training had one")
    add_group(parser, COMPUTING)
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
    outputs.add_argument("--plot-proteins", default=6, type=Number(int, 1, 12), metavar="N")
    return parser


def work(arguments: Namespace, scratch: Path, outputs: Outputs) -> None:
    from seqlm.tools.predict.inputs import check
    from seqlm.tools.predict.run import predict

    plan = check(arguments, scratch)
    predict(plan, outputs)
    plan.memory.say()


if __name__ == "__main__":
    run(options(), work)
