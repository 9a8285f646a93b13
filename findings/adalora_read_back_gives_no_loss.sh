#!/usr/bin/env bash
# peft 0.21.2: an AdaLoRA adapter of a language model that was loaded for inference fails as soon as it is given labels,
# and is loaded with a warning that what makes it up is ignored.
#
# Guessed: PeftModel.from_pretrained(base, folder)(ids, labels=ids).loss is the loss, as with every other adapter. In
# fact AdaLoraModel.forward adds its regularisation whenever there is a loss, and looks for trainable_adapter_name, which
# only a model in training has: AttributeError. The loss is had from model.get_base_model(). On the way, the loader warns
# that all keys of rank_pattern "did not match any targeted module and were ignored"; they are module names with .lora_E
# behind them, which its own saving wrote, and they are used: the weights have the ranks that they say.
#
# Seen: AttributeError about trainable_adapter_name with labels; logits equal to the trained model's without; the warning.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.13.0 peft==0.21.2 transformers==5.23.0 accelerate==1.15.0 safetensors==0.8.0 numpy==2.4.6

HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import warnings
from pathlib import Path

import torch
from peft import AdaLoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

folder, ids = Path(sys.argv[1]), torch.arange(1, 9)[None]


def base():
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=32, **sizes))


config = AdaLoraConfig(init_r=4, target_r=1, total_step=5, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
model = get_peft_model(base(), config)
learning = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], lr=0.1)
for step in range(1, 6):
    model(ids, labels=ids).loss.backward()
    learning.step()
    model.base_model.update_and_allocate(step)
    learning.zero_grad()
model.eval().save_pretrained(folder / "adapter")

with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    again = PeftModel.from_pretrained(base(), folder / "adapter").eval()
ignored = [str(one.message) for one in said if "were ignored" in str(one.message)]
print(f"warned: {ignored[0][:100]}…")
pattern = model.peft_config["default"].rank_pattern
print(f"ranks of {len(pattern)} maps: {[sum(kept) for kept in pattern.values()]} of 4")
with torch.no_grad():
    apart = (again(ids).logits - model(ids).logits).abs().max().item()
    print(f"logits {apart:.1e} apart")
    try:
        again(ids, labels=ids)
        failed = ""
    except AttributeError as problem:
        failed = str(problem)
    print(f"with labels: {failed}")
    loss = again.get_base_model()(ids, labels=ids).loss.item()
    print(f"loss of the base model with the adapter in it: {loss:.3f}")
assert ignored and "trainable_adapter_name" in failed and apart < 1e-5, "this has changed"
PYTHON
