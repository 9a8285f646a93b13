"""Baselines of residues equal hand-made scikit-learn ones and learn from the training split alone."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from seqlm.baselines import linear_models, residue_baselines
from seqlm.baselines.residue_baselines import ResiduePart
from seqlm.metrics.metrics import plain

pytestmark = pytest.mark.filterwarnings("error")

CLASSES = {"regression": False, "classes": 2}
VALUES = {"regression": True, "classes": 0}


def fit_residue_baselines(*arguments, **options) -> dict:
    return residue_baselines.fit_residue_baselines(*arguments, **options)[0]


@pytest.fixture
def one_strength(monkeypatch):
    monkeypatch.setattr(linear_models, "STRENGTHS", (1.0,))


def make_part(proteins: int, seed: int, values: bool = False) -> ResiduePart:
    """A residue is positive where it or the next one is a C, and sometimes elsewhere; every tenth is not resolved."""
    generator = np.random.default_rng(seed)
    sequences = ["".join(generator.choice(list("ACDEF"), generator.integers(20, 40))) for _ in range(proteins)]
    kept = [generator.random(len(sequence)) > 0.1 for sequence in sequences]
    near = [[("C" in sequence[at : at + 2]) for at in range(len(sequence))] for sequence in sequences]
    signal = np.concatenate([np.array(one)[which] for one, which in zip(near, kept, strict=True)])
    truth = (signal ^ (generator.random(len(signal)) < 0.1)).astype(int)
    if values:
        truth = signal + 0.3 * generator.normal(size=len(signal))
    embeddings = 3 + generator.normal(size=(len(signal), 5)) * [1, 2, 3, 4, 5] + 1.5 * signal[:, None]
    return ResiduePart(sequences, kept, truth, embeddings.astype(np.float32))


def windows_of(part: ResiduePart) -> list[list[str]]:
    """The letters around each residue that counts, and - beyond the ends."""
    return [
        list(("-" * 7 + sequence + "-" * 7)[at : at + 15])
        for sequence, kept in zip(part.sequences, part.kept, strict=True)
        for at in np.flatnonzero(kept)
    ]


def test_majority_gives_training_shares_and_mean_the_training_mean():
    train, test = make_part(8, 1), make_part(3, 2)
    found = fit_residue_baselines(train, {"test": test}, **CLASSES)["majority"]["test"]
    share = train.truth.mean()
    assert found == pytest.approx(np.tile([1 - share, share], (len(test.truth), 1)))
    values = make_part(8, 1, values=True)
    assert fit_residue_baselines(values, {"test": test}, **VALUES)["mean"]["test"] == pytest.approx(
        np.full(len(test.truth), values.truth.mean())
    )


def test_residue_gives_the_shares_of_the_same_letter_in_training():
    train = ResiduePart(["AAC", "ACC"], [np.ones(3, bool), np.array([1, 0, 1], bool)], np.array([0, 0, 1, 1, 1]))
    test = ResiduePart(["CWA"], [np.ones(3, bool)], np.array([0, 0, 0]))
    found = fit_residue_baselines(train, {"test": test}, **CLASSES)["residue"]["test"]
    overall = 3 / 5  # counts as one more residue of each letter, and is all that is known of W
    assert found[:, 1] == pytest.approx([(2 + overall) / 3, overall, (1 + overall) / 4])
    assert found.sum(axis=1) == pytest.approx(1)
    weighted = fit_residue_baselines(train, {"test": test}, class_weights=np.array([3.0, 1.0]), **CLASSES)
    assert weighted["residue"]["test"][0, 1] == pytest.approx((2 + 3 / 9) / 3)
    values = replace(train, truth=np.array([0.0, 1.0, 5.0, 2.0, 7.0]))
    found = fit_residue_baselines(values, {"test": test}, **VALUES)["residue"]["test"]
    assert found == pytest.approx([(12 + 3) / 3, 3, (3 + 3) / 4])


def test_window_is_logistic_regression_on_the_letters_around(one_strength):
    train, test = make_part(40, 1), make_part(5, 2)
    model = LogisticRegression(C=1.0, tol=1e-6, max_iter=1000)
    expected = make_pipeline(OneHotEncoder(handle_unknown="ignore"), model).fit(windows_of(train), train.truth)
    found = fit_residue_baselines(train, {"test": test}, **CLASSES)["window"]
    assert found["test"] == pytest.approx(expected.predict_proba(windows_of(test)), abs=0.02)
    assert plain("mcc", test.truth, found["test"]) > 0.6  # the next letter, which the residue alone does not tell
    assert found["train"].shape == (len(train.truth), 2)


def test_window_is_ridge_regression_for_values(one_strength):
    train, test = make_part(40, 1, values=True), make_part(5, 2, values=True)
    expected = make_pipeline(OneHotEncoder(handle_unknown="ignore", sparse_output=False), Ridge(alpha=1.0)).fit(
        windows_of(train), train.truth
    )
    found = fit_residue_baselines(train, {"test": test}, **VALUES)["window"]["test"]
    assert found == pytest.approx(expected.predict(windows_of(test)), abs=1e-5)


def test_frozen_is_a_linear_model_of_standardised_embeddings(one_strength):
    train, test = make_part(40, 1), make_part(5, 2)
    weights = np.array([1.0, 3.0])
    model = LogisticRegression(C=1.0, class_weight={0: 1.0, 1: 3.0}, tol=1e-8)
    expected = make_pipeline(StandardScaler(), model).fit(train.embeddings.astype(float), train.truth)
    found = fit_residue_baselines(train, {"test": test}, class_weights=weights, **CLASSES)["frozen embeddings"]["test"]
    assert found == pytest.approx(expected.predict_proba(test.embeddings.astype(float)), abs=2e-3)
    train, test = make_part(40, 1, values=True), make_part(5, 2, values=True)
    expected = make_pipeline(StandardScaler(), Ridge(alpha=1.0)).fit(train.embeddings.astype(float), train.truth)
    found = fit_residue_baselines(train, {"test": test}, **VALUES)["frozen embeddings"]["test"]
    assert found == pytest.approx(expected.predict(test.embeddings.astype(float)), abs=1e-5)


def test_embeddings_of_all_residues_serve_as_well_as_of_those_that_count(tmp_path):
    train, test = make_part(20, 1), make_part(5, 2)
    expected = fit_residue_baselines(train, {"test": test}, **CLASSES)["frozen embeddings"]["test"]

    def of_all(part, name):
        kept = np.concatenate(part.kept)
        file = np.lib.format.open_memmap(tmp_path / name, "w+", np.float32, (len(kept), 5))
        file[:] = np.nan
        file[kept] = part.embeddings
        return replace(part, embeddings=file)

    before = of_all(train, "train.npy")
    copy = np.array(before.embeddings)
    found = fit_residue_baselines(before, {"test": of_all(test, "test.npy")}, **CLASSES)["frozen embeddings"]["test"]
    assert np.array_equal(found, expected)
    assert np.array_equal(before.embeddings, copy, equal_nan=True)


@pytest.mark.parametrize(("kind", "values"), [(CLASSES, False), (VALUES, True)])
def test_the_test_set_never_has_an_influence(kind, values):
    train, validation, test = (make_part(8, seed, values) for seed in (1, 2, 3))
    first = fit_residue_baselines(train, {"validation": validation, "test": test}, **kind)
    upside_down = replace(test, sequences=["W" * len(s) for s in test.sequences], truth=-test.truth)
    other = replace(upside_down, embeddings=-9 * test.embeddings)
    second = fit_residue_baselines(train, {"validation": validation, "test": other}, **kind)
    assert len(first) == 4
    for name, by_split in first.items():
        assert by_split["train"].tobytes() == second[name]["train"].tobytes()
        assert by_split["validation"].tobytes() == second[name]["validation"].tobytes()
    assert not np.array_equal(first["window"]["test"], second["window"]["test"])


def test_many_residues_are_fitted_on_whole_proteins_drawn_with_the_seed(monkeypatch):
    train, test = make_part(30, 1), make_part(5, 2)
    everything = fit_residue_baselines(train, {"test": test}, **CLASSES)
    monkeypatch.setattr(linear_models, "MOST_UNITS", 200)
    fitted_on = []
    path = linear_models._Path
    monkeypatch.setattr(
        linear_models, "_Path", lambda *arguments: fitted_on.append(len(arguments[1])) or path(*arguments)
    )
    some = fit_residue_baselines(train, {"test": test}, seed=3, **CLASSES)
    again = fit_residue_baselines(train, {"test": test}, seed=3, **CLASSES)
    others = fit_residue_baselines(train, {"test": test}, seed=4, **CLASSES)
    assert np.array_equal(some["residue"]["test"], everything["residue"]["test"])  # counting is cheap
    for name in ("window", "frozen embeddings"):
        assert some[name]["train"].shape == everything[name]["train"].shape
        assert np.array_equal(some[name]["test"], again[name]["test"])
        assert not np.array_equal(some[name]["test"], everything[name]["test"])
        assert not np.array_equal(some[name]["test"], others[name]["test"])
    chosen = linear_models.Units(
        lambda places: places, train.truth, 5, np.repeat(range(30), [sum(k) for k in train.kept])
    )
    places = chosen.drawn(3)
    assert max(fitted_on) == len(places)
    assert 150 < len(places) <= 200
    for protein in np.unique(chosen.blocks[places]):
        assert np.sum(chosen.blocks[places] == protein) == sum(train.kept[protein])


def test_features_that_are_wide_are_made_for_fewer_residues(monkeypatch):
    monkeypatch.setattr(linear_models, "MOST_CELLS", 1000)
    units = linear_models.Units(lambda places: places, np.zeros(500), 10)
    assert len(units.drawn(0)) == 100
    alone = linear_models.Units(lambda places: places, np.zeros(500), 10, np.zeros(500, dtype=int))
    assert len(alone.drawn(0)) == 500  # one protein cannot be cut


def test_chunks_change_nothing(monkeypatch):
    train, test = make_part(20, 1), make_part(5, 2)
    whole = fit_residue_baselines(train, {"test": test}, **CLASSES)
    monkeypatch.setattr(linear_models, "_CHUNK", 500)
    for name, by_split in fit_residue_baselines(train, {"test": test}, **CLASSES).items():
        assert by_split["test"] == pytest.approx(whole[name]["test"], abs=1e-6)


def test_letter_case_counts_in_text_only():
    kept = [np.ones(4, bool)]
    train = ResiduePart(["CCcc"], kept, np.array([0, 0, 1, 1]))
    protein = fit_residue_baselines(train, {}, **CLASSES)["residue"]["train"][:, 1]
    text = fit_residue_baselines(train, {}, alphabet="SMILES", **CLASSES)["residue"]["train"][:, 1]
    assert protein == pytest.approx([0.5] * 4)
    assert text == pytest.approx([0.5 / 3, 0.5 / 3, 2.5 / 3, 2.5 / 3])


def test_a_class_that_training_lacks_has_probability_zero_and_a_single_class_is_certain():
    train, test = make_part(8, 1), make_part(3, 2)
    four = fit_residue_baselines(train, {"test": test}, regression=False, classes=4)
    for by_split in four.values():
        assert (by_split["test"][:, 2:] == 0).all()
        assert by_split["test"].sum(axis=1) == pytest.approx(1)
    one = replace(train, truth=np.ones_like(train.truth))
    for by_split in fit_residue_baselines(one, {"validation": test}, **CLASSES).values():
        assert (by_split["validation"] == [0, 1]).all()


def test_a_sequence_that_was_cut_counts_as_far_as_it_was_read():
    train = make_part(8, 1)
    cut = ResiduePart(["ACDEF" * 9], [np.ones(20, bool)], np.zeros(20, int), np.zeros((20, 5), np.float32))
    for by_split in fit_residue_baselines(train, {"test": cut}, **CLASSES).values():
        assert by_split["test"].shape == (20, 2)
