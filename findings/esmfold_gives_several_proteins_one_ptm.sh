#!/usr/bin/env bash
# transformers 5.23.0: EsmForProteinFolding gives one pTM for all proteins of a batch, and PDB files with pLDDT from 0 to 1.
#
# Guessed: every number of confidence is one for each protein, and B factors are from 0 to 100, as in the files of ESMFold's
# authors and of AlphaFold's database, which is what viewers colour by. In fact compute_tm takes the best row over the whole
# batch, so that two proteins get a single number, that of the better one; and B factors are the pLDDT as the model has it, so
# that a viewer shows each structure as "very low".
#
# Seen: pTM of two proteins: shape (), the larger of the two; largest B factor below 1.01.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 numpy==2.4.6

HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - <<'PYTHON'
import torch
from transformers import EsmConfig, EsmForProteinFolding

torch.manual_seed(1)
STRUCTURE = {"sequence_dim": 16, "pairwise_dim": 8, "ipa_dim": 4, "resnet_dim": 8, "num_heads_ipa": 2, "num_blocks": 1}
TRUNK = {
    "num_blocks": 1, "sequence_state_dim": 16, "pairwise_state_dim": 8, "sequence_head_width": 8,
    "pairwise_head_width": 4, "max_recycles": 1, "chunk_size": None, "structure_module": STRUCTURE,
}
config = EsmConfig(
    vocab_size=33, mask_token_id=32, pad_token_id=1, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
    intermediate_size=16, position_embedding_type="rotary", is_folding_model=True, initializer_range=0.4,
    esmfold_config={"fp16_esm": False, "lddt_head_hid_dim": 8, "trunk": TRUNK},
)
model = EsmForProteinFolding(config).eval()
proteins = ["MKTAYIAKQRQISFVKSHFS", "GAVLIPFWMSTAKKDDEEHH"]
alone = [float(model.infer(one)["ptm"]) for one in proteins]
together = model.infer(proteins)["ptm"]
factors = [float(line[60:66]) for line in model.infer_pdb(proteins[0]).splitlines() if line.startswith("ATOM")]
print(f"pTM of two proteins: shape {tuple(together.shape)}, {float(together):.4f}; alone {alone[0]:.4f} and {alone[1]:.4f}")
print(f"largest B factor: {max(factors):.2f}")
assert together.shape == () and abs(float(together) - max(alone)) < 1e-4, "this has changed"
assert max(factors) < 1.01, "this has changed"
PYTHON
