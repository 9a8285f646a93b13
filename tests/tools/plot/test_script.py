"""The plot script as Galaxy runs it: tables, pictures and reports of test data, and mistakes in one line."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ElementTree
from argparse import Namespace

import numpy as np
import pytest
from sklearn.decomposition import PCA

from makers.scripts import DATA, mistake, one_line, repeated, run_batch, run_mistakes, table
from seqlm.report.report import MARKDOWN_BYTES
from seqlm.tools.plot.figures import class_groups, grouped, valued
from seqlm.tools.plot.inputs import gather

BEFORE, AFTER = DATA / "embeddings_before.tsv", DATA / "embeddings_after.tsv"
LABELS, PREDICTIONS = DATA / "embedding_labels.tsv", DATA / "embedding_predictions.tsv"
TWO = (
    *repeated("--embeddings", (BEFORE, DATA / "embeddings_after.npz")), *repeated("--names", ("before", "after")),
)  # fmt: skip
OUTPUTS = (
    "--output-table", "points.tsv", "--output-metrics", "metrics.tsv", "--output-plot", "plot.png", "--output-svg",
    "plot.svg", "--output-report", "report.md", "--output-figures", "figures", "--output-html", "report.html",
)  # fmt: skip
RUNS = {
    "none": ("--embeddings", BEFORE),
    "label": (*TWO, "--colour-by", "label", "--labels", LABELS),
    "label again": (*TWO, "--colour-by", "label", "--labels", LABELS),
    "value": (*TWO, "--colour-by", "value", "--labels", LABELS, "--label-column", "4", "--method", "tsne"),
    "spread": (*TWO, "--centre", "spread"),
    "outcome": (
        *TWO, "--colour-by", "outcome", "--labels", LABELS, "--predictions", PREDICTIONS, "--positive-label", "binder",
        "--split-column", "split", "--split", "test",
    ),
    "umap": (*TWO, "--colour-by", "label", "--labels", LABELS, "--method", "umap", "--points", "60"),
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder and finished run of each of ``RUNS``; none of them may import torch."""
    folders = {name: tmp_path_factory.mktemp("plot") for name in RUNS}
    calls = [(folders[name], "plot", *options, *OUTPUTS) for name, options in RUNS.items()]
    done = run_batch(calls, torch=False, new=[*RUNS].index("label again"))
    for each in done:
        assert each.returncode == 0, each.stderr
    return {name: (folders[name], each) for name, each in zip(RUNS, done, strict=True)}


def vectors(path):
    with open(path) as handle:
        rows = list(csv.reader(handle, delimiter="\t"))[1:]
    return [row[0] for row in rows], np.array([row[1:] for row in rows], dtype=float)


def test_every_output_is_written_and_the_report_fits_into_galaxy(runs):
    for name, (folder, _) in runs.items():
        assert {path.name for path in folder.iterdir()} == set(OUTPUTS[1::2]), name
        report = (folder / "report.md").read_bytes()
        assert len(report) <= MARKDOWN_BYTES
        for figure in re.findall(rb'path="([^"]+)"', report):
            assert (folder / "figures" / figure.decode()).exists()


def test_the_points_are_those_of_one_pca_of_both_tables_whatever_their_order(runs):
    ids, before = vectors(BEFORE)
    others, after = vectors(AFTER)
    assert ids == others
    rows = table(runs["label"][0] / "points.tsv")
    assert [(row["table"], row["id"]) for row in rows] == [(name, one) for name in ("before", "after") for one in ids]
    expected = PCA(2).fit(np.concatenate([before, after])).transform(np.concatenate([before, after]))
    drawn = np.array([[float(row["x"]), float(row["y"])] for row in rows])
    for ours, theirs in zip(drawn.T, expected.T, strict=True):
        assert np.abs(ours - theirs).max() < 1e-4 or np.abs(ours + theirs).max() < 1e-4
    known = {row["id"]: row["label"] for row in table(LABELS)}
    assert [row["label"] for row in rows] == [known[row["id"]] for row in rows]


