"""Python of a model card: what gives the tools' numbers with nothing but the public libraries."""

from __future__ import annotations

import json

from seqlm.data.tasks import level_of

from .card_reading import (
    EXAMPLES,
    MOLECULES,
    OF_SIX_MERS,
    READER,
    READERS,
    example_texts,
    reading_code,
    without_end,
)
from .manifest import ADAPTERS

# AutoModel would bring the decoder of T5 along, and take DNABERT-2 for a BERT
ENCODERS = {
    "t5": "T5EncoderModel",
    "dnabert2": "DnaBert2Model",
    "nucleotide_transformer": "GatedEsmModel",
    "hyenadna": "HyenaDnaModel",
    "lucaone": "LucaOneModel",
    "proteinbert": "ProteinBertModel",
    "progen2": "ProGen2Model",
}
OWN_ARCHITECTURES = {
    "dnabert2": "seqlm.models.dnabert2",
    "nucleotide_transformer": "seqlm.models.gated_esm",
    "hyenadna": "seqlm.models.hyenadna",
    "lucaone": "seqlm.models.lucaone",
    "proteinbert": "seqlm.models.proteinbert",
    "progen2": "seqlm.models.progen2",
}
PAIR_PARTS = "first + second, (first - second).abs(), first * second"  # see seqlm.inference.tasks.paired


def predicting_code(manifest: dict) -> list[str]:
    """Python that gives what ``predict`` gives, with nothing but the public libraries."""
    head, base, second = manifest["head"], manifest.get("base_model"), manifest.get("second_model")
    encoder, own = ENCODERS.get(manifest["family"], "AutoModel"), OWN_ARCHITECTURES.get(manifest["family"])
    reader, opened = READERS.get(manifest["family"], ((), ""))
    public = {*([] if own else [encoder]), *(["AutoModel"] if second else [])}
    public |= {"AutoTokenizer"} if second or not opened else set()
    # of the Nucleotide Transformer, which has no token at the end, and to which transformers would add one
    no_end = without_end(manifest)
    repaired, pieces = manifest.get("tokenizer") == "repaired", manifest["family"] in ("t5", "albert", "xlnet")
    source = "folder" if manifest["method"] in ("full", "pretrain") or not base else _python(base)
    adapter = manifest["method"] in ADAPTERS
    lines = [
        *(["import re", ""] if repaired else ["from pathlib import Path", ""] if reader else []),
        "import torch",
        *(["from peft import PeftModel"] if adapter else []),
        "from safetensors.torch import load_file",
        "from torch.nn.functional import linear",
        *([f"from transformers import {', '.join(sorted(public))}"] if public else []),
        *(
            [f"from {own} import {encoder}  # in tools/scripts of SeqLM for Galaxy; transformers has none"]
            if own
            else []
        ),
        *reader,
        "",
        "def read(model, tokenizer, text):  # vector of each token, and which tokens are no special ones",
        *reading_code(manifest),
        "    with torch.inference_mode():",
        "        return model.float().eval()(**tokens).last_hidden_state[0], letters",
        "",
        'folder = "."',
        'head = load_file(f"{folder}/head.safetensors")',
        *(["# of a SentencePiece model; the packages sentencepiece and protobuf read it"] if pieces else []),
        opened or f"tokenizer = AutoTokenizer.from_pretrained({source}{', eos_token=None' if no_end else ''})",
        f"model = {encoder}.from_pretrained({source})",
        *(["model = PeftModel.from_pretrained(model, folder)"] if adapter else []),
    ]
    first, other = example_texts(manifest)
    mean, own = "vectors[letters].mean(0)", f"vectors, letters = read(model, tokenizer, {first})"
    pooled = "vectors[0]" if manifest["pooling"] == "cls" else mean
    setup, level = len(lines), level_of(manifest["task"])
    if level == "residue":
        lines += [own, "unit = vectors[letters]  # (residues, hidden)"]
    elif level == "sequence":
        lines += [own, f"unit = {pooled}"]
    else:
        lines += [own, f"first = {pooled}"]
        if second:
            lines += [
                "# AutoModel is T5EncoderModel for a T5, DnaBert2Model of SeqLM for a DNABERT-2; DNA has no",
                "# blanks between its letters",
                f"other_tokenizer = AutoTokenizer.from_pretrained({_python(second)})",
                f"other_model = AutoModel.from_pretrained({_python(second)})",
            ]
        reader = "other_model, other_tokenizer" if second else "model, tokenizer"
        lines.append(f"vectors, letters = read({reader}, {other})")
        lines.append(f"second = {mean if second else pooled}")
        together = "first, second" if head["pairs"] == "ordered" else PAIR_PARTS
        lines.append(f"unit = torch.cat([{together}])")
    lines += _head(head["kind"], manifest["format"])
    if manifest["labels"]:
        temperature = manifest.get("temperature", 1)
        logits = "outputs" if temperature == 1 else f"outputs / {temperature:.6g}"
        several = manifest["task"] == "multi-label"
        lines.append(f"print(torch.{f'sigmoid({logits})' if several else f'softmax({logits}, -1)'})")
    else:
        lines.append('print(outputs * head["scale"] + head["shift"])')
    members = manifest.get("members", 1)
    return lines if members == 1 else _of_all(lines[:setup], lines[setup:], members, adapter)


