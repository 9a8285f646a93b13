"""The models that the SeqLM tools were written for, so that an administrator need not know their names.

``models.tsv`` is the one place where they stand, a line each. The options of fetch_model.xml and the table of models in
the documentation of the tools are written from it by deploy/models_table.py of their repository. Columns:

    id, name       on the Hub, and what users see in the forms
    reads          protein, dna or molecule
    pipeline_tag   by which the tools' forms find it: what the Hub says of some (ProtT5: text2text-generation) would
                   offer them nowhere
    licence        as its card or its authors name it; empty where that is not known. The Hub is asked when a model is
                   fetched; one that allows no commercial use must be known before, because the Hub's may be missing
    architecture … bits   of the published config.json and weights, for the tools' documentation alone
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from .licences import non_commercial

FEATURES, MASKED, WRITES, RESIDUES = "feature-extraction", "fill-mask", "text-generation", "token-classification"
FOLDS = "other"  # the Hub has no tag for what predicts structures
MODELS = Path(__file__).with_name("models.tsv")


@dataclass(frozen=True)
class Preset:
    """A model by its usual name.

    Attributes:
        name: what users see in the forms.
        pipeline_tag: by which the forms find it.
        reads: protein, dna or molecule; the row's free_tag.
        licence: empty where it is not known.
    """

    name: str
    pipeline_tag: str
    reads: str
    licence: str = ""

    @property
    def terms(self) -> str:
        """The licence, where it does not allow every use."""
        return non_commercial(self.licence)


def facts() -> list[dict[str, str]]:
    """The lines of models.tsv, by the names of its columns."""
    with open(MODELS, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


PRESETS = {line["id"]: Preset(line["name"], line["pipeline_tag"], line["reads"], line["licence"]) for line in facts()}
