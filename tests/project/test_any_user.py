"""Every tool works for any user, without a home or variables, and writes into the folder of its job alone: so it runs
in a container that is read-only, under whatever number a server gives its jobs."""

import tempfile
import time

import pytest

from makers.anyone import job_folder, run_as_anyone, stranger, walled, written_since
from makers.forms import TOOLS
from makers.scripts import DATA, SCRIPTS

MODELS = DATA / "models"
REPORT = ("--output-report=report.md", "--output-figures=figures", "--output-html=report.html")
TRAINING = (
    f"--model={MODELS / 'tiny-esm'}", f"--train={DATA / 'sites_train.fasta'}", f"--test={DATA / 'sites_test.fasta'}",
    "--epochs=1", "--output-model=model.zip", *REPORT,
)  # fmt: skip
# What each tool is run with: whatever in it loads a library that keeps something somewhere
CALLS = {
    "classify": (
        f"--embeddings={DATA / 'embeddings_before.tsv'}", f"--labels={DATA / 'embedding_labels.tsv'}",
        "--classifier=random-forest", "--output-model=model.zip", "--output-predictions=out.tsv", *REPORT,
    ),
    "dataset": (  # MMseqs2
        f"--sequences={DATA / 'sites_train.fasta'}", "--split=homology", "--output-train=out.tsv", *REPORT,
    ),
    "embed": (
        f"--model={MODELS / 'tiny-t5'}", f"--sequences={DATA / 'sites_test.fasta'}", "--output-table=out.tsv",
        "--output-h5=out.h5", "--output-parquet=out.parquet", *REPORT,
    ),
    "evaluate": (f"--predictions={DATA / 'predicted_sites_weak.tsv'}", "--output-table=out.tsv", *REPORT),
    "finetune": TRAINING,
    "finetune in two processes": (*TRAINING, "--processes=2", "--strategy=fsdp"),
    "explain": (
        f"--model={DATA / 'bundle_lora_t5.zip'}", f"--base-model={MODELS / 'tiny-t5'}", "--checked=2", "--steps=4",
        f"--sequences={DATA / 'sites_test.fasta'}", "--random-models=2", "--output-table=out.tsv", *REPORT,
    ),
    "fold": (
        f"--model={MODELS / 'tiny-esmfold'}", f"--sequences={DATA / 'beginnings.fasta'}", "--output-pdb=pdb",
        "--output-cif=cif", "--output-table=out.tsv", *REPORT,
    ),
    "generate": (
        f"--model={MODELS / 'tiny-protgpt2'}", "--num-sequences=3", "--max-letters=30", "--output-table=out.tsv",
        *REPORT,
    ),
    "plot": (  # UMAP, which compiles itself
        f"--embeddings={DATA / 'embeddings_before.tsv'}", "--method=umap", "--output-table=out.tsv",
        "--output-plot=plot.png", *REPORT,
    ),
    "predict": (
        f"--model={DATA / 'bundle_lora_t5.zip'}", f"--base-model={MODELS / 'tiny-t5'}",
        f"--sequences={DATA / 'sites_test.fasta'}", "--output-table=out.tsv",
    ),
    "pretrain": (
        f"--corpus={DATA / 'protein_family.fasta'}", "--architecture=llama", f"--tokenizer={MODELS / 'tiny-llama'}",
        "--layers=1", "--width=16", "--heads=2", "--context=64", "--epochs=1", "--output-model=model.zip", *REPORT,
    ),
    "score": (
        f"--model={MODELS / 'tiny-esm-mlm'}", f"--sequences={DATA / 'wild_type.fasta'}", "--scan",
        "--output-table=out.tsv", *REPORT,
    ),
    "tokenizer": (
        "--train", f"--corpus={DATA / 'protein_family.fasta'}", "--vocab-size=60", "--output-tokenizer=out.zip",
        *REPORT,
    ),
}  # fmt: skip


def test_every_tool_is_run():
    assert {name.split()[0] for name in CALLS} == set(TOOLS)


EACH_TIME = ("dataset", "embed")  # the others are slow


@pytest.mark.parametrize(
    "name", [name if name in EACH_TIME else pytest.param(name, marks=pytest.mark.slow) for name in CALLS]
)
def test_a_tool_works_for_any_user_and_writes_into_the_folder_of_its_job_alone(name):
    start = time.time()
    script = SCRIPTS.resolve() / f"{name.split()[0]}.py"
    with job_folder() as job:
        done = run_as_anyone(job, script, *CALLS[name], OMP_NUM_THREADS="1")
        assert done.returncode == 0, done.stderr[-3000:]
        asked = {word.split("=")[1].split("/")[0] for word in CALLS[name] if word.startswith("--output-")}
        assert {path.name for path in job.iterdir()} == asked  # and no cache, nor anything temporary, is left
        assert all(path.stat().st_size for path in job.iterdir())
    assert written_since(start) == []


def test_there_is_a_home_and_a_name_for_libraries_that_ask_for_them():
    asks = (
        "import getpass, sys; from pathlib import Path; from seqlm.cli.isolation import isolate; "
        "isolate(Path.cwd()); print(Path.home() == Path.cwd(), getpass.getuser())"
    )
    with job_folder() as job:
        done = run_as_anyone(job, "-B", "-c", asks, PYTHONPATH=str(SCRIPTS.resolve()))
    assert done.stdout.split() == ["True", "seqlm"], done.stderr


@pytest.mark.skipif(not walled(), reason="only root can make a place that is read-only")
def test_the_place_is_read_only_without_network_and_for_a_stranger():
    looks = (
        "import os, socket, sys; print(os.getuid(), os.environ.get('HOME'), os.access(sys.argv[1], os.W_OK)); "
        "socket.create_connection(('192.0.2.1', 80), 5)"
    )
    with job_folder() as job:
        done = run_as_anyone(job, "-c", looks, tempfile.gettempdir())
    user, home, writable = done.stdout.split()
    assert (user, writable) == (str(stranger()), "False")
    assert home in ("None", "/")  # as Docker has it
    assert "Network is unreachable" in done.stderr
