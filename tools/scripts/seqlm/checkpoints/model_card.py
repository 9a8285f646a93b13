"""README.md of a bundle: a Hugging Face model card that says what the model does, how well, and how to load it.

https://huggingface.co/docs/hub/model-cards. Text that a user can choose (labels, model names) is quoted for the YAML of
the front matter and escaped for the Markdown below it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from seqlm.data.records import CANONICAL, PROTEIN, STATES, TEXT
from seqlm.data.tasks import level_of

from .card_code import OWN_ARCHITECTURES, predicting_code, writing_code
from .installed import HUB_ID
from .manifest import ADAPTERS

PIPELINES = {"residue": "token-classification", "causal-lm": "text-generation", "masked-lm": "fill-mask"}
TITLES = {
    "multi-label": "Several labels at once",
    "causal-lm": "Causal language model",
    "masked-lm": "Masked language model",
}
METHODS = {
    "lora": "a LoRA adapter (Hu et al. 2021, https://doi.org/10.48550/arXiv.2106.09685)",
    "dora": "a DoRA adapter (Liu et al. 2024, https://doi.org/10.48550/arXiv.2402.09353)",
    "qlora": "a LoRA adapter that was trained on the base model in 4 bits (QLoRA; Dettmers et al. 2023, "
    "https://doi.org/10.48550/arXiv.2305.14314), and is for the base model as it is,",
    "adalora": "an AdaLoRA adapter (Zhang et al. 2023, https://doi.org/10.48550/arXiv.2303.10512)",
    "vera": "a VeRA adapter (Kopiczko et al. 2023, https://doi.org/10.48550/arXiv.2310.11454)",
    "ia3": "an IA3 adapter (Liu et al. 2022, https://doi.org/10.48550/arXiv.2205.05638)",
    "full": "all weights",
    "head": "a head on the unchanged model",
    "pretrain": "all weights, from scratch",
}


def model_card(manifest: dict, license: str | None = None) -> str:
    """The card of a bundle, from its checked seqlm.json.

    Args:
        manifest: see :mod:`seqlm.checkpoints.manifest`.
        license: an identifier that the Hugging Face Hub knows; without one the card claims no license.
    """
    parts = [_front_matter(manifest, license), _introduction(manifest), _scores(manifest), _usage(manifest)]
    parts.append(_provenance(manifest, license))
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(manifest: dict, license: str | None) -> str:
    base = (manifest.get("base_model") or {}).get("id", "")
    task, method = manifest["task"], manifest["method"]
    pipeline = PIPELINES.get(task) or PIPELINES.get(task.split("-")[0], "text-classification")
    entries = {
        "library_name": "peft" if method in ADAPTERS else "transformers",
        "pipeline_tag": pipeline,
        "base_model": base if HUB_ID.fullmatch(base) else None,
        "license": license,
        "tags": ["biology", manifest["alphabet"].lower(), task, "seqlm", *([method] if method != "full" else [])],
    }
    # a JSON text is also a quoted YAML one
    lines = [f"{key}: {json.dumps(entry, ensure_ascii=False)}" for key, entry in entries.items() if entry]
    return "\n".join(["---", *lines, "---"])


def _introduction(manifest: dict) -> str:
    task, base, second = manifest["task"], manifest.get("base_model"), manifest.get("second_model")
    kind = {
        TEXT: "molecules or other texts",
        CANONICAL: "molecules",
        STATES: "protein structures, written as 3Di states",
    }.get(manifest["alphabet"])
    what = kind or f"{manifest['alphabet']} sequences"
    lines = [f"# {TITLES.get(task) or task.replace('-', ' ').capitalize()} of {what}", ""]
    trained = f"Trained with SeqLM: {METHODS[manifest['method']]}"
    lines.append(trained + (f" on {_code(base['id'])}." if base else "."))
    if manifest["labels"]:
        lines.append(f"Labels, in the order of the outputs: {_list(map(_code, manifest['labels']))}.")
    if task == "causal-lm":
        lines.append("It writes sequences like those that it learnt from, and says how probable it finds a sequence.")
    if level_of(task) == "residue":
        lines.append("Every residue gets a prediction.")
    if members := manifest.get("members"):
        lines.append(
            f"An ensemble of {members} members, one for each fold of a cross-validation: the prediction is the mean of "
            "theirs. The files without a number are the first member, which plain PEFT opens by itself."
        )
    if pairs := (manifest["head"] or {}).get("pairs"):
        order = "Both orders of a pair are the same pair." if pairs == "symmetric" else "The order of a pair matters."
        lines.append(order + (f" Second members are read by {_code(second['id'])}, as it is." if second else ""))
    if manifest.get("window"):
        middle = f"with {_escape(manifest['sites'])} in the middle" if manifest.get("sites") else "around a site"
        lines.append(f"Made for windows of {manifest['window']} letters {middle}.")
    elif manifest.get("sites"):
        lines.append(f"It learnt from labels of {_escape(manifest['sites'])} only; do not use it for other letters.")
    return "\n".join(lines)


def _scores(manifest: dict) -> str:
    rows = [
        f"| {_escape(split)} | {_escape(metric)} | {_figure(value)} | {_figure(low)} to {_figure(high)} |"
        for split, scores in manifest.get("metrics", {}).items()
        for metric, (value, low, high) in scores.items()
    ]
    if not rows:
        return ""
    head = ["## Scores", "", "| split | metric | value | 95 % interval |", "|---|---|---|---|"]
    return "\n".join([*head, *rows])


def _usage(manifest: dict) -> str:
    tools = {
        "causal-lm": "the tools that generate, score and embed sequences",
        "masked-lm": "the tools that score and embed sequences",
    }
    used = tools.get(manifest["task"], "the tool *Predict*")
    lines = ["## Use", "", f"In Galaxy, choose this archive as the model of {used}."]
    writes = manifest["task"] == "causal-lm" and manifest["family"] not in OWN_ARCHITECTURES
    code = predicting_code(manifest) if manifest["head"] else writing_code(manifest) if writes else []
    if code:
        lines += ["", "In Python, from the folder that the archive unpacks to:"]
        lines += ["", "```python", *code, "```", "", *_called(manifest), *_reading(manifest)]
    if manifest.get("window"):
        length, padding = manifest["window"], "X" if manifest["alphabet"] == PROTEIN else "N"
        beyond = f'"{padding}" * {length // 2}'
        lines += [
            "",
            f"The window around the residue `site` (counted from 1) of a whole `sequence`, with {padding} for what is "
            "beyond its ends:",
            "",
            "```python",
            f"window = ({beyond} + sequence + {beyond})[site - 1 : site - 1 + {length}]",
            "```",
        ]
    return "\n".join(lines)


def _called(manifest: dict) -> list[str]:
    """What becomes of the probabilities, in words."""
    labels, threshold = manifest["labels"], manifest.get("threshold")
    lines = []
    if manifest.get("temperature", 1) != 1:
        lines.append("The outputs are divided by a temperature that was fitted on the validation set.")
    if isinstance(threshold, list):
        pairs = zip(labels, threshold, strict=True)
        each = _list(f"{_code(label)} {value:.6g}" for label, value in pairs)
        lines.append(f"A label is called when its probability is at least its threshold: {each}.")
    elif threshold is not None:
        lines.append(
            f"{_code(labels[1])} is called when its probability is at least {threshold:.6g}, else {_code(labels[0])}."
        )
    elif labels:
        lines.append("What is most probable is called.")
    return lines


def _reading(manifest: dict) -> list[str]:
    """In what the tool's way to read a sequence differs from that of the code, in words."""
    longer = f"A sequence of more than {manifest['max_length']:,} tokens is"
    lines = [
        {
            "window": f"{longer} read by the tool in overlapping windows, and by the code above at once.",
            "truncate": f"{longer} cut off there by the tool, and read whole by the code above.",
            "refuse": f"{longer} refused by the tool.",
        }[manifest["long_sequences"]]
    ]
    if manifest["family"] == "lucaone":
        lines.append(f"The model was told that it reads {_code(manifest['prefix'])}; all letters are tokens.")
    elif told := manifest.get("prefix"):
        lines.append(f"Before each sequence stands {_code(told)}, which tells the model what follows.")
    if manifest.get("light_chains"):
        lines.append(
            "A sequence is a heavy chain and a light chain, with a token between them that counts for no residue."
        )
    if manifest.get("structures"):
        lines.append("A token is a residue and its 3Di state, as Foldseek writes them; # stands for what is not known.")
    elif manifest["family"] == "saprot":
        lines.append("A token is a residue and its 3Di state; it was trained without structures, so all states are #.")
    if manifest["family"] == "saprot":
        lines.append("To the tool, X and letters that become it (U, Z, O, B, J) are the unknown residue #.")
    elif manifest["alphabet"] == PROTEIN:
        lines.append("To the tool, letters that the tokenizer does not know are X, such as U, Z, O and B to ProtT5.")
    if CANONICAL in (manifest["alphabet"], (manifest.get("second_model") or {}).get("alphabet")):
        lines.append("The tool writes every molecule in canonical form first, as RDKit's Chem.CanonSmiles does.")
    return lines


