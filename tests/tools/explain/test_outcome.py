"""When maps are said to be more than chance."""

from dataclasses import replace

import numpy as np
import pytest

from seqlm.tools.explain.held_out import held_out
from seqlm.tools.explain.summary import CHANCE, FEW, MORE, NO_BETTER, SAME, UNLEARNT, Checks

GOOD, POOR, UNKNOWN = [0.8, 0.7, 0.9], [0.55, 0.48, 0.62], [0.8, None, None]
LEARNT = Checks(np.empty(0), np.linspace(1, 2, 12), np.zeros((3, 12)), np.zeros((3, 12)), 5.0, np.array([1.0, 2, 3]), 1)


def bundle(**sets):
    return held_out({"metrics": sets})


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, MORE),
        ({"held_out": bundle(test={"auroc": GOOD})}, MORE),
        ({"held_out": bundle(test={"auroc": POOR})}, NO_BETTER),
        ({"held_out": bundle(test={"auroc": POOR}, validation={"auroc": GOOD})}, NO_BETTER),
        ({"held_out": bundle(validation={"spearman": [0.1, 0.02, 0.2]})}, MORE),
        ({"gains": np.linspace(-1, 1, 12)}, CHANCE),
        ({"gains": np.linspace(1, 2, 9)}, FEW),
        ({"alike": np.full((3, 12), 0.7)}, SAME),
        ({"telling": 4.0}, UNLEARNT),  # 2 + 2.92 * (4 / 3) ** 0.5 = 5.37 is the bound, see below
    ],
)
def test_more_than_chance_takes_all_of_it(changes, outcome):
    assert LEARNT.bound == pytest.approx(2 + 2.919986 * (4 / 3) ** 0.5)
    assert replace(LEARNT, **{"telling": 6.0, **changes}).outcome == outcome


def test_the_score_is_that_of_the_test_set_and_needs_no_threshold_where_there_is_such_a_one():
    scores = {"mcc": POOR, "auroc": GOOD}
    assert bundle(validation={"auroc": POOR}, test=scores).words == "AUROC 0.80 (0.70 to 0.90) on its test set"
    assert bundle(test={"mcc": POOR, "auroc": UNKNOWN}).metric == "mcc"
    assert bundle(test={"auroc": UNKNOWN}) is None and held_out({}) is None
