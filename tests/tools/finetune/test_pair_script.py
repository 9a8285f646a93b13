"""Whole runs for pairs: of one file, of two files and two models; and every mistake with its one line."""

import gzip
import random
import re
from itertools import combinations

import numpy as np
import pytest

from makers.scripts import DATA, manifest, one_line, run_batch, run_mistakes, shown_by_card, start_script, table

ESM, ROBERTA = DATA / "models" / "tiny-esm", DATA / "models" / "tiny-roberta"
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def fasta(records):
    return "".join(f">{name}\n{text}\n" for name, text in records.items())


def rows(pairs, header="first\tsecond\tlabel"):
    return "\n".join([*([header] if header else []), *("\t".join(map(str, row)) for row in pairs)]) + "\n"


def sequences(name, count, letters, seed):
    rng = random.Random(seed)
    return {f"{name}{n}": "".join(rng.choices(letters, k=rng.randint(20, 45))) for n in range(count)}


PROTEINS = sequences("p", 30, LETTERS, seed=1)
GENES = sequences("g", 12, "ACGT", seed=2)
EVERY = random.Random(3).sample(list(combinations(list(PROTEINS)[:18], 2)), 60)
PAIRS = [(one, other, "binds" if (PROTEINS[one] + PROTEINS[other]).count("K") > 3 else "apart") for one, other in EVERY]
HELD_OUT = random.Random(4).sample(list(combinations(list(PROTEINS)[18:26], 2)), 20)
TEST = [(one, other, ("apart", "binds")[n % 2]) for n, (one, other) in enumerate(HELD_OUT)]
TEST[3] = ("p20", "p20", "binds")  # with itself
MIXED = [(one, gene, round(len(PROTEINS[one]) / len(GENES[gene]), 3)) for one in list(PROTEINS)[:14] for gene in GENES]
MIXED = random.Random(5).sample(MIXED, 60)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Every run of this file, in two processes: folder, and what each said on stderr."""
    folder = tmp_path_factory.mktemp("pairs")
    texts = {
        "proteins.fasta": fasta(PROTEINS),
        "proteins.csv": "name,residues\n" + "".join(f"{name},{text}\n" for name, text in PROTEINS.items()),
        "genes.fasta": fasta(GENES),
        "pairs.tsv": rows(PAIRS),
        "test.tsv": rows(TEST),
        "turned.csv": "a,other,one\n" + "".join(f"x,{one},{other}\n" for one, other, _ in reversed(TEST)),
        "mixed.tsv": rows(MIXED, header=""),
        "mixed_pairs.tsv": rows([row[:2] for row in MIXED], header=""),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    one = ("finetune", "--model", ESM, "--model-id", ESM, "--task", "pair-classification", "--train", "pairs.tsv",
           "--test", "test.tsv", "--sequences", "proteins.fasta", "--epochs", 2, "--learning-rate", 0.01,
           "--calibration", "temperature", "--output-model", "one.zip", "--output-predictions", "one.tsv",
           "--output-metrics", "scores.tsv", "--output-html", "one.html")  # fmt: skip
    two = ("finetune", "--model", ESM, "--model-id", ESM, "--task", "pair-regression", "--train", "mixed.tsv",
           "--sequences", "proteins.fasta", "--second-sequences", "genes.fasta", "--second-model", ROBERTA,
           "--second-model-id", ROBERTA, "--max-length", 12, "--epochs", 2, "--test-fraction", 0.2, "--pair-split",
           "pair", "--output-model", "two.zip", "--output-predictions", "two.tsv")  # fmt: skip
    base = ("--base-model", ESM, "--output-table")
    calls = {
        "one": one,
        "one again": ("predict", "--model", "one.zip", *base, "one_again.tsv", "--pairs", "test.tsv", "--sequences",
                      "proteins.fasta"),
        "turned": ("predict", "--model", "one.zip", *base, "turned.tsv", "--pairs", "turned.csv", "--sequences",
                   "proteins.csv", "--first-column", "one", "--second-column", "other", "--id-column", "name",
                   "--sequence-column", "residues", "--batch-tokens", 1, "--threshold", 0.999),
        "two": two,
        "two again": ("predict", "--model", "two.zip", *base, "two_again.tsv", "--pairs", "mixed_pairs.tsv",
                      "--sequences", "proteins.fasta", "--second-sequences", "genes.fasta", "--second-model", ROBERTA),
        "ordered": ("finetune", "--model", ESM, "--model-id", ESM, "--task", "pair-classification", "--train",
                    "pairs.tsv", "--sequences", "proteins.fasta", "--pair-order", "ordered", "--method", "head",
                    "--epochs", 2, "--output-model", "ordered.zip", "--output-predictions", "ordered.tsv"),
        "ordered again": ("predict", "--model", "ordered.zip", *base, "ordered_again.tsv", "--pairs", "pairs.tsv",
                          "--sequences", "proteins.fasta"),
    }  # fmt: skip
    done = dict(zip(calls, run_batch([(folder, *call) for call in calls.values()]), strict=True))
    for name, run in done.items():
        assert run.returncode == 0, f"{name}: {run.stderr}"
    again = folder / "again"
    again.mkdir()
    second = start_script(again, *(folder / str(part) if str(part) in texts else part for part in one))
    assert second.returncode == 0, second.stderr
    return folder, {name: run.stderr for name, run in done.items()}


def test_pairs_are_predicted_in_their_order_as_they_were_at_training_time(runs):
    first, again = table(runs[0] / "one.tsv"), table(runs[0] / "one_again.tsv")
    assert list(again[0]) == ["first", "second", "predicted", "probability_apart", "probability_binds"]
    assert [(row["first"], row["second"], row["truth"], row["split"]) for row in first] == [
        (*pair, "test") for pair in TEST
    ]
    for one, other in zip(first, again, strict=True):
        assert [one[name] for name in ("first", "second", "predicted")] == [*other.values()][:3]
        for name in ("probability_apart", "probability_binds"):  # other batches, so the last digit may differ
            assert float(one[name]) == pytest.approx(float(other[name]), abs=2e-6)
    told = manifest(runs[0] / "one.zip")
    assert told["head"]["pairs"] == "symmetric" and told["temperature"] != 1
    for row in again:
        assert row["predicted"] == ("binds" if float(row["probability_binds"]) >= told["threshold"] else "apart")
    assert {row["pairs"] for row in table(runs[0] / "scores.tsv") if row["split"] == "test"} == {"20"}


def test_each_sequence_is_embedded_once(runs):
    named = {name for one, other, _ in TEST for name in (one, other)}
    assert f"embedding {len(named)} sequences, each once" in runs[1]["one again"]
    trained = {name for row in table(runs[0] / "one.tsv") for name in (row["first"], row["second"])} | {
        name for pair in PAIRS for name in pair[:2]
    }
    count = int(re.search(r"embedding (\d+) sequences with the base model, each once", runs[1]["one"]).group(1))
    assert len(named) < count <= len(trained) < len(PROTEINS)  # pairs between two splits take some with them
    lost = re.search(r"between two of the splits, left out[^:]*: (\d+) pair", (runs[0] / "one.html").read_text())
    assert int(lost.group(1)) > 0


def test_both_orders_are_one_pair_whatever_the_files_look_like(runs):
    first = {(row["first"], row["second"]): row for row in table(runs[0] / "one.tsv")}
    turned = table(runs[0] / "turned.tsv")
    assert [(row["second"], row["first"]) for row in turned] == [pair[:2] for pair in reversed(TEST)]
    for row in turned:
        other = first[row["second"], row["first"]]
        assert float(row["probability_binds"]) == pytest.approx(float(other["probability_binds"]), abs=2e-6)
    assert {row["predicted"] for row in turned} == {"apart"}


def test_the_card_s_code_gives_the_probabilities_of_pairs(runs, tmp_path):
    for run in ("one", "ordered"):
        (tmp_path / run).mkdir()
        row = table(runs[0] / f"{run}_again.tsv")[0]
        pair = (PROTEINS[row["first"]], PROTEINS[row["second"]])
        shown = shown_by_card(runs[0] / f"{run}.zip", tmp_path / run, *pair)
        np.testing.assert_allclose(shown, [float(row[f"probability_{name}"]) for name in ("apart", "binds")], atol=2e-4)


def test_ordered_pairs_come_back(runs):
    first = table(runs[0] / "ordered.tsv")
    again = {(row["first"], row["second"]): row for row in table(runs[0] / "ordered_again.tsv")}
    assert len(again) == len(PAIRS) > len(first) > 0
    for row in first:
        same = again[row["first"], row["second"]]
        assert {name: row[name] for name in same} == same
    assert manifest(runs[0] / "ordered.zip")["head"]["pairs"] == "ordered"


def test_pairs_of_two_files_and_two_models_come_back(runs, tmp_path):
    first, again = table(runs[0] / "two.tsv"), table(runs[0] / "two_again.tsv")
    assert [(row["first"], row["second"]) for row in again] == [row[:2] for row in MIXED]  # no header, none lost
    by_pair = {(row["first"], row["second"]): row["predicted"] for row in again}
    truth = {row[:2]: row[2] for row in MIXED}
    assert len(first) == 12
    for row in first:
        assert row["predicted"] == by_pair[row["first"], row["second"]]
        assert float(row["truth"]) == truth[row["first"], row["second"]]
    members = {row[0] for row in MIXED}, {row[1] for row in MIXED}
    assert f"embedding {len(members[1])} second members with their own model" in runs[1]["two"]
    for one in members:
        assert f"embedding {len(one)} sequences, each once" in runs[1]["two again"]
    told = manifest(runs[0] / "two.zip")
    assert told["second_model"]["id"] == str(ROBERTA) and told["head"]["inputs"] == 128 and told["max_length"] == 12
    assert f"read in overlapping windows of 12 tokens: {len(members[0])} sequences" in runs[1]["two again"]


def test_the_digests_change_with_a_member(runs):
    told = manifest(runs[0] / "one.zip")["data_sha256"]
    assert set(told) == {"train", "validation", "test", "sequences"}
    assert told["sequences"] != manifest(runs[0] / "ordered.zip")["data_sha256"]["sequences"]


def test_the_same_seed_gives_the_same_bytes_in_another_process(runs):
    for name in ("one.zip", "one.tsv", "scores.tsv", "one.html"):
        assert (runs[0] / name).read_bytes() == (runs[0] / "again" / name).read_bytes(), name


# Mistakes. Each is noticed where torch cannot be imported.

SEQUENCES = fasta(PROTEINS)
GOOD = {"train": rows(PAIRS), "sequences": SEQUENCES}
TWO = {"train": rows(MIXED), "sequences": SEQUENCES, "second-sequences": fasta(GENES)}
CLASSES, NUMBERS = ("--task", "pair-classification"), ("--task", "pair-regression")
FINETUNE_MISTAKES = {
    "unknown member": (
        GOOD | {"train": rows([*PAIRS, ("p1", "p99", "binds")])},
        CLASSES,
        "train: line 62 names 'p99', which is not in sequences",
    ),
    "unknown member of the second file": (
        TWO | {"train": rows([("p1", "p2", 1)])},
        NUMBERS,
        "train: line 2 names 'p2', which is not in sequences or second-sequences",
    ),
    "two labels": (
        GOOD | {"train": rows([*PAIRS, (PAIRS[0][1], PAIRS[0][0], "other")])},
        CLASSES,
        f"train: line 62 gives the pair {PAIRS[0][1]} and {PAIRS[0][0]} the label other, and line 2 gives it",
    ),
    "no sequences": ({"train": rows(PAIRS)}, CLASSES, "pairs are names of sequences; give the file with the sequences"),
    "no label": (GOOD | {"train": rows([("p1", "p2", "")])}, CLASSES, "0 training pair is left"),
    "text as a number": (GOOD, NUMBERS, f"train: line 2 has '{PAIRS[0][2]}' where a number is needed"),
    "1_0": (GOOD | {"train": rows([("p1", "p2", "1_0")])}, NUMBERS, "train: line 2 has '1_0' where a number is needed"),
    "one class": (
        GOOD | {"train": rows([(one, other, "x") for one, other, _ in PAIRS])},
        CLASSES,
        "all training examples have the label 'x'; two classes are needed",
    ),
    "1,001 classes": (
        {"train": rows([(f"a{n}", f"b{n}", f"x{n}") for n in range(1001)]),
         "sequences": fasta({f"{side}{n}": "MKV" for side in "ab" for n in range(1001)})},
        (*CLASSES, "--validation-fraction", 0),
        "1,001 different labels; is the label a number?",
    ),
    "same id twice": (
        GOOD | {"sequences": SEQUENCES + ">p1\nMK\n"},
        CLASSES,
        "sequences: record 'p1' (line 61) has the same id as the record on line 3",
    ),
    "wrong letter": (
        GOOD | {"sequences": fasta(PROTEINS | {"p1": "MK-V"})},
        CLASSES,
        "sequences: record 'p1' (line 3) has '-' at position 3; remove the gaps",
    ),
    "DNA": (
        GOOD | {"sequences": fasta(dict.fromkeys(PROTEINS, "ACGT" * 20))},
        CLASSES,
        "sequences holds DNA or RNA (18 of 18 sequences); the model reads proteins",
    ),
    "cut gz": (GOOD | {"train": gzip.compress(rows(PAIRS).encode())[:-9]}, CLASSES, "train: the gzip file is cut"),
    "empty": (GOOD | {"train": ""}, CLASSES, "train is empty"),
    "empty sequences": (GOOD | {"sequences": ""}, CLASSES, "sequences is empty"),
    "FASTA as pairs": (GOOD | {"train": SEQUENCES}, CLASSES, "train is FASTA"),
    "header alone": (GOOD | {"train": rows([])}, CLASSES, "train has a header but no pairs"),
    "symmetric from two files": (
        TWO,
        (*NUMBERS, "--pair-order", "symmetric"),
        "members from two files are not of one kind, so their pairs cannot be symmetric",
    ),
    "second model without its file": (
        GOOD,
        (*CLASSES, "--second-model", ROBERTA),
        "a second model reads the second members; give their sequences too (--second-sequences)",
    ),
    "two files for sequences": (
        {"train": DATA / "sites_train.fasta", "second-sequences": SEQUENCES},
        (),
        "--second-sequences is for tasks of pairs; the task is sequence-classification",
    ),
    "mask of pairs": (GOOD | {"mask": ">p1\n1\n"}, CLASSES, "--mask is for tasks of residues; the task is pair-class"),
    "positions of pairs": (GOOD, (*CLASSES, "--position-column", "at"), "--position-column is for tasks of residues"),
    "split refused": (
        GOOD | {"test": rows(PAIRS[:2])},
        (*CLASSES, "--duplicates", "refuse"),
        "training pairs have a sequence that is in the validation or test set too",
    ),
    "no split by sequence": (
        GOOD | {"train": rows([("p1", f"p{n}", n % 2) for n in range(2, 20)])},
        CLASSES,
        "18 pairs of 19 sequences cannot be split by sequence: none is left for the",
    ),
    "column missing": (GOOD, (*CLASSES, "--first-column", "one"), "train: no column 'one' for the first column"),
    "label in one split": (
        GOOD | {"test": rows([("p20", "p21", "maybe")])},
        CLASSES,
        "the test set has the label 'maybe' (record 'p20 p21'), which no training example has",
    ),
    "label with a control character": (
        GOOD | {"train": rows([*PAIRS, ("p1", "p2", "a\u202eb")])},
        CLASSES,
        "has the label 'a?b'; a label is at most 100 printable characters",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def finetune_mistakes(tmp_path_factory):
    common = ("--model", ESM, "--output-model", "m.zip", "--output-predictions", "p.tsv")
    return run_mistakes(tmp_path_factory.mktemp("mistakes"), FINETUNE_MISTAKES, "finetune", common)


@pytest.mark.parametrize("mistake", FINETUNE_MISTAKES)
def test_finetune_names_the_mistake_and_leaves_nothing(finetune_mistakes, mistake):
    done, work = finetune_mistakes[mistake]
    one_line(done, FINETUNE_MISTAKES[mistake][2], work)


MODEL = ("--model", DATA / "bundle_pairs_esm.zip", "--base-model", ESM)
ASKED = {"pairs": rows([row[:2] for row in TEST], "first\tsecond"), "sequences": SEQUENCES}
PREDICT_MISTAKES = {
    "no pairs": ({"sequences": SEQUENCES}, MODEL, "this model is for pairs of sequences; give the table of pairs too"),
    "unknown member": (
        ASKED | {"pairs": "first\tsecond\np1\tx\n"},
        MODEL,
        "pairs: line 2 names 'x', which is not in sequences",
    ),
    "two files for a symmetric model": (
        ASKED | {"second-sequences": SEQUENCES},
        MODEL,
        "the model was trained on pairs from one file of sequences; leave the second file empty",
    ),
    "second model that is not needed": (
        ASKED,
        (*MODEL, "--second-model", ESM),
        "bundle_pairs_esm.zip reads both members with one model; leave the second model empty",
    ),
    "sites": (ASKED, (*MODEL, "--sites", "Y"), "this model is for pairs of sequences and cannot scan for sites"),
    "GFF3": (ASKED, (*MODEL, "--output-gff3", "x.gff3"), "--output-gff3 needs a model of residues"),
    "FASTA as pairs": (ASKED | {"pairs": SEQUENCES}, MODEL, "pairs is FASTA"),
    "empty pairs": (ASKED | {"pairs": "\n"}, MODEL, "pairs is empty"),
    "header alone": (ASKED | {"pairs": "first\tsecond\n"}, MODEL, "pairs has a header but no pairs"),
    "same id twice": (ASKED | {"sequences": SEQUENCES + ">p20\nMK\n"}, MODEL, "record 'p20' (line 61) has the same id"),
    "wrong letter": (
        ASKED | {"sequences": fasta(PROTEINS | {"p20": "M*V"})},
        MODEL,
        "record 'p20' (line 41) has '*' at position 2",
    ),
    "cut gz": (
        ASKED | {"sequences": gzip.compress(SEQUENCES.encode())[:-40]},
        MODEL,
        "sequences: the gzip file is cut short or damaged",
    ),
    "column missing": (ASKED, (*MODEL, "--second-column", "y"), "pairs: no column 'y' for the second column"),
    "one column": (ASKED, (*MODEL, "--second-column", "1"), "first and second members cannot be in one column"),
}


@pytest.fixture(scope="module")
def predict_mistakes(tmp_path_factory):
    return run_mistakes(tmp_path_factory.mktemp("wrong"), PREDICT_MISTAKES, "predict", ("--output-table", "p.tsv"))


@pytest.mark.parametrize("mistake", PREDICT_MISTAKES)
def test_predict_names_the_mistake_and_leaves_nothing(predict_mistakes, mistake):
    done, work = predict_mistakes[mistake]
    one_line(done, PREDICT_MISTAKES[mistake][2], work)


def test_a_model_of_two_models_wants_both_of_them_and_both_files(runs):
    folder = runs[0]
    asked = ("--model", "two.zip", "--base-model", ESM, "--pairs", "mixed_pairs.tsv", "--sequences", "proteins.fasta",
             "--output-table", "never.tsv")  # fmt: skip
    first, second, third = run_batch(
        [
            (folder, "predict", *asked, "--second-sequences", "genes.fasta"),
            (folder, "predict", *asked, "--second-model", ROBERTA),
            (folder, "predict", *asked, "--second-sequences", "genes.fasta", "--second-model", ESM),
        ],
        torch=False,
    )
    for done, message in (
        (first, f"two.zip reads second members with another model; give its second model too, {ROBERTA}"),
        (second, "the model reads second members with another model; give their sequences (--second-sequences)"),
        (third, f"two.zip was trained on another second model, {ROBERTA}"),
    ):
        assert done.returncode == 2 and message in done.stderr
    assert not (folder / "never.tsv").exists()
