"""Tiny models of proteins with random weights, each of a family that reads in a way of its own: files and names are
those of the published models."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tools" / "scripts"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from makers.models import lucaone, proteinbert
from makers.protein_models import zymctrl


def tiny_zymctrl(folder: Path) -> None:
    """Two layers of ZymCTRL's kind, which is told the class of an enzyme before each sequence."""
    zymctrl(folder, n_embd=32, initializer_range=0.3)


def tiny_lucaone(folder: Path) -> None:
    """Two layers of LucaOne's kind, which reads genes and proteins."""
    lucaone(folder, hidden_size=32)


def tiny_proteinbert(folder: Path) -> None:
    """Two layers of ProteinBERT's kind: convolutions, and a vector of the whole protein beside them."""
    proteinbert(folder, hidden_size=24, global_hidden_size=32, attention_key_size=8)