def test_the_same_seed_gives_the_same_bytes(runs):
    first, again = runs["label"][0], runs["label again"][0]
    for name in OUTPUTS[1::2]:
        if name != "figures":
            assert (first / name).read_bytes() == (again / name).read_bytes(), name


def test_the_verdict_says_that_classes_separate_better_after(runs):
    report = (runs["label"][0] / "report.md").read_text()
    assert "**The classes separate better in 'after' than in 'before'.**" in report
    scores = {(row["table"], row["metric"]): row for row in table(runs["label"][0] / "metrics.tsv")}
    gain = scores["after - before", "macro_purity"]
    assert float(gain["low"]) > 0.3
    assert float(gain["value"]) == pytest.approx(
        float(scores["after", "macro_purity"]["value"]) - float(scores["before", "macro_purity"]["value"]), abs=1e-5
    )
    assert all(row["low"] and row["points"] for row in scores.values())
    assert all(bool(row["chance"]) == (where != "after - before") for (where, _), row in scores.items())


def test_spreads_that_were_made_one_are_told(runs):
    found = re.search(r"was ([\d.]+) and ([\d.]+) in 'before' and 'after'", runs["spread"][1].stderr)
    for path, given in zip((BEFORE, DATA / "embeddings_after.tsv"), found.groups(), strict=True):
        _, rows = vectors(path)
        assert float(given) == pytest.approx(np.sqrt(rows.var(axis=0).sum()), rel=0.01)


def test_outcomes_are_of_the_test_split_and_agree_with_truth_and_predictions(runs):
    folder, done = runs["outcome"]
    truth = {row["id"]: row for row in table(LABELS)}
    called = {row["id"]: row["predicted"] for row in table(PREDICTIONS)}
    rows = table(folder / "points.tsv")
    assert {row["id"] for row in rows} == {name for name, row in truth.items() if row["split"] == "test"}
    for row in rows:
        right = truth[row["id"]]["label"] == called[row["id"]]
        kind = "positive" if called[row["id"]] == "binder" else "negative"
        assert row["outcome"] == f"{'true' if right else 'false'} {kind}"
    assert "as they are of other splits" in done.stderr
    assert "Both panels are coloured by the same predictions" in (folder / "report.md").read_text()


def test_values_are_scored_by_the_neighbours_mean(runs):
    folder = runs["value"][0]
    metrics = {row["metric"] for row in table(folder / "metrics.tsv")}
    assert metrics == {"spearman", "r2", "neighbours_kept", "trustworthiness"}
    assert "how far groups lie from each other" in (folder / "report.md").read_text()
    known = {row["id"]: row["stability"] for row in table(LABELS)}
    assert all(row["value"] == known[row["id"]] for row in table(folder / "points.tsv"))
    assert "stability" in (folder / "plot.svg").read_text()  # column 4


def test_a_part_of_the_points_is_drawn_and_said(runs):
    folder, done = runs["umap"]
    rows = table(folder / "points.tsv")
    assert len(rows) == 120
    assert "Drawn and scored are 60 of 90 points" in done.stderr
    assert "UMAP 1" in (folder / "plot.svg").read_text()
    counts = {name: sum(row["label"] == name for row in rows) / 2 for name in ("binder", "other")}
    shares = {name: sum(row["label"] == name for row in table(LABELS)) * 60 / 90 for name in counts}
    assert all(abs(counts[name] - shares[name]) <= 1 for name in counts)


def test_names_and_labels_form_no_markup_and_a_long_report_still_fits(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"s{n}\t" + "\t".join(f"{x:.3f}" for x in rng.normal(size=3)) for n in range(120)]
    (tmp_path / "e.tsv").write_text("\n".join(["id\tdim_1\tdim_2\tdim_3", *rows]) + "\n")
    label = "```galaxy <b>$x^2$ |*_[a](http://x) "
    rows = [f"s{n}\t{label}{n % 40:02}{'x' * 60}" for n in range(120)]
    (tmp_path / "l.tsv").write_text("\n".join(["id\tlabel", *rows]) + "\n")
    (tmp_path / "work").mkdir()
    names = ("n" * 200, "<i>" * 60)
    done = run_batch(
        [
            (tmp_path / "work", "plot", *repeated("--embeddings", [tmp_path / "e.tsv"] * 2),
             *repeated("--names", names), "--labels", tmp_path / "l.tsv", "--colour-by", "label", *OUTPUTS)
        ]
    )[0]  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "work" / "report.md").read_text()
    assert len(report.encode()) <= MARKDOWN_BYTES
    assert "<i>" not in report and "<b>" not in report
    assert report.count("```galaxy\n") == report.count("```galaxy")


