"""Tracks draw every site and residue where it is, fill what was called, and stay legible when there is much."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_hex

from seqlm.report.figure_style import CLASS_COLOURS, save
from seqlm.tools.predict.site_figures import MOST_NAMED, MOST_PANELS, Track, tracks

pytestmark = pytest.mark.filterwarnings("error")

POSITIONS = np.array([3, 40, 41, 90])
PROBABILITIES = np.array([0.2, 0.9, 0.5, 0.7])


def sites(name="P1", positions=POSITIONS, probabilities=PROBABILITIES, threshold=0.6, length=100) -> Track:
    values = np.asarray(probabilities)[:, None]
    return Track(name, length, np.asarray(positions), "Y" * len(positions), values, values >= threshold)


def residues(values, called, name="P1") -> Track:
    return Track(name, len(values), np.arange(1, len(values) + 1), "A" * len(values), values, called)


def points(axes, filled: bool) -> list:
    """Markers that are drawn (position, height): of called sites, or of the others."""
    return [
        tuple(point)
        for line in axes.lines
        if line.get_marker() == "o" and (to_hex(line.get_markerfacecolor()) != "#ffffff") == filled
        for point in line.get_xydata().tolist()
    ]


def key(figure) -> list[str]:
    return [text.get_text().strip() for text in figure.legends[0].get_texts()]


def saved(tmp_path, figure) -> bytes:
    save(figure, tmp_path, "tracks")
    return (tmp_path / "tracks.png").read_bytes()


def test_each_site_stands_at_its_position_and_is_filled_where_it_was_called():
    axes = tracks([sites()], ["phosphorylated"], threshold=0.6).axes[0]
    assert points(axes, filled=True) == [(40, 0.9), (90, 0.7)]
    assert points(axes, filled=False) == [(3, 0.2), (41, 0.5)]
    stems = [segment for lines in axes.collections for segment in lines.get_segments()]
    assert sorted((x, top) for (x, _), (_, top) in stems) == sorted(zip(POSITIONS, PROBABILITIES, strict=True))
    assert any(np.allclose(line.get_ydata(), 0.6) for line in axes.lines)
    assert [text.get_text() for text in axes.texts] == ["Y40", "Y90"]


def test_a_panel_says_whose_it_is_how_long_and_what_was_found():
    figure = tracks([sites("sp|P1|$x$", length=1234), sites(positions=[], probabilities=np.zeros(0))], ["1"])
    assert figure.axes[0].get_title(loc="left") == "sp|P1|$x$   (1,234 residues, 4 scanned, 2 called)"
    assert [text.get_text() for text in figure.axes[1].texts] == ["none of these residues"]


def test_at_most_twelve_proteins_are_drawn_and_the_key_says_so():
    figure = tracks([sites(f"P{number}") for number in range(20)], ["1"], total=300)
    assert len(figure.axes) == MOST_PANELS == 12
    assert "first 12 of 300 proteins" in key(figure)
    assert not any("proteins" in entry for entry in key(tracks([sites()], ["1"])))


def test_of_many_called_sites_the_surest_are_named_and_no_two_names_overlap():
    generator = np.random.default_rng(0)
    positions = np.sort(generator.choice(np.arange(1, 5001), 400, replace=False))
    figure = tracks([sites("long", positions, generator.random(400), 0.5, 5000)], ["1"])
    figure.draw_without_rendering()
    named = figure.axes[0].texts
    assert len(named) == MOST_NAMED
    boxes = sorted((text.get_window_extent() for text in named), key=lambda box: box.x0)
    assert all(left.x1 <= right.x0 for left, right in pairwise(boxes))
    heights = dict(points(figure.axes[0], filled=True))
    assert max(heights.values()) in {text.xy[1] for text in named}


def test_sites_of_several_classes_have_the_marker_of_the_class_that_was_called():
    values = np.array([[0.7, 0.1], [0.2, 0.6], [0.1, 0.2]])
    track = Track("P1", 50, np.array([5, 20, 30]), "KKK", values, values > 0.5)
    figure = tracks([track], ["acetyl", "ubiquitin"])
    drawn = {line.get_marker(): line.get_xydata().tolist() for line in figure.axes[0].lines if line.get_marker()}
    assert drawn["o"] == [[5, 0.7]]
    assert drawn["s"] == [[20, 0.6]]
    assert key(figure) == ["acetyl", "ubiquitin", "not called"]


def test_residues_are_a_curve_a_class_with_a_strip_where_it_was_called():
    values = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    called = values > 0.5
    axes = tracks([residues(values, called)], ["helix", "coil"], every_residue=True).axes[0]
    steps = [curve.get_data() for curve in axes.patches]
    assert [step.values.tolist() for step in steps] == values.T.tolist()
    assert steps[0].edges.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    strips = [
        (to_hex(strip.get_facecolor()[0]).upper(), *path.get_extents().intervalx)
        for strip in axes.collections
        for path in strip.get_paths()
    ]
    first, second = CLASS_COLOURS[:2]
    assert strips == [(first, 0.5, 2.5), (first, 3.5, 4.5), (second, 2.5, 3.5)]


def test_of_more_classes_than_colours_those_called_most_often_are_drawn():
    generator = np.random.default_rng(0)
    values = generator.dirichlet(np.ones(10) * np.r_[5, np.ones(8), 5], 200)
    called = values.argmax(axis=1)[:, None] == np.arange(10)
    entries = key(tracks([residues(values, called)], [f"class {n}" for n in range(10)], every_residue=True))
    assert {"class 0", "class 9", "3 classes not drawn"} <= set(entries)
    assert len(entries) == len(CLASS_COLOURS) + 1


@pytest.mark.parametrize("every_residue", [True, False])
def test_numbers_are_drawn_on_their_own_scale_without_calls(tmp_path, every_residue):
    track = residues(np.linspace(-40, 15, 30)[:, None], None)
    figure = tracks([track], None, every_residue=every_residue)
    low, high = figure.axes[0].get_ylim()
    assert low < -40 < 15 < high
    assert not figure.legends
    saved(tmp_path, figure)


def test_equal_tracks_give_equal_bytes_and_hostile_names_do_no_harm(tmp_path):
    figure, again = (tracks([sites("\x07<b>$\\frac{_^" * 9, length=10**6)], ["$x_"]) for _ in range(2))
    assert saved(tmp_path, figure) == saved(tmp_path, again)
    title = figure.axes[0].get_title(loc="left")
    assert title.isprintable()
    assert len(title) < 120


def test_a_figure_of_no_protein_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="no protein"):
        tracks([], ["1"])
