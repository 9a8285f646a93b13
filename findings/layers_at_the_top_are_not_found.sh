#!/usr/bin/env bash
# peft 0.19.1: layers_to_transform with layers_pattern adapts nothing where the list of layers stands at the top of a model.
#
# Guessed: "the last layer only" is asked for alike of every encoder, bare or within a class with a head. In fact the
# pattern is looked for between two dots, so "layers.1.…" of a bare LlamaModel (as ESM-C, ModernBERT, XLNet and GPT-2 have
# it) is not found and peft says that the target modules are not in the model, while "model.layers.1.…" of the same
# weights in LlamaForCausalLM is. An adapter made on either by peft 0.21 has entries that 0.19 cannot follow on the bare
# one. Names written out in target_modules are found by both.
#
# Seen: bare: ValueError; with its head: 2 modules; bare, written out: 2 modules.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.13.0 peft==0.19.1 transformers==5.23.0 accelerate==1.13.0 safetensors==0.8.0 numpy==2.4.6

HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - <<'PYTHON'
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel

SIZE = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 40}
ENDS = ["q_proj", "v_proj"]
LAST = {"target_modules": ENDS, "layers_to_transform": [1], "layers_pattern": "layers"}
NAMED = {"target_modules": [f"layers.1.self_attn.{name}" for name in ENDS]}


def adapted(model, options):
    try:
        found = get_peft_model(model(LlamaConfig(**SIZE)), LoraConfig(r=2, **options))
    except ValueError as problem:
        return f"ValueError ({str(problem).split('.')[0]})"
    return str(sum(name.endswith("lora_A.default.weight") for name, _ in found.named_parameters()))


seen = [adapted(LlamaModel, LAST), adapted(LlamaForCausalLM, LAST), adapted(LlamaModel, NAMED)]
for what, result in zip(("bare", "with its head", "bare, written out"), seen, strict=True):
    print(f"{what}: {result}")
assert seen[0].startswith("ValueError"), "this has changed"
assert seen[1:] == ["2", "2"], "this has changed"
PYTHON
