#!/usr/bin/env bash
# transformers 5.23.0: what was loaded with a key_mapping is saved under the text of its pattern.
#
# Guessed: from_pretrained(key_mapping={pattern: name}) renames tensors on the way in, and save_pretrained writes the names
# of the model, or those that were in the file. In fact it turns the mapping round and writes the pattern itself where it is
# more than a plain name: a tensor is then called "pooler.old\d+.bias$", and the folder cannot be loaded again, with the
# mapping or without: that weight is missing, and is filled in at random with no more than a table on stderr. A mapping of
# plain names is turned round rightly.
#
# Seen: saved as pooler.old\d+.bias$; loaded again: pooler.dense.bias is missing.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.13.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6

HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

first, second = (Path(sys.argv[1]) / name for name in ("first", "second"))
size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 8}
BertModel(BertConfig(**size)).save_pretrained(first)
weights = load_file(first / "model.safetensors")
weights["pooler.old7.bias"] = weights.pop("pooler.dense.bias")
save_file(weights, first / "model.safetensors", {"format": "pt"})

BertModel.from_pretrained(first, key_mapping={r"pooler\.old\d+\.bias$": "pooler.dense.bias"}).save_pretrained(second)
saved = next(name for name in load_file(second / "model.safetensors") if "pooler" in name and "bias" in name)
_, told = BertModel.from_pretrained(second, output_loading_info=True)
print(f"saved as {saved}; loaded again: {', '.join(told['missing_keys'])} is missing")
assert saved == r"pooler.old\d+.bias$", "this has changed"
assert told["missing_keys"] == {"pooler.dense.bias"}, "this has changed"
PYTHON
