"""generate.py with another model that accepts what is written: tries, rates, and what it is told of them."""

import json
import re
import zipfile

import numpy as np
import pytest

from makers.scripts import one_line, run_batch, run_mistakes, table
from seqlm.tools.generate.acceptance import Wish, until_accepted


class Written:
    def __init__(self, letters):
        self.letters = letters


class Coin:
    """Accepts what ends with 1 or 2 of 0 to 9."""

    wish = Wish(None, None, None, "coin", "", 0, 0.5, 2.5)

    def of(self, sequences):
        return np.asarray([float(letters[-1]) for letters in sequences])


def test_each_is_tried_until_it_is_accepted_and_no_longer_than_allowed():
    asked = []

    def write(numbers, attempt):
        asked.append((tuple(numbers), attempt))
        return {number: Written(str((3 * number + 7 * attempt) % 10)) for number in numbers if number != 4}

    last, first, tally = until_accepted(write, Coin(), 6, 4)
    for number, one in last.items():
        tried = [Coin.wish.low < (3 * number + 7 * attempt) % 10 < Coin.wish.high for attempt in range(4)]
        assert one.accepted == any(tried)
        assert one.tries == (tried.index(True) + 1 if any(tried) else 4)
    assert 4 not in last and all(4 in numbers for numbers, _ in asked)
    assert sorted(first) == [0, 1, 2, 3, 5] and tally.tried == [len(numbers) for numbers, _ in asked]
    assert sum(tally.accepted) == sum(one.accepted for one in last.values())


@pytest.fixture(scope="module")
def done(tmp_path_factory, request):
    folder, data = tmp_path_factory.mktemp("acceptance"), request.config.rootpath / "test-data"
    llama = ["--model", data / "models" / "tiny-llama"]
    head = ["--accept-by", data / "bundle_head_esm.zip", "--accept-base-model", data / "models" / "tiny-esm"]
    membrane = [*llama, *head, "--accept-class", "membrane", "--accept-above", "0.4", "--tries", "3",
                "--accept-id", "Where it goes.zip"]  # fmt: skip
    many = ["--num-sequences", "16"]
    calls = {
        "plain": [*llama, *many],
        "accepted": [*membrane, *many, "--output-report", "report.md", "--output-figures", "figures"],
        "fewer": [*membrane, "--num-sequences", "5", "--batch-tokens", "200"],
        "numbers": [*llama, "--accept-by", data / "bundle_full_bert.zip", "--accept-above", "-1000"],
    }
    given = []
    for name, call in calls.items():
        (folder / name).mkdir()
        given.append((folder / name, "generate", *call, "--equal-only", "--output-table", "out.tsv"))
    return {name: (one, folder / name) for name, one in zip(calls, run_batch(given), strict=True)}


def rows_of(done, name):
    one, work = done[name]
    assert one.returncode == 0, one.stderr
    return {row["id"]: row for row in table(work / "out.tsv")}


def test_what_is_accepted_at_once_is_what_is_written_without_it(done):
    plain, accepted = rows_of(done, "plain"), rows_of(done, "accepted")
    tries = {row["tries"] for row in accepted.values()}
    assert len(tries) > 1 and max(map(int, tries)) <= 3
    for name, row in accepted.items():
        assert (row["sequence"] == plain[name]["sequence"]) == (row["tries"] == "1")
        assert (float(row["prediction"]) > 0.4) == (row["kept"] == "yes")
        assert row["kept"] in ("yes", "not accepted in 3 tries")
    fewer = rows_of(done, "fewer")
    assert {name: row["sequence"] for name, row in fewer.items()} == {
        name: accepted[name]["sequence"] for name in fewer
    }


def test_predictions_are_those_of_the_tool_that_predicts(done, request, tmp_path):
    data, rows = request.config.rootpath / "test-data", rows_of(done, "accepted")
    (tmp_path / "in.fasta").write_text("".join(f">{name}\n{row['sequence']}\n" for name, row in rows.items()))
    (one,) = run_batch([
        (tmp_path, "predict", "--model", data / "bundle_head_esm.zip", "--base-model", data / "models/tiny-esm",
         "--sequences", "in.fasta", "--output-table", "out.tsv"),
    ])  # fmt: skip
    assert one.returncode == 0, one.stderr
    for row in table(tmp_path / "out.tsv"):
        (column,) = (name for name in row if name.endswith("membrane"))
        assert float(row[column]) == pytest.approx(float(rows[row["id"]]["prediction"]), abs=1e-5)


