"""Options that several scripts have, each declared once. A script says where they go and what is its own about them."""

from __future__ import annotations

import argparse

from .arguments import Number
from .errors import Parser

FIGURE_FORMATS = ("png", "svg", "pdf")

SHARED = {
    # the model
    "--model": {"required": True, "metavar": "PATH"},
    "--model-id": {"default": "", "metavar": "TEXT", "help": "its name, as noted in the outputs"},
    "--model-revision": {"default": "", "metavar": "TEXT"},
    "--base-model": {
        "metavar": "PATH",
        "help": "Hugging Face folder or bundle that an adapter or a head was trained on, where it is needed",
    },
    "--installed-models": {
        "metavar": "TSV",
        "help": "a line for each model on this machine, its id, version and path: there an adapter or a head finds its "
        "base model by the id that it names",
    },
    # sequences, and how they are read
    "--sequences": {
        "required": True,
        "metavar": "FILE",
        "help": "FASTA, FASTQ, UniProt's XML, table, list or SDF, plain or gzipped; or parquet",
    },
    "--corpus": {"action": "append", "metavar": "FILE"},
    "--format": {
        "default": "auto",
        "choices": ["auto", "fasta", "fastq", "uniprotxml", "tabular", "csv", "parquet", "list", "sdf"],
        "help": "auto: told from the content",
    },
    "--id-column": {
        "metavar": "COLUMN",
        "help": "'id' or another usual name if there is one, else the rows are numbered",
    },
    "--sequence-column": {"metavar": "COLUMN", "help": "'sequence' or another usual name if not given"},
    "--light-column": {
        "metavar": "COLUMN",
        "help": "light chains of antibodies, beside heavy chains in the sequence column, for IgBert and IgT5, which "
        "read both at once; a row without one is read as a single chain",
    },
    "--position-column": {"metavar": "COLUMN", "help": "of a table of sites, from 1; 'position' if not given"},
    "--protein-column": {"metavar": "COLUMN"},
    "--first-position": {
        "default": 1,
        "type": Number(int, -1_000_000, 1_000_000),
        "metavar": "N",
        "help": "number of the first letter of the sequence",
    },
    "--misfits": {
        "default": "stop",
        "choices": ["stop", "leave-out"],
        "help": "what rows do that cannot be read or do not fit their sequence; those left out are counted",
    },
    "--alphabet": {"default": "auto", "choices": ["auto", "protein", "DNA", "text"]},
    "--both-strands": {"action": "store_true", "help": "of DNA, learn from the reverse complement as well"},
    "--smiles": {
        "default": "as-given",
        "choices": ["as-given", "canonical"],
        "help": "canonical: every molecule in RDKit's one way of writing it",
    },
    "--tokenizer": {
        "default": "repaired",
        "choices": ["repaired", "as-published"],
        "help": "what to do with a published tokenizer that loses atoms, as that of ChemBERTa-2 loses Cl and Br",
    },
    "--max-length": {"default": 0, "type": Number(int, 0, 1 << 20), "metavar": "N"},
    "--long-sequences": {"default": "window", "choices": ["window", "truncate", "refuse"]},
    "--prefix": {
        "default": "auto",
        "metavar": "NAME",
        "help": "token that tells the model what follows, such as <AA2fold> or <fold2AA> of ProstT5, [NLU] or [S2S] of "
        "Ankh 3, or what LucaOne is told: prot (proteins) or gene (DNA, RNA); auto: what its authors take for "
        "embeddings; none: no such token",
    },
    "--structures": {
        "metavar": "FASTA",
        "help": "3Di states of the sequences by the same ids, as Foldseek writes them, for SaProt; without them, or of "
        "sequences not among them, no structure is known (#). Its authors put # where the pLDDT is below 70",
    },
    "--control": {
        "default": "",
        "metavar": "TEXT",
        "help": "what a model that writes sequences is told before each, and is no part of it, such as the class of an "
        "enzyme for ZymCTRL, 3.5.5.1<sep><start>",
    },
    "--mask": {"metavar": "FASTA", "help": "strings of 0 and 1; residues with 0 count nowhere"},
    # pairs
    "--first-column": {"metavar": "COLUMN", "help": "of a table of pairs; 'first' or else column 1"},
    "--second-column": {"metavar": "COLUMN", "help": "'second' or else column 2"},
    "--second-sequences": {"metavar": "FILE", "help": "of second members, where they are in another file"},
    "--second-model": {"metavar": "PATH"},
    # labels
    "--labels": {"metavar": "FILE", "help": "FASTA or table, by id; else a column of the embeddings' own table"},
    "--class-fasta": {
        "action": "append",
        "default": [],
        "metavar": "CLASS=FASTA",
        "help": "the sequences of one class, once for each class; labels then stand in no file",
    },
    "--label-column": {
        "metavar": "COLUMN",
        "help": "name, or several with | between, or 1-based number; 'label' or another usual name if not given",
    },
    "--label-pattern": {
        "default": r"LABEL=(\S+)",
        "metavar": "REGEX",
        "help": "finds the label in a FASTA header; the first group is the label",
    },
    "--positive-label": {
        "metavar": "LABEL",
        "help": "of two classes; if not given the one called so (positive, active, yes …), or else the last",
    },
    # what is learnt from, and what judges
    "--split-column": {"metavar": "COLUMN", "help": "says train, validation or test"},
    "--split-pattern": {
        "metavar": "REGEX",
        "help": r"finds train, validation or test in a FASTA header, such as SET=(\w+)",
    },
    "--validation": {"metavar": "FILE"},
    "--test": {"metavar": "FILE"},
    "--group-column": {"metavar": "COLUMN", "help": "what stays together, in a table of sequences"},
    "--coverage": {"type": Number(float, 0, 0.999), "metavar": "SHARE"},
    "--validation-fraction": {"type": Number(float, 0, 0.9), "metavar": "SHARE"},
    "--test-fraction": {"type": Number(float, 0, 0.9), "metavar": "SHARE"},
    "--names": {
        "action": "append",
        "metavar": "NAME",
        "help": "of a table, once for each; the names of the files if not given",
    },
    "--resamples": {"default": 1000, "type": Number(int, 100, 100_000), "metavar": "N", "help": "of the bootstrap"},
    # LoRA
    "--lora-rank": {"default": 8, "type": Number(int, 1, 1024), "metavar": "N"},
    "--lora-alpha": {"default": 16, "type": Number(float, 0, 10_000, above=True), "metavar": "X"},
    "--lora-dropout": {"type": Number(float, 0, 0.9), "metavar": "SHARE"},
    "--lora-modules": {"choices": ["query-value", "attention", "all-linear"]},
    # learning
    "--class-weights": {"default": "none", "choices": ["none", "balanced"]},
    "--epochs": {"type": Number(int, 1, 100_000), "metavar": "N"},
    "--batch-size": {"type": Number(int, 1, 100_000), "metavar": "N"},
    "--learning-rate": {"type": Number(float, 0, 1, above=True), "metavar": "X"},
    "--weight-decay": {"default": 0.01, "type": Number(float, 0, 1), "metavar": "X"},
    "--warmup": {"type": Number(float, 0, 0.9), "metavar": "SHARE"},
    "--schedule": {"choices": ["linear", "cosine", "constant_with_warmup"]},
    "--patience": {"default": 5, "type": Number(int, 0), "metavar": "N"},
    # computing
    "--device": {"default": "auto", "choices": ["auto", "cpu", "cuda"], "help": "auto: a GPU if there is one"},
    "--precision": {
        "default": "auto",
        "choices": ["auto", "fp32", "bf16", "fp16"],
        "help": "auto: fp32 on a CPU, on a GPU what is safe for the model; bf16 embeds 1.5 to 2 times as fast on a CPU "
        "with instructions for it (avx512_bf16 or amx_bf16 in lscpu), and is slower on another, up to several times",
    },
    "--batch-tokens": {
        "default": "auto",
        "type": Number(int, 1, 1_000_000, words=("auto",)),
        "metavar": "N",
        "help": "padded tokens computed at once; changes memory and speed, and in training what dropout draws",
    },
    "--threads": {"default": 0, "type": Number(int, 0), "metavar": "N", "help": "0: all"},
    "--seed": {"default": 42, "type": Number(int, 0, 2**32 - 1), "metavar": "N"},
    # several processes
    "--processes": {
        "default": 1,
        "type": Number(int, 1, 64),
        "metavar": "N",
        "help": "that share each update, one for each GPU; started here, unless torchrun has started them",
    },
    "--strategy": {
        "default": "ddp",
        "choices": ["ddp", "fsdp", "deepspeed"],
        "help": "what they share: the data, or the weights as well",
    },
    "--zero-stage": {"default": 2, "type": int, "choices": [2, 3], "help": "of DeepSpeed"},
    # outputs
    "--output-metrics": {"metavar": "TSV", "help": "scores with intervals, baselines beside them"},
    "--output-report": {"metavar": "MD", "help": "Galaxy tool markdown"},
    "--output-figures": {
        "metavar": "FOLDER",
        "help": "the report's figures as files, in a folder that is new or empty",
    },
    "--figure-format": {"default": "png", "choices": FIGURE_FORMATS, "help": "beside the PNG"},
    "--output-html": {"metavar": "HTML", "help": "the report as one self-contained page"},
}

# title, options
COLUMNS = ("columns of a table, by name or 1-based number", ("--format", "--id-column", "--sequence-column"))
MOLECULES = ("molecules", ("--smiles", "--tokenizer"))
COMPUTING = ("computing", ("--device", "--precision", "--batch-tokens", "--threads", "--seed"))
PROCESSES = ("several processes", ("--processes", "--strategy", "--zero-stage"))
REPORT = ("--output-report", "--output-figures", "--figure-format", "--output-html")


def add(group: argparse._ActionsContainer, *names: str, **own) -> None:
    """Add shared options to a parser or to a group of it.

    Args:
        own: keywords of ``add_argument`` in place of those in :data:`SHARED`, as a default or a help of the tool's own.
    """
    for name in names:
        group.add_argument(name, **(SHARED[name] | own))


def add_group(parser: Parser, group: tuple[str, tuple[str, ...]]) -> argparse._ActionsContainer:
    """Add a group of shared options that always stand together, such as :data:`COLUMNS`; it may be given more."""
    title, names = group
    added = parser.add_argument_group(title)
    add(added, *names)
    return added
