#!/usr/bin/env python3
"""Turn sequences into vectors of numbers with a protein, DNA or molecule language model."""

from argparse import Namespace
from pathlib import Path

from seqlm.cli.arguments import Number
from seqlm.cli.errors import Parser
from seqlm.cli.options import COLUMNS, COMPUTING, REPORT, SHARED, add, add_group
from seqlm.cli.outputs import Outputs
from seqlm.cli.running import run
from seqlm.inference.score_methods import BESIDE_VECTORS


def options() -> Parser:
    parser = Parser(description=__doc__)
    add(
        parser,
        "--model",
        help="Hugging Face folder, an archive of one, a fine-tuned model (bundle) or a published LoRA adapter",
    )
    add(parser, "--model-id", "--base-model", "--installed-models", "--sequences", "--structures")
    add(add_group(parser, COLUMNS), "--light-column")

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
    add(vectors, "--prefix")
    add(vectors, "--max-length", help="tokens the model reads at once; 0: as it was fine-tuned, or its own limit")
    add(
        vectors,
        "--long-sequences",
        default="auto",
        choices=["auto", "window", "truncate", "refuse"],
        help="over that; auto: as the model was fine-tuned, else overlapping windows",
    )
    vectors.add_argument(
        "--precision-of-output", default="fp32", choices=["fp32", "fp16"], help="of the numbers in npz and h5"
    )
    vectors.add_argument(
        "--append-scores",
        default="none",
        choices=BESIDE_VECTORS,
        help="columns beside the vectors, of a model with a head for tokens: perplexity and log-likelihood, or of a "
        "masked model pseudo-perplexity and its logarithm, exact (a pass for each token) or from one pass",
    )
    judging = parser.add_argument_group("probes: how much of a label the vectors hold")
    judging.add_argument(
        "--probe",
        default="none",
        choices=["none", "classes", "numbers"],
        help="what the labels are; linear models of the vectors are judged on folds beside what needs no model",
    )
    judging.add_argument(
        "--sweep-layers",
        action="store_true",
        help="judge the vectors of every layer, from one pass, and write those of the best",
    )
    add(judging, "--labels", help="FASTA or table, by id; else the file of the sequences; an empty cell is no label")
    add(judging, "--label-column", "--label-pattern")
    add(judging, "--group-column", help="of the table of labels: what stays together in folds, such as a family")
    judging.add_argument(
        "--scores",
        metavar="TSV",
        help="numbers of all sequences by id that stand beside the vectors, such as the means of several models that "
        "score.py writes",
    )
    judging.add_argument(
        "--score-column",
        default="log_likelihood",
        metavar="COLUMN",
        help="of that table",
    )
    judging.add_argument("--folds", default=5, type=Number(int, 2, 20), metavar="K", help="that judge the probes")
    molecules = parser.add_argument_group("molecules")
    for name, usual in (("--smiles", "as given"), ("--tokenizer", "repaired")):
        add(
            molecules,
            name,
            default="auto",
            choices=["auto", *SHARED[name]["choices"]],
            help=f"{SHARED[name]['help']}; auto: as the model was fine-tuned, else {usual}",
        )
    add_group(parser, COMPUTING)

    outputs = parser.add_argument_group("outputs, at least one of them")
    outputs.add_argument("--output-table", metavar="TSV", help="id, dim_1, dim_2, …")
    outputs.add_argument("--output-npz", metavar="NPZ", help="arrays ids and embeddings")
    outputs.add_argument("--output-h5", metavar="H5", help="a group with the dataset 'embedding' for each sequence")
    outputs.add_argument("--output-parquet", metavar="PARQUET", help="the columns of the table")
    outputs.add_argument("--output-probes", metavar="TSV", help="what each layer reaches, and what needs no vectors")
    outputs.add_argument(
        "--output-predictions", metavar="TSV", help="of every sequence, by probes that had not seen it"
    )
    add(parser.add_argument_group("report"), *REPORT)
    return parser


def work(arguments: Namespace, scratch: Path, outputs: Outputs) -> None:
    from seqlm.tools.embed.inputs import check
    from seqlm.tools.embed.report import write
    from seqlm.tools.embed.run import embed

    plan = check(arguments, scratch)
    write(plan, embed(plan, outputs), outputs)
    plan.memory.say()


if __name__ == "__main__":
    run(options(), work)