def test_without_labels_nothing_is_said_about_classes(runs):
    folder = runs["none"][0]
    assert "Without labels or values nothing can be said" in (folder / "report.md").read_text()
    assert {row["metric"] for row in table(folder / "metrics.tsv")} == {"neighbours_kept", "trustworthiness"}
    assert list(table(folder / "points.tsv")[0]) == ["id", "table", "x", "y"]


def test_the_most_frequent_classes_have_a_look_of_their_own_and_the_rest_is_counted():
    codes = np.repeat(np.arange(12), np.arange(1, 13))
    groups = class_groups([f"c{c}" for c in range(12)], codes, 2)
    assert [group.name for group in groups] == [f"c{c}" for c in range(5, 12)] + ["5 other classes"]
    assert groups[-1].counted() == "5 other classes (15)"
    assert len({(group.colour, group.marker) for group in groups}) == len({group.colour for group in groups}) == 8
    assert sorted(np.concatenate([group.rows[1] for group in groups])) == list(range(len(codes)))
    eight = class_groups([f"c{c}" for c in range(8)], np.arange(8).repeat(3), 1)
    assert [group.name for group in eight] == [f"c{c}" for c in range(8)]


def test_panels_share_their_axes_and_an_svg_of_many_points_stays_small():
    rng = np.random.default_rng(0)
    for n, most in ((100, 200_000), (10_000, 600_000)):
        points = [rng.normal(size=(n, 2)), 5 * rng.normal(size=(n, 2))]
        groups = class_groups(["a", "b"], rng.integers(0, 2, n), 2)
        figure = grouped(points, ("x", "y"), ["one", "two"], groups, "label")
        first, second = figure.axes[:2]
        assert first.get_xlim() == second.get_xlim() and first.get_ylim() == second.get_ylim()
        assert np.ptp(first.get_xlim()) == pytest.approx(np.ptp(first.get_ylim()))
        medians = [each for each in first.collections if each.get_zorder() == 5]
        assert len(medians) == (4 if n > 300 else 0)
        drawn = sum(len(each.get_offsets()) for each in first.collections if each not in medians)
        assert drawn == n
        image = io.BytesIO()
        figure.savefig(image, format="svg")
        assert len(image.getvalue()) < most
        ElementTree.fromstring(image.getvalue())


def test_an_extreme_value_does_not_use_up_the_colours():
    rng = np.random.default_rng(0)
    values = np.append(rng.random(999), 1e6)
    figure = valued([rng.normal(size=(1000, 2))], ("x", "y"), ["one"], values, "value")
    low, high = figure.axes[0].collections[0].get_clim()
    assert 0 <= low < 0.05 and 0.95 < high <= 1


def options(**given):
    defaults = {
        "embeddings": [BEFORE], "names": None, "colour_by": "label", "labels": None, "label_column": None,
        "label_id_column": None, "label_pattern": r"LABEL=(\S+)", "predictions": None, "positive_label": None,
        "split_column": None, "split_pattern": None, "split": None, "metric": "euclidean", "points": 10_000, "seed": 42,
    }  # fmt: skip
    return Namespace(**defaults | given)


