"""One explanation from checked inputs to maps and what they are worth."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from seqlm.cli.outputs import Outputs
from seqlm.cli.progress import Progress

from .held_out import held_out
from .inputs import Plan
from .methods import ATTENTION, GRADIENTS, MUTAGENESIS
from .summary import Checks, Explained, Summary, likeness


def explain(plan: Plan, outputs: Outputs) -> Summary:
    """Compute the maps, write the tables, and say on stderr what was changed on the way."""
    print("loading the libraries", file=sys.stderr)
    from seqlm.inference import loading

    from .function import Function
    from .outputs import write_matrix, write_table_of
    from .tracks import write_bedgraph, write_gff3

    arguments = plan.arguments
    device = loading.prepare(arguments.threads, arguments.seed, arguments.device)
    memory = plan.memory.on(device)
    if plan.language:
        from .language import LanguageFunction

        function = LanguageFunction(plan, device, memory.tokens())
    else:
        restored = _restored(plan, device)
        function = Function(restored, memory.tokens(), plan.hidden[0], plan.family.masked_tokens)
    items = function.items(plan.sequences, plan.goal, plan.site)
    summary = Summary(_explained(plan, function, items, memory), None, plan.survey.rules)
    _count(summary, function.encoder.max_length)
    summary.checks = _checks(plan, function, summary.explained, memory)
    for target, write in (
        (arguments.output_table, write_table_of),
        (arguments.output_matrix, write_matrix),
        (arguments.output_bedgraph, write_bedgraph),
        (arguments.output_gff3, write_gff3),
    ):
        if target:
            write(outputs.file(target), plan, summary)
    for line in [*plan.notes, *summary.rules.lines()]:
        print(f"note: {line}", file=sys.stderr)
    print(f"explained {len(items):,} sequences by {arguments.method}", file=sys.stderr)
    return summary


def _restored(plan: Plan, device):
    """The fine-tuned model, or the published adapter, put together."""
    precision = plan.arguments.precision
    if plan.published:
        from seqlm.inference.published_adapters import load_published

        return load_published(plan.bundle, plan.base, device, precision, plan.labels)
    from seqlm.inference.loading import load_finetuned

    return load_finetuned(plan.bundle, plan.base, device, precision, structures=plan.structures)


def _maps(plan: Plan, function, items: Sequence, memory, told: Callable[[int], None], only: int | None = None):
    """(values (tokens,), gap, effects of substitutions (tokens, letters)) of each item, the last two where the method
    has them; ``told`` is told how many are done."""
    if plan.arguments.method == MUTAGENESIS:
        from .mutagenesis import lost, scans

        for item, effects in zip(items, scans(function, items, plan.codes, only, told), strict=True):
            own = function.tokens_of(item)[:, None] == np.asarray(plan.codes)
            yield lost(effects, own), math.nan, effects
        return
    if plan.arguments.method == GRADIENTS:
        from .gradients import Gradients

        gradients = Gradients(
            function, plan.arguments.steps, memory.tokens(training=True), plan.letters, plan.family.tokens_first
        )
        for number, item in enumerate(items):
            yield *gradients.map(item, only), None
            told(number + 1)
        return
    if plan.arguments.method == ATTENTION:
        from .attention import maps
    else:
        from .occlusion import maps

    for values in maps(function, items, only, told):
        yield values, math.nan, None


def _explained(plan: Plan, function, items: Sequence, memory) -> list[Explained]:
    places = [np.arange(item.tokens) for item in items]
    nothing = [function.hide(number, item, places[number][:0]) for number, item in enumerate(items)]
    everything = [function.hide(number, item, places[number]) for number, item in enumerate(items)]
    numbers, hidden = np.split(function.values(items, nothing + everything), 2)
    found = _maps(plan, function, items, memory, Progress("explaining", len(items), "sequences"))
    return [
        Explained(item, values, number, without, gap, effects=effects)
        for item, (values, gap, effects), number, without in zip(
            items, found, numbers.tolist(), hidden.tolist(), strict=True
        )
    ]


def _checks(plan: Plan, function, explained: list[Explained], memory) -> Checks:
    """Deletion and shuffled weights, on so many of the sequences, drawn at random."""
    from .deletion import by_value, curves, gains, random_orders
    from .shuffled import shuffled

    arguments = plan.arguments
    generator = np.random.default_rng(arguments.seed)
    count = min(arguments.checked, len(explained))
    chosen = [explained[place] for place in sorted(generator.choice(len(explained), count, replace=False).tolist())]
    items = [one.item for one in chosen]
    at_random = [random_orders(item, generator) for item in items]
    of_shuffled, alike, telling = [], [], []
    progress = Progress("shuffled weights", count * arguments.random_models, "sequences")
    for number in range(arguments.random_models):
        told = partial(_told_after, progress, number * count)
        with shuffled(function.model, arguments.seed + number):
            telling.append(function.telling(items, only=0))
            own = [values for values, *_ in _maps(plan, function, items, memory, told, only=0)]
            orders = [[by_value(values), *drawn] for values, drawn in zip(own, at_random, strict=True)]
            of_shuffled.append(gains(curves(function, items, orders, only=0)))
        alike.append([likeness(one.values, values) for one, values in zip(chosen, own, strict=True)])
        if not number:
            for one, values in zip(chosen, own, strict=True):
                one.shuffled = values
    orders = [
        [by_value(one.values), *drawn, by_value(one.shuffled)] for one, drawn in zip(chosen, at_random, strict=True)
    ]
    found = curves(function, items, orders, told=Progress("hiding", count, "sequences"))
    return Checks(
        found,
        gains(found),
        np.asarray(of_shuffled),
        np.asarray(alike),
        function.telling(items),
        np.asarray(telling),
        arguments.seed,
        held_out(plan.manifest),
    )


def _told_after(progress: Progress, before: int, done: int) -> None:
    progress(before + done)


def _count(summary: Summary, limit: int) -> None:
    """Note what was changed when letters became tokens."""
    rules = summary.rules
    for one in summary.explained:
        encoded = one.item.encoded
        for rule, letters in encoded.changes().items():
            rules.count(rule, letters)
        if encoded.cut:
            rules.count(f"truncated to {limit:,} tokens", encoded.cut)
        elif len(encoded.rows) > 1:
            rules.count(f"read in overlapping windows of {limit:,} tokens", encoded.tokens)
