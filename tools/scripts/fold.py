#!/usr/bin/env python3
"""Predict the structures of proteins, one chain at a time, with ESMFold or ESMFold2."""

from argparse import Namespace
from pathlib import Path

from seqlm.cli.arguments import Number
from seqlm.cli.errors import Parser
from seqlm.cli.options import COLUMNS, REPORT, add, add_group
from seqlm.cli.outputs import Outputs
from seqlm.cli.running import run


def options() -> Parser:
    parser = Parser(description=__doc__)
    add(parser, "--model", help="Hugging Face folder of ESMFold or ESMFold2, or an archive of one")
    add(parser, "--model-id", "--sequences")
    add_group(parser, COLUMNS)

    folding = parser.add_argument_group("folding")
    folding.add_argument(
        "--recycles",
        type=Number(int, 1, 64),
        metavar="N",
        help="how often the structure is refined; more takes as many times longer. If not given, as the model's "
        "config.json has it",
    )
    folding.add_argument(
        "--samples",
        type=Number(int, 1, 64),
        metavar="N",
        help="structures that ESMFold2 draws of each protein, of which that with the highest pTM is kept; if not "
        "given, as the model's config.json has it",
    )
    add(folding, "--first-position", type=Number(int, -999, 9999))
    folding.add_argument(
        "--allow-slow", action="store_true", help="fold on a CPU what is expected to take longer than a day"
    )
    onto = parser.add_argument_group("values on the structures")
    onto.add_argument(
        "--values",
        metavar="TABLE",
        help="a table of ids, positions and values, such as Score's scan: B factors are these, not the pLDDT",
    )
    onto.add_argument("--value-column", metavar="COLUMN", help="of the values; 'value', 'mean' or 'score' if not given")
    computing = parser.add_argument_group("computing")
    add(computing, "--device")
    add(
        computing,
        "--precision",
        help="of the language model in it, all else is computed in fp32; auto: fp32 on a CPU, on a GPU what its "
        "authors take",
    )
    add(computing, "--threads", "--seed")

    outputs = parser.add_argument_group("outputs, at least one of them")
    outputs.add_argument("--output-pdb", metavar="FOLDER", help="a PDB file for each protein, pLDDT as B factors")
    outputs.add_argument("--output-cif", metavar="FOLDER", help="the same as mmCIF")
    outputs.add_argument("--output-pae", metavar="FOLDER", help="a JSON file for each, as AlphaFold's database has it")
    outputs.add_argument("--output-table", metavar="TSV", help="a row for each protein: mean pLDDT, pTM, …")
    outputs.add_argument("--output-residues", metavar="TSV", help="a row for each residue: id, position, letter, plddt")
    add(parser.add_argument_group("report"), *REPORT)
    return parser


def work(arguments: Namespace, scratch: Path, outputs: Outputs) -> None:
    from seqlm.tools.fold.inputs import check
    from seqlm.tools.fold.outputs import write

    plan = check(arguments, scratch)
    from seqlm.tools.fold.run import fold_all

    write(plan, fold_all(plan, outputs), outputs)
    plan.memory.say()


if __name__ == "__main__":
    run(options(), work)
