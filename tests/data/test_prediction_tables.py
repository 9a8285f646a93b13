"""Prediction tables are read as they are written, and every way in which one can be wrong gives one clear error."""

import numpy as np
import pytest

from seqlm.cli.errors import InputError
from seqlm.data.prediction_tables import Names, owners, positions, read_predictions


def table(folder, text, name="model.tsv"):
    path = folder / name
    path.write_text(text.replace(" ", "\t") if "\t" not in text else text)
    return path


def read(path, kind="auto"):
    return read_predictions(path, "model", Names(), kind)


TWO = "id predicted probability_0 probability_1\n"


def test_a_table_of_classes(tmp_path):
    found = read(table(tmp_path, TWO + "a 1 0.2 0.8\n\nb 0 0.9 0.1\n"))
    assert (found.task, found.labels) == ("sequence-classification", ["0", "1"])
    assert found.values.tolist() == [[0.2, 0.8], [0.9, 0.1]]
    assert found.called.tolist() == [1, 0]
    assert found.lines.tolist() == [2, 4]
    assert found.truth is None


def test_other_columns_are_passed_over_and_truth_and_split_are_kept(tmp_path):
    text = "tokens split id predicted probability_x probability_y truth changed\n9 test a y 0.2 0.8 x U\n"
    found = read(table(tmp_path, text))
    assert (found.truth.texts, found.split.texts) == (["x"], ["test"])
    assert found.called.tolist() == [1]


def test_numbers_residues_and_pairs(tmp_path):
    assert read(table(tmp_path, "id predicted\na 3.5\nb -1e3\n")).values.tolist() == [3.5, -1000]
    found = read(table(tmp_path, "id position residue predicted\nP 2 A 0.5\nP 1 M 0.1\nQ 1 M 0.3\n"))
    assert found.task == "residue-regression"
    assert (owners(found.keys).tolist(), positions(found.keys).tolist()) == ([0, 0, 1], [2, 1, 1])
    found = read(table(tmp_path, "first second predicted probability_0 probability_1\na b 1 0 1\nb a 0 1 0\n"))
    assert found.task == "pair-classification"
    assert len(set(found.keys)) == 2


def test_several_labels_are_known_by_what_is_predicted(tmp_path):
    text = "id\tpredicted\tprobability_x\tprobability_y\na\tx;y\t0.9\t0.8\nb\t\t0.1\t0.2\nc\ty\t0.1\t0.7\n"
    found = read(table(tmp_path, text))
    assert found.task == "multi-label"
    assert found.called.tolist() == [[1, 1], [0, 0], [0, 1]]


def test_one_label_each_is_read_as_several_only_when_told(tmp_path):
    path = table(tmp_path, "id predicted probability_x probability_y\na x 0.9 0.4\nb y 0.4 0.9\n")
    with pytest.raises(InputError, match=r"line 2 sum to 1\.3; .* \(2 of 2 rows do not\).* multi-label"):
        read(path)
    assert read(path, "multi-label").called.tolist() == [[1, 0], [0, 1]]


def test_names_have_the_same_number_in_all_tables(tmp_path):
    names = Names()
    first = read_predictions(table(tmp_path, "id predicted\na 1\nb 2\n", "1.tsv"), "1", names)
    second = read_predictions(table(tmp_path, "id predicted\nb 1\nc 2\na 3\n", "2.tsv"), "2", names)
    assert second.keys.tolist() == [first.keys[1], 2, first.keys[0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "model.tsv is empty"),
        ("id predicted\n", "has a header but no rows"),
        (">P1 LABEL=1\nMKV\n", "is no prediction table"),
        ("only one word\n", "is no prediction table"),
        ("a 1 0.2 0.8\nb 0 0.9 0.1\n", "is no prediction table: its header must have 'predicted' and 'id'"),
        ("id label\na 1\n", "its columns are id, label"),
        ("position predicted\n1 0.5\n", "is no prediction table"),
        ("id predicted\na yes\n", "line 2 predicts 'yes', which is no number, and there are no columns probability_"),
        ("id predicted\na nan\n", "line 2 predicts 'nan', which is no number"),
        ("id predicted probability_1\na 1 0.8\n", "has one probability column"),
        ("id predicted probability_1 probability_1\na 1 0.8 0.2\n", "comes twice"),
        ("id id predicted\na a 1\n", "two columns are called 'id'"),
        (TWO + "a 1 0.2 nan\n", "line 2 has 'nan' in column probability_1; a probability lies between 0 and 1"),
        (TWO + "a 1 0.2 0.8\nb 1 -0.2 1.2\n", r"line 3 has -0\.2 in column probability_0"),
        (TWO + "a 1 0.2 high\n", "line 2 has 'high' in column probability_1"),
        (TWO + "a 1 0.2 0.8\nb 1 0.2 0.9\n", r"line 3 sum to 1\.1; those of classes must sum to 1 \(1 of 2"),
        (TWO + "a 2 0.2 0.8\n", "line 2 predicts '2', but the columns are of the classes 0, 1"),
        (TWO + "a 1 0.2 0.8\nb 0 0.9 0.1\na 0 0.9 0.1\n", "line 4 predicts 'a' a second time, after line 2"),
        (TWO + "a 1 0.2\n", "line 2 has 3 columns where the first row has 4"),
        ("id position predicted\nP 0 0.5\n", "line 2 has '0' as a position"),
        ("id position predicted\nP 1.5 0.5\n", r"line 2 has '1\.5' as a position"),
        ("id position predicted\nP 3 0.5\nP 3 0.5\n", "'P' position 3 a second time"),
        ("first second predicted\na b 1\na b 2\n", "'a' and 'b' a second time"),
        ("id\tpredicted\n\t1\n", "line 2 has no id"),
        ("id\tposition\tpredicted\tprobability_x\tprobability_y\nP\t1\tx;y\t1\t1\n", "several labels for one residue"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(table(tmp_path, text))


def test_a_table_of_another_kind_than_told_is_refused(tmp_path):
    with pytest.raises(InputError, match="for regression, not for classification"):
        read(table(tmp_path, "id predicted\na 1\n"), "classification")


def test_many_rows_take_little_time_and_memory(tmp_path):
    """300,000 residues are scored in seconds by the tool; a tenth of them are read here in well under one."""
    generator = np.random.default_rng(0)
    lines = ["id\tposition\tpredicted\tprobability_0\tprobability_1"]
    for row, chance in enumerate(generator.random(30_000).round(4)):
        lines.append(f"P{row // 300}\t{row % 300 + 1}\t{int(chance > 0.5)}\t{1 - chance:.4f}\t{chance}")
    found = read(table(tmp_path, "\n".join(lines) + "\n"))
    arrays = (found.keys, found.lines, found.values, found.called)
    assert sum(array.nbytes for array in arrays) <= 30_000 * 40
