#!/usr/bin/env python3
"""Make labelled windows around known sites, or take labelled sequences, and split them so that test scores hold."""

from argparse import Namespace
from pathlib import Path

from seqlm.cli.arguments import Number
from seqlm.cli.errors import Parser
from seqlm.cli.options import COLUMNS, REPORT, add, add_group
from seqlm.cli.outputs import Outputs
from seqlm.cli.running import run


def options() -> Parser:
    parser = Parser(description=__doc__)
    add(
        parser,
        "--sequences",
        required=False,
        help="full-length proteins or DNA (FASTA, table), or labelled sequences, or SMILES; plain or gzipped",
    )
    add(parser, "--class-fasta", help="sequences of one class, once for each class, in place of --sequences")
    add_group(parser, COLUMNS)
    add(parser, "--alphabet", choices=["auto", "protein", "DNA", "SMILES"], help="auto: told from the content")

    sites = parser.add_argument_group("known sites, to make windows around")
    sites.add_argument(
        "--sites",
        metavar="FILE",
        help="table, FASTA with # after each site, GFF3, BED, UniProt's text or XML; left out if --sequences marks "
        "them",
    )
    sites.add_argument(
        "--site-format",
        default="auto",
        choices=["auto", "none", "table", "annotated", "gff"],
        help="auto: by content; none: whole sequences with labels; gff: GFF3, BED, UniProt's text format or XML",
    )
    add(sites, "--protein-column", help="'protein', 'accession' or 'id' if not given")
    add(sites, "--position-column")
    sites.add_argument("--residue-column", metavar="COLUMN", help="checked against the sequence; 'residue' if there")
    sites.add_argument("--positive-column", metavar="COLUMN", help="lists of positions; 'positive_positions' if there")
    sites.add_argument("--negative-column", metavar="COLUMN", help="lists of positions; 'negative_positions' if there")
    sites.add_argument(
        "--feature",
        metavar="TEXT",
        help="kind of feature, or how a word of its note or its ligand begins, such as phosphotyrosine or ATP; several "
        "by commas",
    )
    sites.add_argument("--ranges", default="blocked", choices=["blocked", "every-residue"],
                       help="features of several residues: no sites and no negatives, or each a site")  # fmt: skip
    add(sites, "--misfits")
    sites.add_argument("--site-context", default="window", choices=["window", "protein"],
                       help="what a model reads of a site: a window around it, or its whole protein, a label a residue "
                       "(? where it is not known)")  # fmt: skip
    sites.add_argument(
        "--window",
        default=33,
        type=Number(int, 3, 10_001),
        metavar="N",
        help="odd; the site in the middle; with whole proteins what sites are compared by",
    )
    sites.add_argument("--padding", metavar="LETTER",
                       help="fills windows up at the ends; X of proteins and N of DNA if not given")  # fmt: skip
    sites.add_argument("--residues", default="", metavar="LETTERS", help="only sites on these, such as STY")
    sites.add_argument(
        "--negatives",
        default="same-protein",
        choices=["same-protein", "given", "none"],
        help="drawn on the same letters of the same proteins, or as the table says",
    )
    sites.add_argument("--ratio", default=1.0, type=Number(float, 0, 1000, above=True), metavar="X",
                       help="negatives drawn for each positive")  # fmt: skip
    sites.add_argument("--exclude-flank", default=0, type=Number(int, 0, 10_000), metavar="N",
                       help="no negative within so many residues of a known site")  # fmt: skip
    sites.add_argument("--conflicts", default="drop", choices=["drop", "keep", "refuse"],
                       help="equal windows with different labels")  # fmt: skip
    sites.add_argument("--positive-label", default="1", metavar="LABEL")
    sites.add_argument("--negative-label", default="0", metavar="LABEL")

    labels = parser.add_argument_group("labels")
    labels.add_argument("--labels", default="auto", choices=["auto", "classes", "numbers", "none"],
                        help="auto: numbers if all are, and many")  # fmt: skip
    add(labels, "--label-column", "--label-pattern")

    split = parser.add_argument_group("split")
    split.add_argument(
        "--split",
        default="homology",
        choices=["none", "random", "stratified", "group", "given", "scaffold", "homology"],
        help="random tears windows of one protein apart, so that a test is about proteins that were learnt by heart; "
        "all others keep them together, and so does it with whole proteins; homology keeps related proteins together",
    )
    add(split, "--validation-fraction", default=0.1)
    add(split, "--test-fraction", default=0.2)
    add(split, "--group-column")
    split.add_argument("--group-pattern", metavar="REGEX", help="the same in FASTA headers")
    add(split, "--split-column", help="says train, validation or test, for --split given")
    add(split, "--split-pattern")
    split.add_argument("--identity", default=0.3, type=Number(float, 0, 1), metavar="SHARE",
                       help="homology: from which two sequences are related")  # fmt: skip
    split.add_argument("--coverage", default=0.5, type=Number(float, 0, 1), metavar="SHARE",
                       help="homology: of the shorter sequence that the alignment covers")  # fmt: skip
    split.add_argument("--scaffolds", default="moleculenet", choices=["moleculenet", "balanced"],
                       help="moleculenet: the largest for training, the rarest for the test, as published figures are "
                       "made; balanced: each class in proportion, drawn by the seed")  # fmt: skip
    split.add_argument("--neighbours", default="search", choices=["search", "skip"],
                       help="whether the report looks for relatives on both sides with MMseqs2")  # fmt: skip
    add(split, "--threads", "--seed")

    outputs = parser.add_argument_group("outputs")
    for name in ("train", "validation", "test"):
        outputs.add_argument(
            f"--output-{name}",
            metavar="FILE",
            help="FASTA with LABEL=…; of a table its rows, by tabs; of whole proteins a table: id, sequence, label",
        )
    outputs.add_argument("--output-table", metavar="TSV", help="all examples with their split and cluster")
    add(outputs, *REPORT)
    return parser


def work(arguments: Namespace, scratch: Path, outputs: Outputs) -> None:
    from seqlm.tools.dataset.inputs import check
    from seqlm.tools.dataset.outputs import write
    from seqlm.tools.dataset.run import make

    write(make(check(arguments), scratch), outputs)


if __name__ == "__main__":
    run(options(), work)
