"""Tiny models that predict structures, with random weights: what they give is no structure of anything."""

import transformers
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
    """As facebook/esmfold_v1, its language model in half precision."""
    config = transformers.EsmConfig(
        vocab_size=33, mask_token_id=32, pad_token_id=1, position_embedding_type="rotary", token_dropout=True,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, is_folding_model=True, initializer_range=0.4,
        vocab_list=get_default_vocab_list(),
        esmfold_config={"fp16_esm": True, "lddt_head_hid_dim": 8, "trunk": TRUNK}, **SMALL_ESM,
    )  # fmt: skip
    esm_tokenizer(folder, config.vocab_list)
    transformers.EsmForProteinFolding(config).save_pretrained(folder)


MAKERS = {"esmfold": esmfold}
