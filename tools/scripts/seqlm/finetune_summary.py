"""From the result of a fine-tuning to its report: tool markdown, figures, one HTML page."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from . import metrics
from .finetune_report import CITATIONS, finetune_report, save_figures
from .finetuning import FINE_TUNED, SETTINGS, Result
from .outputs import Outputs
from .verdict import FinetuneSummary

TINY = 2_000_000  # weights; no published model of biological sequences is smaller


def summarise(result: Result) -> FinetuneSummary:
    """What the report needs to know."""
    plan, arguments = result.plan, result.plan.arguments
    split = plan.deciding
    return FinetuneSummary(
        task=arguments.task,
        metric=plan.score,
        classes=list(plan.labels or ()),
        truth=result.truth,
        predictions=result.predictions,
        scores=result.scores,
        differences={
            name: metrics.paired_difference(
                plan.score,
                result.truth[split],
                result.predictions[FINE_TUNED][split],
                by_split[split],
                seed=arguments.seed,
            )
            for name, by_split in result.predictions.items()
            if name != FINE_TUNED
        },
        lengths={name: np.asarray([len(example.sequence) for example in plan.dataset[name]]) for name in plan.splits},
        positive=1 if plan.labels and len(plan.labels) == 2 else None,
        origin=plan.dataset.origin,
        duplicates=plan.dataset.duplicates,
        rules=result.rules.lines(),
        history=result.history.epochs,
        best_epoch=result.history.best_epoch,
        chosen_by=plan.metric if result.history.best_epoch else "",
        parameters={
            name.replace("_", " "): str(value)
            for name in SETTINGS
            if (value := getattr(arguments, name)) not in (None, "")
            and not (name.startswith("lora") and arguments.method not in ("lora", "dora"))
        },
        trained_weights=result.trained,
        total_weights=result.total,
        versions=result.manifest["versions"],
        base_model=plan.base_name,
        revision=arguments.model_revision,
        sha256=plan.base.sha256,
        family=plan.family.name,
        demonstration=result.total < TINY,
        seed=arguments.seed,
        data_sha256=", ".join(f"{name} {digest[:16]}…" for name, digest in plan.dataset.sha256.items()),
        citations=[
            key
            for key in CITATIONS
            if key in plan.family.citations
            or key in ("transformers", "scikit-learn")
            or (key in ("lora", "peft") and arguments.method in ("lora", "dora"))
        ],
    )


def write_report(result: Result, outputs: Outputs) -> None:
    """Write the report in the forms that were asked for. The figures are drawn once, as PNG and in the other format."""
    arguments = result.plan.arguments
    summary = summarise(result)
    report = finetune_report(summary, metrics_output="metrics" if arguments.output_metrics else None)
    formats = tuple(dict.fromkeys(("png", arguments.figure_format)))
    with tempfile.TemporaryDirectory(prefix="figures_") as scratch:
        folder = outputs.folder(arguments.output_figures) if arguments.output_figures else Path(scratch)
        save_figures(summary, folder, formats)
        if arguments.output_report:
            outputs.file(arguments.output_report).write_text(report.galaxy_markdown(), encoding="utf-8")
        if arguments.output_html:
            outputs.file(arguments.output_html).write_text(report.html(folder), encoding="utf-8")
