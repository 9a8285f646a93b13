"""config.json of a model that a stranger made: known entries are kept, harmless ones dropped, anything else refused.

transformers sets every entry of the file as an attribute of the configuration, whatever its name. Some import Python
code (``auto_map``), open other files (``transformers_weights``), fetch kernels (``attn_implementation``) or are looked
up in torch (``dtype``), and every size is believed: ``num_labels`` of a billion fills the memory before a weight is
read. So the dict that reaches transformers is rebuilt here from entries that are understood, and the model they
describe must not be larger than its weights.
"""

from __future__ import annotations

import re

from seqlm.cli.errors import InputError


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
    activation_freq attention_dropout attention_probs_dropout_prob attn_pdrop clamp_len classifier_dropout
    classifier_dropout_prob dropout dropout_rate embd_pdrop embed_dropout embed_scale embedding_dropout
    end_n_top eps epsilon esm_input_dropout gamma_0 gamma_min global_attn_every_n_layers global_rope_theta
    hidden_dropout_prob hyena_dropout hyena_filter_dropout inf inference_exponent inference_sigma_cap
    inference_sigma_max_ratio inference_sigma_min_ratio initializer_cutoff_factor initializer_factor
    initializer_range layer_drop layer_norm_eps layer_norm_epsilon lm_dropout local_rope_theta max_dist min_dist
    mlp_dropout noise_scale norm_eps pretraining_tp qa_dropout resid_pdrop rms_norm_eps rope_theta
    seq_classif_dropout sigma_data sparse_pred_ignore_index spatial_rope_base_frequency start_n_top step_scale
    summary_first_dropout summary_last_dropout uid_rope_base_frequency
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
LEARNT_POSITIONS = ("bert", "roberta", "albert", "electra", "distilbert", "gpt2")  # one vector for each position
TYPED = ("bert", "roberta", "albert", "electra")  # one vector for each type of text
FIXED_PER_HEAD = ("t5", "mt5")  # 64 numbers a head unless the config says otherwise
OWN_PER_HEAD = (*FIXED_PER_HEAD, "llama", "esmc")  # the others take the width of a head from that of the model
DTYPES = ("float32", "float16", "bfloat16", "float64")
EAGER_OR_SDPA = (None, "eager", "sdpa")  # anything else may name a kernel to fetch

# Of a model that an admin installed: rotary positions cost nothing, of others each is a number that is held.
MOST_POSITIONS = 1 << 22

# What a model may hold beyond its weights files: positions of an architecture that has none, a tied matrix.
SLACK = 4_000_000

_WORD = re.compile(r"[A-Za-z0-9_.+-]{0,64}")
_LOCATION = re.compile(r"://|^[/~\\]|^[A-Za-z]:[\\/]|(^|[/\\])\.\.([/\\]|$)")


def check_config(config: dict, parameters: int | None = None, name: str = "config.json") -> dict:
    """The entries of a model's config that transformers may see.

    Args:
        config: config.json, parsed.
        parameters: numbers in the weights files; None where they are not there to compare with.
        name: what messages call it.

    Returns:
        A new dict of the allowed entries only.

    Raises:
        InputError: naming the entry that is not allowed, or saying that the model would be larger than its weights.
    """
    clean = _entries(config, name)
    if not clean.get("model_type"):
        raise InputError(f"{name} names no model_type (such as esm, t5, bert)")
    if parameters is not None:
        # of ESMFold2 the language model, which is by far the most of it
        described = clean.get("esmc_config") or {} if clean["model_type"] == "esmfold2" else clean
        _check_extent(described, parameters, name)
    return clean


def _entries(config: dict, name: str) -> dict:
    """Those entries of a config, or of a part of one, that transformers may see."""
    clean: dict = {}
    for key, value in config.items():
        where = f"{key[:60]!r} in {name}"
        if key in REASONS and value not in (None, {}, []):
            raise InputError(
                f"{where} {REASONS[key]}, which is never done for an uploaded model; remove the entry, or have the "
                "model installed with the data manager"
            )
        if key in ("attn_implementation", "_attn_implementation"):
            if value not in EAGER_OR_SDPA:
                raise InputError(f"{where} asks for the kernel {str(value)[:60]!r}; remove the entry")
        elif key in SIZES:
            clean[key] = _size(value, where, SIZES[key])
        elif key in _CHECKS:
            clean[key] = _CHECKS[key](value, where)
        elif key not in DROPPED and value not in (None, False, 0, "", [], {}):
            if isinstance(value, str) and _LOCATION.search(value):
                raise InputError(f"{where} names a path or an address ({value[:60]!r}); remove the entry")
            raise InputError(f"{where} is not known for any supported model; remove it if the model works without it")
    return clean


