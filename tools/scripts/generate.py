#!/usr/bin/env python3
"""Write new protein, DNA or molecule sequences with a language model, describe and rank them."""

import tempfile
from pathlib import Path

from seqlm import __version__
from seqlm.cli.arguments import add_columns, add_computing, add_model, add_report, number
from seqlm.cli.errors import Parser, run


def number_or(kind: type, low: float, *words: str):
    """A parser of a number from ``low`` on, or one of these words."""

    def parse(text: str):
        return text if text in words else number(kind, low)(text)

    return parse


def options():
    parser = Parser(description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    add_model(parser, "causal model: Hugging Face folder, an archive of one, or a fine-tuned model (bundle)")
    parser.add_argument("--model-id", default="", metavar="TEXT", help="its name, as noted in the outputs")
    parser.add_argument("--base-model", metavar="PATH", help="that an adapter was trained on")

    start = parser.add_argument_group("how sequences start")
    start.add_argument("--prompt", default="", metavar="TEXT", help="their first letters; empty: the model chooses")
    start.add_argument("--prompts", metavar="FILE", help="several beginnings, FASTA or table")
    add_columns(parser)

    amount = parser.add_argument_group("how many and how long")
    amount.add_argument(
        "--num-sequences", default=10, type=number(int, 1, 1_000_000), metavar="N", help="from each prompt"
    )
    amount.add_argument(
        "--max-length",
        default=100,
        type=number(int, 2, 1 << 20),
        metavar="N",
        help="tokens, with those of the prompt and the one that begins a sequence",
    )
    amount.add_argument(
        "--max-letters", default=0, type=number(int, 0), metavar="N", help="residues, bases or characters; 0: any"
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
    draw.add_argument("--num-beams", default=5, type=number(int, 2, 1000), metavar="N", help="of beam search")
    draw.add_argument("--temperature", default=1.0, type=number(float, 0, 100), metavar="X")
    draw.add_argument(
        "--top-k",
        default="auto",
        type=number_or(int, 0, "auto", "all"),
        metavar="N",
        help="draw from so many most probable tokens; auto: 950 for ProtGPT2's kind, else all",
    )
    draw.add_argument("--top-p", default=1.0, type=number(float, 0, 1, above=True), metavar="SHARE")
    draw.add_argument("--min-p", default=0.0, type=number(float, 0, 1), metavar="SHARE")
    draw.add_argument("--typical-p", default=1.0, type=number(float, 0, 1, above=True), metavar="SHARE")
    draw.add_argument(
        "--repetition-penalty",
        default="auto",
        type=number_or(float, 0.01, "auto"),
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
        type=number_or(int, 0, "auto"),
        metavar="N",
        help="letters between line breaks in the model's training texts; auto: 60 for ProtGPT2's kind, else none",
    )

    choose = parser.add_argument_group("which are kept")
    choose.add_argument("--keep-best", default=0, type=number(int, 0), metavar="N", help="by perplexity; 0: all")
    choose.add_argument("--min-letters", default=0, type=number(int, 0), metavar="N", help="shorter ones are left out")
    choose.add_argument("--max-perplexity", default=0.0, type=number(float, 0), metavar="X", help="0: any")
    choose.add_argument(
        "--duplicates",
        default="report",
        choices=["report", "drop-equal", "drop-near"],
        help="of equal or nearly equal sequences only the one with the lowest perplexity is kept",
    )
    choose.add_argument("--near-identity", default=0.9, type=number(float, 0, 1, above=True), metavar="SHARE")
    choose.add_argument("--equal-only", action="store_true", help="look for equal sequences and not for near ones")
    choose.add_argument("--reference", metavar="FILE", help="sequences to compare with, FASTA or table")
    add_computing(parser)

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output-fasta", metavar="FASTA", help="what is kept, the lowest perplexity first")
    outputs.add_argument("--output-table", metavar="TSV", help="everything that was written, with its properties")
    add_report(outputs)
    return parser.parse_args()


def main():
    arguments = options()
    from seqlm.cli.isolation import isolate
    from seqlm.cli.outputs import Outputs, check_targets

    check_targets(arguments)
    with tempfile.TemporaryDirectory(prefix="seqlm_") as scratch, Outputs() as outputs:
        isolate(Path(scratch))
        from seqlm.tools.generate.inputs import check

        plan = check(arguments, Path(scratch))
        from seqlm.tools.generate.outputs import write
        from seqlm.tools.generate.run import generate

        write(plan, generate(plan), outputs)


if __name__ == "__main__":
    run(main)
