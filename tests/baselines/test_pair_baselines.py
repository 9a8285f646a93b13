"""Baselines of pairs equal hand-made ones, and the one that only remembers proteins remembers no pair."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seqlm.baselines import linear_models, pair_baselines
from seqlm.baselines.pair_baselines import PairPart
from seqlm.metrics.metrics import plain

pytestmark = pytest.mark.filterwarnings("error")

MEMBERS = 60
CLASSES = {"regression": False, "classes": 2, "symmetric": True}
VALUES = {"regression": True, "classes": 0, "symmetric": True}


def fit_pair_baselines(*arguments, **options) -> dict:
    return pair_baselines.fit_pair_baselines(*arguments, **options)[0]


@pytest.fixture
def one_strength(monkeypatch):
    monkeypatch.setattr(linear_models, "STRENGTHS", (1.0,))


def make_parts(values: bool = False, sizes=(300, 100, 100)) -> list[PairPart]:
    """Pairs of which the sum of the members' stickiness decides; half of what sticks is seen in vectors and letters."""
    generator = np.random.default_rng(7)
    sticky = generator.random(MEMBERS)
    sequences = [
        "".join(generator.choice(list("ACDE"), generator.integers(20, 200), p=[s, 1 - s, 0.5, 0.5] / np.array(2)))
        for s in sticky
    ]
    pooled = (2 + generator.normal(size=(MEMBERS, 4)) + 2 * sticky[:, None]).astype(np.float32)
    parts = []
    for n in sizes:
        pairs = generator.integers(0, MEMBERS, size=(n, 2))
        truth = sticky[pairs].sum(axis=1) + 0.3 * generator.normal(size=n)
        parts.append(PairPart(sequences, pairs, truth if values else (truth > 1).astype(int), pooled))
    return parts


def together(first: np.ndarray, second: np.ndarray, part: PairPart, symmetric: bool) -> np.ndarray:
    one, other = first[part.pairs[:, 0]].astype(float), second[part.pairs[:, 1]].astype(float)
    return np.hstack([one + other, np.abs(one - other), one * other] if symmetric else [one, other])


@pytest.mark.parametrize("symmetric", [True, False])
def test_frozen_is_a_linear_model_of_both_vectors(symmetric, one_strength):
    train, _, test = make_parts()
    model = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000, class_weight={0: 1.0, 1: 2.0})
    vectors = (train.pooled, train.pooled)
    expected = make_pipeline(StandardScaler(), model).fit(together(*vectors, train, symmetric), train.truth)
    kind = CLASSES | {"symmetric": symmetric, "class_weights": np.array([1.0, 2.0])}
    found = fit_pair_baselines(train, {"test": test}, **kind)["frozen embeddings"]["test"]
    assert found == pytest.approx(expected.predict_proba(together(*vectors, test, symmetric)), abs=0.02)


def test_frozen_is_ridge_regression_for_values(one_strength):
    train, _, test = make_parts(values=True)
    vectors = (train.pooled, train.pooled)
    expected = make_pipeline(StandardScaler(), Ridge(alpha=1.0)).fit(together(*vectors, train, True), train.truth)
    found = fit_pair_baselines(train, {"test": test}, **VALUES)["frozen embeddings"]["test"]
    assert found == pytest.approx(expected.predict(together(*vectors, test, True)), abs=1e-3)


@pytest.mark.parametrize(("alphabet", "longest"), [("protein", 2), ("DNA", 4), ("text", 2)])
def test_k_mer_is_a_linear_model_of_the_shares_of_words(alphabet, longest, one_strength):
    train, _, test = make_parts(values=True, sizes=(200, 1, 50))
    words = CountVectorizer(analyzer="char", ngram_range=(1, longest), lowercase=False)
    counts = words.fit([train.sequences[at] for at in np.unique(train.pairs)]).transform(train.sequences).toarray()
    shares = counts / counts.sum(axis=1, keepdims=True)
    expected = make_pipeline(StandardScaler(), Ridge(alpha=1.0)).fit(together(shares, shares, train, True), train.truth)
    found = fit_pair_baselines(train, {"test": test}, alphabet=alphabet, **VALUES)["k-mer"]["test"]
    # a few words share a bucket
    assert np.corrcoef(found, expected.predict(together(shares, shares, test, True)))[0, 1] > 0.98


def test_order_means_nothing_in_symmetric_pairs_and_something_in_others():
    train, _, test = make_parts()
    swapped = replace(test, pairs=test.pairs[:, ::-1].copy())
    found = fit_pair_baselines(train, {"test": test, "swapped": swapped}, **CLASSES)
    assert len(found) == 4
    for by_split in found.values():
        assert by_split["test"] == pytest.approx(by_split["swapped"], abs=1e-6)
    ordered = fit_pair_baselines(train, {"test": test, "swapped": swapped}, **CLASSES | {"symmetric": False})
    for name in ("protein frequency", "k-mer", "frozen embeddings"):
        assert not np.allclose(ordered[name]["test"], ordered[name]["swapped"], atol=0.01)


