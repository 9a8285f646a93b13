"""Colours of figures are told apart with every kind of colour vision, and come from one list."""

import ast
import itertools
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from makers.scripts import ROOT
from seqlm.report import figure_style as style

# What linear RGB becomes to those who lack a kind of cone: Machado et al. 2009, severity 1 (10.1109/TVCG.2009.113).
VISIONS = {
    "all cones": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
WHITE = [0.95047, 1.0, 1.08883]
CLEAR = 15  # units of CIE L*a*b*; a difference of 2 or 3 is just seen where two areas touch


def lab(colour, vision: str) -> np.ndarray:
    """L*, a* and b* of what a colour looks like, by the definitions of sRGB and CIE 1976."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(VISIONS[vision] @ linear, 0, 1) / WHITE
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def difference(one, other, vision: str) -> float:
    return float(np.linalg.norm(lab(one, vision) - lab(other, vision)))


def lightness(name: str, vision: str) -> np.ndarray:
    return np.array([lab(colour, vision)[0] for colour in matplotlib.colormaps[name](np.linspace(0, 1, 21))])


def test_red_and_green_would_not_pass():
    assert difference("#D62728", "#2CA02C", "no green") < CLEAR < difference("#D62728", "#2CA02C", "all cones")


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_that_stand_beside_each_other_are_told_apart(vision):
    for together in (style.CLASS_COLOURS, style.CONFIDENCE_COLOURS):
        for one, other in itertools.combinations(together, 2):
            assert difference(one, other, vision) > CLEAR, (one, other)
    assert difference(style.PALE_SKY, style.PALE_ORANGE, vision) > CLEAR


@pytest.mark.parametrize("vision", VISIONS)
def test_maps_of_numbers_are_read_by_their_lightness(vision):
    for name, sign in ((style.RISING, -1), (style.FALLING, 1), (style.RAMP, 1)):
        assert (sign * np.diff(lightness(name, vision)) > 0).all(), name
    below, above = np.split(np.diff(lightness(style.DIVERGING, vision)), 2)
    assert (below > 0).all() and (above < 0).all()
    low, high = matplotlib.colormaps[style.DIVERGING]([0.2, 0.8])
    assert difference(low, high, vision) > 2 * CLEAR


def test_every_colour_of_a_figure_comes_from_the_style_of_all():
    """No colour or map of colours is named where a figure is drawn; black and white are no colours."""
    found = []
    for path in sorted((ROOT / "scripts" / "seqlm").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "matplotlib" not in text or path.name == "figure_style.py":
            continue
        for node in ast.walk(ast.parse(text)):
            named = isinstance(node, ast.Constant) and isinstance(node.value, str) and names_a_colour(node.value)
            if named and node.value not in ("black", "white", "none"):
                found.append(f"{path.name}:{node.lineno} {node.value}")
    assert not found


def names_a_colour(text: str) -> bool:
    if re.fullmatch(r"#[0-9A-Fa-f]{3,8}|tab:\w+|xkcd:.+|C\d", text):
        return True
    return len(text) > 2 and (text in matplotlib.colors.CSS4_COLORS or text in matplotlib.colormaps)
