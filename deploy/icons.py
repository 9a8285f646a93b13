"""Draw the icons of the tools, tools/icons/*.png, which Galaxy shows beside their names.

A sequence is a row of beads on each of them; what the tool does with it is the rest. 128 × 128 pixels, as Galaxy takes
square PNG files.

    python deploy/icons.py
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw

ICONS = Path(__file__).resolve().parents[1] / "tools" / "icons"
SIZE, FINE = 128, 8  # pixels of an icon, and by how much larger it is drawn
GROUND, WHITE, BRIGHT, PALE = "#23456b", "#ffffff", "#ffb000", "#8fb3d9"


class Pen:
    """Draws in units of a 32nd of the icon."""

    def __init__(self):
        self.image = Image.new("RGBA", (SIZE * FINE,) * 2)
        self.draw, self.unit = ImageDraw.Draw(self.image), SIZE * FINE / 32
        self.box(0, 0, 32, 32, GROUND, 6)

    def _scaled(self, *numbers: float) -> list[float]:
        return [number * self.unit for number in numbers]

    def box(self, left: float, top: float, right: float, bottom: float, colour: str, corner: float = 0.7) -> None:
        self.draw.rounded_rectangle(self._scaled(left, top, right, bottom), corner * self.unit, fill=colour)

    def bead(self, x: float, y: float, colour: str = WHITE, radius: float = 2) -> None:
        self.draw.ellipse(self._scaled(x - radius, y - radius, x + radius, y + radius), fill=colour)

    def line(self, *points: float, colour: str = WHITE, width: float = 1) -> None:
        self.draw.line(self._scaled(*points), fill=colour, width=round(width * self.unit), joint="curve")

    def beads(self, y: float, colours: list[str], left: float = 5, apart: float = 5.5) -> None:
        for number, colour in enumerate(colours):
            self.bead(left + number * apart, y, colour)

    def save(self, path: Path) -> None:
        self.image.resize((SIZE, SIZE), Image.Resampling.LANCZOS).save(path, optimize=True)


def dataset(pen: Pen) -> None:
    """Rows, divided into two sets."""
    for y in (8, 15):
        pen.beads(y, [WHITE] * 5)
    pen.line(4, 20, 28, 20, colour=PALE, width=0.8)
    pen.beads(25, [BRIGHT] * 5)


def finetune(pen: Pen) -> None:
    """A large model with a small part beside it."""
    pen.beads(26.5, [WHITE] * 5)
    for top in (5, 10.5, 16):
        pen.box(4, top, 20, top + 3.8, PALE)
        pen.box(22, top, 28, top + 3.8, BRIGHT)


def predict(pen: Pen) -> None:
    """One bead of the sequence is found."""
    pen.beads(22, [WHITE, WHITE, BRIGHT, WHITE, WHITE])
    pen.line(16, 5, 16, 15, colour=BRIGHT, width=1.6)
    pen.draw.polygon(pen._scaled(12.5, 12, 19.5, 12, 16, 17.5), fill=BRIGHT)


def evaluate(pen: Pen) -> None:
    """Scores of models, each with its interval."""
    for left, top, colour in ((5, 17, PALE), (13, 13, PALE), (21, 8, BRIGHT)):
        pen.box(left, top, left + 6, 27, colour)
        pen.line(left + 3, top - 3, left + 3, top + 3, width=0.9)


def pretrain(pen: Pen) -> None:
    """Layers from nothing, over a long sequence."""
    pen.beads(26.5, [WHITE] * 5)
    for number, top in enumerate((16, 10.5, 5)):
        pen.box(4 + 2.5 * number, top, 28 - 2.5 * number, top + 3.8, BRIGHT)


def generate(pen: Pen) -> None:
    """A beginning that goes on."""
    pen.beads(10, [WHITE, WHITE, BRIGHT, BRIGHT, BRIGHT])
    pen.beads(22, [BRIGHT, BRIGHT, BRIGHT])
    for x in (21, 24, 27):
        pen.bead(x, 22, PALE, 0.9)


def score(pen: Pen) -> None:
    """The heat map of a scan over the sequence."""
    pen.beads(26.5, [WHITE] * 5)
    for column, cells in enumerate(("PPB", "PWP", "BPP", "PBP", "PPW")):
        for row, cell in enumerate(cells):
            left, top = 3 + 5.5 * column, 5 + 6 * row
            pen.box(left, top, left + 4, top + 4.4, {"P": PALE, "W": WHITE, "B": BRIGHT}[cell], 0.4)


def explain(pen: Pen) -> None:
    """How much each bead speaks for the prediction, or against it."""
    pen.beads(25.5, [WHITE, BRIGHT, BRIGHT, WHITE, WHITE])
    pen.line(3, 17.5, 29, 17.5, width=0.5)
    for number, high in enumerate((1.5, 12, 8, -3, 2.5)):
        left = 3.2 + 5.5 * number
        pen.box(left, 17.5 - max(high, 0), left + 3.6, 17.5 - min(high, 0), BRIGHT if high > 5 else PALE, 0.4)


def tokenizer(pen: Pen) -> None:
    """Beads joined into tokens of different lengths."""
    for y, parts in ((9, ((3, 13), (14, 18), (19, 29))), (20, ((3, 7.5), (8.5, 23.5), (24.5, 29)))):
        for number, (left, right) in enumerate(parts):
            pen.box(left, y - 3, right, y + 5, (BRIGHT, PALE, WHITE)[(number + (y > 9)) % 3], 2)


def embed(pen: Pen) -> None:
    """A sequence becomes a column of numbers."""
    pen.beads(26.5, [WHITE] * 5)
    for number, colour in enumerate((BRIGHT, PALE, WHITE, PALE)):
        pen.box(13, 4 + 4.7 * number, 19, 7.8 + 4.7 * number, colour, 0.4)
    for x, inner in ((9, 11), (23, 21)):
        pen.line(inner, 3.5, x, 3.5, x, 22.5, inner, 22.5, width=1)


def classify(pen: Pen) -> None:
    """Two groups, and the line between them."""
    for x, y in ((7, 8), (12, 6), (7, 14), (12.5, 12)):
        pen.bead(x, y, WHITE)
    for x, y in ((25, 24), (19.5, 26), (25, 18), (19, 20.5)):
        pen.bead(x, y, BRIGHT)
    pen.line(4, 26, 28, 6, colour=PALE, width=1)


def plot(pen: Pen) -> None:
    """Points between axes."""
    pen.line(5, 4, 5, 27, 28, 27, width=1.2)
    for x, y, colour in ((10, 21, WHITE), (13, 16, WHITE), (9.5, 14, WHITE), (20, 9, BRIGHT), (25, 12, BRIGHT)):
        pen.bead(x, y, colour)
    pen.bead(21.5, 15, BRIGHT)


def fold(pen: Pen) -> None:
    """A sequence, and the helix that it winds into."""
    pen.beads(26.5, [WHITE] * 5)
    for turn in range(3):
        left = 5 + 7 * turn
        pen.line(left, 18, left + 5, 6, colour=BRIGHT, width=2.6)
        pen.line(left + 5, 6, left + 7, 18, colour=PALE, width=1.6)
    pen.line(26, 18, 28, 13, colour=BRIGHT, width=2.6)


DRAWN: tuple[Callable[[Pen], None], ...] = (
    dataset, finetune, predict, evaluate, pretrain, generate, score, explain, tokenizer, embed, classify, plot, fold,
)  # fmt: skip

if __name__ == "__main__":
    ICONS.mkdir(exist_ok=True)
    for drawn in DRAWN:
        pen = Pen()
        drawn(pen)
        pen.save(ICONS / f"{drawn.__name__}.png")
