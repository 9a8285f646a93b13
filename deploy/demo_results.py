"""What the demonstration leaves in demo-out/ and says about it in five lines."""

from __future__ import annotations

import csv
import gzip
import re
import zipfile
from pathlib import Path

from bioblend.galaxy import GalaxyInstance

# Label of the workflow's output -> name of the file; the report has a function of its own.
FILES = {
    "Fine-tuned model": "model.zip",
    "Predictions": "predictions.tsv",
    "Test predictions": "test-predictions.tsv",
    "Metrics": "metrics.tsv",
    "Report page": "report.html",
    "Training log": "training-log.tsv",
}
FINE_TUNED = "fine-tuned"


def download(galaxy: GalaxyInstance, outputs: dict[str, str], folder: Path) -> None:
    """Bring every output (label -> dataset id) into an empty folder, under a readable name."""
    for label, name in FILES.items():
        if label in outputs:
            galaxy.datasets.download_dataset(outputs[label], file_path=str(folder / name), use_default_filename=False)
    packed = folder / "report.zip"
    galaxy.datasets.download_dataset(outputs["Report"], file_path=str(packed), use_default_filename=False)
    unpack_report(packed, folder)
    packed.unlink()


def unpack_report(packed: Path, folder: Path) -> None:
    """Turn Galaxy's report and its figures into Markdown that any viewer shows: report.md and figures/."""
    figures = folder / "figures"
    figures.mkdir()
    text = ""
    with zipfile.ZipFile(packed) as archive:
        for name in archive.namelist():
            if name.endswith(".png"):
                (figures / Path(name).name).write_bytes(archive.read(name))
            else:
                text = archive.read(name).decode()
    image = r'```galaxy\s+history_dataset_as_image\([^)]*path="([^"]+)\.png"[^)]*\)\s+```'
    table = r"```galaxy\s+history_dataset_as_table\([^)]*\)\s+```"
    text = re.sub(image, r"![\1](figures/\1.png)", text)
    text = re.sub(table, "All scores are in [metrics.tsv](metrics.tsv).", text)
    text = re.sub(r"```galaxy\s+\w+\([^)]*\)\s+```", "Galaxy shows this with the dataset.", text)
    (folder / "report.md").write_text(text)


def summary(
    folder: Path, data: dict[str, Path], model: str, *, demonstration: bool, made_up: bool, seconds: float
) -> str:
    """Five lines: what went in, two scores beside the best baseline, the verdict, where to look."""
    with (folder / "metrics.tsv").open() as table:
        scores = [row for row in csv.DictReader(table, delimiter="\t") if row["split"] == "test"]
    counts = [count_sequences(data[label]) for label in ("Training sequences", "Test sequences")]
    lines = [f"{counts[0]} training and {counts[1]} test sequences, base model {model}, {seconds:.0f} s"]
    if made_up:
        lines[0] += "; the sequences are made up"
    if demonstration:
        lines[0] += "; a demonstration: the smallest ESM-2 has forty times the weights of this model"
    lines += [
        f"test {name:5}  {_beside_baseline(scores, metric)}" for metric, name in (("mcc", "MCC"), ("auroc", "AUROC"))
    ]
    lines.append(f"verdict     {verdict((folder / 'report.md').read_text())}")
    lines.append(f"look at     {folder}/report.md (report.html in a browser), metrics.tsv, predictions.tsv, model.zip")
    return "\n".join(lines)


def _beside_baseline(scores: list[dict], metric: str) -> str:
    found = [row for row in scores if row["metric"] == metric]
    tuned = next(row for row in found if row["model"] == FINE_TUNED)
    best = max((row for row in found if row["model"] != FINE_TUNED), key=lambda row: float(row["value"]))
    return f"{_shown(tuned)} fine-tuned; best baseline, {best['model']}: {_shown(best)}"


def _shown(row: dict) -> str:
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    return f"{value:.3f} (95 % interval {low:.3f} to {high:.3f})"


def verdict(report: str) -> str:
    """The first line under the report's heading "Verdict", without its emphasis."""
    found = re.search(r"^## Verdict\s+(.+)$", report, flags=re.MULTILINE)
    return found.group(1).strip("* ") if found else "the report has none"


def count_sequences(path: Path) -> int:
    """Number of records of a FASTA file, plain or gzipped."""
    with (gzip.open if path.name.endswith(".gz") else open)(path, "rt") as lines:
        return sum(line.startswith(">") for line in lines)
