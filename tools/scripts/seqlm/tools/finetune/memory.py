"""The memory that a fine-tuning takes, on labels or to write sequences."""

from __future__ import annotations

from seqlm.checkpoints.manifest import ADAPTERS
from seqlm.inference.fitting import Memory
from seqlm.inference.memory import (
    LEARNING,
    OF_A_LETTER,
    Adapter,
    Need,
    Rows,
    adapted_numbers,
    processes_here,
    weights_in,
)

ENTERING = 1 << 28  # bytes in memory of what enters the adapted layers, as seqlm.inference.entering has it
RESIDUES = 1 << 30  # bytes in memory of vectors of residues, as seqlm.tools.finetune.learning has it
IN_FOUR_BITS = 0.95  # share of the weights that are linear maps of the layers


def memory_of(plan) -> Memory:
    """Of a checked :class:`seqlm.tools.finetune.plan.Plan`."""
    family, arguments, width = plan.family, plan.arguments, plan.family.hidden_size
    lengths = [len(one) for one in _read(plan)]
    rows = Rows.of(lengths, family, plan.encoder.max_length, arguments.long_sequences == "window")
    pairs = 2 if plan.level == "pair" and not plan.second else 1
    letters = sum(lengths)
    # vectors of the model as it came, and copies of them that baselines are fitted on
    vectors = min(4 * width * letters, RESIDUES) if plan.level == "residue" else 4 * width * len(lengths)
    held = LEARNING + OF_A_LETTER * letters + 3 * vectors
    if arguments.lora_last_layers and arguments.method in ADAPTERS:
        held += min(4 * width * rows.total, ENTERING)
    if plan.second:
        held += 4 * weights_in(plan.second.base)[0]
    inputs = width * (2 if plan.level == "pair" else 1)
    head = inputs * width if arguments.head == "mlp" else inputs * len(plan.labels or (0,))
    return Memory(
        _need(
            plan,
            rows,
            weights_in(plan.base),
            head=head,
            item=pairs * rows.item,
            update=pairs * sum(rows.largest[: arguments.batch_size]),
            held=held,
        ),
        arguments,
    )


def language_memory_of(plan) -> Memory:
    """Of a checked :class:`seqlm.tools.finetune.language.inputs.Plan`."""
    texts = [text for split in plan.texts.values() for text in split]
    sizes = sorted((sum(len(row.ids) for row in text.rows) for text in texts), reverse=True)
    longest = max(len(row.ids) for text in texts for row in text.rows)
    rows = Rows(longest, longest, sum(sizes), tuple(sizes))
    return Memory(
        _need(
            plan,
            rows,
            weights_in(plan.base, encoder=False),
            update=sum(sizes[: plan.arguments.batch_size]),
            held=LEARNING + OF_A_LETTER * sum(sizes),
            logits=plan.family.vocabulary_size,
        ),
        plan.arguments,
    )


def _read(plan) -> list[str]:
    """All sequences that the model reads."""
    if plan.level != "pair":
        return [example.sequence for split in plan.splits for example in plan.dataset[split]]
    first, second = plan.members
    return [*first.values(), *(() if plan.second or second is first else second.values())]


def _need(plan, rows: Rows, weights: tuple[int, int], head: int = 0, item: int = 0, **others) -> Need:
    arguments, family, method = plan.arguments, plan.family, plan.arguments.method
    adapted = method in ADAPTERS
    last = arguments.lora_last_layers if adapted and not arguments.train_layer_norms else 0
    adapter = None
    if adapted:
        modules, rank = arguments.lora_modules, {"vera": 1, "ia3": 1}.get(method, arguments.lora_rank)
        adapter = Adapter.of(family, modules, rank, arguments.lora_dropout, method)
    trained = (
        weights[0] if method == "full" else adapted_numbers(family, adapter, last or family.depth) if adapted else 0
    )
    return Need(
        family,
        *weights,
        rows.longest,
        item=item,
        most=rows.total,
        single=True,
        trains=method != "head",
        first=family.depth - last if last else 0,
        trained=trained + head,
        whole=method == "full",
        adapter=adapter,
        four_bits=IN_FOUR_BITS if method == "qlora" else 0.0,
        processes=processes_here(arguments),
        shared=arguments.strategy != "ddp",
        checkpointing=arguments.gradient_checkpointing and method != "head",
        may_checkpoint=family.checkpointing,
        **others,
    )