def test_protein_frequency_knows_members_and_nothing_of_new_ones():
    train, _, test = make_parts()
    known = fit_pair_baselines(train, {"test": test}, **CLASSES)["protein frequency"]["test"]
    assert plain("auroc", test.truth, known) > 0.75
    new = replace(test, sequences=[*test.sequences, *test.sequences], pairs=test.pairs + MEMBERS)
    train, new = replace(train, sequences=new.sequences, pooled=None), replace(new, pooled=None)
    found = fit_pair_baselines(train, {"test": new}, **CLASSES)["protein frequency"]["test"]
    assert np.ptp(found[:, 1]) == pytest.approx(0)
    values = make_parts(values=True)
    found = fit_pair_baselines(values[0], {"test": values[2]}, **VALUES)["protein frequency"]["test"]
    assert plain("pearson", values[2].truth, found) > 0.65


def test_protein_frequency_of_ordered_pairs_counts_each_role_for_itself():
    train, _, test = make_parts()
    train = replace(train, pairs=train.pairs // 2 + np.array([0, MEMBERS // 2]))
    turned = replace(test, pairs=np.array([[40, 45], [41, 45], [42, 45]]), truth=np.array([0, 1, 1]))
    found = fit_pair_baselines(train, {"test": turned}, **CLASSES | {"symmetric": False})
    assert np.ptp(found["protein frequency"]["test"][:, 1]) == 0  # none of the three was ever a first member
    found = fit_pair_baselines(train, {"test": turned}, **CLASSES)
    assert np.ptp(found["protein frequency"]["test"][:, 1]) > 0.01


def test_protein_frequency_learns_no_training_pair_by_heart():
    train, _, test = make_parts()
    generator = np.random.default_rng(0)
    lucky = replace(train, truth=generator.integers(0, 2, len(train.truth)))  # there is nothing to learn
    found = fit_pair_baselines(lucky, {"test": test}, **CLASSES)["protein frequency"]["train"]
    assert 0.3 < plain("auroc", lucky.truth, found) < 0.7
    once = replace(train, pairs=np.arange(MEMBERS).reshape(-1, 2), truth=np.arange(MEMBERS // 2) % 2)
    found = fit_pair_baselines(once, {"test": test}, **CLASSES)["protein frequency"]
    assert np.ptp(found["train"][:, 1]) < 1e-3  # each protein is in one pair, which says nothing of itself


@pytest.mark.parametrize(("kind", "values"), [(CLASSES, False), (VALUES, True)])
def test_the_test_set_never_has_an_influence(kind, values):
    train, validation, test = make_parts(values)
    first = fit_pair_baselines(train, {"validation": validation, "test": test}, **kind)
    other = replace(test, pairs=test.pairs[::-1], truth=-test.truth)
    second = fit_pair_baselines(train, {"validation": validation, "test": other}, **kind)
    for name, by_split in first.items():
        assert by_split["train"].tobytes() == second[name]["train"].tobytes()
        assert by_split["validation"].tobytes() == second[name]["validation"].tobytes()
        assert name in ("mean", "majority") or not np.array_equal(by_split["test"], second[name]["test"])


def test_second_members_may_have_a_model_and_an_alphabet_of_their_own(one_strength):
    train, _, test = make_parts()
    generator = np.random.default_rng(1)
    molecules = ["".join(generator.choice(list("CcNO"), 12)) for _ in range(MEMBERS)]
    vectors = generator.normal(size=(MEMBERS, 7)).astype(np.float32)

    def with_molecules(part):
        pairs = part.pairs + np.array([0, MEMBERS])
        return replace(part, sequences=part.sequences + molecules, pairs=pairs, second_pooled=vectors)

    kind = CLASSES | {"symmetric": False}
    train, test = with_molecules(train), with_molecules(test)
    found = fit_pair_baselines(train, {"test": test}, second_alphabet="SMILES", **kind)
    features = [
        np.hstack([part.pooled[part.pairs[:, 0]], vectors[part.pairs[:, 1] - MEMBERS]]).astype(float)
        for part in (train, test)
    ]
    model = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000)
    expected = make_pipeline(StandardScaler(), model).fit(features[0], train.truth).predict_proba(features[1])
    assert found["frozen embeddings"]["test"] == pytest.approx(expected, abs=0.02)
    same = fit_pair_baselines(train, {"test": test}, **kind)  # where c is read as C
    assert not np.allclose(found["k-mer"]["test"], same["k-mer"]["test"], atol=1e-3)


def test_without_vectors_there_is_no_frozen_baseline_and_three_classes_work():
    train, _, test = (replace(part, pooled=None) for part in make_parts())
    train = replace(train, truth=train.pairs.sum(axis=1) % 3)
    found = fit_pair_baselines(train, {"test": test}, **CLASSES | {"classes": 3})
    assert list(found) == ["majority", "protein frequency", "k-mer"]
    for by_split in found.values():
        assert by_split["test"].sum(axis=1) == pytest.approx(1)
    assert found["majority"]["test"][0] == pytest.approx(np.bincount(train.truth) / len(train.truth))