def test_labels_may_stand_in_the_table_of_embeddings_itself(tmp_path):
    rows = [f"s{n}\t{n}\t{n * n}\t{n % 2}" for n in range(8)]
    own, other = tmp_path / "own.tsv", tmp_path / "other.tsv"
    own.write_text("\n".join(["id\ta\tb\tkind", *rows]) + "\n")
    other.write_text("\n".join(["id\tb\ta", *(f"s{n}\t{-n}\t{3 * n}" for n in reversed(range(8)))]) + "\n")
    points = gather(options(embeddings=[own, other], label_column="kind"))
    assert points.classes == ["0", "1"] and points.codes.tolist() == [0, 1] * 4
    assert points.tables[0][3].tolist() == [3, 9]
    assert points.tables[1][3].tolist() == [9, -3]  # by the names of rows and columns


def test_the_truth_of_outcomes_may_stand_in_the_predictions(tmp_path):
    embeddings, predictions = tmp_path / "e.tsv", tmp_path / "p.tsv"
    embeddings.write_text("\n".join(["id\tdim_1", *(f"s{n}\t{n}" for n in range(6))]) + "\n")
    called, truth = "110010", "100011"
    rows = [f"s{n}\t{p}\t{t}" for n, (p, t) in enumerate(zip(called, truth, strict=True))]
    predictions.write_text("\n".join(["id\tpredicted\ttruth", *rows]) + "\n")
    points = gather(options(embeddings=[embeddings], colour_by="outcome", predictions=[predictions]))
    assert points.outcomes(0).tolist() == [0, 2, 1, 1, 0, 3]
    assert points.positive == "1" and "The positive class is '1'" in points.notes[0]


def test_points_that_lie_on_each_other_are_counted(tmp_path):
    path = tmp_path / "e.tsv"
    path.write_text("\n".join(["id\tdim_1\tdim_2", *(f"s{n}\t{n // 2}\t1" for n in range(8))]) + "\n")
    assert "4 points lie exactly on another" in gather(options(embeddings=[path], colour_by="none")).notes[0]


def rows_of(count, width=2):
    """A table of embeddings; all of row 7 (s6) is 0."""
    lines = ["\t".join(["id", *(f"dim_{c + 1}" for c in range(width))])]
    lines += ["\t".join([f"s{n}", *(str((n + 1) * (c + 1) % 7) for c in range(width))]) for n in range(count)]
    return "\n".join(lines) + "\n"


def labels_of(count, label):
    return "\n".join(["id\tlabel\tsplit", *(f"s{n}\t{label(n)}\ttrain" for n in range(count))]) + "\n"