def _part(value, where: str):
    """A part of a model."""
    if value is not None and not isinstance(value, dict):
        raise InputError(f"{where} is {str(value)[:40]!r}, where the description of a part of the model is expected")
    return value if value is None else _entries(value, where)


def check_sizes(config: dict, name: str) -> None:
    """Refuse sizes of an installed model that no published one has.

    What is built of them before they are compared with the weights (modules, a number for each position and for each
    pair of dimensions that are rotated) takes memory and time, however small the weights are.
    """
    for key, value in config.items():
        where = f"{key[:60]!r} in {name}"
        if key in SIZES:
            _size(value, where, MOST_POSITIONS if key in POSITIONS else SIZES[key])
        elif key in _OF_ROTATION:
            _CHECKS[key](value, where)
        elif key in PARTS and isinstance(value, dict):
            check_sizes(value, where)


def least_parameters(config: dict) -> int:
    """A lower bound on the numbers in a model of this config: embeddings, attention and feed-forward, nothing else.

    Of an encoder-decoder only the encoder is counted, and of layers that share their weights (ALBERT) one of each.
    """
    kind = config.get("model_type")
    width, layers = _largest(config, WIDTHS), _largest(config, LAYERS)
    if kind == "albert":
        layers = (config.get("num_hidden_groups") or 1) * (config.get("inner_group_num") or 1)
    heads, per_head = _largest(config, HEADS), _largest(config, PER_HEAD) if kind in OWN_PER_HEAD else 0
    if kind in FIXED_PER_HEAD:
        per_head = per_head or 64
    across = heads * per_head or width  # queries of all heads side by side
    shared = config.get("num_key_value_heads")
    keys = across * shared // heads if shared and heads else across
    layer = 2 * width * (across + keys) + 2 * width * _largest(config, INNER)
    # many configs say "absolute" and mean nothing by it; DNABERT-2 calls itself a BERT and has no positions at all
    learnt_positions = kind in LEARNT_POSITIONS and not config.get("alibi_starting_size")
    learnt_positions |= kind == "esm" and config.get("position_embedding_type") == "absolute"
    rows = _largest(config, VOCABULARIES) + (_largest(config, POSITIONS) if learnt_positions else 0)
    rows += (config.get("type_vocab_size") or 0) if kind in TYPED else 0
    return layers * layer + rows * (config.get("embedding_size") or width)


def _largest(config: dict, keys: tuple[str, ...]) -> int:
    return max(config.get(key) or 0 for key in keys)


def _check_extent(config: dict, parameters: int, name: str) -> None:
    for keys in (WIDTHS, LAYERS, VOCABULARIES):
        if not _largest(
            config, keys
        ):  # a class would fill in its own default, which may be far larger than the weights
            raise InputError(f"{name} does not give the size of the model: {keys[0]} is missing")
    padding, tokens = config.get("pad_token_id"), _largest(config, VOCABULARIES)
    if padding is not None and (type(padding) is not int or not -1 <= padding < tokens):
        raise InputError(f"'pad_token_id' in {name} is outside the vocabulary of {tokens:,} tokens")
    least = least_parameters(config)
    if least > 1.25 * parameters + SLACK:
        raise InputError(
            f"{name} describes a model of at least {least:,} parameters, but its weights hold {parameters:,}; "
            "the two do not belong together"
        )


def _size(value, where: str, most: int):
    if value is not None and (type(value) is not int or not 0 <= value <= most):
        raise InputError(f"{where} is {str(value)[:40]}; it must be a whole number up to {most:,}")
    return value


def _word(value, where: str):
    if value is not None and not (isinstance(value, str) and _WORD.fullmatch(value)):
        raise InputError(f"{where} is {str(value)[:60]!r}, where only a short word is expected")
    return value


