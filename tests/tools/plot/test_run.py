"""Projections and the scores of separation, beside scikit-learn, UMAP and SciPy themselves."""

from __future__ import annotations

import os

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.metrics import pairwise_distances, silhouette_samples, silhouette_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from seqlm.cli.errors import InputError
from seqlm.tools.plot.run import prepared, project, spread_of
from seqlm.tools.plot.scores import (
    nearest,
    score_classes,
    score_pictures,
    score_values,
    silhouette,
    stratified,
    trust,
)


@pytest.fixture
def rows():
    """Two classes that lie apart along the first of 12 dimensions: rows (120, 12) and codes (120,)."""
    rng = np.random.default_rng(5)
    codes = (rng.random(120) < 0.3).astype(int)
    found = rng.normal(size=(120, 12)) * np.linspace(2, 0.5, 12)
    found[:, 0] += 4 * codes
    return found, codes


def same_up_to_sign(first, second):
    return all(np.allclose(a, b) or np.allclose(a, -b) for a, b in zip(first.T, second.T, strict=True))


@pytest.mark.parametrize("shape", [(120, 12), (10, 12)])
def test_pca_of_one_table_is_that_of_scikit_learn(rows, shape):
    some = rows[0][: shape[0]]
    reference = PCA(2, svd_solver="full").fit(some)
    found = project([some], "pca")
    assert same_up_to_sign(found.points[0], reference.transform(some))
    assert found.explained == pytest.approx(reference.explained_variance_ratio_)


def test_two_tables_share_the_axes_of_a_pca_of_both(rows):
    before, after = rows[0], 3 * rows[0] + 1
    reference = PCA(2).fit(np.concatenate([before, after]))
    found = project([before, after], "pca")
    assert same_up_to_sign(np.concatenate(found.points), reference.transform(np.concatenate([before, after])))
    of_after = reference.transform(after).var(axis=0) / after.var(axis=0).sum()
    assert found.explained_of[1] == pytest.approx(of_after)


def test_standard_scaling_is_of_both_tables_together_and_leaves_constant_columns_alone(rows):
    before, after = rows[0].copy(), 2 * rows[0]
    before[:, 3] = after[:, 3] = 7.7
    scaled = np.concatenate(prepared([before, after], scale="standard"))
    assert scaled == pytest.approx(StandardScaler().fit_transform(np.concatenate([before, after])))
    assert not scaled[:, 3].any()


def test_an_offset_between_tables_is_told_and_centring_each_takes_it_out(rows):
    before, after = rows[0], rows[0] + 30
    assert project(prepared([before, after]), "pca").between[0] > 0.9
    centred = prepared([before, after], centre="each")
    assert centred[0] == pytest.approx(centred[1])
    assert project(centred, "pca").between == pytest.approx([0, 0])


def test_one_spread_for_both_tables_keeps_the_shape_of_each_and_every_score(rows):
    before, after = rows[0], 100 * rows[0] + 30
    assert spread_of(before) == pytest.approx(np.sqrt(((before - before.mean(0)) ** 2).sum(1).mean()))
    same = prepared([before, after], centre="spread")
    assert same[0] == pytest.approx(same[1])
    assert spread_of(same[0]) == pytest.approx((spread_of(before) + spread_of(after)) / 2)
    codes = np.arange(len(before)) % 2
    settings = {"neighbours": 3, "metric": "euclidean", "resamples": 100, "seed": 1}
    alike = [score_classes(prepared([before, after], centre=how), codes, **settings) for how in ("each", "spread")]
    for metric, judged in alike[0].tables[1].items():
        assert judged.score.value == pytest.approx(alike[1].tables[1][metric].score.value)


def test_tsne_gives_the_same_points_again_and_lowers_a_perplexity_that_is_too_high(rows):
    first = project([rows[0]], "tsne", perplexity=100, seed=3)
    again = project([rows[0]], "tsne", perplexity=100, seed=3)
    assert np.array_equal(first.points[0], again.points[0])
    assert "perplexity of 100; 120 points allow 39.7" in first.notes[0]
    assert not project([rows[0]], "tsne", perplexity=20).notes


@pytest.mark.slow
def test_umap_is_that_of_umap_learn_on_both_tables_at_once(rows, tmp_path):
    os.environ.setdefault("NUMBA_CACHE_DIR", str(tmp_path))
    from umap import UMAP

    tables = [rows[0][:60], rows[0][60:]]
    found = project(tables, "umap", neighbours=8, min_dist=0.3, metric="cosine", seed=9)
    model = UMAP(n_neighbors=8, min_dist=0.3, metric="cosine", random_state=9, n_jobs=1)
    assert np.array_equal(np.concatenate(found.points), model.fit_transform(rows[0].astype(np.float32)))
    few = project([rows[0][:6]], "umap", neighbours=15)
    assert few.notes == ["UMAP was asked for 15 neighbours; a point has only 5 here, which it took."]


def test_rows_that_are_all_the_same_cannot_be_projected():
    with pytest.raises(ValueError, match="not all the same"):
        project([np.ones((10, 3))], "pca")


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_silhouettes_are_those_of_scikit_learn(rows, metric):
    codes = np.array([*rows[1][:-1], 2])  # a class of one too
    distances = pairwise_distances(rows[0], metric=metric)
    assert silhouette(distances, codes) == pytest.approx(silhouette_samples(rows[0], codes, metric=metric))
    score = score_classes([rows[0]], rows[1], metric=metric, resamples=100).tables[0]["silhouette"].score
    assert score.value == pytest.approx(silhouette_score(rows[0], rows[1], metric=metric))
    assert score.low < score.value < score.high


