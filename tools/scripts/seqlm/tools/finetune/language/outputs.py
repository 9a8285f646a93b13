"""What the fine-tuning of a language model leaves: bundle, tables, and the report."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from seqlm.checkpoints.bundle import finish_bundle
from seqlm.cli.outputs import Outputs, write_table
from seqlm.metrics.language_scores import PERPLEXITY
from seqlm.report.outputs import parameters, wants_report, write_report
from seqlm.tokenization.unknown import unknown_letters
from seqlm.tools.finetune.costs import costs
from seqlm.tools.finetune.learning import lora_settings
from seqlm.tools.finetune.methods import NAMES, UNUSED, cited

from .inputs import SETTINGS
from .report import language_report
from .run import Result
from .summary import AFTER, BEFORE, LanguageSummary
from .verdict import headline


def write(result: Result, outputs: Outputs) -> None:
    """Fill every output that was asked for."""
    arguments = result.plan.arguments
    finish_bundle(result.bundle, result.manifest, result.scores[AFTER], outputs.file(arguments.output_model))
    if arguments.output_metrics:
        columns = ["split", "model", "metric", "value", "low", "high", "sequences"]
        write_table(outputs.file(arguments.output_metrics), columns, _scores(result))
    if arguments.output_predictions:
        columns = ["id", "perplexity_before", "perplexity_after", "bits_per_letter_before", "bits_per_letter_after",
                   "letters", "tokens", "split"]  # fmt: skip
        write_table(outputs.file(arguments.output_predictions), columns, _sequences(result))
    if arguments.output_log:
        write_table(outputs.file(arguments.output_log), *result.history.table())
    summary = summarise(result)
    if wants_report(arguments):
        report = language_report(summary, metrics_output="metrics" if arguments.output_metrics else None)
        write_report(arguments, report, outputs)
    old, new = (summary.score(name, PERPLEXITY).value for name in (BEFORE, AFTER))
    print(f"{summary.deciding}: perplexity {old:.4g} before, {new:.4g} after. {headline(summary)}", file=sys.stderr)


def _scores(result: Result) -> Iterator[list]:
    """Rows of every score of every model, and of what the fine-tuned model has less each other."""
    for split in reversed(result.plan.splits):  # a reader sees the set that decides first
        n = len(result.plan.texts[split])
        for name, by_split in result.scores.items():
            for metric, score in by_split[split].items():
                yield [split, name, metric, score.value, score.low, score.high, n]
        for name, by_split in result.differences.items():
            for metric, score in by_split[split].items():
                yield [split, f"{AFTER} less {name}", metric, score.value, score.low, score.high, n]


def _sequences(result: Result) -> Iterator[list]:
    plan, split = result.plan, result.plan.deciding
    old, new = result.lost[BEFORE][split], result.lost[AFTER][split]
    with np.errstate(over="ignore"):
        for example, text, *lost in zip(plan.dataset[split], plan.texts[split], old, new, strict=True):
            perplexities = [float(np.exp(one / text.tokens)) for one in lost]
            bits = [float(one / text.letters / np.log(2)) for one in lost]
            yield [example.id, *perplexities, *bits, text.letters, text.tokens, split]


def summarise(result: Result) -> LanguageSummary:
    """What the report needs to know."""
    plan, arguments = result.plan, result.plan.arguments
    tokens = np.array([text.tokens for text in plan.texts[plan.deciding]])
    with np.errstate(over="ignore"):
        before, after = (np.exp(result.lost[name][plan.deciding] / tokens) for name in (BEFORE, AFTER))
    return LanguageSummary(
        scores=result.scores,
        differences=result.differences,
        before=before,
        after=after,
        lengths={split: np.array([len(one.sequence) for one in plan.dataset[split]]) for split in plan.splits},
        tokens={split: sum(text.tokens for text in texts) for split, texts in plan.texts.items()},
        origin=plan.dataset.origin,
        duplicates=plan.dataset.duplicates,
        rules=plan.rules.lines(),
        unknown=unknown_letters(plan.rules, None),
        history=result.history.epochs,
        best_epoch=result.history.kept,
        stopped_early=result.history.stopped_early,
        smoothing=result.smoothing,
        pieces=not plan.family.one_letter_tokens,
        starts=plan.text.start is not None,
        ends=bool(plan.text.ends),
        adapted=plan.adapted,
        parameters=parameters(arguments, SETTINGS, UNUSED[arguments.method]),
        trained_weights=result.trained,
        total_weights=result.total,
        versions=result.manifest["versions"],
        base_model=plan.name,
        revision=arguments.model_revision,
        sha256=plan.base.sha256,
        family=plan.family.name,
        alphabet=plan.family.alphabet,
        seed=arguments.seed,
        data_sha256=", ".join(f"{name} {digest[:16]}…" for name, digest in plan.dataset.sha256.items()),
        citations=[
            *plan.family.citations,
            "transformers",
            "smoothing",
            *cited(arguments.method),
        ],
        method=arguments.method,
        costs=costs(
            plan.family.load_language_model,
            plan.base.path,
            plan.family,
            lora_settings(plan),
            [method for method in NAMES if method != "head"],
            writes=True,
        ),
    )
