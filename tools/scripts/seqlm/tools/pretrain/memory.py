"""The memory that the training of a language model takes."""

from __future__ import annotations

from seqlm.inference.fitting import Memory
from seqlm.inference.memory import OF_A_LETTER, STREAMED, Adapter, Need, adapted_numbers, processes_here, weights_in

LEARNING = 0.03e9  # bytes of the libraries that learning takes beside those that a model takes


def memory_of(plan) -> Memory:
    """Of a checked :class:`seqlm.tools.pretrain.plan.Plan`."""
    family, arguments = plan.family, plan.arguments
    weights = weights_in(plan.base, encoder=False) if plan.base else (_new(family), 4 * _new(family))
    adapter, trained = None, weights[0]
    if plan.adapted:
        adapter = Adapter.of(family, arguments.lora_modules, arguments.lora_rank, arguments.lora_dropout)
        trained = adapted_numbers(family, adapter, family.depth)
        if arguments.lora_embeddings:
            trained += 2 * family.vocabulary_size * family.hidden_size
    need = Need(
        family,
        *weights,
        plan.context,
        update=arguments.batch_size * plan.context,
        held=LEARNING + OF_A_LETTER * STREAMED,
        logits=family.vocabulary_size,
        single=True,
        trains=True,
        trained=trained,
        whole=not plan.adapted,
        adapter=adapter,
        processes=processes_here(arguments),
        shared=arguments.strategy != "ddp",
    )
    return Memory(need, arguments)


def _new(family) -> int:
    """Numbers of a new model: four maps of the attention, two or three of the feed-forward part, the tables of tokens
    and, but for rotary ones, of positions."""
    width, inner, kind = family.hidden_size, family.inner_width, family.config["model_type"]
    maps = 3 if kind in ("llama", "modernbert") else 2
    rows = (2 if kind == "llama" else 1) * family.vocabulary_size
    if kind in ("bert", "roberta", "gpt2"):
        rows += family.config.get("n_positions") or family.config["max_position_embeddings"]
    return family.depth * (4 * width * width + maps * width * inner) + rows * width
