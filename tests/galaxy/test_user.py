"""What a biologist does in Galaxy's pages, from the upload to the report, by mouse and keyboard alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="runs in the environment of planemo")
if "GALAXY_URL" not in os.environ:
    pytest.skip("needs a running Galaxy; `make test` starts one", allow_module_level=True)

from playwright.sync_api import expect

from makers.person import Person, open_page

pytestmark = pytest.mark.slow

DATA = Path(__file__).resolve().parents[2] / "test-data"
SCORE = re.compile(r"^(\d\.\d+)\s\((-?\d\.\d+), (\d\.\d+)\)$")


def output(tool: str, what: str) -> re.Pattern:
    """The name of an output, whatever its tool was run on."""
    return re.compile(rf"^\s*{tool}.*: {what}\s*$")


@pytest.fixture(scope="module")
def history() -> Iterator[Person]:
    """A person whose new history holds what was uploaded."""
    with open_page() as page:
        person = Person(page, os.environ["GALAXY_URL"], Path(os.environ["GALAXY_FOLDER"]) / "screenshots" / "user")
        person.begin_history()
        person.upload(*(DATA / name for name in ("sites_train.fasta", "sites_test.fasta", "protein_family.fasta")))
        yield person


@pytest.fixture
def person(history) -> Iterator[Person]:
    history.problems.clear()
    yield history
    assert history.problems == []


@pytest.fixture(scope="module")
def fine_tuned(history) -> Person:
    """The same person once a model has been fine-tuned."""
    history.open_form("Fine-tune a sequence language model")
    history.choose("Base model", "Small protein model")
    history.choose("Training data", "sites_train.fasta")
    history.choose("Test data", "sites_test.fasta")
    history.write("Learning rate", "0.003")
    history.write("Epochs", "3")
    history.run("finetune")
    history.wait_for(output("Fine-tune", "fine-tuned model"))
    return history


def test_uploaded_sequences_are_taken_for_fasta(person):
    item = person.item("sites_train.fasta")
    item.locator(".content-title").click()
    expect(item.locator(".datatype .value")).to_have_text("fasta")
    expect(item.locator(".blurb .value")).to_have_text("160 sequences")
    item.locator(".content-title").click()


def test_a_report_says_whether_fine_tuning_beat_its_baselines(fine_tuned, person):
    report = person.look_at(output("Fine-tune", "report"))
    expect(report.get_by_role("heading", name="Verdict")).to_be_visible()
    expect(report).to_contain_text("Judged by MCC on the test set of 60 sequences")
    header, *scores = person.table(report.locator("table").first)
    person.photograph("finetune-report")
    assert header == ["Score", "fine-tuned", "majority", "k-mer", "frozen embeddings"]
    mcc = next(row for row in scores if row[0] == "MCC")
    value, low, high = map(float, SCORE.match(mcc[1]).groups())
    assert 0.3 < low < value < high
    assert mcc[2] == "0.00 (0.00, 0.00)"
    assert all(SCORE.match(cell) for cell in mcc[3:])
    assert person.see_all_images() == 6


def test_the_model_that_was_fine_tuned_predicts(fine_tuned, person):
    person.open_form("Predict with a fine-tuned sequence model")
    person.choose("Fine-tuned model", "Fine-tune a sequence language model on")
    person.choose("Sequences", "sites_test.fasta")
    person.run("predict")
    header, *rows = person.table(person.look_at(output("Predict", "predictions")).locator("table").first)
    person.photograph("predict-table")
    assert header[:4] == ["id", "predicted", "probability_0", "probability_1"]
    assert len(rows) == 60
    assert rows[0][0] == "synthetic_sites_test_001|Y151"
    assert {row[1] for row in rows} == {"0", "1"}
    assert all(abs(float(row[2]) + float(row[3]) - 1) < 1e-4 for row in rows)


def test_sequences_become_vectors(person):
    person.open_form("Embed sequences")
    person.choose("Model", "Small protein model")
    person.choose("Sequences", "sites_test.fasta")
    person.run("embed")
    report = person.look_at(output("Embed", "report"))
    expect(report).to_contain_text("60 sequences became vectors of 64 numbers each; every sequence was read whole.")
    person.photograph("embed-report")
    assert person.see_all_images() == 1
    header, *rows = person.table(person.look_at(output("Embed", "embeddings")).locator("table").first)
    person.photograph("embed-table")
    assert header == ["id", *(f"dim_{number}" for number in range(1, 65))]
    assert len({tuple(row[1:]) for row in rows}) == 60


def test_new_sequences_are_written_and_compared_with_a_family(person):
    person.open_form("Generate sequences")
    person.choose("Model", "Tiny GPT-2 for proteins")
    person.choose("Reference sequences", "protein_family.fasta")
    person.write("Number of sequences", "6")
    person.write("Most tokens", "40")
    person.run("generate")
    report = person.look_at(output("Generate", "report"))
    expect(report).to_contain_text("6 sequences were written and 6 kept")
    expect(report).to_contain_text("none of them is in the reference set as it is")
    header, *best = person.table(report.locator("table").first)
    person.photograph("generate-report")
    assert header[:3] == ["Rank", "Name", "Perplexity"]
    perplexities = [float(row[2]) for row in best]
    assert len(perplexities) == 6 and perplexities == sorted(perplexities)
    assert person.see_all_images() == 2
    fasta = person.look_at(output("Generate", "sequences")).locator(".dataset-view iframe").content_frame
    expect(fasta.locator("body")).to_contain_text(re.compile(r">generated_\d.*\n[A-Z]+"))
    person.photograph("generate-fasta")


def test_a_perplexity_stands_beside_that_of_single_letters(person):
    person.open_form("Score sequences and variants")
    person.choose("Model", "Small protein model")
    person.choose("Sequences", "protein_family.fasta")
    person.run("score")
    report = person.look_at(output("Score", "report"))
    expect(report).to_contain_text("Of 160 sequences the median pseudo-perplexity is")
    _, *measures = person.table(report.locator("table").first)
    person.photograph("score-report")
    bits = {row[0]: float(row[1].split()[0]) for row in measures if row[0].startswith("Bits a letter")}
    # made-up sequences are nothing that the model knows, which the report says
    assert bits["Bits a letter, the model"] > bits["Bits a letter, letters by their frequencies"]
    expect(report).to_contain_text("the model tells less of them than the frequencies of their letters do")
    assert person.see_all_images() == 1
    header, *rows = person.table(person.look_at(output("Score", "scores")).locator("table").first)
    person.photograph("score-table")
    assert header[:3] == ["id", "perplexity", "log_likelihood"]
    assert sorted(int(row[header.index("rank")]) for row in rows) == list(range(1, 161))
