"""Baselines equal hand-made scikit-learn ones, learn from the training split alone, and say nothing on stderr."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from seqlm.baselines import baselines, linear_models
from seqlm.baselines.baselines import Part, _count_words
from seqlm.metrics.metrics import plain

pytestmark = pytest.mark.filterwarnings("error")


def make_part(n: int, seed: int, classes: int = 2) -> Part:
    """Sequences of class c are rich in its letter, and their embeddings lean to its axis."""
    generator = np.random.default_rng(seed)
    truth = np.arange(n) % classes
    letters = np.array(list("ACDEFGHIKL"))
    sequences = []
    for label in truth:
        shares = np.ones(10) + 1.5 * (np.arange(10) == label)
        sequences.append("".join(generator.choice(letters, 30, p=shares / shares.sum())))
    embeddings = 5 + generator.normal(size=(n, 6)) + np.eye(6)[truth]
    return Part(sequences, truth, embeddings.astype(np.float32))


def values_part(n: int, seed: int) -> Part:
    part = make_part(n, seed)
    return replace(part, truth=np.array([sequence.count("A") / 3 for sequence in part.sequences]))


CLASSES = {"task": "sequence-classification", "classes": 2}
VALUES = {"task": "sequence-regression", "classes": 0}


def fit_baselines(*arguments, **options) -> dict:
    return baselines.fit_baselines(*arguments, **options)[0]


@pytest.fixture
def one_strength(monkeypatch):
    monkeypatch.setattr(linear_models, "STRENGTHS", (1.0,))


def hand_made_words(model):
    words = CountVectorizer(analyzer="char", ngram_range=(1, 3), lowercase=False)
    return make_pipeline(words, Normalizer(), model)


def test_majority_gives_training_shares_and_mean_the_training_mean():
    train, test = make_part(30, 1, classes=3), make_part(7, 2, classes=3)
    train = replace(train, truth=np.array([0] * 15 + [1] * 9 + [2] * 6))
    shares = fit_baselines(train, {"test": test}, task="sequence-classification", classes=3)["majority"]
    assert shares["test"] == pytest.approx(np.tile([0.5, 0.3, 0.2], (7, 1)))
    assert shares["train"].shape == (30, 3)
    train = values_part(30, 1)
    assert fit_baselines(train, {"test": test}, **VALUES)["mean"]["test"] == pytest.approx(
        np.full(7, train.truth.mean())
    )


def test_k_mer_baseline_equals_a_hand_made_one_that_counts_every_word(one_strength):
    train, test = make_part(60, 1), make_part(20, 2)
    expected = hand_made_words(LogisticRegression(C=1.0)).fit(train.sequences, train.truth)
    found = fit_baselines(train, {"test": test}, **CLASSES)["k-mer"]
    # 1,000 words hashed into 32,768 buckets share a few, so the two agree closely but not to the last digit
    assert found["test"] == pytest.approx(expected.predict_proba(test.sequences), abs=5e-3)
    assert found["train"] == pytest.approx(expected.predict_proba(train.sequences), abs=5e-3)


def test_k_mer_ridge_equals_a_hand_made_one(one_strength):
    train, test = values_part(60, 1), values_part(20, 2)
    expected = hand_made_words(Ridge(alpha=1.0)).fit(train.sequences, train.truth)
    found = fit_baselines(train, {"test": test}, **VALUES)["k-mer"]["test"]
    assert found == pytest.approx(expected.predict(test.sequences), abs=5e-2)


@pytest.mark.parametrize(("alphabet", "longest"), [("DNA", 5), ("protein", 3), ("text", 4)])
def test_words_are_as_long_as_the_alphabet_asks(alphabet, longest):
    counts = _count_words({"train": Part(["ACGTGCA"], np.array([0]))}, alphabet)["train"]
    distinct = {"ACGTGCA"[start : start + k] for k in range(1, longest + 1) for start in range(8 - k)}
    assert counts.nnz == len(distinct)


def test_frozen_baseline_is_logistic_regression_on_standardised_embeddings(one_strength):
    train, test = make_part(60, 1), make_part(20, 2)
    weights = np.array([1.0, 3.0])
    model = LogisticRegression(C=1.0, class_weight={0: 1.0, 1: 3.0})
    expected = make_pipeline(StandardScaler(), model).fit(train.embeddings.astype(float), train.truth)
    found = fit_baselines(train, {"test": test}, class_weights=weights, **CLASSES)["frozen embeddings"]["test"]
    assert found == pytest.approx(expected.predict_proba(test.embeddings.astype(float)), abs=1e-6)


def test_frozen_baseline_is_ridge_regression_for_values(one_strength):
    train, test = values_part(60, 1), values_part(20, 2)
    expected = make_pipeline(StandardScaler(), Ridge(alpha=1.0)).fit(train.embeddings.astype(float), train.truth)
    found = fit_baselines(train, {"test": test}, **VALUES)["frozen embeddings"]["test"]
    assert found == pytest.approx(expected.predict(test.embeddings.astype(float)), abs=1e-5)


@pytest.mark.parametrize(("kind", "make"), [(CLASSES, make_part), (VALUES, values_part)])
def test_the_test_set_never_has_an_influence(kind, make):
    train, validation, test = make(40, 1), make(20, 2), make(20, 3)
    first = fit_baselines(train, {"validation": validation, "test": test}, **kind)
    other = Part(["W" * 30] * 20, test.truth[::-1], -9 * test.embeddings)
    second = fit_baselines(train, {"validation": validation, "test": other}, **kind)
    assert len(first) == 3
    for name, by_split in first.items():
        assert np.array_equal(by_split["train"], second[name]["train"])
        assert np.array_equal(by_split["validation"], second[name]["validation"])
    assert not np.array_equal(first["k-mer"]["test"], second["k-mer"]["test"])


LABELS = {"task": "multi-label", "classes": 3}


def several_part(n: int, seed: int, labels: int = 3) -> Part:
    """Each label is on where its embedding is high, and label c makes sequences rich in the letter c."""
    part = make_part(n, seed, classes=3)
    truth = (part.embeddings[:, :1] + part.embeddings > 10.5)[:, np.arange(labels) % 6].astype(int)
    sequences = [
        sequence + "".join("ACDEFG"[c % 6] * 4 for c in np.flatnonzero(row))
        for sequence, row in zip(part.sequences, truth, strict=True)
    ]
    return Part(sequences, truth, part.embeddings)


def test_each_of_several_labels_is_learnt_against_its_absence(one_strength):
    train, test = several_part(80, 1), several_part(20, 2)
    weights = np.array([[1.0, 1.0], [1.0, 4.0], [2.0, 1.0]])
    found = fit_baselines(train, {"test": test}, class_weights=weights, **LABELS)
    assert found["majority"]["test"] == pytest.approx(np.tile(train.truth.mean(axis=0), (20, 1)))
    for c in range(3):
        model = LogisticRegression(C=1.0, class_weight=dict(enumerate(weights[c])))
        expected = make_pipeline(StandardScaler(), model).fit(train.embeddings.astype(float), train.truth[:, c])
        right = expected.predict_proba(test.embeddings.astype(float))[:, 1]
        assert found["frozen embeddings"]["test"][:, c] == pytest.approx(right, abs=0.02)
        expected = hand_made_words(model).fit(train.sequences, train.truth[:, c])
        right = expected.predict_proba(test.sequences)[:, 1]
        assert found["k-mer"]["test"][:, c] == pytest.approx(right, abs=0.02)


def test_a_label_is_learnt_from_the_sequences_of_which_it_is_known():
    train, test = several_part(80, 1), several_part(20, 2)
    known = np.random.default_rng(4).random(train.truth.shape) < 0.6
    masked = Part(train.sequences, np.where(known, train.truth, -1), train.embeddings)
    found = fit_baselines(masked, {"test": test}, **LABELS)
    shares = [train.truth[k, c].mean() for c, k in enumerate(known.T)]
    assert found["majority"]["test"] == pytest.approx(np.tile(shares, (20, 1)))
    scaler = StandardScaler().fit(train.embeddings.astype(float))
    strength = baselines.fit_baselines(masked, {"test": test}, **LABELS)[1].strength
    for c, k in enumerate(known.T):
        model = LogisticRegression(C=strength).fit(
            scaler.transform(train.embeddings[k].astype(float)), train.truth[k, c]
        )
        right = model.predict_proba(scaler.transform(test.embeddings.astype(float)))[:, 1]
        assert found["frozen embeddings"]["test"][:, c] == pytest.approx(right, abs=0.02)


def test_a_label_that_is_constant_in_training_stays_so():
    train, test = several_part(40, 1), several_part(10, 2)
    train.truth[:, 0], train.truth[:, 2] = 0, 1
    for by_split in fit_baselines(train, {"validation": test}, **LABELS).values():
        assert (by_split["validation"][:, 0] == 0).all()
        assert (by_split["validation"][:, 2] == 1).all()
        assert np.ptp(by_split["train"][:, 1]) > 0 or by_split["train"][0, 1] == train.truth[:, 1].mean()


def test_the_same_input_gives_the_same_bytes():
    train, validation = make_part(40, 1, classes=3), make_part(20, 2, classes=3)
    runs = [
        fit_baselines(train, {"validation": validation}, task="sequence-classification", classes=3, seed=5)
        for _ in range(2)
    ]
    for name, by_split in runs[0].items():
        assert by_split["validation"].tobytes() == runs[1][name]["validation"].tobytes()


def test_a_class_that_training_lacks_has_probability_zero():
    train, test = make_part(40, 1), make_part(10, 2)
    found = fit_baselines(train, {"test": test}, task="sequence-classification", classes=4)
    for by_split in found.values():
        assert by_split["test"].shape == (10, 4)
        assert (by_split["test"][:, 2:] == 0).all()
        assert by_split["test"].sum(axis=1) == pytest.approx(1)


def test_without_embeddings_there_is_no_frozen_baseline():
    train, test = make_part(20, 1), make_part(5, 2)
    assert "frozen embeddings" not in fit_baselines(train, {"test": replace(test, embeddings=None)}, **CLASSES)


def test_letter_case_is_a_letter_of_its_own_in_text_only():
    part = {"train": Part(["Cc"], np.array([0]))}
    assert _count_words(part, "protein")["train"].nnz == 2  # c, cc
    assert _count_words(part, "text")["train"].nnz == 3  # C, c, Cc


def test_separable_wide_embeddings_converge_without_a_warning():
    generator = np.random.default_rng(0)
    train = make_part(60, 1)
    wide = replace(train, embeddings=generator.normal(size=(60, 500)).astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit_baselines(wide, {"validation": wide}, **CLASSES)["frozen embeddings"]["validation"]
    assert plain("accuracy", wide.truth, found) == 1