def test_the_report_has_rates_of_first_tries_and_of_all_and_what_the_model_was_not_asked(done):
    rows = rows_of(done, "accepted").values()
    text = (done["accepted"][1] / "report.md").read_text().replace("\\", "")
    first = sum(row["tries"] == "1" and row["kept"] == "yes" for row in rows)
    assert re.search(rf"Of the first tries.*{first} of 16", text)
    kept = sum(row["kept"] == "yes" for row in rows)
    assert f"16 sequences were written, {kept} accepted and {kept} kept" in text
    assert re.search(rf"Of the sequences, in up to 3 tries.*{kept} of 16", text)
    assert "a probability of 'membrane' above 0.4, by Where it goes.zip." in text
    assert f"| not accepted in 3 tries&ensp; | {16 - kept} |" in text
    assert "isoelectric point" in text and len(text.encode()) < 10_000


def test_numbers_are_accepted_too(done):
    assert all(row["tries"] == "1" and row["kept"] == "yes" for row in rows_of(done, "numbers").values())


HEAD, WRITER = "bundle_head_esm.zip", "bundle_writer_llama.zip"
MISTAKES = {
    "no such class": (HEAD, ["--accept-class", "nowhere"], "has no class 'nowhere'; name one of membrane"),
    "no class": (HEAD, [], "has no class ''"),
    "a number without a range": ("bundle_full_bert.zip", [], "say above or below what a prediction is accepted"),
    "a class of numbers": ("bundle_full_bert.zip", ["--accept-class", "a"], "predicts a number and no class"),
    "an empty range": (
        HEAD,
        ["--accept-class", "membrane", "--accept-below", "0.1", "--accept-above", "0.2"],
        "nothing",
    ),
    "a language model": (WRITER, ["--accept-class", "a"], "does not predict a class or a number"),
    "residues": ("bundle_residues_esm.zip", ["--accept-class", "1"], "does not predict a class or a number"),
    "beams": (HEAD, ["--accept-class", "membrane", "--strategy", "beam"], "only sequences that are drawn"),
    "nobody who accepts": (None, ["--accept-class", "membrane"], "without the fine-tuned model"),
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory, request):
    folder, data = tmp_path_factory.mktemp("mistakes"), request.config.rootpath / "test-data"
    base = ["--accept-base-model", data / "models" / "tiny-esm"]
    calls = {
        name: (
            {},
            [*(["--accept-by", data / bundle] if bundle else []), *(base if bundle == HEAD else []), *rest],
            told,
        )
        for name, (bundle, rest, told) in MISTAKES.items()
    }
    common = ("--model", data / "models" / "tiny-llama", "--output-fasta", "out.fasta")
    return run_mistakes(folder, calls, "generate", common)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_in_one_line_before_torch_is_imported(refused, name):
    one_line(refused[name][0], MISTAKES[name][2], refused[name][1])


def test_a_model_of_heavy_and_light_chains_is_no_judge_of_single_ones(tmp_path, request):
    data = request.config.rootpath / "test-data"
    with zipfile.ZipFile(data / HEAD) as given, zipfile.ZipFile(tmp_path / "pairs.zip", "w") as other:
        for name in given.namelist():
            content = given.read(name)
            if name == "seqlm.json":
                content = json.dumps(json.loads(content) | {"light_chains": True}).encode()
            other.writestr(name, content)
    given = ["--model", data / "models" / "tiny-llama", "--output-fasta", "out.fasta", "--accept-class", "membrane"]
    given += ["--accept-by", tmp_path / "pairs.zip", "--accept-base-model", data / "models" / "tiny-esm"]
    found = run_mistakes(tmp_path, {"light": ({}, given, "trained with light chains")}, "generate", ())
    one_line(found["light"][0], "trained with light chains", found["light"][1])
