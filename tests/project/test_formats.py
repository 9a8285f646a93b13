"""Every tool makes the same of sequences in FASTQ, UniProt's XML and Parquet as of the same sequences in FASTA."""

import gzip
import random

import pytest

from makers.formats import as_fastq, as_parquet, in_each_format
from makers.scripts import DATA, run_batch

MODELS = DATA / "models"
RANDOM = random.Random(5)
PROTEINS = {f"P{number:05}": "M" + "".join(RANDOM.choices("ACDEFGHIKLMNPQRSTVWY", k=30)) for number in range(60)}
LABELS = {name: str(number % 2) for number, name in enumerate(PROTEINS)}
ESM, BUNDLE = f"--model={MODELS / 'tiny-esm'}", f"--model={DATA / 'bundle_head_esm.zip'}"
NEW_MODEL = ("--architecture=llama", f"--tokenizer={MODELS / 'tiny-llama'}", "--layers=1", "--width=16", "--heads=2",
             "--context=64", "--threads=1", "--epochs=1", "--test-fraction=0.2")  # fmt: skip
# script, options with one or more names of formats in place of files, the formats beside FASTA
CALLS = {
    "embed": (("embed", ESM, "--sequences={}"), ["fastq.gz", "uniprotxml", "parquet"]),
    "predict": (("predict", BUNDLE, f"--base-model={MODELS / 'tiny-esm'}", "--sequences={}"), ["parquet"]),
    "score": (("score", f"--model={MODELS / 'tiny-esm-mlm'}", "--sequences={}"), ["fastq"]),
    "dataset": (("dataset", "--sequences={}", "--labels=none", "--site-format=none", "--split=random",
                 "--neighbours=skip"),
                ["uniprotxml.gz", "fastq"]),
    "split tokens": (("tokenizer", ESM, "--inspect", "--sequences={}", "--output-table=out.tsv"), ["uniprotxml.gz"]),
    "learnt tokens": (("tokenizer", "--train", "--corpus={}", "--vocab-size=60", "--output-vocabulary=out.tsv"),
                      ["parquet"]),
    "prompts": (("generate", f"--model={MODELS / 'tiny-protgpt2'}", "--prompts={}", "--num-sequences=1",
                 "--max-letters=32", "--equal-only", "--reference={}"), ["fastq.gz"]),
    "pretrain": (("pretrain", "--corpus={}", *NEW_MODEL), ["parquet"]),
}  # fmt: skip
OUTPUTS = {"tokenizer": [], "pretrain": ["--output-model=m.zip", "--output-metrics=out.tsv"],
           "finetune": ["--output-model=m.zip", "--output-predictions=out.tsv"]}  # fmt: skip


def written(folder, calls):
    """The table that each call writes and what it says; the calls are names and words of a command."""
    given = []
    for name, (script, *words) in calls.items():
        work = folder / "runs" / name
        work.mkdir(parents=True)
        given.append((work, script, *words, *OUTPUTS.get(script, ["--output-table=out.tsv"])))
    done = run_batch(given)
    for name, one in zip(calls, done, strict=True):
        assert one.returncode == 0, f"{name}: {one.stderr[-800:]}"
    return {
        name: ((folder / "runs" / name / "out.tsv").read_text(), one.stderr)
        for name, one in zip(calls, done, strict=True)
    }


@pytest.mark.parametrize("name", CALLS)
def test_a_tool_makes_the_same_of_the_same_sequences(tmp_path, name):
    for format, content in in_each_format(PROTEINS).items():
        (tmp_path / format).write_bytes(content)
    words, formats = CALLS[name]
    files = {format: tmp_path / format for format in ("fasta", *formats)}
    done = written(
        tmp_path, {format: tuple(word.format(file, file) for word in words) for format, file in files.items()}
    )
    for format in formats:
        assert done[format][0] == done["fasta"][0], format
        kind = {"fastq": "is FASTQ", "uniprotxml": "is UniProt's XML", "parquet": "is a parquet file"}
        assert f"note: {format} {kind[format.removesuffix('.gz')]}" in done[format][1]


def test_labels_are_read_from_headers_of_fastq_and_columns_of_parquet(tmp_path):
    rows = [("id", "sequence", "class", "set")]
    for number, (name, sequence) in enumerate(PROTEINS.items()):
        rows.append((name, sequence, LABELS[name], "validation" if number % 5 == 0 else "train"))
    (tmp_path / "tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    (tmp_path / "parquet").write_bytes(as_parquet({name: cells for name, *cells in zip(*rows, strict=True)}))
    headed = {f"{name} LABEL={label} SET={split}": sequence for name, sequence, label, split in rows[1:]}
    (tmp_path / "fastq.gz").write_bytes(gzip.compress(as_fastq(headed).encode()))
    columns = ("--label-column=class", "--split-column=set")
    given = {"tsv": columns, "parquet": columns, "fastq.gz": (r"--split-pattern=SET=(\w+)",)}
    done = written(tmp_path, {
        name: ("finetune", ESM, "--method=head", "--epochs=1", "--threads=1", f"--train={tmp_path / name}", *options)
        for name, options in given.items()
    })  # fmt: skip
    assert done["tsv"][0] == done["parquet"][0] == done["fastq.gz"][0]