def _of_all(setup: list[str], of_one: list[str], members: int, adapter: bool) -> list[str]:
    """The code for one model, which ends with what it prints, as code for the mean of an ensemble."""
    head = next(line for line in setup if line.startswith("head = "))
    setup.remove(head)
    if adapter:
        setup[setup.index("from peft import PeftModel")] += ", set_peft_model_state_dict"
    loaded = ['set_peft_model_state_dict(model, load_file(f"{folder}/adapter_model{end}.safetensors"))'] * adapter
    body = [*loaded, head.replace("head.s", "head{end}.s"), *of_one[:-1]]
    body.append(f"members.append({of_one[-1].removeprefix('print(')}")
    return [
        *setup,
        "members = []",
        f"for end in ['', *(f'_{{number}}' for number in range(2, {members + 1}))]:",
        *(f"    {line}" for line in body),
        "print(torch.stack(members).mean(0))",
    ]


def _head(kind: str, format: int) -> list[str]:
    """From the vector of a unit to outputs; heads of format 1 have their layers one after the other."""
    inner = 'torch.tanh(linear(unit, head["dense.weight"], head["dense.bias"]))'
    out = 'outputs = linear(unit, head["out.weight"], head["out.bias"])'
    if format == 1:
        return [f"unit = {inner}", out] if kind == "mlp" else [out]
    beside = [f'outputs += linear({inner}, head["beside.weight"])'] if kind == "mlp" else []
    return ['unit = (unit - head["center"]) / head["spread"]', out, *beside]


def writing_code(manifest: dict) -> list[str]:
    """Python that reads and writes a sequence as the tools do, with nothing but the public libraries."""
    base, adapter = manifest.get("base_model"), manifest["method"] in ADAPTERS
    source = _python(base) if adapter else "folder"
    length = (manifest.get("settings") or {}).get("line_length")
    repaired = manifest.get("tokenizer") == "repaired"
    sequence = EXAMPLES.get(manifest["alphabet"], MOLECULES)[0]
    # peft's own class wants to regularise AdaLoRA's loss, also where nothing is trained, and fails
    whole = "model.get_base_model()" if manifest["method"] == "adalora" else "model"
    line = [
        f"lines = [text[at : at + {length}] for at in range(0, len(text), {length})]  # as in FASTA without headers",
        'text = "\\n" + "\\n".join(lines) + "\\n"',
    ]
    split = ['letters = tokenizer(text, add_special_tokens=False)["input_ids"]']
    if repaired:
        split = [
            r'atoms = re.findall(r"\[.*?\]|%\d\d|>>|Br|Cl|.", text)  # by itself this tokenizer loses atoms',
            "letters = tokenizer.convert_tokens_to_ids(atoms)",
        ]
    if manifest["family"] == OF_SIX_MERS:
        return _writing_six_mers(source, adapter, whole)
    return [
        *(["import re", ""] if repaired else []),
        "import torch",
        *(["from peft import PeftModel"] if adapter else []),
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'folder = "."',
        f"tokenizer = AutoTokenizer.from_pretrained({source})",
        f"model = AutoModelForCausalLM.from_pretrained({source})",
        *(["model = PeftModel.from_pretrained(model, folder)"] if adapter else []),
        "model.eval()",
        "ends = model.config.eos_token_id",
        "end = ends[0] if isinstance(ends, list) else ends",
        "start = end if model.config.bos_token_id is None else model.config.bos_token_id",
        f'text = "{sequence}"',
        *(line if length else []),
        *split,
        "tokens = torch.tensor([[start, *letters, end]])",
        "with torch.inference_mode():",
        f"    perplexity = {whole}(tokens, labels=tokens).loss.exp().item()",
        "    written = model.generate(torch.tensor([[start]]), do_sample=True, top_k=0, max_new_tokens=100)",
        "print(perplexity)",
        "print(tokenizer.decode(written[0], skip_special_tokens=True))",
    ]


def _writing_six_mers(source: str, adapter: bool, whole: str) -> list[str]:
    """The same for models of 6-mers, whose perplexity is that of a base."""
    return [
        "from pathlib import Path",
        "",
        "import torch",
        *(["from peft import PeftModel"] if adapter else []),
        "from transformers import AutoModelForCausalLM",
        *READER,
        "",
        'folder = "."',
        "words = read_vocabulary(Path(folder))",
        "tokenizer = SixMerReader.of(words)",
        f"model = AutoModelForCausalLM.from_pretrained({source})",
        *(["model = PeftModel.from_pretrained(model, folder)"] if adapter else []),
        "model.eval()",
        'text = "ACGTACGTACGTTGACAGCTATTG"  # whole 6-mers',
        "letters = tokenizer.read([text])[0].ids.tolist()",
        "start = tokenizer.start",
        "tokens = torch.tensor([[start, *letters]])",
        "with torch.inference_mode():",
        f"    loss = {whole}(tokens, labels=tokens).loss",
        "    written = model.generate(",
        "        torch.tensor([[start]]), do_sample=True, top_k=0, max_new_tokens=20, eos_token_id=tokenizer.end",
        "    )",
        "perplexity = (loss * len(letters) / len(text)).exp().item()  # of a base",
        "print(perplexity)",
        "names = {number: token for token, number in words.items()}",
        'print("".join(names.get(number, "") for number in written[0].tolist() if names.get(number, "<")[0] != "<"))',
    ]


def _python(base: dict) -> str:
    revision = f", revision={json.dumps(base['revision'])}" if base.get("revision") else ""
    return json.dumps(base["id"]) + revision
