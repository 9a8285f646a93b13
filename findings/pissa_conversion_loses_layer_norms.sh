#!/usr/bin/env bash
# peft 0.21.2: save_pretrained(path_initial_model_for_weight_conversion=…), which turns a PiSSA adapter into a LoRA
# adapter for the unchanged base model, leaves out what modules_to_save trained.
#
# Guessed: the converted adapter gives the predictions of the trained model. In fact the file holds the stacked A and B
# alone; trained layer norms (or a trained head) are gone without a warning, and whoever loads it gets those of the base
# model. Saved without the conversion they are there.
#
# Seen: norm.weight and norm.bias are in the PiSSA adapter and not in the converted one.
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
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch import nn

warnings.simplefilter("ignore")
folder = Path(sys.argv[1])


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.norm = nn.Linear(16, 16), nn.LayerNorm(16)

    def forward(self, x):
        return self.norm(self.query(x))


torch.manual_seed(0)
config = LoraConfig(r=2, target_modules=["query"], modules_to_save=["norm"], init_lora_weights="pissa")
model = get_peft_model(Block(), config)
# as peft's own example does: the start is saved as an ordinary adapter
model.peft_config["default"].init_lora_weights = True
model.save_pretrained(folder / "start")
model.peft_config["default"].init_lora_weights = "pissa"

learning = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.5)
(model(torch.randn(8, 16)).square() * torch.arange(16.0)).mean().backward()
learning.step()
model.save_pretrained(folder / "pissa")
model.save_pretrained(folder / "lora", path_initial_model_for_weight_conversion=str(folder / "start"))

held = {name: sorted(load_file(folder / name / "adapter_model.safetensors")) for name in ("pissa", "lora")}
for name, tensors in held.items():
    print(f"{name}: {', '.join(tensor.removeprefix('base_model.model.') for tensor in tensors)}")
assert [any("norm" in tensor for tensor in tensors) for tensors in held.values()] == [True, False], "this has changed"
PYTHON
