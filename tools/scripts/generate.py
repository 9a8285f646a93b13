#!/usr/bin/env python3
"""Write new protein, DNA or molecule sequences with a language model, or fill in templates; describe and rank them."""

from argparse import Namespace
from pathlib import Path

from seqlm.cli.arguments import Number
from seqlm.cli.errors import Parser
from seqlm.cli.options import COLUMNS, COMPUTING, REPORT, add, add_group
from seqlm.cli.outputs import Outputs
from seqlm.cli.running import run


def options() -> Parser:
    parser = Parser(description=__doc__)
    add(
        parser,
        "--model",
        help="model that writes, or with --fill a masked one: Hugging Face folder, an archive of one, or a fine-tuned "
        "model (bundle)",
    )
    add(parser, "--model-id", "--base-model", "--installed-models")

    start = parser.add_argument_group("how sequences start")
    start.add_argument(
        "--prompt",
        default="",
        metavar="TEXT",
        help="their first letters; empty: the model chooses. With --fill a template with marked positions",
    )
    start.add_argument("--prompts", metavar="FILE", help="several beginnings or templates, FASTA or table")
    add(start, "--control")
    add_group(parser, COLUMNS)

    fill = parser.add_argument_group("templates that a masked model fills in")
    fill.add_argument(
        "--fill",
        choices=["underscore", "X", "lower-case"],
        help="how positions to fill are marked in the prompts, by _, X or lower-case letters; where these are known, "
        "what is filled in is compared with them",
    )
    fill.add_argument(
        "--sweeps",
        default=10,
        type=Number(int, 1, 10_000),
        metavar="N",
        help="how often each position is drawn, all others given",
    )
    fill.add_argument(
        "--at-once",
        default=1,
        type=Number(int, 1, 100_000),
        metavar="N",
        help="positions drawn together in the first sweep; half as many in each later one, until it is one",
    )

    amount = parser.add_argument_group("how many and how long")
    amount.add_argument(
        "--num-sequences", default=10, type=Number(int, 1, 1_000_000), metavar="N", help="from each prompt"
    )
    amount.add_argument(
        "--max-length",
        default=100,
        type=Number(int, 2, 1 << 20),
        metavar="N",
        help="tokens, with those of the prompt and the one that begins a sequence",
    )
    amount.add_argument(
        "--max-letters", type=Number(int, 1, 10_000_000), metavar="N", help="residues, bases or characters"
    )
    amount.add_argument(
        "--cut", default="keep", choices=["keep", "drop"], help="what to do with sequences that ran into a limit"
    )

    draw = parser.add_argument_group("how each token is chosen")
    draw.add_argument(
        "--strategy",
        default="sample",
        choices=["sample", "greedy", "beam"],
        help="at random by probability; always the most probable; the most probable whole sequences that a beam finds",
    )
    draw.add_argument("--num-beams", default=5, type=Number(int, 2, 1000), metavar="N", help="of beam search")
    draw.add_argument("--temperature", default=1.0, type=Number(float, 0, 100), metavar="X")
    draw.add_argument(
        "--top-k",
        default="auto",
        type=Number(int, 0, words=("auto", "all")),
        metavar="N",
        help="draw from so many most probable tokens; auto: 950 for ProtGPT2's kind, else all",
    )
    draw.add_argument("--top-p", default=1.0, type=Number(float, 0, 1, above=True), metavar="SHARE")
    draw.add_argument("--min-p", default=0.0, type=Number(float, 0, 1), metavar="SHARE")
    draw.add_argument("--typical-p", default=1.0, type=Number(float, 0, 1, above=True), metavar="SHARE")
    draw.add_argument(
        "--repetition-penalty",
        default="auto",
        type=Number(float, 0.01, words=("auto",)),
        metavar="X",
        help="1: none; auto: 1.2 for ProtGPT2's kind, else none",
    )
    draw.add_argument(
        "--letters",
        default="alphabet",
        choices=["standard", "alphabet", "any"],
        help="that may be written: the 20 amino acids or 4 bases; those and codes such as X and N; whatever the model "
        "likes. Of molecules always any",
    )
    draw.add_argument("--forbid", default="", metavar="LETTERS", help="never written")
    draw.add_argument("--stop-at", default="", metavar="TEXT", help="a sequence is complete before this text")
    draw.add_argument(
        "--end-token", default="auto", metavar="ID", help="number or text of the token that ends a sequence"
    )
    draw.add_argument(
        "--line-length",
        default="auto",
        type=Number(int, 0, 1000, words=("auto",)),
        metavar="N",
        help="letters between line breaks in the model's training texts; auto: 60 for ProtGPT2's kind, else none",
    )

    draw.add_argument(
        "--guidance",
        type=Number(float, 0, 100),
        metavar="W",
        help="of a model with an adapter: base + W (tuned - base) in the place of the tuned model's numbers; 0 is the "
        "base model, 1 the tuned one, above 1 goes further than it",
    )

    accept = parser.add_argument_group("written again until another model accepts them")
    accept.add_argument("--accept-by", metavar="BUNDLE", help="a model fine-tuned for a class or a number of sequences")
    accept.add_argument("--accept-id", default="", metavar="TEXT", help="its name, as noted in the outputs")
    accept.add_argument("--accept-base-model", metavar="PATH", help="its base model, where the bundle needs one")
    accept.add_argument("--accept-class", default="", metavar="NAME", help="the class that sequences should be of")
    accept.add_argument(
        "--accept-above",
        type=Number(float, -1e9, 1e9),
        metavar="X",
        help="its probability, or the number that is predicted, has to be above this; of a class 0.5 if not given",
    )
    accept.add_argument("--accept-below", type=Number(float, -1e9, 1e9), metavar="X", help="and below this")
    accept.add_argument(
        "--tries", default=10, type=Number(int, 1, 10_000), metavar="N", help="at most, for each sequence"
    )

    choose = parser.add_argument_group("which are kept")
    choose.add_argument(
        "--keep-best", type=Number(int, 1, 1_000_000), metavar="N", help="the N of the lowest perplexity"
    )
    choose.add_argument("--min-letters", type=Number(int, 1, 10_000_000), metavar="N", help="shorter ones are left out")
    choose.add_argument("--max-perplexity", type=Number(float, 1), metavar="X", help="those of at most this perplexity")
    choose.add_argument(
        "--duplicates",
        default="report",
        choices=["report", "drop-equal", "drop-near"],
        help="of equal or nearly equal sequences only the one with the lowest perplexity is kept",
    )
    choose.add_argument("--near-identity", default=0.9, type=Number(float, 0.3, 1), metavar="SHARE")
    choose.add_argument("--equal-only", action="store_true", help="look for equal sequences and not for near ones")
    choose.add_argument("--reference", metavar="FILE", help="sequences to compare with, FASTA or table")
    add_group(parser, COMPUTING)

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-fasta", metavar="FASTA", help="what is kept, the lowest perplexity first")
    outputs.add_argument("--output-table", metavar="TSV", help="everything that was written, with its properties")
    add(outputs, *REPORT)
    return parser


def work(arguments: Namespace, scratch: Path, outputs: Outputs) -> None:
    from seqlm.tools.generate.inputs import check

    plan = check(arguments, scratch)
    from seqlm.tools.generate.outputs import write
    from seqlm.tools.generate.run import generate

    write(plan, generate(plan), outputs)
    plan.memory.say()


if __name__ == "__main__":
    run(options(), work)
