"""Tiny models that predict structures, with random weights: what they give is no structure of anything."""

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.models.esm.configuration_esm import get_default_vocab_list

from .protein_models import esm_tokenizer

SMALL_ESM = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
STRUCTURE = {
    "sequence_dim": 16, "pairwise_dim": 8, "ipa_dim": 4, "resnet_dim": 8, "num_heads_ipa": 2, "num_qk_points": 2,
    "num_v_points": 2, "num_blocks": 2,
}  # fmt: skip
TRUNK = {
    "num_blocks": 2, "sequence_state_dim": 16, "pairwise_state_dim": 8, "sequence_head_width": 8,
    "pairwise_head_width": 4, "position_bins": 4, "max_recycles": 2, "chunk_size": None, "structure_module": STRUCTURE,
}  # fmt: skip


def esmfold(folder):
    """As facebook/esmfold_v1: a language model in half precision, without its head for contacts."""
    config = transformers.EsmConfig(
        vocab_size=33, mask_token_id=32, pad_token_id=1, position_embedding_type="rotary", token_dropout=True,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, is_folding_model=True, initializer_range=0.4,
        vocab_list=get_default_vocab_list(),
        esmfold_config={"fp16_esm": True, "lddt_head_hid_dim": 8, "trunk": TRUNK}, **SMALL_ESM,
    )  # fmt: skip
    esm_tokenizer(folder, config.vocab_list)
    transformers.EsmForProteinFolding(config).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "contact_head" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


ATOMS = {
    "hidden_size": 16, "output_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "num_spatial_rope_pairs_per_axis": 1, "num_uid_rope_pairs": 1,
}  # fmt: skip
DIFFUSION = {
    "hidden_size": 16, "fourier_dim": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "pair_intermediate_size": 16, "atom_encoder": ATOMS,
}  # fmt: skip


def esmfold2(folder):
    """As biohub/ESMFold2, without any file of a tokenizer."""
    config = transformers.EsmFold2Config(
        hidden_size=16, pairwise_hidden_size=8, single_inputs_size=83, pair_transition_intermediate_size=16,
        sliding_window=16, num_relative_residx_bins=4, num_loops=1, folding_trunk_num_hidden_layers=1,
        parcae_num_coda_layers=1, atom_encoder=ATOMS, lm_encoder={"num_hidden_layers": 1}, initializer_range=0.2,
        structure_head={"num_distogram_bins": 8, "num_diffusion_samples": 2, "inference_num_steps": 4,
                        "diffusion_module": DIFFUSION},
        confidence_head={"num_hidden_layers": 1, "distogram_bins": 8, "num_plddt_bins": 16},
        msa_encoder={"hidden_size": 8, "outer_hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,
                     "head_dim": 4, "intermediate_size": 8},
        esmc_config={"model_type": "esmc", "vocab_size": 64, "max_position_embeddings": 128, **SMALL_ESM},
    )  # fmt: skip
    model = transformers.EsmFold2Model(config)
    for weight in (model.confidence_head.plddt_weight, model.confidence_head.pae_head.weight):
        torch.nn.init.normal_(weight, std=0.5)  # or every residue would have the same confidence
    model.save_pretrained(folder)


MAKERS = {"esmfold": esmfold, "esmfold2": esmfold2}
if not hasattr(transformers, "EsmFold2Model"):  # before 5.16
    del MAKERS["esmfold2"]
