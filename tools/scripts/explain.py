#!/usr/bin/env python3
"""Show which positions of sequences speak for what a model says of them, or which residues a model thinks touch each
other, and whether that is more than chance."""

from argparse import Namespace
from pathlib import Path

from seqlm.cli.arguments import Number
from seqlm.cli.errors import Parser
from seqlm.cli.options import COLUMNS, COMPUTING, REPORT, add, add_group
from seqlm.cli.outputs import Outputs
from seqlm.cli.running import run
from seqlm.tools.explain.methods import CONTACTS, METHODS


def options() -> Parser:
    parser = Parser(description=__doc__)
    add(
        parser,
        "--model",
        help="fine-tuned model: the bundle (zip) that finetune.py wrote, or a published LoRA adapter; or a language "
        "model, whose log-likelihood is explained",
    )
    add(parser, "--model-id", "--base-model", "--installed-models", "--sequences", "--structures")
    add_group(parser, COLUMNS)
    parser.add_argument(
        "--most-sequences",
        default=200,
        type=Number(int, 1, 10_000),
        metavar="N",
        help="a file with more is refused: each sequence is computed many times",
    )
    what = parser.add_argument_group("what is explained, and how")
    what.add_argument(
        "--explained-class", default="", metavar="NAME", help="the class predicted of each sequence if not given"
    )
    what.add_argument(
        "--labels", default="", metavar="A,B,…", help="names of the classes of a published adapter that has none"
    )
    what.add_argument(
        "--explained-position",
        type=Number(int, 1, 1_000_000),
        metavar="N",
        help="of a model of residues the one that is explained in each sequence, such as the middle of windows; the "
        "one of the highest number if not given",
    )
    what.add_argument("--method", default=METHODS[0], choices=METHODS)
    what.add_argument(
        "--steps", default=32, type=Number(int, 2, 1000), metavar="N", help="of the integral of integrated gradients"
    )
    contacts = parser.add_argument_group("contacts")
    contacts.add_argument(
        "--contact-floor",
        default=0.1,
        type=Number(float, 0, 1),
        metavar="P",
        help="pairs of a lower probability are left out of the table; 0 for all",
    )
    contacts.add_argument(
        "--known-structures",
        action="append",
        metavar="FILE",
        help="PDB or mmCIF of some of the proteins, once for each file; chains are found by their residues",
    )
    checks = parser.add_argument_group("is it more than chance")
    checks.add_argument(
        "--checked", default=50, type=Number(int, 1, 10_000), metavar="N", help="sequences, drawn at random"
    )
    checks.add_argument(
        "--random-models", default=5, type=Number(int, 2, 100), metavar="N", help="copies with shuffled weights"
    )
    add_group(parser, COMPUTING)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument(
        "--output-table", required=True, metavar="TSV", help="a row a letter of each sequence, or a pair"
    )
    outputs.add_argument("--output-matrix", metavar="TSV", help="of mutagenesis: a row a position, a column a letter")
    outputs.add_argument("--output-bedgraph", metavar="BEDGRAPH", help="all values, for a genome browser")
    outputs.add_argument("--output-gff3", metavar="GFF3", help="the stretches that speak the most")
    add(parser.add_argument_group("report"), *REPORT)
    return parser


def work(arguments: Namespace, scratch: Path, outputs: Outputs) -> None:
    if arguments.method == CONTACTS:
        from seqlm.tools.explain.contacts.inputs import check
    else:
        from seqlm.tools.explain.inputs import check

    plan = check(arguments, scratch)
    if arguments.method == CONTACTS:
        from seqlm.tools.explain.contacts.report import write
        from seqlm.tools.explain.contacts.run import explain
    else:
        from seqlm.tools.explain.report import write
        from seqlm.tools.explain.run import explain

    write(plan, explain(plan, outputs), outputs)
    plan.memory.say()


if __name__ == "__main__":
    run(options(), work)
