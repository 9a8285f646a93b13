"""LoRA on a whole language model, with its embeddings and its head trained and saved beside it.

A model that is to learn a new kind of sequence must learn what its tokens mean and how often they come, which an
adapter on attention alone cannot tell it. The embeddings and the head of a model whose two are one matrix become two.
"""

from __future__ import annotations

from torch import nn

from seqlm.cli.errors import InputError

from .plan import Plan

# modules that hold the embeddings of tokens and the head, as they end in transformers' classes
WHOLE = {
    "gpt2": ["wte", "lm_head"],
    "llama": ["embed_tokens", "lm_head"],
    "bert": ["word_embeddings", "predictions"],
    "roberta": ["word_embeddings", "lm_head"],
    "esm": ["word_embeddings", "lm_head"],
    "modernbert": ["tok_embeddings", "decoder"],
}


def add_whole_adapter(plan: Plan, model: nn.Module) -> nn.Module:
    """A fresh adapter on a frozen model.

    Raises:
        InputError: a rank above the width of the model, or embeddings that are not known where to find.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    arguments, family = plan.arguments, plan.family
    if arguments.lora_rank > family.hidden_size:
        raise InputError(f"the LoRA rank {arguments.lora_rank} is above the width of the model, {family.hidden_size}")
    saved = None
    if arguments.lora_embeddings == "train":
        saved = WHOLE.get(family.config["model_type"])
        if saved is None:
            raise InputError(f"embeddings of {family.name} models cannot be trained beside an adapter; keep them")
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM if plan.causal else TaskType.FEATURE_EXTRACTION,
        r=arguments.lora_rank,
        lora_alpha=arguments.lora_alpha,
        lora_dropout=arguments.lora_dropout,
        target_modules=family.lora_modules[arguments.lora_modules],
        exclude_modules=_inside(model, saved or []) or None,
        modules_to_save=saved,
        base_model_name_or_path=plan.name,
    )
    model.name_or_path = plan.name  # or peft notes the path on this machine in its place
    return get_peft_model(model, config)


def merged(plan: Plan, model: nn.Module) -> nn.Module:
    """The whole model with the adapter worked into its weights, as transformers' own class."""
    model = model.merge_and_unload()
    if plan.arguments.lora_embeddings == "train":  # the two were trained apart
        model.config.tie_word_embeddings = False
    return model


def _inside(model: nn.Module, saved: list[str]) -> list[str]:
    """Layers of the head, which are trained whole and need no adapter."""
    roots = [name for name, _ in model.named_modules() if name.split(".")[-1] in saved]
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and any(name.startswith(root + ".") for root in roots)
    ]
