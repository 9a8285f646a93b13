"""Probes of layers, against scikit-learn's own pipelines on the same folds and transformers' own hidden states."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from sklearn.metrics import matthews_corrcoef
from sklearn.model_selection import GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import AutoModel, AutoTokenizer

from makers.scripts import DATA, one_line, run_batch, table
from seqlm.baselines.linear_models import FOLDS, STRENGTHS, Goal
from seqlm.baselines.probes import best_of, chosen, divided, probe
from seqlm.embeddings.tables import read_embeddings
from seqlm.tools.embed.judging import composition, one_hot

MODEL = DATA / "models" / "protein-esm-0.2m"
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
REPORT = ["--output-report", "r.md", "--output-html", "r.html", "--output-figures", "figures"]
TABLES = ["--output-table", "e.tsv", "--output-probes", "p.tsv", "--output-predictions", "predicted.tsv"]


def proteins(count=90, length=24):
    """Made-up proteins of one length, whose value is how many W follow an aromatic residue, with some noise."""
    generator = np.random.default_rng(3)
    drawn = generator.choice(list("AFGKLWY"), (count, length))
    sequences = ["".join(row) for row in drawn]
    values = [sum(one in "FYW" and two == "W" for one, two in itertools.pairwise(each)) for each in sequences]
    return sequences, np.asarray(values) + 0.1 * generator.standard_normal(count)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """name -> (run, its folder)."""
    folder = tmp_path_factory.mktemp("probes")
    sequences, values = proteins()
    lines = ["id\tsequence\ttarget\tkind\tfamily"]
    for place, (sequence, value) in enumerate(zip(sequences, values, strict=True)):
        known = place < 80
        kind = "high" if value > np.median(values) else "low"
        lines.append(f"p{place}\t{sequence}\t{value if known else ''}\t{kind if known else ''}\tf{place % 12}")
    (folder / "values.tsv").write_text("\n".join(lines) + "\n")
    told = [f"p{place}\t{value + place % 3}" for place, value in enumerate(values)]
    (folder / "scores.tsv").write_text("\n".join(["id\ttold", *told[::-1]]) + "\n")
    (folder / "half.tsv").write_text("\n".join(["id\ttold", *told[:60]]) + "\n")
    (folder / "few.tsv").write_text("\n".join(lines[:15]) + "\n")
    (folder / "same.tsv").write_text("id\tsequence\ttarget\n" + "".join(f"a{n}\tMKV\t1\n" for n in range(30)))
    common = ["--model", MODEL, "--sequences", folder / "values.tsv", *TABLES]
    numbers = ["--probe", "numbers", "--label-column", "target"]
    calls = {
        "sweep": [*common, *numbers, "--sweep-layers", *REPORT],
        "groups": [*common, "--probe", "classes", "--label-column", "kind", "--group-column", "family", "--folds", "4"],
        "scores": [*common, *numbers, "--layer", "1", "--append-scores", "one-pass", *REPORT],
        "given": [*common, *numbers, "--scores", folder / "scores.tsv", "--score-column", "told"],
        "half": [*common, *numbers, "--scores", folder / "half.tsv", "--score-column", "told"],
        "no column": [*common, *numbers, "--scores", folder / "half.tsv"],
        "layer 2": [*common[:4], "--layer", "2", "--output-table", "e.tsv"],
        "few": ["--model", MODEL, "--sequences", folder / "few.tsv", *TABLES, *numbers],
        "same": ["--model", MODEL, "--sequences", folder / "same.tsv", *TABLES, *numbers],
        "folds": [*common, *numbers, "--group-column", "family", "--folds", "20"],
        "no probe": [*common[:4], "--sweep-layers", "--output-table", "e.tsv"],
        "a layer": [*common, *numbers, "--sweep-layers", "--layer", "2"],
        "positions": [*common, *numbers, "--pooling", "none"],
    }
    works = {name: folder / "runs" / name for name in calls}
    for work in works.values():
        work.mkdir(parents=True)
    runs = run_batch([(works[name], "embed", *call) for name, call in calls.items()])
    for name, run in list(zip(calls, runs, strict=True))[:4]:
        assert run.returncode == 0, f"{name}: {run.stderr[-1500:]}"
    return {name: (run, works[name]) for name, run in zip(calls, runs, strict=True)}


def rows_of(done, name, **wanted):
    rows = table(done[name][1] / "p.tsv")
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def hidden_states(sequences):
    """Mean over the residues in each layer (layers + 1, n, hidden), one protein at a time by transformers itself."""
    model = AutoModel.from_pretrained(MODEL, attn_implementation="eager").eval()
    tokenizer, found = AutoTokenizer.from_pretrained(MODEL), []
    for sequence in sequences:
        with torch.no_grad():
            given = model(**tokenizer(sequence, return_tensors="pt"), output_hidden_states=True).hidden_states
        found.append(torch.stack([states[0, 1:-1].mean(0) for states in given]).numpy())
    return np.stack(found, 1)


def nested_ridge(features, truth, splitter, groups=None):
    """Out-of-fold values by scikit-learn alone: the penalty by folds within, as a user would write it."""
    predicted, losses = np.empty(len(truth)), []

    def of(places):
        inner = KFold(FOLDS, shuffle=True, random_state=42) if groups is None else None
        mean = []
        for strength in STRENGTHS:
            model = make_pipeline(StandardScaler(), Ridge(alpha=1 / strength))
            errors = []
            for inside, outside in inner.split(places):
                model.fit(features[places[inside]], truth[places[inside]])
                errors.append((model.predict(features[places[outside]]) - truth[places[outside]]) ** 2)
            mean.append(np.concatenate(errors).mean())
        best = make_pipeline(StandardScaler(), Ridge(alpha=1 / STRENGTHS[int(np.argmin(mean))]))
        return best.fit(features[places], truth[places]), min(mean)

    for inside, outside in splitter.split(truth):
        model, loss = of(inside)
        predicted[outside] = model.predict(features[outside])
        losses.append(loss)
    return predicted, np.array(losses), of(np.arange(len(truth)))


def test_every_layer_is_judged_as_scikit_learn_judges_hidden_states_of_transformers(done):
    sequences, values = proteins()
    values = np.array([float(f"{value}") for value in values])
    states, truth = hidden_states(sequences), values[:80]
    fold = KFold(5, shuffle=True, random_state=42)
    found = [nested_ridge(each[:80], truth, fold) for each in states]
    for layer, (predicted, _, _) in enumerate(found):
        (row,) = rows_of(done, "sweep", features="vectors", layer=f"layer {layer}", metric="spearman")
        assert float(row["value"]) == pytest.approx(spearmanr(predicted, truth).statistic, abs=0.02)
        assert float(row["low"]) < float(row["value"]) < float(row["high"])
    # the layer of each fold is chosen by what is within its training part alone
    losses = np.stack([each for _, each, _ in found], 1)
    nested = np.empty(80)
    for number, (_, outside) in enumerate(fold.split(truth)):
        nested[outside] = found[int(losses[number].argmin())][0][outside]
    (row,) = rows_of(done, "sweep", features="vectors alone", metric="spearman")
    assert float(row["value"]) == pytest.approx(spearmanr(nested, truth).statistic, abs=0.02)
    best = int(np.argmin([loss for _, _, (_, loss) in found]))
    (written,) = rows_of(done, "sweep", metric="spearman", written="yes")
    assert written["layer"] == f"layer {best}"
    np.testing.assert_allclose(read_embeddings(done["sweep"][1] / "e.tsv").vectors, states[best], atol=1e-4)


def test_what_has_no_label_is_predicted_by_the_model_of_all(done):
    _, values = proteins()
    rows = table(done["sweep"][1] / "predicted.tsv")
    assert [row["id"] for row in rows] == [f"p{place}" for place in range(90)]
    assert {row["fold"] for row in rows[:80]} == set("12345") and {row["fold"] + row["truth"] for row in rows[80:]} == {
        ""
    }
    predicted = np.array([float(row["predicted"]) for row in rows])
    (row,) = rows_of(done, "sweep", features="vectors alone", metric="spearman")
    assert float(row["value"]) == pytest.approx(spearmanr(predicted[:80], values[:80]).statistic, abs=1e-4)
    assert spearmanr(predicted[80:], values[80:]).statistic > 0.3


def test_groups_stay_together_in_folds(done):
    rows = table(done["groups"][1] / "predicted.tsv")[:80]
    folds = {}
    for place, row in enumerate(rows):
        folds.setdefault(place % 12, set()).add(row["fold"])
    assert all(len(each) == 1 for each in folds.values()) and {row["fold"] for row in rows} == set("1234")
    truth = np.array([row["truth"] for row in rows])
    called = np.array([row["predicted"] for row in rows])
    (row,) = rows_of(done, "groups", features="vectors alone", metric="mcc")
    assert float(row["value"]) == pytest.approx(matthews_corrcoef(truth, called), abs=1e-4)


def test_letters_and_scores_stand_beside_the_vectors(done):
    sequences, values = proteins()
    truth, fold = values[:80], KFold(5, shuffle=True, random_state=42)
    counts = np.array([[each.count(letter) / len(each) for letter in "AFGKLWY"] for each in sequences[:80]])
    np.testing.assert_allclose(composition(sequences[:80]), counts, rtol=1e-6)
    (row,) = rows_of(done, "scores", features="letter composition", metric="spearman")
    predicted, _, _ = nested_ridge(counts, truth, fold)
    assert float(row["value"]) == pytest.approx(spearmanr(predicted, truth).statistic, abs=0.02)
    names = {row["features"] for row in rows_of(done, "scores")}
    assert names == {"vectors", "letter composition", "one-hot sequence", "scores alone", "vectors alone",
                     "vectors and scores"}  # fmt: skip
    report = (done["scores"][1] / "r.md").read_text()
    assert "with vectors and scores a linear probe reaches Spearman correlation" in report
    assert "Vectors and scores less these |" in report


def test_scores_of_a_table_stand_beside_the_vectors_and_are_not_drowned(done):
    run, _ = done["given"]
    assert run.returncode == 0, run.stderr
    _, values = proteins()
    told = np.array([[value + place % 3] for place, value in enumerate(values[:80])])
    predicted, _, _ = nested_ridge(told, values[:80], KFold(5, shuffle=True, random_state=42))
    found = {name: float(rows_of(done, "given", features=name, metric="spearman")[0]["value"])
             for name in ("scores alone", "vectors alone", "vectors and scores")}  # fmt: skip
    assert found["scores alone"] == pytest.approx(spearmanr(predicted, values[:80]).statistic, abs=0.01)
    assert found["vectors and scores"] > max(found["scores alone"] - 0.05, found["vectors alone"])


def test_one_hot_is_of_the_positions_that_differ():
    assert one_hot(["MKV", "MKL", "MRV"]).tolist() == [[1, 0, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]
    assert one_hot(["MK", "MKL"]) is None


def test_the_report_says_that_the_best_of_many_is_too_good(done):
    run, folder = done["sweep"]
    report = (folder / "r.md").read_text().replace("\\", "")
    assert "picked from 5 on these very folds and is too good to be quoted" in report
    assert "Chosen anew within the training part of each fold" in report
    assert "Predicted, and no part of what judges, as their label is not known: 10 sequences" in report
    assert (folder / "figures" / "layers.png").is_file()
    assert "column 'target' not read" not in run.stderr
    same = (done["layer 2"][1] / "e.tsv").read_text() == (folder / "e.tsv").read_text()
    assert same == (rows_of(done, "sweep", metric="spearman", written="yes")[0]["layer"] == "layer 2")


def test_noise_is_no_better_than_chance_however_many_layers_there_are():
    """Twenty layers of noise: the best of the curve looks like something, the nested choice does not."""
    generator = np.random.default_rng(0)
    truth, goal = generator.standard_normal(100), Goal(True, 0, seed=1)
    fold = divided(truth, goal, 5)
    probes = [probe(generator.standard_normal((100, 4)).astype(np.float32), truth, goal, fold) for _ in range(20)]
    _, of_folds, nested = chosen(probes, fold)
    best = max(spearmanr(one.predictions, truth).statistic for one in probes)
    assert len(set(of_folds.tolist())) > 1
    assert spearmanr(nested, truth).statistic < best - 0.1
    assert best_of(np.array([3.0, 1.0, 1.0, np.nan])) == 2


def test_groups_of_folds_are_those_of_scikit_learn():
    groups = np.repeat(np.arange(15), 4)
    fold = divided(np.arange(60.0), Goal(True, 0, seed=5), 5, groups)
    splitter = GroupKFold(5, shuffle=True, random_state=5)
    for number, (_, outside) in enumerate(splitter.split(groups, groups=groups)):
        assert np.flatnonzero(fold == number).tolist() == outside.tolist()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("half", "has no score for 'p60'"),
        ("no column", "no column 'log_likelihood'"),
        ("few", "a probe needs 20 at least"),
        ("same", "all values are the same"),
        ("folds", "12 groups cannot be shared among 20 folds"),
        ("no probe", "say with --probe what these are"),
        ("a layer", "leave out --layer"),
        ("positions", "choose another pooling"),
    ],
)
def test_mistakes_are_one_line(done, name, message):
    one_line(done[name][0], message, done[name][1])
