"""Whole runs for residues, for scans of proteins and for several labels at once; every mistake with its one line."""

import gzip
import random
import re
import zipfile

import gffutils
import numpy as np
import pytest

from makers.scripts import DATA, manifest, one_line, run_batch, run_mistakes, shown_by_card, start_script, table

ESM = DATA / "models" / "tiny-esm"
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
WINDOW = 15


def proteins(count, seed, shortest=18, longest=70):
    rng = random.Random(seed)
    return {f"p{n}": "M" + "".join(rng.choices(LETTERS, k=rng.randint(shortest, longest))) for n in range(count)}


def fasta(records, headers=None):
    return "".join(f">{name}{(headers or {}).get(name, '')}\n{text}\n" for name, text in records.items())


def windows(sequences, residues="Y", half=WINDOW // 2):
    """(name, position, window) of every site, by slicing the padded proteins."""
    padded = {name: "X" * half + sequence + "X" * half for name, sequence in sequences.items()}
    return [
        (name, site.start() + 1, padded[name][site.start() : site.start() + 2 * half + 1])
        for name, sequence in sequences.items()
        for site in re.finditer(f"[{residues}]", sequence)
    ]


PROTEINS = proteins(24, seed=1) | {"p4": "MKVHCYWLLADEKRCC"}
BOUND = {name: "".join("1" if one in "HCW" else "0" for one in text) for name, text in PROTEINS.items()}
MASK = {name: "1" * (len(text) - 4) + "0" * 4 for name, text in PROTEINS.items()}
SPLIT = {name: ("train", "train", "train", "validation", "test", "test")[n % 6] for n, name in enumerate(PROTEINS)}
# labels on S and Y only, as a dataset of sites in whole proteins has them
ON_SITES = {
    name: "".join(str(int("D" in text[max(0, n - 5) : n])) if one in "SY" else "?" for n, one in enumerate(text))
    for name, text in PROTEINS.items()
}
TEST = {name: PROTEINS[name] for name in PROTEINS if SPLIT[name] == "test"}
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


# Mistakes. Each is noticed where torch cannot be imported.

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
