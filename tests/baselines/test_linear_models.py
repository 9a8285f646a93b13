"""Linear models: the penalty that scikit-learn's cross-validation would choose, and what a head starts from."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

from seqlm.baselines.linear_models import FOLDS, STRENGTHS, Goal, _divisions, fit, in_memory
from seqlm.inference.tasks import Head, Task

GOALS = {
    "sequence-classification": Goal(False, 3),
    "two classes": Goal(False, 2, class_weights=np.array([1.0, 3.0])),
    "multi-label": Goal(False, 4, several=True),
    "sequence-regression": Goal(True, 1),
}


def drawn(name: str, n: int = 120, width: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of which a few dimensions, of very different sizes, tell something, and what is true."""
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(n, width))
    signal = vectors[:, :4] + 1.5 * generator.normal(size=(n, 4))
    vectors = (vectors * np.geomspace(0.1, 10, width) + 5).astype(np.float32)
    goal = GOALS[name]
    if goal.regression:
        return vectors, 50 + 7 * signal[:, 0]
    if goal.several:
        return vectors, (signal > 0.5).astype(int)
    return vectors, signal[:, : goal.classes].argmax(axis=1)


def test_the_penalty_is_that_of_the_lowest_cross_validated_loss():
    for name in ("sequence-classification", "sequence-regression"):
        vectors, truth = drawn(name)
        scaled = StandardScaler().fit_transform(vectors.astype(float))
        losses = []
        for strength in STRENGTHS:
            if name == "sequence-regression":
                folds = KFold(FOLDS, shuffle=True, random_state=0)
                found = cross_val_predict(Ridge(alpha=1 / strength), scaled, truth, cv=folds)
                losses.append(((found - truth) ** 2).mean())
            else:
                folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
                model = LogisticRegression(C=strength, max_iter=5000)
                found = cross_val_predict(model, scaled, truth, cv=folds, method="predict_proba")
                losses.append(-np.log(found[np.arange(len(truth)), truth]).mean())
        best = STRENGTHS[int(np.argmin(losses))]
        assert fit(in_memory(vectors, truth), GOALS[name]).strength == best
        assert best not in (STRENGTHS[0], STRENGTHS[-1])


def test_what_belongs_together_is_on_one_side_of_a_division():
    truth, blocks = np.arange(60) % 2, np.arange(60) // 4
    divisions = list(_divisions(truth, blocks, Goal(False, 2)))
    assert len(divisions) == FOLDS
    for inside, outside in divisions:
        assert not set(blocks[inside]) & set(blocks[outside])
    pairs = np.random.default_rng(0).integers(0, 12, size=(60, 2))
    for inside, outside in _divisions(truth, pairs, Goal(False, 2)):
        held = set(pairs[outside].ravel()) - set(pairs[inside].ravel())
        assert all(set(pair) & held for pair in pairs[outside])
    expected = GroupKFold(FOLDS, shuffle=True, random_state=0).split(truth, groups=blocks)
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(divisions, expected, strict=True))


def test_proteins_that_repeat_ask_for_a_stronger_penalty_than_their_copies_would():
    vectors, truth = drawn("sequence-classification", n=40)
    truth = np.random.default_rng(1).integers(0, 3, 40)  # nothing to be learnt but by heart
    copies, labels, blocks = np.repeat(vectors, 6, axis=0), np.repeat(truth, 6), np.repeat(np.arange(40), 6)
    fooled = fit(in_memory(copies, labels), GOALS["sequence-classification"])
    careful = fit(in_memory(copies, labels, blocks), GOALS["sequence-classification"])
    assert careful.strength < fooled.strength


@pytest.mark.parametrize("name", GOALS)
def test_a_head_starts_as_the_linear_model_and_by_itself_stays_there(name):
    vectors, truth = drawn(name)
    goal = GOALS[name]
    probe = fit(in_memory(vectors, truth), goal)
    labels = None if goal.regression else tuple("abcd"[: goal.classes])
    task = Task("sequence-classification" if name == "two classes" else name, labels)
    for kind in ("linear", "mlp"):
        head = Head(30, task.outputs, kind=kind, dropout=0.0)
        if goal.regression:
            head.shift.fill_(float(truth.mean()))
            head.scale.fill_(float(truth.std()))
        head.start_from(probe)
        outputs = head(torch.from_numpy(vectors))
        found = task.decode(outputs.detach(), float(head.shift), float(head.scale))
        assert found == pytest.approx(probe(vectors), abs=1e-4)
        weights = torch.ones(truth.shape)
        if goal.class_weights is not None:
            weights = torch.from_numpy(goal.class_weights[truth]).float()
        loss = (task.loss(outputs, torch.from_numpy(truth), head) * weights).sum() / weights.sum()
        before = torch.autograd.grad(loss, head.out.weight, retain_graph=True)[0]
        (loss + head.decay * head.out.weight.square().sum()).backward()
        assert float(head.out.weight.grad.norm()) < 0.02 * float(before.norm()) + 1e-4


def test_a_class_without_examples_is_never_called():
    vectors, truth = drawn("sequence-classification")
    probe = fit(in_memory(vectors[truth < 2], truth[truth < 2]), GOALS["sequence-classification"])
    assert (probe(vectors)[:, 2] == 0).all()
    head = Head(30, 3, kind="linear", dropout=0.0)
    head.start_from(probe)
    assert torch.softmax(head(torch.from_numpy(vectors)), -1)[:, 2].max() < 1e-9