def _provenance(manifest: dict, license: str | None) -> str:
    lines = ["## Provenance", ""]
    if base := manifest.get("base_model"):
        lines.append(f"- Base model {_model(base)}")
    if second := manifest.get("second_model"):
        lines.append(f"- Second model {_model(second)}")
    if digests := manifest.get("data_sha256"):
        by_split = digests if isinstance(digests, dict) else {"train": digests}
        shown = ", ".join(f"{_escape(split)} `{digest}`" for split, digest in by_split.items())
        lines.append(f"- SHA-256 of the data: {shown}")
    versions = ", ".join(f"{_escape(name)} {_escape(number)}" for name, number in sorted(manifest["versions"].items()))
    lines.append(f"- Seed {manifest['seed']}; {versions}")
    if license is None:
        lines.append("- License: not stated by whoever trained it; that of the base model applies to its weights")
    return "\n".join(lines)


def _model(model: dict) -> str:
    revision = f", revision {_code(model['revision'])}" if model.get("revision") else ""
    return f"{_code(model['id'])}{revision}; SHA-256 of its weights `{model['sha256']}`"


def _list(entries: Iterable[str], most: int = 50) -> str:
    entries = list(entries)
    more = len(entries) - most
    return ", ".join(entries[:most]) + (f" and {more} more" if more > 0 else "")


def _figure(number: float | None) -> str:
    return "–" if number is None else f"{number:.3f}"


def _escape(text: str) -> str:
    """Every character that Markdown or HTML could read as markup, behind a backslash."""
    return re.sub(r"([\\`*_{}\[\]()!|<>~&:@])", r"\\\1", text)


def _code(text: str) -> str:
    """Text as code: a fence longer than any run of backticks in it."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    inner = f" {text} " if "`" in text or text != text.strip() else text
    return f"{fence}{inner}{fence}"
