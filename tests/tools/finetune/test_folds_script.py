"""Whole runs of cross-validations at every level, and predictions with their bundles; mistakes with their line."""

import json
import re
import zipfile

import numpy as np
import pytest

from makers.scripts import DATA, manifest, one_line, run_batch, run_mistakes, run_script, shown_by_card, table
from seqlm.metrics.conformal import Conformity, class_sets

ESM, CHEMBERTA = DATA / "models" / "tiny-esm", DATA / "models" / "tiny-chemberta"
SITES, TEST = DATA / "sites_train.fasta", DATA / "sites_test.fasta"
FOLDS = ("--folds", 3, "--epochs", 1, "--learning-rate", 0.01)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Every run of this file, and what each said on stderr."""
    folder = tmp_path_factory.mktemp("folds")
    model, base = ("--model", ESM, "--model-id", ESM), ("--base-model", ESM)
    residues = ("--task", "residue-classification", "--train", DATA / "binding_labels.fasta", "--sequences",
                DATA / "binding_sequences.fasta")  # fmt: skip
    pairs = ("--task", "pair-classification", "--train", DATA / "interactions.tsv", "--sequences",
             DATA / "interacting.fasta")  # fmt: skip
    several = ("--task", "multi-label", "--train", DATA / "several_locations.tsv", "--label-column", "locations")
    molecules = ("--model", CHEMBERTA, "--train", DATA / "molecules.csv", "--label-column", "toxic", "--id-column",
                 "name", "--sequence-column", "smiles", "--method", "head")  # fmt: skip
    numbers = ("--task", "sequence-regression", "--train", DATA / "stability.csv", "--label-column", "melting",
               "--id-column", "name", "--method", "head", "--fold-groups", "none", "--test-fraction", 0.2)  # fmt: skip

    def finetune(name, *options):
        return ("finetune", *options, *FOLDS, "--output-model", f"{name}.zip", "--output-predictions", f"{name}.tsv",
                "--output-html", f"{name}.html", "--output-log", f"{name}.log")  # fmt: skip

    def predict(name, *options):
        return ("predict", "--model", f"{name}.zip", *options, "--coverage", 0.8, "--output-table", f"{name}_again.tsv")

    calls = {
        "sites": finetune("sites", *model, "--train", SITES, "--test", TEST, "--fold-repeats", 2, "--calibration",
                          "temperature", "--threshold-by", "f1"),
        "sites again": predict("sites", *base, "--sequences", TEST),
        "residues": finetune("residues", *model, *residues),
        "residues again": (*predict("residues", *base, "--sequences", DATA / "binding_sequences.fasta"),
                           "--output-gff3", "residues.gff3", "--output-plot", "residues.png"),
        "pairs": finetune("pairs", *model, *pairs),
        "pairs again": predict("pairs", *base, "--sequences", DATA / "interacting.fasta", "--pairs",
                               DATA / "interactions.tsv"),
        "several": finetune("several", *model, *several),
        "several again": predict("several", *base, "--sequences", DATA / "several_locations.tsv"),
        "molecules": finetune("molecules", *molecules),
        "molecules again": predict("molecules", "--base-model", CHEMBERTA, "--sequences", DATA / "molecules.csv",
                                   "--sequence-column", "smiles", "--id-column", "name"),
        "numbers": finetune("numbers", *model, *numbers),
        "numbers again": predict("numbers", *base, "--sequences", DATA / "stability.csv", "--id-column", "name"),
    }  # fmt: skip
    done = dict(zip(calls, run_batch([(folder, *call) for call in calls.values()]), strict=True))
    for name, one in done.items():
        assert one.returncode == 0, f"{name}: {one.stderr}"
    return folder, done


def numbers_of(rows, start="probability_"):
    return np.asarray([[float(cell) for name, cell in row.items() if name.startswith(start)] for row in rows])


def test_the_test_set_is_predicted_by_the_mean_of_all_members(runs):
    folder, _ = runs
    said, again = table(folder / "sites.tsv"), table(folder / "sites_again.tsv")
    said = [row for row in said if row["split"] == "test"]
    assert manifest(folder / "sites.zip")["members"] == 6
    assert [row["id"] for row in said] == [row["id"] for row in again]
    np.testing.assert_allclose(numbers_of(said), numbers_of(again), atol=1e-6)
    assert [row["predicted"] for row in said] == [row["predicted"] for row in again]
    assert min(float(row["disagreement"]) for row in again) > 0


def member(folder, name, number):
    """A bundle of one member alone."""
    with zipfile.ZipFile(folder / f"{name}.zip") as bundle:
        files = {entry: bundle.read(entry) for entry in bundle.namelist()}
    said = {key: value for key, value in json.loads(files["seqlm.json"]).items() if key not in ("members", "conformal")}
    for first in ("adapter_model", "head"):
        files[f"{first}.safetensors"] = files[f"{first}_{number}.safetensors"]
    with zipfile.ZipFile(folder / f"{name}_{number}.zip", "w") as bundle:
        for entry in ("adapter_model.safetensors", "head.safetensors", "adapter_config.json"):
            bundle.writestr(entry, files[entry])
        bundle.writestr("seqlm.json", json.dumps(said))
    return folder / f"{name}_{number}.zip"


@pytest.fixture(scope="module")
def by_member(runs):
    """(members, sequences) probability of each labelled site by each member."""
    folder, _ = runs
    found = []
    for number in range(2, 7):
        run = run_script(folder, "predict", "--model", member(folder, "sites", number), "--base-model", ESM,
                         "--sequences", SITES, "--output-table", "alone.tsv")  # fmt: skip
        assert run.returncode == 0, run.stderr
        found.append(numbers_of(table(folder / "alone.tsv"))[:, 1])
    return np.stack(found)


def test_out_of_fold_is_what_the_members_give_that_had_not_seen_it(runs, by_member):
    """Of two repeats with three folds each, the mean of one member of each."""
    folder, _ = runs
    rows = [row for row in table(folder / "sites.tsv") if row["split"] == "out-of-fold"]
    first, second = np.asarray([[int(number) for number in row["fold"].split(";")] for row in rows]).T
    assert np.bincount(first).tolist()[1:] == np.bincount(second).tolist()[1:] == [54, 53, 53]
    assert (first != second).any()
    later = first > 1  # the first member of all is not among those alone
    own = np.stack([by_member[first[later] - 2, later], by_member[second[later] + 1, later]])
    np.testing.assert_allclose(numbers_of(rows)[later, 1], own.mean(axis=0), atol=1e-5)


def test_windows_of_a_protein_are_in_one_fold(runs):
    folder, _ = runs
    of = {}
    for row in table(folder / "sites.tsv"):
        of.setdefault(row["id"].split("|")[0], set()).add(row["fold"])
    assert max(map(len, of.values())) == 1


@pytest.mark.parametrize("name", ["sites", "residues", "pairs", "several", "molecules"])
def test_sets_name_classes_and_are_never_empty(runs, name):
    folder, _ = runs
    rows = table(folder / f"{name}_again.tsv")
    labels = {column.removeprefix("probability_") for column in rows[0] if column.startswith("probability_")}
    sets = [set(row["set"].split(";")) - {""} for row in rows]
    assert labels.issuperset(set().union(*sets))
    if name == "several":
        unsure = [set(row["unsure"].split(";")) - {""} for row in rows]
        assert labels.issuperset(set().union(*unsure))
        assert not any(sure & open for sure, open in zip(sets, unsure, strict=True))
        assert any(sets)
    else:
        assert all(sets)
        assert len(set(map(frozenset, sets))) > 1


def test_sets_are_those_of_the_scores_in_the_bundle(runs):
    from safetensors.numpy import load

    folder, _ = runs
    with zipfile.ZipFile(folder / "molecules.zip") as bundle:
        held = load(bundle.read("conformal.safetensors"))
    rows = [row for row in table(folder / "molecules.tsv") if row["split"] == "out-of-fold"]
    truth = np.asarray([int(row["truth"]) for row in rows])
    np.testing.assert_array_equal(held["classes"], truth)
    np.testing.assert_array_equal(held["members"] + 1, [int(row["fold"]) for row in rows])
    given = numbers_of(rows)
    np.testing.assert_allclose(held["scores"], 1 - given[np.arange(len(rows)), truth], atol=1e-5)
    conformity = Conformity(held["scores"].astype(float), held["classes"], held["members"])
    assert class_sets(conformity, given[None].repeat(3, 0), 0.8).any(axis=1).all()


def test_values_have_intervals_around_them(runs):
    folder, _ = runs
    rows = table(folder / "numbers_again.tsv")
    low, given, high = (np.asarray([float(row[name]) for row in rows]) for name in ("low", "predicted", "high"))
    assert (low < given).all() and (given < high).all()
    measured = {row["id"]: float(row["truth"]) for row in table(folder / "numbers.tsv")}
    truth = np.asarray([measured[row["id"]] for row in rows])
    assert 0.65 < ((low <= truth) & (truth <= high)).mean() <= 1


def test_every_residue_is_predicted_by_a_model_that_had_not_seen_its_protein(runs):
    folder, _ = runs
    rows = table(folder / "residues.tsv")
    assert {row["fold"] for row in rows} == {"1", "2", "3"}
    of = {}
    for row in rows:
        of.setdefault(row["id"], set()).add(row["fold"])
    assert max(map(len, of.values())) == 1
    assert len(rows) == len(table(folder / "residues_again.tsv"))


def test_no_sequence_is_in_pairs_of_two_folds(runs):
    folder, _ = runs
    of = {}
    for row in table(folder / "pairs.tsv"):
        for name in (row["first"], row["second"]):
            of.setdefault(name, set()).add(row["fold"])
    assert max(map(len, of.values())) == 1


def test_the_report_has_the_folds_and_the_coverage(runs):
    folder, _ = runs
    for name in ("sites", "residues", "pairs", "several", "molecules", "numbers"):
        text = (folder / f"{name}.html").read_text()
        assert "were divided into 3 folds" in text
        assert "of sets hold the truth" in text or "of intervals hold the truth" in text
        assert "each is checked by the scores of the others" in text
        assert "on the held-out folds" in text
    assert "which took no part, this mean has" in (folder / "sites.html").read_text()
    log = [(row["repeat"], row["fold"]) for row in table(folder / "sites.log") if row["epoch"] == "1"]
    assert log == [(repeat, fold) for repeat in "12" for fold in "123"]


def test_the_card_s_code_gives_what_predict_gives(runs, tmp_path):
    folder, _ = runs
    sequence = SITES.read_text().splitlines()[1]
    (folder / "one.fasta").write_text(f">one\n{sequence}\n")
    run_script(folder, "predict", "--model", "sites.zip", "--base-model", ESM, "--sequences", "one.fasta",
               "--output-table", "one.tsv")  # fmt: skip
    printed = shown_by_card(folder / "sites.zip", tmp_path, sequence)
    np.testing.assert_allclose(printed, numbers_of(table(folder / "one.tsv"))[0], atol=2e-4)


COLUMN = b"id\tsequence\tlabel\tfamily\n" + b"".join(
    f"s{n}\t{'MKV' * 3 + 'ACDEFGHIKL'[n % 10] * 3}\t{n % 2}\t{'b' if n % 2 else n % 5}\n".encode() for n in range(20)
)
MISTAKES = {
    "one fold": ({}, ("--folds", 1), "one fold leaves nothing to train on"),
    "all weights": ({}, ("--folds", 3, "--method", "full"), "of all weights that would be a whole model each"),
    "too many": ({}, ("--folds", 10, "--fold-repeats", 3), "10 folds 3 times are 30 models; a bundle holds at most 20"),
    "no folds": ({}, ("--fold-groups", "protein"), "--fold-groups is for cross-validation; say how many --folds"),
    "no column": ({}, ("--folds", 3, "--fold-groups", "column"), "both or neither"),
    "no such column": ({"train": COLUMN}, ("--folds", 3, "--group-column", "clan"), "no column 'clan'"),
    "a class in one group": ({"train": COLUMN}, ("--folds", 2, "--group-column", "family"), "too few groups"),
    "fasta": ({}, ("--folds", 3, "--group-column", "family"), "is FASTA and has no columns"),
    "scaffolds of proteins": ({}, ("--folds", 3, "--fold-groups", "scaffold"), "no folds by scaffold"),
}


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory):
    common = ("--model", ESM, "--train", SITES, "--output-model", "m.zip")
    return run_mistakes(tmp_path_factory.mktemp("mistakes"), MISTAKES, "finetune", common)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(mistakes, name):
    one_line(mistakes[name][0], MISTAKES[name][2], mistakes[name][1])


def test_a_coverage_that_the_model_cannot_give_is_refused(runs, tmp_path):
    folder, _ = runs
    asked = ("predict", "--base-model", ESM, "--sequences", TEST, "--output-table", "p.tsv")
    done = run_script(tmp_path, *asked, "--model", folder / "sites_2.zip", "--coverage", 0.9)
    one_line(done, "sites_2.zip cannot give sets of a coverage: it holds no scores", tmp_path)
    done = run_script(tmp_path, *asked, "--model", folder / "sites.zip", "--coverage", 0.999)
    one_line(
        done, "holds 160 scores of what its training left out, and a coverage of 0.999 needs at least 999", tmp_path
    )


def test_the_vectors_of_an_ensemble_are_those_of_its_first_member_and_that_is_said(runs, tmp_path):
    folder, _ = runs
    done = run_script(tmp_path, "embed", "--model", folder / "pairs.zip", "--base-model", ESM, "--sequences", TEST,
                      "--output-table", "v.tsv", "--output-html", "v.html")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "an ensemble of 3 members; the vectors are those of the first" in (tmp_path / "v.html").read_text()


def test_one_model_has_sets_from_its_validation_set_which_the_report_checks(tmp_path):
    call = ("finetune", "--model", ESM, "--train", SITES, "--test", TEST, "--epochs", 1, "--coverage", 0.8,
            "--output-model", "m.zip", "--output-html", "m.html")  # fmt: skip
    assert run_script(tmp_path, *call).returncode == 0
    text = (tmp_path / "m.html").read_text()
    assert "Sets that hold the truth" in text and "the validation set, which chose the epoch too," in text
    asked = ("predict", "--model", "m.zip", "--base-model", ESM, "--sequences", TEST, "--output-table")
    assert run_script(tmp_path, *asked, "sets.tsv", "--coverage", 0.8).returncode == 0
    assert run_script(tmp_path, *asked, "plain.tsv").returncode == 0
    rows, plain = table(tmp_path / "sets.tsv"), table(tmp_path / "plain.tsv")
    assert "set" not in plain[0] and "disagreement" not in rows[0]
    assert [{**row, "set": 0} for row in rows] == [{**row, "set": 0} for row in plain]
    assert {row["set"] for row in rows} <= {"0", "1", "0;1"}
    shown = re.search(r"Held the truth.*?<td>test set</td>\s*<td>60</td>\s*<td>([\d.]+)", text, re.S)
    truth = dict(line[1:].split(" LABEL=") for line in TEST.read_text().splitlines() if line.startswith(">"))
    held = np.mean([truth[row["id"]] in row["set"].split(";") for row in rows])
    assert float(shown[1]) == pytest.approx(held, abs=0.006)
