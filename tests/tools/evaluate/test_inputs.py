"""What an evaluation compares: rows that find each other by key, truth in every form, and what is left out counted."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn import metrics as reference

from makers.predictions import options, residues, two_classes, write
from seqlm.cli.errors import InputError
from seqlm.tools.evaluate.figures import figures_of
from seqlm.tools.evaluate.inputs import gather
from seqlm.tools.evaluate.run import evaluate


def test_models_are_scored_on_the_same_rows_whatever_their_order(tmp_path):
    paths, truth, chances = two_classes(tmp_path)
    found = evaluate(gather(options(paths)), resamples=200)
    for name, chance in zip(("model0", "model1"), chances, strict=True):
        scores = found.scores[name]
        assert scores["auroc"].value == pytest.approx(reference.roc_auc_score(truth, chance))
        assert scores["mcc"].value == pytest.approx(reference.matthews_corrcoef(truth, chance > 0.5))
        assert scores["mcc"].low < scores["mcc"].value < scores["mcc"].high
    baseline = found.scores["baseline: majority"]
    assert baseline["accuracy"].value == pytest.approx(max(truth.mean(), 1 - truth.mean()))
    assert (baseline["mcc"].value, baseline["auroc"].value) == (0, 0.5)


def test_rows_that_one_side_lacks_are_left_out_and_counted(tmp_path):
    first = write(tmp_path / "a.tsv", ["id", "predicted"], [(f"s{i}", i) for i in range(10)])
    second = write(tmp_path / "b.tsv", ["id", "predicted"], [(f"s{i}", -i) for i in range(3, 12)])
    truth = write(tmp_path / "t.tsv", ["id", "label"], [(f"s{i}", i) for i in range(1, 15)])
    cases = gather(options([first, second], truth=str(truth)))
    assert cases.truth.tolist() == list(range(3, 10))
    assert cases.predictions["a"].tolist() == list(range(3, 10))
    assert cases.predictions["b"].tolist() == [-i for i in range(3, 10)]
    assert cases.notes == [
        "Without a known truth in a, and not scored: 1 sequence.",
        "Not predicted by a, and scored for no model: 2 sequences.",
        "Not predicted by b, and scored for no model: 2 sequences.",
        "In the truth, but in no prediction table: 3 sequences.",
    ]


def test_columns_of_the_truth_that_nobody_reads_are_named(tmp_path):
    path = write(tmp_path / "a.tsv", ["id", "predicted"], [(f"s{i}", i) for i in range(9)])
    rows = [(f"s{i}", i, "test", "x") for i in range(9)]
    truth = write(tmp_path / "t.tsv", ["id", "label", "split", "colour"], rows)
    assert gather(options([path], truth=str(truth))).notes == ["Columns of the truth that were not read: split."]


def test_nothing_shared_is_refused(tmp_path):
    first = write(tmp_path / "a.tsv", ["id", "predicted"], [("s1", 1), ("s2", 2)])
    second = write(tmp_path / "b.tsv", ["id", "predicted"], [("s3", 1)])
    truth = write(tmp_path / "t.tsv", ["id", "label"], [(f"s{i}", i) for i in range(4)])
    with pytest.raises(InputError, match="no sequence is predicted by every table"):
        gather(options([first, second], truth=str(truth)))
    other = write(tmp_path / "o.tsv", ["id", "label"], [("x", 1), ("y", 2)])
    with pytest.raises(InputError, match=r"o\.tsv says nothing of any sequence that was predicted; .* such as 's1'"):
        gather(options([first], truth=str(other)))


def test_the_test_split_is_scored_unless_another_is_named(tmp_path):
    rows = [(f"s{i}", i, i % 3, ("train", "test", "validation")[i % 3]) for i in range(30)]
    path = write(tmp_path / "a.tsv", ["id", "predicted", "truth", "split"], rows)
    cases = gather(options([path]))
    assert (cases.split, cases.truth.tolist()) == ("test", [1] * 10)
    assert cases.notes == ["Of other splits than 'test', and not scored: 20 rows."]
    assert gather(options([path], split="train")).truth.tolist() == [0] * 10
    with pytest.raises(InputError, match="no row is of the split 'fold1'; the tables have test, train, validation"):
        gather(options([path], split="fold1"))


def test_tables_that_disagree_about_the_truth_are_refused(tmp_path):
    first = write(tmp_path / "a.tsv", ["id", "predicted", "truth"], [("s1", 1, 2.5), ("s2", 2, 3)])
    second = write(tmp_path / "b.tsv", ["id", "predicted", "truth"], [("s2", 2, 3.0), ("s1", 1, 2.6)])
    with pytest.raises(InputError, match=r"disagree on the truth of 's1': '2\.5' and '2\.6'"):
        gather(options([first, second]))
    with pytest.raises(InputError, match="no table has a column 'truth'"):
        gather(options([write(tmp_path / "c.tsv", ["id", "predicted"], [("s1", 1)])]))


def test_classes_in_another_order_are_brought_into_one(tmp_path):
    first = write(tmp_path / "a.tsv", ["id", "predicted", "probability_n", "probability_p"], [("s", "p", 0.3, 0.7)])
    second = write(tmp_path / "b.tsv", ["id", "predicted", "probability_p", "probability_n"], [("s", "n", 0.1, 0.9)])
    truth = write(tmp_path / "t.tsv", ["id", "label"], [("s", "p")])
    cases = gather(options([first, second], truth=str(truth)))
    assert cases.predictions["b"].tolist() == [[0.9, 0.1]]
    assert (cases.called["a"].tolist(), cases.called["b"].tolist(), cases.truth.tolist()) == ([1], [0], [1])
    turned = gather(options([first, second], truth=str(truth), positive_label="n"))
    assert turned.classes == ["p", "n"]
    assert (turned.called["b"].tolist(), turned.truth.tolist()) == ([1], [0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ["x"]}, "--names has 1 names for 2 tables"),
        ({"names": ["x", "x"]}, "two tables have the name 'x'"),
        ({"names": ["x", "baseline: y"]}, "cannot name a model"),
        ({"positive_label": "2"}, "the positive label '2' is no class of model0.tsv; they are 0 and 1"),
        ({"split": "test"}, "no table has a column 'split'"),
        ({"kind": "regression"}, "is a table for classification, not for regression"),
    ],
)
def test_options_that_do_not_fit_the_tables(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        gather(options(two_classes(tmp_path, n=20)[0], **changes))


def test_tables_of_other_tasks_or_classes_are_refused(tmp_path):
    (path, _), *_ = two_classes(tmp_path, n=20)
    numbers = write(tmp_path / "n.tsv", ["id", "predicted"], [("s1", 0.3)])
    with pytest.raises(
        InputError, match=r"n\.tsv is a table for sequence-regression, model0\.tsv one for sequence-class"
    ):
        gather(options([path, numbers]))
    other = write(tmp_path / "o.tsv", ["id", "predicted", "probability_0", "probability_2"], [("s1", 0, 1, 0)])
    with pytest.raises(InputError, match="have different classes: '1' is in one of them only"):
        gather(options([path, other]))


# -- where the truth comes from


def test_labels_in_fasta_headers(tmp_path):
    (path, _), truth, _ = two_classes(tmp_path, n=30)
    fasta = tmp_path / "t.fasta"
    fasta.write_text("".join(f">s{i} LABEL={label}\nMKV\n" for i, label in enumerate(truth)) + ">other LABEL=7\nMK\n")
    cases = gather(options([path], truth=str(fasta)))
    assert cases.truth.sum() == truth.sum()
    assert cases.notes == ["In the truth, but in no prediction table: 1 sequence."]
    with pytest.raises(InputError, match=r"record 's0' \(line 1\) has no label: the pattern 'CLASS="):
        gather(options([path], truth=str(fasta), label_pattern=r"CLASS=(\d)"))


def test_a_truth_that_no_table_knows_is_refused_or_left_out(tmp_path):
    path = write(
        tmp_path / "a.tsv", ["id", "predicted", "probability_0", "probability_1"], [("s", 1, 0, 1), ("t", 0, 1, 0)]
    )
    truth = write(tmp_path / "t.tsv", ["name", "class"], [("s", "1.0"), ("t", "maybe")])
    with pytest.raises(InputError, match=r"t\.tsv, line 3: the truth 'maybe' is no class of the prediction tables"):
        gather(options([path], truth=str(truth)))
    cases = gather(options([path], truth=str(truth), unknown_label=["maybe"]))
    assert cases.truth.tolist() == [1]  # written as 1.0
    assert cases.notes[0] == "Left out, as their truth is not known: 1 sequence."


@pytest.mark.parametrize("form", ["strings", "marks", "sites", "both kinds"])
def test_residues_find_their_truth_in_every_form(tmp_path, form):
    path, truth, chances = residues(tmp_path)
    letters = iter([line.split("\t")[2] for line in path.read_text().splitlines()[1:]])
    target = tmp_path / "truth.txt"
    if form == "strings":
        target.write_text("".join(f">{name}\n{''.join(map(str, labels))}\n" for name, labels in truth.items()))
    elif form == "marks":
        marked = {name: "".join(next(letters) + "#" * label for label in labels) for name, labels in truth.items()}
        target.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in marked.items()))
    else:
        wanted = (1,) if form == "sites" else (0, 1)
        rows = [(n, at, v) for n, labels in truth.items() for at, v in enumerate(labels, 1) if v in wanted]
        write(target, ["protein", "position", "label"][: 2 + (form != "sites")],
              [row[: 2 + (form != "sites")] for row in rows])  # fmt: skip
    cases = gather(options([path], truth=str(target)))
    assert cases.truth.tolist() == np.concatenate(list(truth.values())).tolist()
    assert len(np.unique(cases.groups)) == 12
    scores = evaluate(cases, resamples=100).scores["residues"]
    assert scores["auprc"].value == pytest.approx(reference.average_precision_score(cases.truth, chances))


@pytest.mark.parametrize("form", ["table", "marks", "second table"])
def test_a_truth_of_other_residues_than_were_predicted_is_refused(tmp_path, form):
    path, *_ = residues(tmp_path)
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    shifted = [(name, at, residue) for (name, at, _, *_), (other, _, residue, *_) in pairwise(rows)
               if name == other]  # fmt: skip
    target, tables = tmp_path / "t.tsv", [path]
    if form == "marks":
        sequences = {}
        for name, _, residue in shifted:
            sequences[name] = sequences.get(name, "") + residue
        target.write_text("".join(f">{name}\n{sequence}#\n" for name, sequence in sequences.items()))
    elif form == "table":
        write(target, ["id", "position", "residue"], shifted)
    else:
        write(target, ["id", "position"], [row[:2] for row in rows])
        found = [(*row[:3], 0, 0.5, 0.5) for row in shifted]
        columns = ["id", "position", "residue", "predicted", "probability_0", "probability_1"]
        tables.append(write(tmp_path / "second.tsv", columns, [(n, at, r, *rest) for n, at, r, *rest in found]))
    told = "second.tsv" if form == "second table" else "t.tsv"
    with pytest.raises(
        InputError, match=rf"{told} says . for 'P0' position .*, where residues\.tsv has .* residues differ"
    ):
        gather(options(tables, truth=str(target)))
    write(target, ["id", "position", "residue"], [row[:3] for row in rows if row[2] in "ST"] + [("P0", 900, "S")])
    cases = gather(options([path], truth=str(target)))
    assert cases.truth.sum() == sum(row[2] in "ST" for row in rows)
    assert "In the truth at positions that no table predicts: 1 residue." in cases.notes


def test_a_few_true_residues_that_are_others_may_be_taken_as_not_known(tmp_path):
    path, *_ = residues(tmp_path)
    rows = [line.split("\t")[:3] for line in path.read_text().splitlines()[1:]]
    sites = [(name, at, residue) for name, at, residue in rows if residue in "ST"]
    wrong = [(name, at, "W") for name, at, residue in rows if residue == "A"]
    target = write(tmp_path / "t.tsv", ["id", "position", "residue"], [*sites, *wrong])
    with pytest.raises(InputError, match=rf"{len(wrong)} of {len(sites) + len(wrong)} residues differ"):
        gather(options([path], truth=str(target)))
    cases = gather(options([path], truth=str(target), misfits="leave-out"))
    assert (len(cases), cases.truth.sum()) == (len(rows) - len(wrong), len(sites))
    assert f"On another residue than was predicted, so not known: {len(wrong)} residues." in cases.notes
    write(target, ["id", "position", "residue"], wrong)
    with pytest.raises(InputError, match="residues differ"):
        gather(options([path], truth=str(target), misfits="leave-out"))


def test_a_truth_may_have_no_header_or_be_bed(tmp_path):
    path, truth, _ = residues(tmp_path)
    sites = [(name, at) for name, labels in truth.items() for at, label in enumerate(labels, 1) if label]
    bare, bed = tmp_path / "t.tsv", tmp_path / "t.bed"
    bare.write_text("".join(f"{name}\t{at}\n" for name, at in sites))
    bed.write_text("".join(f"{name}\t{at - 1}\t{at}\n" for name, at in sites))
    for target in (bare, bed):
        assert (
            gather(options([path], truth=str(target))).truth.tolist() == np.concatenate(list(truth.values())).tolist()
        )


def test_residues_that_a_table_of_both_kinds_does_not_list_are_unknown_unless_told(tmp_path):
    path, truth, _ = residues(tmp_path)
    rows = [(name, at, label) for name, labels in truth.items() for at, label in enumerate(labels[:10], 1)]
    target = write(tmp_path / "t.tsv", ["id", "position", "label"], rows)
    total = sum(map(len, truth.values()))
    assert len(gather(options([path], truth=str(target)))) == 120
    cases = gather(options([path], truth=str(target), unlisted="negative"))
    assert len(cases) == total
    assert cases.truth.sum() == sum(label for *_, label in rows)
    assert f"Not listed by the truth, and counted as negative: {total - 120:,} residues." in cases.notes


def test_proteins_without_any_site_are_negative_and_said(tmp_path):
    path, truth, _ = residues(tmp_path)
    rows = [
        (name, at) for name, labels in truth.items() for at, label in enumerate(labels, 1) if label and name != "P3"
    ]
    cases = gather(options([path], truth=str(write(tmp_path / "t.tsv", ["id", "position"], rows))))
    assert any(note.endswith("of 1 protein it lists none.") for note in cases.notes)
    assert len(cases) == sum(map(len, truth.values()))
    few = gather(options([path], truth=str(tmp_path / "t.tsv"), unlisted="ignore"))
    assert few.truth.tolist() == [1] * len(rows)


def test_labels_that_are_not_known_count_nowhere(tmp_path):
    path, truth, _ = residues(tmp_path)
    target = tmp_path / "t.fasta"
    target.write_text("".join(f">{name}\n??{''.join(map(str, labels[2:]))}\n" for name, labels in truth.items()))
    cases = gather(options([path], truth=str(target)))
    assert len(cases) == sum(map(len, truth.values())) - 24
    assert "Left out, as their truth is not known: 24 residues." in cases.notes


def test_masked_residues_count_nowhere(tmp_path):
    path, truth, _ = residues(tmp_path)
    target, mask = tmp_path / "t.fasta", tmp_path / "mask.fasta"
    target.write_text("".join(f">{name}\n{''.join(map(str, labels))}\n" for name, labels in truth.items()))
    mask.write_text(f">P0\n{'1' * 3}{'0' * (len(truth['P0']) - 3)}\n>P1\n{'0' * 2}{'1' * (len(truth['P1']) - 2)}\n")
    cases = gather(options([path], truth=str(target), mask=str(mask)))
    kept = [truth["P0"][:3], truth["P1"][2:], *list(truth.values())[2:]]
    assert cases.truth.tolist() == np.concatenate(kept).tolist()
    assert f"Masked, and not scored: {len(truth['P0']) - 1} residues." in cases.notes
    mask.write_text(">P0\n0012\n")
    with pytest.raises(InputError, match=r"the mask of 'P0' \(line 1\) holds '2'"):
        gather(options([path], truth=str(target), mask=str(mask)))
    mask.write_text(">Q\n001\n")
    with pytest.raises(InputError, match="a mask for no protein that was predicted"):
        gather(options([path], truth=str(target), mask=str(mask)))
    (sequences, _), *_ = two_classes(tmp_path, n=20)
    mask.write_text(">s1\n0\n")
    with pytest.raises(InputError, match=r"a mask is for residues, and model0\.tsv is a table of sequences"):
        gather(options([sequences], mask=str(mask)))


def test_pairs_with_and_without_a_header(tmp_path):
    path = write(tmp_path / "p.tsv", ["first", "second", "predicted"], [("a", "b", 1), ("b", "a", 2), ("a", "c", 3)])
    for name, head in (("h.tsv", [("first", "second", "value")]), ("n.tsv", [])):
        rows = [*head, ("a", "c", 30), ("b", "a", 20), ("a", "b", 10), ("c", "d", 1)]
        cases = gather(options([path], truth=str(write(tmp_path / name, rows[0], rows[1:]))))
        assert dict(zip(cases.predictions["p"], cases.truth, strict=True)) == {1: 10, 2: 20, 3: 30}


def test_several_labels_at_once(tmp_path):
    columns = ["id", "predicted", "probability_x", "probability_y", "truth"]
    rows = [
        ("a", "x;y", 0.9, 0.8, "y;x"),
        ("b", "", 0.1, 0.2, "-"),
        ("c", "y", 0.1, 0.7, "x"),
        ("d", "x", 0.6, 0.1, "none"),
    ]
    path = write(tmp_path / "m.tsv", columns, rows)
    found = evaluate(gather(options([path])), resamples=100)
    assert found.cases.truth.tolist() == [[1, 1], [0, 0], [1, 0], [0, 0]]
    truth, called = found.cases.truth, found.cases.called["m"]
    assert found.scores["m"]["micro_f1"].value == pytest.approx(reference.f1_score(truth, called, average="micro"))
    assert found.classes["m"]["x"]["f1"].value == pytest.approx(reference.f1_score(truth[:, 0], called[:, 0]))
    assert found.baseline == "baseline: label shares"
    assert gather(options([path], threshold=0.65)).called["m"].tolist() == [[1, 1], [0, 0], [0, 1], [0, 0]]


def test_of_several_labels_those_that_are_not_known_count_nowhere(tmp_path):
    columns = ["id", "predicted", "probability_x", "probability_y", "truth"]
    rows = [
        ("a", "x;y", 0.9, 0.8, "y;x"),
        ("b", "", 0.1, 0.2, "?x"),
        ("c", "y", 0.1, 0.7, "x;?y"),
        ("d", "x", 0.6, 0.1, "none"),
        ("e", "x", 0.7, 0.4, ""),
        ("f", "y", 0.3, 0.9, "?x;?y"),
    ]
    path = write(tmp_path / "m.tsv", columns, rows)
    told = [("a", 1, 1), ("b", "", 0), ("c", 1, ""), ("d", 0, 0), ("e", "NA", ""), ("f", "", "")]
    table = write(tmp_path / "t.tsv", ["id", "x", "y"], told)
    for given in ({}, {"truth": str(table)}):
        found = evaluate(gather(options([path], **given)), resamples=100)
        assert found.cases.truth.tolist() == [[1, 1], [-1, 0], [1, -1], [0, 0]]
        assert found.cases.notes == [
            "Left out, as their truth is not known: 2 sequences.",
            "Without a known truth in m, and not scored: 2 sequences.",
            "Not known, and not counted: 2 of 8 labels of the sequences.",
        ]
        scores = found.scores["m"]
        assert scores["hamming_accuracy"].value == pytest.approx(4 / 6)
        assert scores["subset_accuracy"].value == pytest.approx(2 / 4)
        assert found.classes["m"]["x"]["auroc"].value == reference.roc_auc_score([1, 1, 0], [0.9, 0.1, 0.6])
        assert found.scores[found.baseline]["micro_f1"].value == pytest.approx(2 * 2 / (3 + 3))  # x for everyone
        figures = figures_of(found)
        assert not np.isnan(scores["macro_auroc"].value) and {"roc", "precision-recall", "calibration"} <= set(figures)
        for drawn in figures.values():
            drawn.draw()


def test_a_positive_class_that_stands_first_is_pointed_out(tmp_path):
    rows = [("a", "active", 0.9, 0.1, "active"), ("b", "inactive", 0.2, 0.8, "inactive")]
    for names, said in ((("active", "inactive"), True), (("inactive", "active"), False)):
        columns = ["id", "predicted", *(f"probability_{name}" for name in names), "truth"]
        path = write(tmp_path / "m.tsv", columns, rows)
        cases = gather(options([path]))
        assert cases.classes[1] == names[1]
        assert any("'active' reads as the positive one" in note for note in cases.notes) == said
        asked = gather(options([path], positive_label="active"))
        assert asked.classes[1] == "active" and not asked.notes
