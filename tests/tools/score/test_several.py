"""Several models that score together, and models whose letters have several tokens."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import spearmanr
from transformers import AutoTokenizer, EsmForMaskedLM

from makers.models import make
from makers.scripts import DATA, one_line, run_batch, table
from seqlm.data.sequences import read_records
from seqlm.tools.score.agreement import Agreement, in_words

AMINO = "ACDEFGHIKLMNPQRSTVWY"
STATES = "pynwrqhgdlvtmfsaeikc#"
DECODER = DATA / "models" / "tiny-protgpt2"
ONE_PASS = ["--method", "pseudo-perplexity-one-pass"]
REPORT = ["--output-report", "report.md", "--output-html", "report.html"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    parent = tmp_path_factory.mktemp("models")
    return {"first": DATA / "models" / "tiny-esm-mlm", "second": DATA / "models" / "protein-esm-0.2m",
            "third": make("esm1b", parent), "saprot": make("saprot", parent), **decoders(parent)}  # fmt: skip


def decoders(parent):
    """A model that writes, and the same after something like training: other weights, the same tokens."""
    tuned = shutil.copytree(DECODER, parent / "tuned")
    weights = {name: tensor * 1.1 for name, tensor in load_file(tuned / "model.safetensors").items()}
    save_file(weights, tuned / "model.safetensors", metadata={"format": "pt"})
    return {"decoder": DECODER, "tuned": tuned}


@pytest.fixture(scope="module")
def wild():
    return next(read_records(DATA / "wild_type.fasta"))


@pytest.fixture(scope="module")
def done(folders, wild, tmp_path_factory):
    """name -> (run, its folder)."""
    folder = tmp_path_factory.mktemp("several")
    states = "".join(STATES[(place * 5) % 21] for place in range(len(wild.sequence)))
    (folder / "states.fasta").write_text(f">{wild.id}\n{states}\n")
    (folder / "x.fasta").write_text(">x\nMKTAYIXKQR\n")
    models = {name: ["--model", path, "--model-id", name] for name, path in folders.items()}
    of = ["--sequences", DATA / "wild_type.fasta", "--output-table", "t.tsv"]
    measured = ["--variants", DATA / "variants.tsv", "--measured-column", "activity"]
    three = [*models["first"], *models["second"], *models["third"]]
    given = ["--structures", folder / "states.fasta"]
    calls = {
        "three": [*three, *of, *measured, *REPORT],
        "three again": [*three, *of, *measured, "--batch-tokens", "200"],
        **{name: [*models[name], *of, *measured] for name in ("first", "second", "third")},
        "scan": [*models["first"], *models["second"], *of, "--scan", "--output-matrix", "m.tsv", *REPORT],
        **{f"scan {name}": [*models[name], *of, "--scan"] for name in ("first", "second")},
        "saprot": [*models["saprot"], *of, *measured, *given],
        "saprot without": [*models["saprot"], *of, *measured],
        "saprot whole": [*models["saprot"], "--sequences", folder / "x.fasta", "--output-table", "t.tsv"],
        "saprot and another": [*models["first"], *models["saprot"], *of, *measured, *given],
    }
    whole = ["--sequences", DATA / "sites_test.fasta", "--output-table", "t.tsv"]
    calls |= {
        "whole": [*models["first"], *models["second"], *whole, *ONE_PASS, "--keep-best", "5", *REPORT],
        **{f"whole {name}": [*models[name], *whole, *ONE_PASS] for name in ("first", "second")},
        "decoders": [*models["decoder"], *models["tuned"], *whole],
        **{f"whole {name}": [*models[name], *whole] for name in ("decoder", "tuned")},
    }
    found = {}
    for number, name in enumerate(calls):
        (folder / str(number)).mkdir()
        found[name] = folder / str(number)
    runs = run_batch([(found[name], "score", *arguments) for name, arguments in calls.items()])
    for name, run in zip(calls, runs, strict=True):
        assert run.returncode == 0, f"{name}: {run.stderr[-800:]}"
    return {name: (run, found[name]) for name, run in zip(calls, runs, strict=True)}


def column(done, name, key="score"):
    return np.array([float(row[key]) for row in table(done[name][1] / "t.tsv")])


def test_the_score_is_the_mean_of_those_of_each_model_by_itself(done):
    each = np.stack([column(done, name) for name in ("first", "second", "third")])
    for number, name in enumerate(("first", "second", "third")):
        np.testing.assert_allclose(column(done, "three", f"score_{name}"), each[number], atol=1e-4)
    np.testing.assert_allclose(column(done, "three"), each.mean(0), atol=1e-4)
    np.testing.assert_allclose(column(done, "three", "spread"), each.std(0, ddof=1), atol=1e-4)
    np.testing.assert_allclose(column(done, "three again"), column(done, "three"), atol=1e-4)


def test_a_scan_is_averaged_substitution_by_substitution(done):
    each = np.stack([column(done, f"scan {name}") for name in ("first", "second")])
    np.testing.assert_allclose(column(done, "scan"), each.mean(0), atol=1e-4)
    np.testing.assert_allclose(column(done, "scan", "score_second"), each[1], atol=1e-4)
    matrix = table(done["scan"][1] / "m.tsv")
    first = table(done["scan"][1] / "t.tsv")[0]
    assert float(matrix[0][first["new"]]) == pytest.approx(float(first["score"]), abs=1e-5)


@pytest.mark.parametrize(("together", "names"), [("whole", ("first", "second")), ("decoders", ("decoder", "tuned"))])
def test_perplexities_of_whole_sequences_are_the_geometric_means(done, together, names):
    each = np.stack([column(done, f"whole {name}", "perplexity") for name in names])
    for number, name in enumerate(names):
        np.testing.assert_allclose(column(done, together, f"perplexity_{name}"), each[number], rtol=1e-4)
    np.testing.assert_allclose(column(done, together, "perplexity"), np.exp(np.log(each).mean(0)), rtol=1e-4)
    logs = np.stack([column(done, f"whole {name}", "log_likelihood") for name in names])
    np.testing.assert_allclose(column(done, together, "log_likelihood"), logs.mean(0), rtol=1e-4)
    bits = np.stack([column(done, f"whole {name}", "bits_per_letter") for name in names])
    np.testing.assert_allclose(column(done, together, "spread"), bits.std(0, ddof=1), atol=1e-4)
    order = np.argsort(column(done, together, "perplexity"), kind="stable")
    assert column(done, together, "rank")[order].tolist() == list(range(1, 61))


def test_filters_of_several_models_go_by_their_mean(done):
    rows = table(done["whole"][1] / "t.tsv")
    assert {row["rank"] for row in rows if row["kept"] == "yes"} == set("12345")


def test_the_report_on_whole_sequences_shows_each_model_their_mean_and_spread(done):
    bits = [column(done, f"whole {name}", "bits_per_letter") for name in ("first", "second")]
    report = (done["whole"][1] / "report.html").read_text()
    assert f"Spearman {spearmanr(*bits).statistic:.2f} between them" in report
    assert "the mean of those of 2 models, first and second, so that the perplexity is the geometric mean" in report
    assert f"Spearman between two models: {spearmanr(*bits).statistic:.2f}<" in report  # one pair has no range
    assert "Sequences that were compared: 60" in report and "Deviation of the bits a letter over the models" in report
    for values in (*bits, column(done, "whole", "bits_per_letter")):
        assert f"{values.mean():.2f} (" in report


def test_reports_say_how_the_models_agree(done):
    each = [column(done, name) for name in ("first", "second", "third")]
    pairs = [spearmanr(each[a], each[b]).statistic for a, b in ((0, 1), (0, 2), (1, 2))]
    report = (done["three"][1] / "report.html").read_text()
    assert "The 3 models" in report and f"Spearman {np.mean(pairs):.2f} between two of them on average" in report
    assert f"lowest and highest of 3 pairs {min(pairs):.2f} and {max(pairs):.2f}" in report
    assert f"{min(pairs):.2f} at least" in report and "their mean" in report
    assert "The score is the mean of those of 3 models (Meier et al. 2021), first, second and third." in report
    assert "the 2 models" in done["scan"][0].stderr
    assert "the 3 models" not in done["first"][0].stderr


def test_each_model_has_a_column_of_its_own(folders, tmp_path):
    models = [("first", "a_2"), ("second", "a\tb"), ("third", "a"), ("saprot", "a")]
    options = [word for folder, name in models for word in ("--model", folders[folder], "--model-id", name)]
    (tmp_path / "one.fasta").write_text(">p\nMKT\n")
    asked = ["--sequences", tmp_path / "one.fasta", "--scan", "--output-table", "t.tsv"]
    (done,) = run_batch([(tmp_path, "score", *options, *asked)])
    assert done.returncode == 0, done.stderr
    columns = [name for name in table(tmp_path / "t.tsv")[0] if name.startswith("score")]
    assert columns == ["score", "score_a_2", "score_a b", "score_a_3", "score_a_4"]


@pytest.mark.parametrize(
    ("second", "words"),
    [([1, 2, 3, 4], "agree well: Spearman 1.00"), ([4, 1, 2, 3], "hardly agree"), ([1, 1, 1, 1], "too little")],
)
def test_agreement_in_words(second, words):
    found = Agreement(("a", "b"))
    found.add(np.array([[-1.0, 2.0, 3.0, 4.0], second]))
    assert words in in_words(found)
    assert found.opposed == 1


def plain_loop(folder, sequence, states, changes):
    """The score of a variant as SaProt's authors compute it: residues are hidden, states left, probabilities summed."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), EsmForMaskedLM.from_pretrained(folder).eval()
    tokens = [residue + state for residue, state in zip(sequence, states, strict=True)]
    for place, _ in changes:
        tokens[place] = "#" + tokens[place][-1]
    with torch.no_grad():
        shares = model(**tokenizer("".join(tokens), return_tensors="pt")).logits[0].double().softmax(-1)
    vocabulary, total = tokenizer.get_vocab(), 0.0
    for place, new in changes:
        old, other = (
            sum(shares[place + 1, vocabulary[residue + state]] for state in STATES)
            for residue in (sequence[place], new)
        )
        total += float((other / old).log())
    return total


