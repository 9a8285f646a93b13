"""Options of a fine-tuning that contradict each other, or are for another task."""

from __future__ import annotations

import sys
from argparse import Namespace

from seqlm.cli.errors import InputError
from seqlm.training.launching import check_processes

from .folds import check_folds
from .methods import check_method
from .tries import check_sweep

# what is for tasks of residues or pairs only: its value where nobody asks for it, and the levels that know it
OPTIONS_OF_LEVELS = {
    "light_column": (None, "sequence"),
    "sequences": (None, "residue", "pair"),
    "mask": (None, "residue"),
    "position_column": (None, "residue"),
    "unknown_labels": ("?", "residue"),
    "merge_labels": ("", "residue"),
    "unlisted": ("negative", "residue"),
    "misfits": ("stop", "residue"),
    "second_sequences": (None, "pair"),
    "second_model": (None, "pair"),
    "first_column": (None, "pair"),
    "second_column": (None, "pair"),
    "pair_order": ("auto", "pair"),
    "pair_split": ("member", "pair"),
}


def check_options(arguments: Namespace, level: str) -> None:
    """Refuse options that contradict each other."""
    check_method(arguments)
    check_sweep(arguments)
    if arguments.pooling == "cls" and arguments.long_sequences == "window" and level != "residue":
        print("note: with cls pooling a long sequence is the mean of its windows' first tokens", file=sys.stderr)
    for option, (unasked, *levels) in OPTIONS_OF_LEVELS.items():
        if getattr(arguments, option) not in (unasked, None, "") and level not in levels:
            flag = "--" + option.replace("_", "-")
            raise InputError(f"{flag} is for tasks of {'s or '.join(levels)}s; the task is {arguments.task}")
    if level == "pair" and not arguments.sequences:
        raise InputError("pairs are names of sequences; give the file with the sequences too (--sequences)")
    if arguments.second_model and not arguments.second_sequences:
        raise InputError("a second model reads the second members; give their sequences too (--second-sequences)")
    if arguments.second_sequences and arguments.pair_order == "symmetric":
        raise InputError("members from two files are not of one kind, so their pairs cannot be symmetric")
    if arguments.label_columns:
        if arguments.task != "multi-label":
            raise InputError(f"--label-columns is for several labels (multi-label); the task is {arguments.task}")
        if arguments.label_column:
            raise InputError("--label-column holds all labels, --label-columns one each; give one of the two")
    if arguments.class_fasta or arguments.validation_class_fasta or arguments.test_class_fasta:
        if arguments.task != "sequence-classification":
            raise InputError(f"a FASTA for each class is for a class of each sequence; the task is {arguments.task}")
        if not arguments.class_fasta or arguments.validation or arguments.test:
            raise InputError("where each class has a FASTA of its own, all sets are given so, or drawn")
        if arguments.label_column:
            raise InputError("where each class has a FASTA of its own, labels are in no column; leave it empty")
    if arguments.positive_label and arguments.task == "multi-label":
        raise InputError("a positive label is for two classes; leave it empty where a sequence can have several labels")
    if arguments.task.endswith("regression"):
        for option in ("positive_label", "class_weights", "calibration"):
            if getattr(arguments, option) not in (None, "", "none"):
                flag = "--" + option.replace("_", "-")
                raise InputError(f"{flag} is for tasks of classes; the task is {arguments.task}")
    check_folds(arguments, level)
    check_processes(arguments, "pairs" if level == "pair" else "sequences")
    if not arguments.label_separator:
        raise InputError("the text between several labels is empty; use ; or another that no label holds")