def _number(value, where: str):
    if value is not None and not (type(value) in (int, float) and abs(value) <= 1e12):
        raise InputError(f"{where} is {str(value)[:60]!r}, where a number is expected")
    return value


def _share(value, where: str):
    if value is not None and not (type(value) in (int, float) and 0 <= value <= 1):
        raise InputError(f"{where} is {str(value)[:60]!r}, where a share from 0 to 1 is expected")
    return value


def _switch(value, where: str):
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{where} is {str(value)[:60]!r}, where true or false is expected")
    return value


def _token(value, where: str):
    """The number of a token, or of several that end a sequence."""
    several = value if isinstance(value, list) else [value]
    if value is not None and not (
        len(several) <= 64 and all(type(one) is int and abs(one) < 1 << 31 for one in several)
    ):
        raise InputError(f"{where} is {str(value)[:60]!r}, where the number of a token is expected")
    return value


def _origin(value, where: str):
    """Where a model was loaded from when it was saved: shown to people, never opened."""
    if value is not None and (not isinstance(value, str) or len(value) > 500 or not value.isprintable()):
        raise InputError(f"{where} must be one line of text")
    return value


def _dtype(value, where: str):
    if value not in (None, *DTYPES):
        raise InputError(f"{where} is {str(value)[:40]!r}; it must be one of {', '.join(DTYPES)}")
    return value


def _words(most: int):
    def check(value, where):
        listed = value if value is not None else []
        if not isinstance(listed, list) or len(listed) > most:
            raise InputError(f"{where} must be a list of at most {most:,} names")
        for entry in listed:
            if not isinstance(entry, str) or not _WORD.fullmatch(entry):
                raise InputError(f"{where} holds {str(entry)[:60]!r}, which is no plain name")
        return value

    return check


def _tokens(value, where: str):
    """The tokens of a vocabulary of letters."""
    if value is not None and not (
        isinstance(value, list)
        and len(value) <= 1024
        and all(isinstance(one, str) and len(one) <= 32 and one.isprintable() for one in value)
    ):
        raise InputError(f"{where} must be a list of at most 1,024 short tokens")
    return value


def _labels(value, where: str):
    """Index -> label, or label -> index."""
    if value is not None and (not isinstance(value, dict) or len(value) > SIZES["num_labels"]):
        raise InputError(f"{where} must name at most {SIZES['num_labels']:,} labels")
    for pair in (value or {}).items():
        for entry in pair:
            if type(entry) is not int and not (isinstance(entry, str) and len(entry) <= 200 and entry.isprintable()):
                raise InputError(f"{where} holds the label {str(entry)[:40]!r}; labels are short lines of text")
    return value


def _rope(value, where: str, nested: bool = True):
    """Rotary positions: numbers and words, for all layers together or one object for each kind of layer."""
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) > 32:
        raise InputError(f"{where} must be an object of at most 32 entries")
    for key, entry in value.items():
        if not _WORD.fullmatch(key):
            raise InputError(f"{where} holds {key[:60]!r}, which is no plain name")
        if isinstance(entry, dict) and nested:
            _rope(entry, where, nested=False)
        elif isinstance(entry, list):
            if len(entry) > 4096:
                raise InputError(f"{where} holds {len(entry):,} numbers at {key!r}")
            for number in entry:
                _number(number, where)
        elif key == "partial_rotary_factor":
            _share(entry, f"{key!r} of {where}")
        elif not isinstance(entry, bool):
            (_word if isinstance(entry, str) else _number)(entry, where)
    return value


_CHECKS = {
    **dict.fromkeys(WORDS, _word),
    **dict.fromkeys(NUMBERS, _number),
    **dict.fromkeys(SWITCHES, _switch),
    **dict.fromkeys(TOKENS, _token),
    **dict.fromkeys(PARTS, _part),
    "_name_or_path": _origin,
    "dtype": _dtype,
    "torch_dtype": _dtype,
    "architectures": _words(16),
    "layer_types": _words(1024),
    "id2label": _labels,
    "label2id": _labels,
    "partial_rotary_factor": _share,
    "rope_parameters": _rope,
    "rope_scaling": _rope,
    "vocab_list": _tokens,
}
_OF_ROTATION = ("partial_rotary_factor", "rope_parameters", "rope_scaling")