@pytest.mark.parametrize("name", ["saprot", "saprot without"])
def test_saprot_is_asked_as_its_authors_ask_it(done, folders, wild, name):
    states = "".join(STATES[(place * 5) % 21] for place in range(len(wild.sequence)))
    states = states if name == "saprot" else "#" * len(states)
    rows = table(done[name][1] / "t.tsv")
    chosen = [row for row in rows if row["substitutions"] != "0"][:6]
    for row in chosen:
        changes = [(int(one[1:-1]) - 1, one[-1]) for one in row["variant"].replace(",", ":").split(":")]
        ours = plain_loop(folders["saprot"], wild.sequence, states, changes)
        assert float(row["score"]) == pytest.approx(ours, abs=1e-4)


def test_an_unknown_residue_of_saprot_is_read_and_not_scored(done):
    run, folder = done["saprot whole"]
    assert table(folder / "t.tsv")[0]["tokens"] == "9"
    assert "no structures were given, so the model read every residue with #" in run.stderr


def test_a_model_of_structures_is_averaged_with_one_of_residues(done):
    each = np.stack([column(done, "first"), column(done, "saprot")])
    np.testing.assert_allclose(column(done, "saprot and another"), each.mean(0), atol=1e-4)


def test_models_that_have_no_mean_are_refused_before_torch(folders, model_path, tmp_path):
    first, second = ["--model", folders["first"]], ["--model", folders["second"]]
    wild = ["--sequences", DATA / "wild_type.fasta", "--output-table", "t.tsv"]
    scan = [*wild, "--scan"]
    for name, text in {"w": ">w\nMKT\n", "x": ">w\nddd\n", "v": "s\nMKTA\n"}.items():
        (tmp_path / name).write_text(text)
    longer = ["--sequences", tmp_path / "w", "--variants", tmp_path / "v", "--variant-sequence-column", "s"]
    longer += ["--model", folders["saprot"], "--method", "log-likelihood-ratio", "--output-table", "t.tsv"]
    cases = [
        ([*longer, "--structures", tmp_path / "x"], "another length than their wild type, whose structure does not"),
        ([*first, "--model", DECODER, *wild], "has no probability of single letters"),
        (["--model", DECODER, *first, *wild], "reads from left to right and tiny-esm-mlm from both sides"),
        (["--model", DECODER, "--model", DATA / "models" / "tiny-llama", *wild], "have the same tokens"),
        ([*first, *first, *scan], "was given twice"),
        ([*first, *second, *scan, "--method", "log-likelihood-ratio"], "give one model for log-likelihood-ratio"),
        ([*first, "--model", DATA / "models" / "tiny-protgpt2", *scan], "has no probability of single letters"),
        ([*first, *second, *scan, "--model-id", "one"], "--model was given 2 times and --model-id 1 times"),
        ([*first, *second, *scan, "--base-model", folders["third"]], "leave out --base-model"),
    ]
    places = [tmp_path / str(number) for number in range(len(cases))]
    for place in places:
        place.mkdir()
    runs = run_batch([(place, "score", *case) for place, (case, _) in zip(places, cases, strict=True)], torch=False)
    for place, (_, message), run in zip(places, cases, runs, strict=True):
        one_line(run, message, place)
