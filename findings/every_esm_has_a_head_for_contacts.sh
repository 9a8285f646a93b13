#!/usr/bin/env bash
# transformers 5.23.0: every ESM has a head for contacts, fitted or not, and predict_contacts says nothing of it.
#
# Guessed: a checkpoint that holds weights of the head for contacts had them fitted, as those of ESM-2 were on proteins of
# known structure; where nobody did, they are missing, and loading or predict_contacts warns. In fact the class makes the head
# at random, saves it beside what was trained, and reads it back without a word, so that a picture comes of any ESM. Only the
# numbers tell: a head that was fitted has a bias that makes contacts rare, one that was not has a bias of zero.
#
# Seen: both tensors of the head are in the file, nothing is missing on loading, no warning; bias 0; more than a tenth of all
# pairs of a random protein above a probability of 0.5.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 numpy==2.4.6

cd "$folder"
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - <<'PYTHON'
import warnings

import torch
from safetensors import safe_open
from transformers import EsmConfig, EsmForMaskedLM

torch.manual_seed(1)
config = EsmConfig(
    vocab_size=33, mask_token_id=32, pad_token_id=1, hidden_size=64, num_hidden_layers=3, num_attention_heads=4,
    intermediate_size=64, position_embedding_type="rotary",
)
EsmForMaskedLM(config).save_pretrained("esm")  # as after training from scratch, which the head has no part in
with safe_open("esm/model.safetensors", "pt") as file:
    head = sorted(name for name in file.keys() if "contact_head" in name)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    model, info = EsmForMaskedLM.from_pretrained("esm", output_loading_info=True, attn_implementation="eager")
    ids = torch.cat([torch.tensor([0]), torch.randint(4, 24, (60,)), torch.tensor([2])])[None]
    with torch.inference_mode():
        contacts = model.eval().predict_contacts(ids, torch.ones_like(ids))[0]
share = float((contacts > 0.5).float().mean())
bias = model.esm.contact_head.regression.bias.item()
print("tensors of the head in the file:", head)
print("missing on loading:", sorted(info["missing_keys"]), "; warnings:", [str(one.message) for one in told])
print(f"bias {bias:.3f}; pairs above 0.5: {share:.0%} of {contacts.shape[0]} x {contacts.shape[1]}")
assert len(head) == 2 and not info["missing_keys"] and not told, "this has changed"
assert bias == 0 and share > 0.1, "this has changed"
PYTHON
