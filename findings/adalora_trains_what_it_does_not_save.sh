#!/usr/bin/env bash
# peft 0.21.2: AdaLoRA trains ranknum, the number by which each matrix's change is divided, where the base model is not
# on the CPU in single precision when the adapter is put onto it, and does not save it.
#
# Guessed: what is trained is lora_A, lora_B and lora_E; ranknum is made with requires_grad=False and is a constant, so
# that the saved adapter gives the predictions of the trained model. In fact the adapter is moved to the base model's
# device and format by ParameterDict[name] = tensor.to(…), which makes a new parameter that requires gradients wherever
# something had to be moved. There an optimizer over all that requires gradients changes ranknum;
# adapter_model.safetensors leaves it out, and whoever loads the adapter gets the rank once more.
#
# Seen: with a base model in fp32 ranknum is not trained and the read-back adapter gives the same numbers; with one in
# fp64, where rounding plays no part, it is trained and not saved, and the numbers are 0.02 apart.
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
from safetensors.torch import load_file
from torch import nn

warnings.simplefilter("ignore")
folder, x = Path(sys.argv[1]), torch.linspace(-1, 1, 64).reshape(4, 16)
seen = {}


def base(dtype):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 16)).to(dtype)


for dtype in (torch.float32, torch.float64):
    config = AdaLoraConfig(init_r=4, target_r=2, total_step=100, tinit=50, target_modules=["0"])
    model = get_peft_model(base(dtype), config)
    trained = [name for name, one in model.named_parameters() if one.requires_grad]
    learning = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], lr=0.1)
    for _ in range(20):
        learning.zero_grad()
        model(x.to(dtype)).square().sum().backward()
        learning.step()
    model.save_pretrained(folder / "adapter")
    held = load_file(folder / "adapter" / "adapter_model.safetensors")
    again = PeftModel.from_pretrained(base(dtype), folder / "adapter")
    apart = (again(x.to(dtype)) - model(x.to(dtype))).abs().max().item()
    seen[dtype] = (any("ranknum" in name for name in trained), any("ranknum" in name for name in held), apart > 1e-4)
    print(f"{dtype}: ranknum trained, saved: {seen[dtype][:2]}; read back {apart:.1e} apart")
assert seen == {torch.float32: (False, False, False), torch.float64: (True, False, True)}, "this has changed"
PYTHON
