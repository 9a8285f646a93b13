#!/usr/bin/env python3
"""Turn sequences into vectors of numbers with a protein, DNA or molecule language model."""

import tempfile
from pathlib import Path

from seqlm import __version__
from seqlm.cli.arguments import add_columns, add_computing, add_model, add_molecules, add_report, add_sequences, number
from seqlm.cli.errors import Parser, run


def options():
    parser = Parser(description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    add_model(parser, "Hugging Face folder, an archive of one, a fine-tuned model (bundle) or a published LoRA adapter")
    parser.add_argument("--model-id", default="", metavar="TEXT", help="its name, as noted in the outputs")
    parser.add_argument("--base-model", metavar="PATH", help="that an adapter or a head was trained on")
    add_sequences(parser)
    add_columns(parser)

    vectors = parser.add_argument_group("vectors")
    vectors.add_argument(
        "--pooling",
        default="auto",
        choices=["auto", "mean", "cls", "max", "last", "none"],
        help="one vector a sequence: the mean or the largest values of its tokens, the first special token, the last "
        "token; none: one for each residue or base. auto: as the model was fine-tuned, else mean, of decoders last",
    )
    vectors.add_argument(
        "--layer",
        default="last",
        metavar="N",
        help="number of the layer, 0 the embedding of the tokens, -2 the last but one; 1,6,12: the mean of several",
    )
    vectors.add_argument("--normalize", action="store_true", help="scale every vector to length 1")
    vectors.add_argument(
        "--max-length",
        default=0,
        type=number(int, 0),
        metavar="N",
        help="tokens the model reads at once; 0: as it was fine-tuned, or its own limit",
    )
    vectors.add_argument(
        "--long-sequences",
        default="auto",
        choices=["auto", "window", "truncate", "refuse"],
        help="over that; auto: as the model was fine-tuned, else overlapping windows",
    )
    vectors.add_argument(
        "--precision-of-output", default="fp32", choices=["fp32", "fp16"], help="of the numbers in npz and h5"
    )
    add_molecules(parser, finetuned=True)
    add_computing(parser)

    outputs = parser.add_argument_group("outputs, at least one of them")
    outputs.add_argument("--output-table", metavar="TSV", help="id, dim_1, dim_2, …")
    outputs.add_argument("--output-npz", metavar="NPZ", help="arrays ids and embeddings")
    outputs.add_argument("--output-h5", metavar="H5", help="a group with the dataset 'embedding' for each sequence")
    outputs.add_argument("--output-parquet", metavar="PARQUET", help="the columns of the table")
    add_report(parser.add_argument_group("report"))
    return parser.parse_args()


def main():
    arguments = options()
    from seqlm.cli.isolation import isolate
    from seqlm.cli.outputs import Outputs, check_targets

    check_targets(arguments)
    with tempfile.TemporaryDirectory(prefix="seqlm_") as scratch, Outputs() as outputs:
        isolate(Path(scratch))
        from seqlm.tools.embed.inputs import check
        from seqlm.tools.embed.report import write
        from seqlm.tools.embed.run import embed

        plan = check(arguments, Path(scratch))
        write(plan, embed(plan, outputs), outputs)


if __name__ == "__main__":
    run(main)
