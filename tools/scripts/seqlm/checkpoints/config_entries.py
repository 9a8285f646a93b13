"""Entries of config.json that are known: sizes with their bounds, numbers, words, and those that mean nothing here."""

from __future__ import annotations


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Sizes and their upper bounds, far above any published model that can be run here. Several names mean the same size,
# and some classes take either: the largest of them counts.
LAYERS = _names("num_hidden_layers num_layers n_layer n_layers")
WIDTHS = _names("hidden_size d_model n_embd embed_dim dim")
VOCABULARIES = _names("vocab_size vocab_size_emb")
HEAD_VOCABULARY = "vocab_size_lm_head"
INNER = _names("intermediate_size d_ff d_inner n_inner hidden_dim")
HEADS = _names("num_attention_heads num_heads n_head n_heads")
PER_HEAD = _names("head_dim d_kv d_head")
POSITIONS = _names("max_position_embeddings n_positions n_ctx")
SIZES = {
    **dict.fromkeys((*LAYERS, *_names("num_decoder_layers num_hidden_groups inner_group_num")), 1024),
    **dict.fromkeys((*WIDTHS, *PER_HEAD, "embedding_size", "rotary_dim", "global_hidden_size"), 1 << 16),
    **dict.fromkeys(INNER, 1 << 20),
    **dict.fromkeys((*HEADS, "num_key_value_heads"), 1024),
    **dict.fromkeys((*POSITIONS, *_names("alibi_starting_size local_attention mem_len reuse_len")), 1 << 18),
    **dict.fromkeys(_names("relative_attention_max_distance relative_attention_num_buckets type_vocab_size"), 4096),
    "num_labels": 10_000,
    "max_seq_len": 1 << 20,  # HyenaDNA reads a million bases
    **dict.fromkeys(_names("attention_key_size emb_dim filter_order pad_vocab_size_multiple"), 4096),
    **dict.fromkeys(
        _names("conv_kernel_size hyena_order num_inner_mlps short_filter_order wide_conv_dilation_rate"), 64
    ),
    **dict.fromkeys((*VOCABULARIES, HEAD_VOCABULARY), 1 << 22),
    # of ESMFold
    **dict.fromkeys(_names("num_blocks num_resnet_blocks num_transition_layers num_heads_ipa"), 256),
    **dict.fromkeys(_names("sequence_state_dim pairwise_state_dim sequence_dim pairwise_dim resnet_dim"), 1 << 14),
    **dict.fromkeys(_names("sequence_head_width pairwise_head_width position_bins ipa_dim lddt_head_hid_dim"), 4096),
    **dict.fromkeys(_names("num_angles num_qk_points num_v_points trans_scale_factor max_recycles"), 64),
    # of ESMFold2
    **dict.fromkeys(_names("folding_trunk_num_hidden_layers parcae_num_coda_layers"), 256),
    **dict.fromkeys(
        _names("pairwise_hidden_size single_inputs_size output_dim fourier_dim outer_hidden_size"), 1 << 14
    ),
    **dict.fromkeys(_names("pair_transition_intermediate_size pair_intermediate_size"), 1 << 16),
    **dict.fromkeys(_names("num_relative_residx_bins num_relative_chain_bins num_res_types max_atomic_number"), 4096),
    **dict.fromkeys(_names("char_vocab_size max_chars max_atoms_per_token num_spatial_rope_pairs_per_axis"), 256),
    **dict.fromkeys(_names("num_uid_rope_pairs num_distogram_bins num_plddt_bins num_pde_bins num_pae_bins"), 1024),
    **dict.fromkeys(_names("atom_feature_dim distogram_bins"), 1 << 16),
    **dict.fromkeys(_names("num_loops num_diffusion_samples"), 64),
    "inference_num_steps": 1000,
    # of both, with numbers of rows that are computed at once
    **dict.fromkeys(_names("chunk_size outer_product_chunk_size sliding_window"), 1 << 16),
}
# Parts of a model that a config.json describes in an object of their own.
PARTS = _names(
    """
    atom_encoder confidence_head diffusion_module esmc_config esmfold_config lm_encoder msa_encoder structure_head
    structure_module trunk
    """
)
# What else tunes the architectures of the supported families, and changes no size.
WORDS = _names(
    """
    activation activation_function alphabet attn_type classifier_activation classifier_pooling dense_act_fn
    esm_type feed_forward_proj ff_activation hidden_act hidden_activation model_type position_embedding_type
    problem_type sequence_type summary_activation summary_type
    """
)
NUMBERS = _names(
    """
    activation_freq clamp_len embed_scale end_n_top gamma_0 gamma_min global_attn_every_n_layers global_rope_theta
    inf inference_exponent inference_sigma_cap inference_sigma_max_ratio inference_sigma_min_ratio
    initializer_cutoff_factor initializer_factor initializer_range local_rope_theta max_dist min_dist noise_scale
    pretraining_tp rope_theta sigma_data sparse_pred_ignore_index spatial_rope_base_frequency start_n_top
    step_scale uid_rope_base_frequency
    """
)
# from 0 to 1: what is dropped in training, and what is added to a variance
SHARES = _names(
    """
    attention_dropout attention_probs_dropout_prob attn_pdrop classifier_dropout classifier_dropout_prob dropout
    dropout_rate embd_pdrop embed_dropout embedding_dropout eps epsilon esm_input_dropout hidden_dropout_prob
    hyena_dropout hyena_filter_dropout layer_drop layer_norm_eps layer_norm_epsilon lm_dropout mlp_dropout norm_eps
    qa_dropout resid_pdrop rms_norm_eps seq_classif_dropout summary_first_dropout summary_last_dropout
    """
)
SWITCHES = _names(
    """
    add_bias_fnn add_cross_attention add_final_layer_norm add_pooling_layer attention_bias bi_data bypass_lm
    classifier_bias cpu_grad_checkpoint decoder_bias deterministic_flash_attn emb_layer_norm_before embed_aa
    enabled esm_ablate_pairwise esm_ablate_sequence fp16_esm is_decoder is_encoder_decoder is_folding_model
    is_gated_act mlp_bias no_position_embeddings no_token_type_embeddings norm_bias per_loop_lm_dropout qkv_bias
    reorder_and_upcast_attn rope_interleaved same_length scale_attn_by_inverse_layer_idx scale_attn_weights
    scale_decoder_outputs sinusoidal_pos_embds sparse_prediction summary_proj_to_labels summary_use_proj
    tie_word_embeddings token_dropout train_freq untie_r use_bias use_cache use_embed_layer_norm
    use_esm_attn_map use_last_layer_norm use_mems_eval use_mems_train
    """
)
TOKENS = _names(
    "bos_token_id cls_token_id decoder_start_token_id eos_token_id mask_token_id pad_token_id sep_token_id unk_token_id"
)
# Entries that say where a model came from or how text was once generated; a tool here decides these for itself.
DROPPED = _names(
    """
    _attn_implementation_autoset _commit_hash _from_model_config annotation_size bad_words_ids begin_suppress_tokens
    chunk_size_feed_forward classifier_loss_reduction classifier_loss_type classifier_num_labels
    classifier_pooling_type classifier_pos_weight classifier_weight diversity_penalty do_sample down_scale_factor
    early_stopping encoder_no_repeat_ngram_size ffn_dim finetuning_task forced_bos_token_id forced_eos_token_id
    gradient_checkpointing head ignore_index is_gpu length_penalty lm_head max_length min_length name_or_path
    no_repeat_ngram_size norm_mean norm_std null_token_id num_beam_groups num_beams num_return_sequences
    output_attentions output_hidden_states output_past output_scores prefix reference_compile remove_invalid_values
    repad_logits_with_grad repetition_penalty return_dict return_dict_in_generate suppress_tokens task_level
    task_specific_params task_type temperature tf_legacy_loss top_k top_p torchscript transformers.js_config
    transformers_version typical_p use_bfloat16 use_mems
    """
)
REASONS = {
    "auto_map": "names Python code to run",
    "custom_pipelines": "names Python code to run",
    "quantization_config": "describes quantised weights, which need kernels of their own",
    "transformers_weights": "names another file to load",
}
