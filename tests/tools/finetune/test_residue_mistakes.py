"""Mistakes in labels of residues, and in what is predicted of them, are one line and leave nothing."""

import gzip

import pytest

from makers.residues import BOUND, LETTERS, MASK, PROTEINS, TEST, fasta
from makers.scripts import DATA, one_line, run_mistakes

ESM = DATA / "models" / "tiny-esm"
GOOD = fasta(BOUND)
RESIDUES = ("--task", "residue-classification")
SEQUENCES = fasta(PROTEINS)
ONE = next(iter(PROTEINS))


def changed(records, name, text):
    return fasta(records | {name: text})


def sites(*rows, header="id\tposition\tresidue"):
    return "\n".join([header, *("\t".join(map(str, row)) for row in rows)]) + "\n"


FINETUNE_MISTAKES = {
    "label string too short": (
        {"train": changed(BOUND, ONE, "01"), "sequences": SEQUENCES},
        RESIDUES,
        f"record '{ONE}' (line 1) has 2 labels, and its sequence has {len(PROTEINS[ONE])} residues",
    ),
    "position beyond the end": (
        {"train": sites((ONE, 4711, "M")), "sequences": SEQUENCES},
        RESIDUES,
        f"train: line 2 lists position 4,711 of '{ONE}', which has {len(PROTEINS[ONE])} residues",
    ),
    "not the stated residue": (
        {"train": sites((ONE, 1, "W")), "sequences": SEQUENCES},
        RESIDUES,
        f"train: line 2 says W at position 1 of '{ONE}', where the sequence has M",
    ),
    "position 0": ({"train": sites((ONE, 0, "M")), "sequences": SEQUENCES}, RESIDUES, "line 2 has '0' as a position"),
    "label that training lacks": (
        {"train": fasta(BOUND), "test": ">p0\n" + "7" * len(PROTEINS["p0"]) + "\n", "sequences": SEQUENCES},
        RESIDUES,
        "the test set has the label '7' (record 'p0'), which no training example has",
    ),
    "label that is masked in training": (
        {
            "train": changed(BOUND, ONE, BOUND[ONE][:-1] + "7"),
            "test": ">p1\n7" + BOUND["p1"][1:] + "\n",
            "sequences": SEQUENCES,
            "mask": fasta(MASK),
        },
        RESIDUES,
        "the test set has the label '7' (record 'p1'), which no training example has",
    ),
    "everything masked": (
        {
            "train": GOOD,
            "sequences": SEQUENCES,
            "mask": fasta({name: "0" * len(text) for name, text in PROTEINS.items()}),
        },
        RESIDUES,
        "train: no protein has a residue with a known label",
    ),
    "mask of another length": (
        {"train": GOOD, "sequences": SEQUENCES, "mask": changed(MASK, ONE, "11")},
        RESIDUES,
        f"mask: the mask of '{ONE}' has 2 letters, and its sequence has {len(PROTEINS[ONE])} residues",
    ),
    "no '#'": ({"train": SEQUENCES}, RESIDUES, "train has no label for any residue: no '#' stands after a site"),
    "'##'": ({"train": ">a\nMK##T\n"}, RESIDUES, "record 'a' (line 1) has a '#' that follows no residue"),
    "positions without sequences": ({"train": sites((ONE, 1, "M"))}, RESIDUES, "train lists positions; give the file"),
    "one class": (
        {"train": fasta({name: "0" * len(text) for name, text in PROTEINS.items()}), "sequences": SEQUENCES},
        RESIDUES,
        "all training examples have the label '0'; two classes are needed",
    ),
    "positive label of three classes": (
        {"train": fasta({name: "2" + text[1:] for name, text in BOUND.items()}), "sequences": SEQUENCES},
        (*RESIDUES, "--positive-label", "1"),
        "a positive label is for two classes, and there are 3",
    ),
    "equal values": (
        {"train": "id,sequence,label\n" + "".join(f'a{n},MK{one},"1,nan,1"\n' for n, one in enumerate(LETTERS))},
        ("--task", "residue-regression"),
        "all training values are the same",
    ),
    "wrong letter": (
        {"train": GOOD, "sequences": changed(PROTEINS, ONE, "1" + PROTEINS[ONE][1:])},
        RESIDUES,
        f"sequences: record '{ONE}' (line 1) has '1' at position 1",
    ),
    "DNA": ({"train": ">a\n" + "ACGT#" * 20 + "\n"}, RESIDUES, "train holds DNA or RNA (1 of 1 sequences)"),
    "cut gz": (
        {"train": GOOD, "sequences": gzip.compress(SEQUENCES.encode())[:-40]},
        RESIDUES,
        "sequences: the gzip file is cut short or damaged",
    ),
    "mask with sequences": (
        {"train": DATA / "sites_train.fasta", "mask": fasta(MASK)},
        (),
        "--mask is for tasks of residues; the task is sequence-classification",
    ),
    "sequences with sequences": (
        {"train": DATA / "sites_train.fasta", "sequences": SEQUENCES},
        (),
        "--sequences is for tasks of residues or pairs; the task is sequence-classification",
    ),
    "merged labels of sequences": (
        {"train": DATA / "sites_train.fasta"},
        ("--merge-labels", "12=1"),
        "--merge-labels is for tasks of residues; the task is sequence-classification",
    ),
    "unlisted sequences": (
        {"train": DATA / "sites_train.fasta"},
        ("--unlisted", "unknown"),
        "--unlisted is for tasks of residues",
    ),
    "pair order of residues": (
        {"train": GOOD, "sequences": SEQUENCES},
        (*RESIDUES, "--pair-order", "ordered"),
        "--pair-order is for tasks of pairs; the task is residue-classification",
    ),
    "merging into two": (
        {"train": GOOD, "sequences": SEQUENCES},
        (*RESIDUES, "--merge-labels", "1=a,1=b"),
        "the label '1' is to be merged into both a and b",
    ),
    "truncated residues": (
        {"train": GOOD, "sequences": SEQUENCES},
        (*RESIDUES, "--long-sequences", "truncate"),
        "every residue needs a prediction; read long sequences in windows",
    ),
    "too long": (
        {"train": GOOD, "sequences": SEQUENCES},
        (*RESIDUES, "--long-sequences", "refuse", "--max-length", 30),
        "over the limit of 30; choose windows",
    ),
    "metric of another task": (
        {"train": GOOD, "sequences": SEQUENCES},
        (*RESIDUES, "--metric", "fmax"),
        "the metric 'fmax' is not one of this task's",
    ),
    "positive label of several": (
        {"train": DATA / "several_locations.tsv"},
        ("--task", "multi-label", "--label-column", "locations", "--positive-label", "nucleus"),
        "a positive label is for two classes; leave it empty where a sequence can have several labels",
    ),
    "calibrated numbers": (
        {"train": "id,sequence,label\na,MK,1\nb,MV,2\n"},
        ("--task", "sequence-regression", "--calibration", "temperature"),
        "--calibration is for tasks of classes; the task is sequence-regression",
    ),
    "empty separator": (
        {"train": DATA / "several_locations.tsv"},
        ("--task", "multi-label", "--label-column", "locations", "--label-separator", ""),
        "the text between several labels is empty",
    ),
    "one label of several": (
        {"train": "id,sequence,label\n" + "".join(f"a{n},MK{one},x\n" for n, one in enumerate(LETTERS))},
        ("--task", "multi-label"),
        "all training examples have the label 'x'; two classes are needed",
    ),
    "split column of FASTA": (
        {"train": GOOD, "sequences": SEQUENCES},
        (*RESIDUES, "--split-column", "set"),
        "train is FASTA and has no split column; give a pattern for its headers",
    ),
    "split pattern of a table": (
        {"train": sites((ONE, 1, "M")), "sequences": SEQUENCES},
        (*RESIDUES, "--split-pattern", r"SET=(\w+)"),
        "train is a table; name the column that says train, validation or test",
    ),
}


