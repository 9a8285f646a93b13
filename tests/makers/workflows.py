"""The workflows by their names, and those that are run with each commit: each tool that is in any is in one of them."""

from __future__ import annotations

from pathlib import Path

WORKFLOWS = {path.stem: path for path in sorted(Path(__file__).resolve().parents[2].glob("workflows/*/*/*.ga"))}
EACH_TIME = (
    "dephosphorylation-sites", "design-within-a-family", "fitness-from-few-measurements", "variant-scan-of-a-protein",
    "coding-or-not", "teach-llama-dna",
)  # fmt: skip
