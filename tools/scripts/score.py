#!/usr/bin/env python3
"""Score sequences by perplexity, or substitutions by effect, with a protein, DNA or molecule language model."""

from argparse import Namespace
from pathlib import Path

from seqlm.cli.arguments import Number
from seqlm.cli.errors import Parser
from seqlm.cli.options import COLUMNS, COMPUTING, REPORT, SHARED, add, add_group
from seqlm.cli.outputs import Outputs
from seqlm.cli.running import run
from seqlm.inference.score_methods import METHODS


def options() -> Parser:
    parser = Parser(description=__doc__)
    add(
        parser,
        "--model",
        action="append",
        help="Hugging Face folder or an archive of one, or a fine-tuned language model (bundle); several are averaged",
    )
    add(
        parser, "--model-id", action="append", default=[], help="its name, as noted in the outputs; once for each model"
    )
    add(parser, "--base-model", "--installed-models", "--sequences", "--structures", "--control")
    add(add_group(parser, COLUMNS), "--light-column", help=f"{SHARED['--light-column']['help']}; of whole sequences")
    parser.add_argument(
        "--method",
        default="auto",
        choices=METHODS,
        help="auto: of sequences perplexity, or pseudo-perplexity of a masked model; of substitutions masked "
        "marginals, or the log-likelihood ratio of a causal model or of one whose tokens are several letters",
    )

    variants = parser.add_argument_group("substitutions, of the sequences as wild types")
    variants.add_argument("--variants", metavar="FILE", help="a list (A123T, A12T:K30R) or a table with such a column")
    variants.add_argument("--variant-column", metavar="COLUMN", help="'variant' or 'mutant' if not given")
    variants.add_argument(
        "--variant-sequence-column", metavar="COLUMN", help="whole variants, in place of a column of substitutions"
    )
    add(
        variants,
        "--protein-column",
        help="id of the sequence that each variant is of; needed where there are several ('protein' if not given)",
    )
    variants.add_argument("--measured-column", metavar="COLUMN", help="measured effects, to correlate scores with")
    add(variants, "--misfits", help="what variants do that cannot be read or scored or do not fit their sequence")
    variants.add_argument("--scan", action="store_true", help="all single substitutions of each sequence")
    add(variants, "--first-position")

    kept = parser.add_argument_group("which sequences are kept")
    kept.add_argument("--max-perplexity", type=Number(float, 1), metavar="X", help="those of at most this perplexity")
    kept.add_argument("--keep-best", type=Number(int, 1), metavar="N", help="the N of the lowest perplexity")
    add_group(parser, COMPUTING)

    outputs = parser.add_argument_group("outputs, at least one of them")
    outputs.add_argument("--output-table", metavar="TSV", help="a row a sequence, variant or substitution")
    outputs.add_argument("--output-matrix", metavar="TSV", help="of a scan: a row a position, a column a letter")
    outputs.add_argument("--output-positions", metavar="TSV", help="of a scan: mean, extremes and entropy of positions")
    outputs.add_argument("--output-fasta", metavar="FASTA", help="the sequences kept, the lowest perplexity first")
    add(parser.add_argument_group("report"), *REPORT)
    return parser


def work(arguments: Namespace, scratch: Path, outputs: Outputs) -> None:
    from seqlm.tools.score.inputs import check

    plan = check(arguments, scratch)
    from seqlm.tools.score.report import write
    from seqlm.tools.score.run import score

    write(plan, score(plan, outputs), outputs)
    plan.memory.say()


if __name__ == "__main__":
    run(options(), work)