@pytest.fixture(scope="module")
def finetune_mistakes(tmp_path_factory):
    common = ("--model", ESM, "--output-model", "m.zip", "--output-predictions", "p.tsv")
    return run_mistakes(tmp_path_factory.mktemp("mistakes"), FINETUNE_MISTAKES, "finetune", common)


@pytest.mark.parametrize("mistake", FINETUNE_MISTAKES)
def test_finetune_names_the_mistake_and_leaves_nothing(finetune_mistakes, mistake):
    done, work = finetune_mistakes[mistake]
    one_line(done, FINETUNE_MISTAKES[mistake][2], work)


def model(name, base="tiny-esm"):
    return ("--model", DATA / f"bundle_{name}.zip", "--base-model", DATA / "models" / base)


WINDOWS, PREDICT = model("lora_t5", "tiny-t5"), fasta(TEST)
PREDICT_MISTAKES = {
    "sites of a model of all residues": (
        {"sequences": PREDICT},
        (*model("residues_esm"), "--sites", "model"),
        "the model does not say what residues it is for; name them, such as STY",
    ),
    "sites of a model without windows": (
        {"sequences": PREDICT},
        (*model("several_esm"), "--sites", "Y"),
        "bundle_several_esm.zip was not trained on windows of one odd length around a site, so it cannot scan",
    ),
    "sites of nonsense": ({"sequences": PREDICT}, (*WINDOWS, "--sites", "Y5"), "'5' is not a residue to look for"),
    "sites of nothing": ({"sequences": PREDICT}, (*WINDOWS, "--sites", ","), "no residue to look for is given"),
    "no such residue": (
        {"sequences": ">a\nMKAA\n>b\nMKLL\n"},
        (*WINDOWS, "--sites", "model"),
        "sequences: no sequence has any of the residues Y, so there is nothing to scan",
    ),
    "pairs of a sequence model": (
        {"sequences": PREDICT, "pairs": "p4,p5\n"},
        WINDOWS,
        "--pairs is for a model of pairs; this one is for the task sequence-classification",
    ),
    "pairs of a residue model": (
        {"sequences": PREDICT, "pairs": "p4,p5\n"},
        model("residues_esm"),
        "--pairs is for a model of pairs; this one is for the task residue-classification",
    ),
    "threshold of three classes": (
        {"sequences": PREDICT},
        (*model("head_esm"), "--threshold", 0.5),
        "a threshold divides two classes, and this model has 3; leave it empty",
    ),
    "threshold of numbers": (
        {"sequences": PREDICT},
        ("--model", DATA / "bundle_full_bert.zip", "--threshold", 0.5),
        "a threshold divides two classes, and this model gives numbers",
    ),
    "threshold of 2": (
        {"sequences": PREDICT},
        (*model("residues_esm"), "--threshold", 2),
        "argument --threshold: 2 is out of range",
    ),
    "GFF3 of sequences": (
        {"sequences": PREDICT},
        (*WINDOWS, "--output-gff3", "s.gff3"),
        "--output-gff3 needs a model of residues, or sites to scan for",
    ),
    "plot of sequences": (
        {"sequences": PREDICT},
        (*WINDOWS, "--output-plot", "s.png"),
        "--output-plot needs a model of residues, or sites to scan for",
    ),
    "DNA": (
        {"sequences": ">a\n" + "ACGT" * 20 + "\n"},
        model("residues_esm"),
        "sequences holds DNA or RNA (1 of 1 sequences)",
    ),
    "names of labels": (
        {"sequences": PREDICT},
        (*model("residues_esm"), "--labels", "a,b"),
        "bundle_residues_esm.zip knows the names of its labels",
    ),
}


@pytest.fixture(scope="module")
def predict_mistakes(tmp_path_factory):
    return run_mistakes(tmp_path_factory.mktemp("wrong"), PREDICT_MISTAKES, "predict", ("--output-table", "p.tsv"))


@pytest.mark.parametrize("mistake", PREDICT_MISTAKES)
def test_predict_names_the_mistake_and_leaves_nothing(predict_mistakes, mistake):
    done, work = predict_mistakes[mistake]
    one_line(done, PREDICT_MISTAKES[mistake][2], work)
