"""What was found of each protein."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from seqlm.data.records import Rules

# pLDDT from which on a residue is called so (Tunyasuvunakool et al. 2021, https://doi.org/10.1038/s41586-021-03828-1)
BANDS = ((90.0, "very high"), (70.0, "confident"), (50.0, "low"), (0.0, "very low"))
CONFIDENT = 70.0
SAME_FOLD = 0.5  # pTM, as a TM-score, from which two structures mostly have the same fold
SHOWN = 4  # proteins whose pictures are drawn


def band(plddt: float) -> str:
    """What a pLDDT is called."""
    return next(name for low, name in BANDS if plddt >= low)


@dataclass(frozen=True)
class Folded:
    """One protein that was folded.

    Attributes:
        place: of the protein in the file, from 0.
        plddt: (residues,) from 0 to 100.
    """

    place: int
    plddt: np.ndarray
    ptm: float

    @property
    def mean(self) -> float:
        return float(self.plddt.mean(dtype=np.float64))

    @property
    def confident(self) -> float:
        """Share of its residues with a pLDDT of 70 or more."""
        return float((self.plddt >= CONFIDENT).mean())


@dataclass
class Summary:
    """Attributes:
    folded: by the place of the protein in the file.
    pae: by the same, of the few that are drawn.
    """

    rules: Rules
    folded: dict[int, Folded] = field(default_factory=dict)
    pae: dict[int, np.ndarray] = field(default_factory=dict)

    def add(self, folded: Folded, pae: np.ndarray) -> None:
        """Note a protein; of expected errors, which are large, those of the best are kept."""
        self.folded[folded.place] = folded
        self.pae[folded.place] = pae
        if len(self.pae) > SHOWN:
            del self.pae[max(self.pae, key=self._rank)]

    @property
    def best(self) -> list[Folded]:
        """Those that are drawn, the highest mean pLDDT first."""
        return [self.folded[place] for place in sorted(self.pae, key=self._rank)]

    def _rank(self, place: int) -> tuple[float, int]:
        return -self.folded[place].mean, place