def test_purity_is_the_share_of_neighbours_with_the_same_label(rows):
    index = NearestNeighbors(n_neighbors=7).fit(rows[0]).kneighbors(return_distance=False)
    same = np.array([[rows[1][j] == rows[1][i] for j in row] for i, row in enumerate(index)]).mean(axis=1)
    found = score_classes([rows[0]], rows[1], neighbours=7, resamples=100)
    assert found.tables[0]["purity"].score.value == pytest.approx(same.mean())
    of_classes = [same[rows[1] == c].mean() for c in (0, 1)]
    assert found.tables[0]["macro_purity"].score.value == pytest.approx(np.mean(of_classes))
    assert [found.classes[0][c].value for c in (0, 1)] == pytest.approx(of_classes)


def test_chance_is_what_the_class_shares_give(rows):
    found = score_classes([rows[0]], rows[1], resamples=100).tables[0]
    sizes = np.bincount(rows[1])
    expected = (sizes / 120 * (sizes - 1) / 119).sum()
    assert found["purity"].chance.value == pytest.approx(expected, abs=0.01)
    assert found["macro_purity"].chance.value == pytest.approx(((sizes - 1) / 119).mean(), abs=0.01)
    assert found["purity"].beyond_chance


def test_labels_at_random_are_not_beyond_chance_and_differ_in_no_table(rows):
    rng = np.random.default_rng(0)
    signs = []
    for _ in range(20):
        codes = rng.permutation(rows[1])
        found = score_classes([rows[0], rows[0] * np.linspace(1, 3, 12)], codes, resamples=200)
        signs += [found.sign(name) for name in ("macro_purity", "silhouette")]
        signs += [table["macro_purity"].beyond_chance for table in found.tables]
    assert sum(map(bool, signs)) <= 4  # of 80


def test_a_difference_is_of_the_same_points_and_has_a_sign(rows):
    worse = rows[0].copy()
    worse[:, 0] -= 4 * rows[1]
    found = score_classes([worse, rows[0]], rows[1], resamples=200)
    one, other = (table["purity"].score for table in found.tables)
    difference = found.differences["purity"]
    assert difference.value == pytest.approx(other.value - one.value)
    assert found.sign("purity") == 1
    assert score_classes([rows[0], worse], rows[1], resamples=200).sign("purity") == -1
    same = score_classes([rows[0], rows[0]], rows[1], resamples=200)
    assert (same.differences["purity"].low, same.differences["purity"].high, same.sign("purity")) == (0, 0, 0)


def test_values_are_told_by_the_mean_of_the_neighbours(rows):
    values = rows[0][:, 0]
    index = NearestNeighbors(n_neighbors=5).fit(rows[0]).kneighbors(return_distance=False)
    predicted = values[index].mean(axis=1)
    found = score_values([rows[0]], values, neighbours=5, resamples=200).tables[0]
    assert found["spearman"].score.value == pytest.approx(spearmanr(values, predicted).statistic)
    r2 = 1 - ((values - predicted) ** 2).sum() / ((values - values.mean()) ** 2).sum()
    assert found["r2"].score.value == pytest.approx(r2)
    assert found["spearman"].beyond_chance
    assert abs(found["spearman"].chance.value) < 0.05


@pytest.mark.parametrize("k", [3, 10])
def test_trustworthiness_is_that_of_scikit_learn(rows, k):
    picture = rows[0][:, :2]
    distances = pairwise_distances(rows[0])
    assert trust(distances, nearest(picture, k)).mean() == pytest.approx(
        trustworthiness(rows[0], picture, n_neighbors=k)
    )


def test_a_picture_that_is_the_data_keeps_every_neighbour_and_a_shuffled_one_keeps_what_chance_does(rows):
    flat = rows[0][:, :2]
    mixed = np.random.default_rng(1).permutation(flat)
    kept, shuffled = (table["neighbours_kept"] for table in score_pictures([flat, flat], [flat, mixed]).tables)
    assert kept.score.value == 1
    assert shuffled.score.value == pytest.approx(10 / 119, abs=0.03)
    assert shuffled.chance.value == pytest.approx(10 / 119)


def test_a_drawn_part_has_of_each_class_its_share():
    codes = np.array([0] * 700 + [1] * 200 + [2] * 100)
    drawn = stratified(codes, 100, seed=1)
    assert len(set(drawn.tolist())) == 100
    assert np.abs(np.bincount(codes[drawn]) - [70, 20, 10]).max() <= 1
    assert not np.array_equal(drawn, stratified(codes, 100, seed=2))
    assert np.array_equal(stratified(codes, 1000, seed=1), np.arange(1000))


def test_every_number_of_points_from_five_on_is_scored():
    rng = np.random.default_rng(0)
    for n in range(5, 9):
        rows = rng.normal(size=(n, 3))
        codes = np.arange(n) % 2
        assert np.isfinite(score_classes([rows], codes, resamples=100).tables[0]["purity"].score.value)
        picture = score_pictures([rows], project([rows], "pca").points, resamples=100).tables[0]
        assert 0 <= picture["trustworthiness"].score.value <= 1


def test_vectors_that_leave_nothing_to_draw_are_refused_with_the_reason():
    lengths = np.arange(1.0, 31)[:, None] * np.array([[0.3, 0.1, 0.7]])
    for method in ("tsne", "umap"):
        with pytest.raises(InputError, match="all vectors point in one direction, and with the cosine distance"):
            project([lengths[:10], lengths[10:]], method, metric="cosine")
    assert np.isfinite(project([lengths], "tsne", perplexity=5).points[0]).all()
    spread = np.random.default_rng(1).normal(size=(30, 4))
    for factor, extent in ((1e-30, "small"), (1e30, "large")):
        with pytest.raises(InputError, match=f"the differences between the vectors are too {extent} for t-SNE"):
            project([spread * factor], "tsne", perplexity=5)
