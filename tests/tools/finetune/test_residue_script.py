"""Whole runs for residues, for scans of proteins and for several labels at once."""

import random
import re
import zipfile

import gffutils
import numpy as np
import pytest

from makers.residues import BOUND, MASK, PROTEINS, SPLIT, TEST, fasta, proteins
from makers.scripts import DATA, manifest, run_batch, shown_by_card, start_script, table

ESM = DATA / "models" / "tiny-esm"
WINDOW = 15


def windows(sequences, residues="Y", half=WINDOW // 2):
    """(name, position, window) of every site, by slicing the padded proteins."""
    padded = {name: "X" * half + sequence + "X" * half for name, sequence in sequences.items()}
    return [
        (name, site.start() + 1, padded[name][site.start() : site.start() + 2 * half + 1])
        for name, sequence in sequences.items()
        for site in re.finditer(f"[{residues}]", sequence)
    ]


# labels on S and Y only, as a dataset of sites in whole proteins has them
ON_SITES = {
    name: "".join(str(int("D" in text[max(0, n - 5) : n])) if one in "SY" else "?" for n, one in enumerate(text))
    for name, text in PROTEINS.items()
}
SCANNED = {**proteins(12, seed=2), "none": "MKKAAVLAAK", "first": "YMKAA", "last": "MKAAY", "lower": "mkvyllaa"}
SITES = windows(proteins(40, seed=3))
LEARN = ("--learning-rate", 0.01, "--epochs", 2)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Every run of this file, in two processes: folder, and what each said on stderr."""
    folder = tmp_path_factory.mktemp("residues")
    rng = random.Random(4)
    numbers = {
        name: ",".join(
            "nan" if rng.random() < 0.3 else f"{'KDE'.count(one) + n / 500:.3f}" for n, one in enumerate(text)
        )
        for name, text in PROTEINS.items()
    }
    sites = {f"{name}_{position}": window for name, position, window in windows(SCANNED | {"lower": "MKVYLLAA"})}
    several = [";".join([k for k in ("acid", "base") if set(w) & set({"acid": "DE", "base": "KR"}[k])]) or "none"
               for *_, w in SITES]  # fmt: skip
    texts = {
        "labels.fasta": fasta(BOUND, {name: f" SET={split}" for name, split in SPLIT.items()}),
        "proteins.fasta": fasta(PROTEINS),
        "mask.fasta": fasta(MASK),
        "test.fasta": fasta(TEST),
        "numbers.csv": "id,sequence,label,set\n"
        + "".join(f'{name},{PROTEINS[name]},"{numbers[name]}",{SPLIT[name]}\n' for name in PROTEINS),
        "on_sites.tsv": "id\tsequence\tlabel\n"
        + "".join(f"{name}\t{PROTEINS[name]}\t{label}\n" for name, label in ON_SITES.items()),
        "scanned.fasta": fasta(SCANNED),
        "windows.fasta": fasta(sites),
        "sites.fasta": "".join(
            f">{name}_{position} LABEL={'site' if 'D' in window[:7] else 'none'}\n{window}\n"
            for name, position, window in SITES
        ),
        "several.tsv": "id\tsequence\tkinds\n"
        + "".join(
            f"s{n}\t{window}\t{kinds}\n" for n, ((*_, window), kinds) in enumerate(zip(SITES, several, strict=True))
        ),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    residues = (
        *("--task", "residue-classification", "--train", "labels.fasta", "--sequences", "proteins.fasta"),
        *("--mask", "mask.fasta", "--split-pattern", r"SET=(\w+)", "--max-length", 30, "--calibration", "temperature"),
    )
    model, base = ("--model", ESM, "--model-id", ESM), ("--base-model", ESM)
    calls = {
        "residues": ("finetune", *model, *residues, *LEARN, "--output-model", "residues.zip", "--output-predictions",
                     "residues.tsv", "--output-metrics", "scores.tsv", "--output-html", "residues.html"),
        "residues again": ("predict", "--model", "residues.zip", *base, "--sequences", "test.fasta", "--output-table",
                           "residues_again.tsv", "--output-gff3", "residues.gff3", "--output-plot", "residues.png",
                           "--site-type", "binding_site"),
        "numbers": ("finetune", *model, "--task", "residue-regression", "--train", "numbers.csv", "--split-column",
                    "set", "--method", "head", "--epochs", 2, "--output-model", "numbers.zip", "--output-predictions",
                    "numbers.tsv"),
        "numbers again": ("predict", "--model", "numbers.zip", *base, "--sequences", "test.fasta", "--output-table",
                          "numbers_again.tsv", "--output-plot", "numbers.png"),
        "on sites": ("finetune", *model, "--task", "residue-classification", "--train", "on_sites.tsv",
                     "--max-length", 30, *LEARN, "--output-model", "on_sites.zip", "--output-html", "on_sites.html"),
        "proteins of sites": ("predict", "--model", "on_sites.zip", *base, "--sequences", "scanned.fasta",
                              "--output-table", "proteins_of_sites.tsv"),
        "sites of proteins": ("predict", "--model", "on_sites.zip", *base, "--sequences", "scanned.fasta", "--sites",
                              "model", "--output-table", "sites_of_proteins.tsv", "--output-gff3",
                              "sites_of_proteins.gff3", "--output-plot", "sites_of_proteins.png"),
        "windows": ("finetune", *model, "--train", "sites.fasta", "--method", "head", *LEARN, "--output-model",
                    "windows.zip", "--positive-label", "site"),
        "scan": ("predict", "--model", "windows.zip", *base, "--sequences", "scanned.fasta", "--sites", "model",
                 "--output-table", "scan.tsv", "--output-gff3", "scan.gff3", "--output-plot", "scan.png"),
        "scan of others": ("predict", "--model", "windows.zip", *base, "--sequences", "scanned.fasta", "--sites", "s,y",
                           "--output-table", "scan_others.tsv", "--threshold", 0.999, "--batch-tokens", 1),
        "windows again": ("predict", "--model", "windows.zip", *base, "--sequences", "windows.fasta", "--output-table",
                          "windows.tsv"),
        "several": ("finetune", *model, "--task", "multi-label", "--train", "several.tsv", "--label-column", "kinds",
                    *LEARN, "--calibration", "temperature", "--threshold-by", "f1", "--output-model", "several.zip",
                    "--test-fraction", 0.2, "--output-predictions", "several.tsv_made"),
        "several again": ("predict", "--model", "several.zip", *base, "--sequences", "several.tsv", "--output-table",
                          "several_again.tsv"),
        "scan for several": ("predict", "--model", "several.zip", *base, "--sequences", "scanned.fasta", "--sites", "Y",
                             "--output-table", "scan_several.tsv", "--output-gff3", "scan_several.gff3",
                             "--output-plot", "scan_several.png"),
    }  # fmt: skip
    done = dict(zip(calls, run_batch([(folder, *call) for call in calls.values()]), strict=True))
    for name, one in done.items():
        assert one.returncode == 0, f"{name}: {one.stderr}"
    again = folder / "again"
    again.mkdir()
    here = [
        folder / part if (folder / str(part)).is_file() and str(part) in texts else part for part in calls["residues"]
    ]
    second = start_script(again, *here)
    assert second.returncode == 0, second.stderr
    return folder, {name: one.stderr for name, one in done.items()}


def known(name):
    return [mask == "1" for mask in MASK[name]]


def test_every_residue_is_there_once_in_order_with_what_is_true_of_it(runs):
    rows = table(runs[0] / "residues.tsv")
    assert list(rows[0]) == [
        "id",
        "position",
        "residue",
        "predicted",
        "probability_0",
        "probability_1",
        "truth",
        "split",
    ]
    expected = [
        (name, str(place), letter, BOUND[name][place - 1] if counts else "", "test")
        for name, text in TEST.items()
        for place, (letter, counts) in enumerate(zip(text, known(name), strict=True), start=1)
    ]
    assert [(row["id"], row["position"], row["residue"], row["truth"], row["split"]) for row in rows] == expected
    counted = {row["split"]: int(row["residues"]) for row in table(runs[0] / "scores.tsv")}
    assert counted == {
        split: sum(sum(known(name)) for name in PROTEINS if SPLIT[name] == split)
        for split in ("train", "validation", "test")
    }
    assert "with residues of unknown label" in (runs[0] / "residues.html").read_text()


def test_residues_are_predicted_as_they_were_at_training_time(runs):
    first, again = table(runs[0] / "residues.tsv"), table(runs[0] / "residues_again.tsv")
    for row in first:
        del row["truth"], row["split"]
    assert first == again
    told = manifest(runs[0] / "residues.zip")
    assert told["temperature"] != 1 and told["max_length"] == 30
    for row in again:
        assert row["predicted"] == str(int(float(row["probability_1"]) >= told["threshold"]))
    assert {row["predicted"] for row in again} == {"0", "1"}
    long = sum(len(text) > 30 for text in TEST.values())
    assert f"read in overlapping windows of 30 tokens: {long} sequences" in runs[1]["residues again"]


def test_the_card_s_code_gives_the_probabilities_of_residues(runs, tmp_path):
    name, text = "p4", TEST["p4"]  # a single window
    shown = shown_by_card(runs[0] / "residues.zip", tmp_path, text)
    rows = [row for row in table(runs[0] / "residues.tsv") if row["id"] == name]
    np.testing.assert_allclose(
        np.reshape(shown, (-1, 2)),
        [[float(row["probability_0"]), float(row["probability_1"])] for row in rows],
        atol=2e-4,
    )


def called_rows(path, rows, classes):
    """What another reader finds in a GFF3 file, and what the table says of the same."""
    database = gffutils.create_db(str(path), ":memory:", merge_strategy="error")
    found = [
        (
            site.seqid,
            str(site.start),
            site["residue"][0],
            site["predicted"][0],
            site["probability"][0],
            site.featuretype,
        )
        for site in database.all_features(order_by=("file_order",))
    ]
    kind = found[0][-1]
    return found, [
        (row["id"], row["position"], row["residue"], name, row[f"probability_{name}"], kind)
        for row in rows
        for name in row["predicted"].split(";")
        if name in classes
    ]


def test_gff3_has_the_called_rows_of_the_table_and_every_protein(runs):
    folder = runs[0]
    found, expected = called_rows(folder / "residues.gff3", table(folder / "residues_again.tsv"), ["1"])
    assert found == expected and found[0][-1] == "binding_site"
    found, expected = called_rows(folder / "scan.gff3", table(folder / "scan.tsv"), ["site"])
    assert found == expected
    regions = re.findall(r"##sequence-region (\S+) 1 (\d+)", (folder / "scan.gff3").read_text())
    assert regions == [(name, str(len(text))) for name, text in SCANNED.items()]
    for plot in ("residues", "numbers", "scan", "scan_several"):
        assert (folder / f"{plot}.png").read_bytes().startswith(b"\x89PNG")


def test_numbers_of_residues_come_back_and_unknown_ones_are_empty(runs, tmp_path):
    first, again = table(runs[0] / "numbers.tsv"), table(runs[0] / "numbers_again.tsv")
    assert list(again[0]) == ["id", "position", "residue", "predicted"]
    assert [{name: row[name] for name in again[0]} for row in first] == again
    assert sum(map(len, TEST.values())) == len(first)
    unknown = [row for row in first if row["truth"] == ""]
    assert 0.2 < len(unknown) / len(first) < 0.4
    text = TEST[first[0]["id"]]
    shown = shown_by_card(runs[0] / "numbers.zip", tmp_path, text)
    np.testing.assert_allclose(shown, [float(row["predicted"]) for row in first[: len(text)]], atol=2e-4)


def test_a_scan_has_every_site_in_order_with_its_window(runs):
    rows = table(runs[0] / "scan.tsv")
    assert list(rows[0]) == ["id", "position", "residue", "predicted", "probability_none", "probability_site", "window"]
    expected = windows({name: text.upper() for name, text in SCANNED.items()})
    assert [(row["id"], int(row["position"]), row["window"]) for row in rows] == expected
    assert {row["residue"] for row in rows} == {"Y"} == {row["window"][WINDOW // 2] for row in rows}
    ends = {row["id"]: row["window"] for row in rows if row["id"] in ("first", "last")}
    assert ends == {"first": "XXXXXXXYMKAAXXX", "last": "XXXMKAAYXXXXXXX"}
    assert "sequence without any of the residues Y, so without a row: 1 sequence" in runs[1]["scan"]
    assert "lower case read as upper case: 1 sequence" in runs[1]["scan"]


def test_a_scan_gives_what_its_windows_give_as_sequences(runs):
    scanned, apart = table(runs[0] / "scan.tsv"), table(runs[0] / "windows.tsv")
    assert [f"{row['id']}_{row['position']}" for row in scanned] == [row["id"] for row in apart]
    for one, other in zip(scanned, apart, strict=True):
        assert one["predicted"] == other["predicted"]
        assert float(one["probability_site"]) == pytest.approx(float(other["probability_site"]), abs=2e-6)
    told = manifest(runs[0] / "windows.zip")
    assert (told["window"], told["sites"]) == (WINDOW, "Y")


def test_a_model_of_residues_scans_for_those_that_its_labels_were_on(runs):
    told = manifest(runs[0] / "on_sites.zip")
    assert (told["window"], told["sites"]) == (None, "SY")
    assert "Labels are on S or Y only." in (runs[0] / "on_sites.html").read_text()
    rows, every = table(runs[0] / "sites_of_proteins.tsv"), table(runs[0] / "proteins_of_sites.tsv")
    assert list(rows[0]) == ["id", "position", "residue", "predicted", "probability_0", "probability_1", "window"]
    windowed = {(row["id"], row["position"]): row.pop("window") for row in rows}
    expected = [row for row in every if row["residue"] in "SY"]
    for row, other in zip(rows, expected, strict=True):
        assert float(row.pop("probability_1")) == pytest.approx(float(other.pop("probability_1")), abs=1e-5)
        assert float(row.pop("probability_0")) == pytest.approx(float(other.pop("probability_0")), abs=1e-5)
    assert rows == expected
    cut = windows({name: text.upper() for name, text in SCANNED.items()}, "SY", half=16)
    assert windowed == {(name, str(position)): window for name, position, window in cut}
    said = runs[1]["sites of proteins"]
    assert f"predicted {len(rows)} sites" in said and len(rows) > 20
    assert "sequence without any of the residues SY, so without a row: 1 sequence" in said
    assert "labels of SY only" in runs[1]["proteins of sites"] and "only" not in said
    found, expected = called_rows(runs[0] / "sites_of_proteins.gff3", table(runs[0] / "sites_of_proteins.tsv"), ["1"])
    assert found == expected and found
    assert manifest(runs[0] / "residues.zip")["sites"] is None  # labels are on all of them


def test_other_residues_can_be_asked_for_and_another_threshold(runs):
    rows = table(runs[0] / "scan_others.tsv")
    expected = windows({name: text.upper() for name, text in SCANNED.items()}, "SY")
    assert [(row["id"], int(row["position"]), row["window"]) for row in rows] == expected
    assert {row["predicted"] for row in rows} == {"none"}
    assert "trained on Y as sites, never on S" in runs[1]["scan of others"]
    same = {(row["id"], row["position"]): row["probability_site"] for row in rows if row["residue"] == "Y"}
    for row in table(runs[0] / "scan.tsv"):
        assert float(row["probability_site"]) == pytest.approx(float(same[row["id"], row["position"]]), abs=2e-6)


def test_several_labels_come_back_with_their_temperature_and_thresholds(runs, tmp_path):
    folder, told = runs[0], manifest(runs[0] / "several.zip")
    assert told["labels"] == ["acid", "base"] and told["temperature"] != 1 and len(told["threshold"]) == 2
    again = {row["id"]: row for row in table(folder / "several_again.tsv")}
    given = {row["id"]: row["kinds"] for row in table(folder / "several.tsv")}
    made = table(folder / "several.tsv_made")
    assert len(made) == round(0.2 * len(SITES)) and {row["split"] for row in made} == {"test"}
    for row in made:
        assert row["truth"] == given[row["id"]]
        for name in ("predicted", "probability_acid", "probability_base"):
            assert row[name] == again[row["id"]][name]
    for row in again.values():
        probabilities = [float(row["probability_acid"]), float(row["probability_base"])]
        chosen = [name for name, one, least in zip(told["labels"], probabilities, told["threshold"], strict=True)
                  if one >= least]  # fmt: skip
        assert row["predicted"] == ";".join(chosen)
    assert len({row["predicted"] for row in again.values()}) > 1
    shown = shown_by_card(folder / "several.zip", tmp_path, SITES[0][2])
    expected = [float(again["s0"][f"probability_{name}"]) for name in told["labels"]]
    np.testing.assert_allclose(shown, expected, atol=2e-4)


def test_a_scan_for_several_labels_writes_a_site_for_each(runs):
    rows = table(runs[0] / "scan_several.tsv")
    found, expected = called_rows(runs[0] / "scan_several.gff3", rows, ["acid", "base"])
    assert found == expected and len(found) > len({site[:2] for site in found})


def test_the_same_seed_gives_the_same_bytes_in_another_process(runs):
    for name in ("residues.zip", "residues.tsv", "scores.tsv", "residues.html"):
        if name.endswith("zip"):  # says at first what is another
            with zipfile.ZipFile(runs[0] / name) as one, zipfile.ZipFile(runs[0] / "again" / name) as other:
                for part in one.namelist():
                    assert one.read(part) == other.read(part), part
        assert (runs[0] / name).read_bytes() == (runs[0] / "again" / name).read_bytes(), name