BY_LABEL = ("--colour-by", "label")
MISTAKES = {
    "empty": ({"embeddings": ""}, (), "is empty"),
    "FASTA": ({"embeddings": ">a\nMK\n"}, (), "is FASTA and holds no embeddings"),
    "one point": ({"embeddings": rows_of(1)}, (), "there is only 1 point to draw"),
    "two points": ({"embeddings": rows_of(2)}, (), "there are only 2 points to draw"),
    "all the same": (
        {"embeddings": "id\tdim_1\tdim_2\n" + "".join(f"s{n}\t1\t2\n" for n in range(9))},
        (),
        "all vectors of 'embeddings' are the same",
    ),
    "NaN": ({"embeddings": rows_of(9).replace("s3\t4", "s3\tnan")}, (), "NaN"),
    "twice": ({"embeddings": rows_of(9).replace("s3\t", "s4\t")}, (), "has the id 's4' again"),
    "zero vector": (
        {"embeddings": rows_of(9)},
        ("--metric", "cosine"),
        "the vector of 's6' in 'embeddings' is all zeros",
    ),
    "other ids": (
        {"embeddings": rows_of(9), "labels": labels_of(9, lambda n: n % 2).replace("s", "x")},
        BY_LABEL,
        "9 of 9 embeddings have no label in labels: 's0', 's1', 's2'",
    ),
    "one class": (
        {"embeddings": rows_of(9), "labels": labels_of(9, lambda n: "same")},
        BY_LABEL,
        "every sequence has the label 'same'",
    ),
    "a class each": (
        {"embeddings": rows_of(9), "labels": labels_of(9, lambda n: n / 10)},
        BY_LABEL,
        "each of the 9 sequences has a label of its own; for numbers choose --colour-by value",
    ),
    "text as value": (
        {"embeddings": rows_of(9), "labels": labels_of(9, lambda n: "hot" if n == 4 else n)},
        ("--colour-by", "value"),
        "'s4' has 'hot' where a number is needed",
    ),
    "constant value": (
        {"embeddings": rows_of(9), "labels": labels_of(9, lambda n: 3)},
        ("--colour-by", "value"),
        "every value is 3",
    ),
    "no such split": (
        {"embeddings": rows_of(9), "labels": labels_of(9, lambda n: n % 2)},
        (*BY_LABEL, "--split-column", "split", "--split", "test"),
        "no sequence is of the split 'test'; the splits are train",
    ),
    "split without a column": ({"embeddings": rows_of(9)}, (*BY_LABEL, "--split", "test"), "name the column"),
    "labels of no use": ({"embeddings": rows_of(9), "labels": labels_of(9, str)}, (), "are of no use"),
    "outcome without predictions": ({"embeddings": rows_of(9)}, ("--colour-by", "outcome"), "go together"),
    "predictions of other classes": (
        {
            "embeddings": rows_of(9),
            "labels": labels_of(9, lambda n: n % 2),
            "predictions": "id\tpredicted\n" + "".join(f"s{n}\tyes\n" for n in range(9)),
        },
        ("--colour-by", "outcome"),
        "predicts yes, which is no label of labels: its labels are 0, 1",
    ),
    "three classes without a positive one": (
        {
            "embeddings": rows_of(9),
            "labels": labels_of(9, lambda n: n % 3),
            "predictions": "id\tpredicted\n" + "".join(f"s{n}\t1\n" for n in range(9)),
        },
        ("--colour-by", "outcome"),
        "name it with --positive-label (0, 1, 2)",
    ),
    "no such positive label": (
        {
            "embeddings": rows_of(9),
            "labels": labels_of(9, lambda n: n % 2),
            "predictions": "id\tpredicted\n" + "".join(f"s{n}\t1\n" for n in range(9)),
        },
        ("--colour-by", "outcome", "--positive-label", "yes"),
        "the positive label 'yes' is no label of labels; they are 0, 1",
    ),
}


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory):
    return run_mistakes(tmp_path_factory.mktemp("mistakes"), MISTAKES, "plot", ("--output-table", "points.tsv"))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(mistaken, name):
    one_line(mistaken[name][0], MISTAKES[name][2], mistaken[name][1])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Runs of two tables that do not go together, and the messages they should give."""
    cases = {
        "width": (rows_of(9, 3), "first.tsv has vectors of 2 numbers and second.tsv of 3"),
        "columns": (rows_of(9).replace("dim_2", "dim_9"), "second.tsv has no column 'dim_2'"),
        "ids": (rows_of(9).replace("s3\t", "t3\t"), "second.tsv lacks 1 id ('s3'); first.tsv lacks 1 id ('t3')"),
        "fewer": (rows_of(8), "second.tsv lacks 1 id ('s8')"),
    }
    calls = []
    for name, (content, _) in cases.items():
        inputs, work = tmp_path_factory.mktemp(name), tmp_path_factory.mktemp(f"{name}_work")
        (inputs / "first.tsv").write_text(rows_of(9))
        (inputs / "second.tsv").write_text(content)
        calls.append(
            (
                work,
                "plot",
                *repeated("--embeddings", (inputs / "first.tsv", inputs / "second.tsv")),
                "--output-table",
                "t",
            )
        )
    done = run_batch(calls, torch=False)
    return {
        name: (one, call[0], message)
        for (name, (_, message)), one, call in zip(cases.items(), done, calls, strict=True)
    }


@pytest.mark.parametrize("name", ["width", "columns", "ids", "fewer"])
def test_two_tables_must_be_of_one_space_and_the_same_sequences(pairs, name):
    done, folder, message = pairs[name]
    one_line(done, message, folder)


def test_a_mistake_is_told_before_anything_heavy_is_imported(new_process):
    mistake(new_process, "plot", "--embeddings", BEFORE, *BY_LABEL, "--method", "umap", "--output-table", "t.tsv")
