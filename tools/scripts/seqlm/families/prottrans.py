"""What the models of ProtTrans share (Elnaggar et al. 2021, https://doi.org/10.1109/TPAMI.2021.3095381): U, Z, O, B and
J are X, and SentencePiece writes a residue with the blank before it."""

from __future__ import annotations

from seqlm.data.records import PROTEIN


class ProtTrans:
    """Stands before ``Family`` among the bases; models of other alphabets are as any other of their architecture."""

    @property
    def citations(self) -> tuple[str, ...]:
        return ("prottrans",) if self.alphabet == PROTEIN else ()

    @property
    def replacements(self) -> dict[str, str]:
        # the authors trained every one of their models so
        return dict.fromkeys("UZOBJ", "X") if self.alphabet == PROTEIN else super().replacements

    def token(self, letter: str) -> str:
        return "▁" + letter if "▁A" in self.vocabulary else letter
