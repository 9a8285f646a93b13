"""The row of Galaxy's ``huggingface`` table: seven columns, as Galaxy's own documentation of the table has them."""

from __future__ import annotations

import fcntl
from pathlib import Path

from .choice import Choice
from .hub import RemoteModel
from .presets import FEATURES, FOLDS, MASKED, PRESETS, RESIDUES, WRITES
from .refusal import Refused

TABLE = "huggingface"
COLUMNS = ("value", "name", "pipeline_tag", "domain", "free_tag", "version", "path")
DOMAINS = ("sequence", "text", "image", "audio", "tabular", "video", "multimodal")
# Tags of the Hub, as its pages of models list them.
OFFICIAL = frozenset([
    "any-to-any", "audio-classification", "audio-text-to-text", "audio-to-audio", "automatic-speech-recognition",
    "depth-estimation", "document-question-answering", "feature-extraction", "fill-mask", "graph-ml",
    "image-classification", "image-feature-extraction", "image-segmentation", "image-text-to-image",
    "image-text-to-text", "image-text-to-video", "image-to-3d", "image-to-image", "image-to-text", "image-to-video",
    "keypoint-detection", "mask-generation", "multiple-choice", "object-detection", "other", "question-answering",
    "reinforcement-learning", "robotics", "sentence-similarity", "summarization", "table-question-answering",
    "tabular-classification", "tabular-regression", "text-classification", "text-generation", "text-ranking",
    "text-to-3d", "text-to-audio", "text-to-image", "text-to-speech", "text-to-video", "time-series-forecasting",
    "token-classification", "translation", "unconditional-image-generation", "video-classification",
    "video-text-to-text", "video-to-video", "visual-document-retrieval", "visual-question-answering",
    "voice-activity-detection", "zero-shot-classification", "zero-shot-image-classification",
    "zero-shot-object-detection",
])  # fmt: skip
# By model_type: with a head for masked tokens, one that writes, or none that a tool uses.
MASKED_KINDS = ("albert", "bert", "esm", "esmc", "lucaone", "modernbert", "proteinbert", "roberta")
WRITING_KINDS = ("gpt2", "hyenadna", "llama", "progen")
READING_KINDS = ("t5", "xlnet")
FOLDING_KINDS = ("esmfold2",)  # and ESMFold, which says to be an ESM
_TASKS = {"TOKEN_CLS": RESIDUES, "SEQ_CLS": "text-classification"}


def pipeline_tag(model: RemoteModel, choice: Choice, config: dict) -> str:
    """The tag by which tools find the model: its preset's, the Hub's if it fits what the model is, or what it is.

    A form offers what can be opened: an adapter by its task, a whole model by what it does without a head of others.

    Args:
        config: config.json, of an adapter adapter_config.json.
    """
    if model.id in PRESETS:
        return PRESETS[model.id].pipeline_tag
    said = model.pipeline_tag if model.pipeline_tag in OFFICIAL else None
    if choice.adapter:
        return _TASKS.get(str(config.get("task_type")), said or FEATURES)
    kind, classes = config.get("model_type"), config.get("architectures") or []
    if kind in FOLDING_KINDS or config.get("is_folding_model"):
        return FOLDS
    if kind in WRITING_KINDS:
        does = WRITES
    elif kind in MASKED_KINDS:
        headed = any(str(each).endswith(("ForMaskedLM", "ForPreTraining")) for each in classes)
        does = MASKED if headed else FEATURES
    elif kind in READING_KINDS:
        does = FEATURES
    else:
        return said or FEATURES
    return said if said == FEATURES else does


def value_for(model: RemoteModel, rows: list[list[str]]) -> str:
    """The id, or with the commit behind it where the table has another version of the model.

    Raises:
        Refused: the table has this very version.
    """
    place = COLUMNS.index("version")
    versions = {row[0]: row[place] if len(row) > place else "" for row in rows}
    for value in (model.id, f"{model.id}_{model.commit[:12]}"):
        if value not in versions:
            return value
        if versions[value] == model.commit:
            raise Refused(f"the table has {model.id} at commit {model.commit} already, as {value}; nothing was fetched")
    raise Refused(f"the table has rows called {model.id} and {value}; rows are never edited, so none was added")


def name_of(model: RemoteModel, choice: Choice, given: str, terms: str) -> str:
    """What users see; it says where the weights were converted, and where use is restricted."""
    preset = PRESETS.get(model.id)
    name = given or (preset.name if preset else model.id)
    notes = [f"weights converted from {'adapter' if choice.adapter else 'pytorch'}_model.bin"] if choice.pickled else []
    notes += [f"not for commercial use: {terms}"] if terms else []
    return _plain(name + (f" ({'; '.join(notes)})" if notes else ""))


def _plain(text: str) -> str:
    """Text that cannot break a row."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:300]


def read_rows(path: Path) -> list[list[str]]:
    """The rows of a .loc file, comments left out; none where there is no file."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if line.strip() and not line.startswith("#")]


def append_row(row: dict[str, str], path: Path) -> None:
    """Add the row at the end of a .loc file, on a line of its own.

    Raises:
        Refused: meanwhile somebody has added a row of that value.
    """
    with open(path, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        if any(line.split("\t")[0] == row["value"] for line in text.splitlines()):
            raise Refused(f"{path} has a row {row['value']} already; none was added")
        file.write(("\n" if text and not text.endswith("\n") else "") + line_of(row) + "\n")


def line_of(row: dict[str, str]) -> str:
    return "\t".join(row[column] for column in COLUMNS)
