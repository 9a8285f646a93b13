"""README.md of a bundle: a Hugging Face model card that says what the model does, how well, and how to load it.

https://huggingface.co/docs/hub/model-cards. Text that a user can choose (labels, model names) is quoted for the YAML of
the front matter and escaped for the Markdown below it.
"""

from __future__ import annotations

import json
import re

PIPELINES = {"residue": "token-classification", "causal-lm": "text-generation", "masked-lm": "fill-mask"}
METHODS = {
    "lora": "a LoRA adapter (Hu et al. 2021, https://doi.org/10.48550/arXiv.2106.09685)",
    "dora": "a DoRA adapter (Liu et al. 2024, https://doi.org/10.48550/arXiv.2402.09353)",
    "full": "all weights",
    "head": "a head on the unchanged model",
    "pretrain": "all weights, from scratch",
}
ENCODERS = {"t5": "T5EncoderModel"}  # AutoModel would bring the decoder along
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def model_card(manifest: dict, license: str | None = None) -> str:
    """The card of a bundle, from its checked seqlm.json.

    Args:
        manifest: see :mod:`seqlm.manifest`.
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
        "library_name": "peft" if method in ("lora", "dora") else "transformers",
        "pipeline_tag": pipeline,
        "base_model": base if _HUB_ID.fullmatch(base) else None,
        "license": license,
        "tags": ["biology", manifest["alphabet"].lower(), task, "seqlm", *([method] if method != "full" else [])],
    }
    # a JSON text is also a quoted YAML one
    lines = [f"{key}: {json.dumps(entry, ensure_ascii=False)}" for key, entry in entries.items() if entry]
    return "\n".join(["---", *lines, "---"])


def _introduction(manifest: dict) -> str:
    task, base = manifest["task"], manifest.get("base_model")
    lines = [f"# {task.replace('-', ' ').capitalize()} of {manifest['alphabet']} sequences", ""]
    trained = f"Trained with SeqLM: {METHODS[manifest['method']]}"
    lines.append(trained + (f" on {_code(base['id'])}." if base else "."))
    if manifest["labels"]:
        shown = [_code(label) for label in manifest["labels"][:50]]
        more = len(manifest["labels"]) - len(shown)
        lines.append(f"Labels, in the order of the outputs: {', '.join(shown)}{f' and {more} more' if more else ''}.")
    if manifest.get("window"):
        lines.append(f"Made for windows of {manifest['window']} letters around a site.")
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
    lines = ["## Use", "", "In Galaxy, choose this archive as the model of the tool *Predict*.", ""]
    head, base = manifest["head"], manifest.get("base_model")
    if head is None:
        return "\n".join(lines[:-1])
    encoder = ENCODERS.get(manifest["family"], "AutoModel")
    adapter = manifest["method"] in ("lora", "dora")
    whole = manifest["method"] in ("full", "pretrain")
    source = "folder" if whole or not base else _python(base)
    example = "MKTAYIAKQR" if manifest["alphabet"] == "protein" else "ACGTACGTAC"
    text = f'" ".join("{example}")' if manifest["alphabet"] == "protein" else f'"{example}"'
    lines += [
        "In Python, from the folder that the archive unpacks to:",
        "",
        "```python",
        "import torch",
        *(["from peft import PeftModel"] if adapter else []),
        "from safetensors.torch import load_file",
        f"from transformers import AutoTokenizer, {encoder}",
        "",
        'folder = "."',
        f"model = {encoder}.from_pretrained({source})",
        *(["model = PeftModel.from_pretrained(model, folder)"] if adapter else []),
        f"tokenizer = AutoTokenizer.from_pretrained({source})",
        f'tokens = tokenizer({text}, return_tensors="pt", return_special_tokens_mask=True)',
        'letters = tokens.pop("special_tokens_mask")[0] == 0',
        "with torch.inference_mode():",
        "    hidden = model.eval()(**tokens).last_hidden_state[0]",
        f"vector = {'hidden[0]' if manifest['pooling'] == 'cls' else 'hidden[letters].mean(0)'}",
        'head = load_file(f"{folder}/head.safetensors")',
    ]
    if head["kind"] == "mlp":
        lines.append('vector = torch.tanh(head["dense.weight"] @ vector + head["dense.bias"])')
    lines.append('outputs = head["out.weight"] @ vector + head["out.bias"]')
    if manifest["task"] == "multi-label":
        lines.append("print(torch.sigmoid(outputs))")
    elif manifest["labels"]:
        lines.append("print(torch.softmax(outputs, -1))")
    else:
        lines.append('print(outputs * head["scale"] + head["shift"])')
    return "\n".join([*lines, "```"])


def _provenance(manifest: dict, license: str | None) -> str:
    lines = ["## Provenance", ""]
    if base := manifest.get("base_model"):
        revision = f", revision {_code(base['revision'])}" if base.get("revision") else ""
        lines.append(f"- Base model {_code(base['id'])}{revision}; SHA-256 of its weights `{base['sha256']}`")
    if isinstance(manifest.get("data_sha256"), str):
        lines.append(f"- SHA-256 of the training data `{manifest['data_sha256']}`")
    versions = ", ".join(f"{_escape(name)} {_escape(number)}" for name, number in sorted(manifest["versions"].items()))
    lines.append(f"- Seed {manifest['seed']}; {versions}")
    if license is None:
        lines.append("- License: not stated by whoever trained it; that of the base model applies to its weights")
    return "\n".join(lines)


def _python(base: dict) -> str:
    revision = f", revision={json.dumps(base['revision'])}" if base.get("revision") else ""
    return json.dumps(base["id"]) + revision


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
