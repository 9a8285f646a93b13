"""The scripts as Galaxy calls them: whole runs, and every mistake with its one line and exit status 2."""

import csv
import io
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec

import numpy as np
import pytest

from makers.scripts import DATA, ROOT, run_script

T5 = DATA / "models" / "tiny-t5"
ESM = DATA / "models" / "tiny-esm"
SITES = ["--train", DATA / "sites_train.fasta", "--test", DATA / "sites_test.fasta", "--epochs", 3]


def table(path):
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def test_prediction_equals_the_one_made_at_training_time(script, new_process, tmp_path):
    out = tmp_path / "work"
    script("finetune", "--model", T5, *SITES, "--learning-rate", 0.003, "--lora-start", "pissa",
           "--output-model", "m.zip", "--output-predictions", "p.tsv")  # fmt: skip
    new_process("predict", "--model", "m.zip", "--base-model", T5, "--sequences", DATA / "sites_test.fasta",
           "--output-table", "again.tsv")  # fmt: skip
    first, again = table(out / "p.tsv"), table(out / "again.tsv")
    assert len(first) == len(again) == 60
    for column in ("id", "predicted", "probability_0", "probability_1"):
        assert [row[column] for row in first] == [row[column] for row in again]


# transformers reads T5's tokenizer with a package that the tools do without
pieces = pytest.mark.skipif(not find_spec("sentencepiece"), reason="`make reference` has SentencePiece and runs this")


@pytest.mark.parametrize(
    ("name", "method"),
    [
        pytest.param("t5", "lora", marks=pieces), ("esm", "lora"), pytest.param("t5", "vera", marks=pieces),
        *(pytest.param("esm", method, marks=pytest.mark.slow) for method in ("adalora", "ia3")),
    ],
)  # fmt: skip
def test_the_model_card_s_own_code_gives_the_predicted_probability_with_plain_peft(script, tmp_path, name, method):
    """The README of a bundle shows a dozen lines of plain transformers and peft; run them as they stand."""
    base = DATA / "models" / f"tiny-{name}"
    script("finetune", "--model", base, "--model-id", base, *SITES, "--output-model", "m.zip", "--learning-rate", 0.01,
           "--method", method)  # fmt: skip
    script("predict", "--model", "m.zip", "--base-model", base, "--sequences", DATA / "sites_test.fasta",
           "--output-table", "p.tsv")  # fmt: skip
    expected = table(tmp_path / "work" / "p.tsv")[0]
    folder = tmp_path / "plain"
    zipfile.ZipFile(tmp_path / "work" / "m.zip").extractall(folder)
    code = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S).group(1)
    sequence = (DATA / "sites_test.fasta").read_text().splitlines()[1]
    code = re.sub(r'"M[A-Z]{5,}"', f'"{sequence}"', code)
    assert sequence in code
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    printed = [float(number) for number in re.findall(r"\d\.\d+(?:e-?\d+)?", done.stdout)]
    np.testing.assert_allclose(printed, [float(expected["probability_0"]), float(expected["probability_1"])], atol=2e-4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run with all its outputs, and how it was called."""
    call = ("finetune", "--model", ESM, *SITES, "--output-model", "m.zip", "--output-metrics", "scores.tsv",
            "--output-report", "report.md", "--output-figures", "figures", "--figure-format", "svg",
            "--output-html", "report.html", "--output-log", "log.tsv")  # fmt: skip
    folder = tmp_path_factory.mktemp("run")
    done = run_script(folder, *call)
    assert done.returncode == 0, done.stderr
    return folder, call


def test_the_same_seed_gives_the_same_bytes(run, new_process, tmp_path):
    """Whichever process it is that runs: sets are in another order in each."""
    first, call = run
    new_process(*call)
    names = {file.relative_to(first) for file in first.rglob("*") if file.is_file()}
    assert {"roc.png", "roc.svg", "calibration.png", "learning-curves.svg"} <= {name.name for name in names}
    assert {"m.zip", "scores.tsv", "report.md", "report.html", "log.tsv"} <= {str(name) for name in names}
    for name in names:
        assert (first / name).read_bytes() == (tmp_path / "work" / name).read_bytes(), name
    assert len((first / "report.md").read_bytes()) <= 10_000


def test_metrics_table_has_every_model_and_split_with_intervals_around_the_value(run):
    rows = table(run[0] / "scores.tsv")
    assert {(row["split"], row["model"]) for row in rows} == {
        (split, model)
        for split in ("train", "validation", "test")
        for model in ("fine-tuned", "majority", "k-mer", "frozen embeddings")
    }
    assert len(rows) == 12 * 9
    for row in rows:
        assert float(row["low"]) <= float(row["value"]) <= float(row["high"])


def test_a_batch_of_one_or_many_gives_the_same_predictions(script, tmp_path):
    for budget in (1, 100_000):
        script("predict", "--model", DATA / "bundle_lora_t5.zip", "--base-model", T5, "--sequences",
               DATA / "sites_test.fasta", "--batch-tokens", budget, "--output-table", f"{budget}.tsv")  # fmt: skip
    one, many = (table(tmp_path / "work" / f"{budget}.tsv") for budget in (1, 100_000))
    for first, second in zip(one, many, strict=True):
        assert float(first["probability_1"]) == pytest.approx(float(second["probability_1"]), abs=1e-5)


def test_a_table_without_labels_and_one_sequence_are_enough_to_predict(script, tmp_path):
    (tmp_path / "one.csv").write_text("name,residues\nonly,MKVYLL\n")
    script("predict", "--model", DATA / "bundle_lora_t5.zip", "--base-model", T5, "--sequences", tmp_path / "one.csv",
           "--id-column", "name", "--sequence-column", 2, "--output-table", "p.tsv")  # fmt: skip
    (row,) = table(tmp_path / "work" / "p.tsv")
    assert (row["id"], row["tokens"], row["windows"]) == ("only", "6", "1")


# Mistakes. Each is noticed before torch is imported, where the only torch is one that refuses to be imported.


TORCH = ("torch",)


def fasta(*records):
    return "".join(f">{header}\n{sequence}\n" for header, sequence in records)


GOOD = [(f"p{n} LABEL={n % 2}", "MKV" + "ACDEFGHIKLMNPQRSTVWY"[n % 20] * (1 + n // 20)) for n in range(60)]
FINETUNE_MISTAKES = {
    "empty file": ({"train": ""}, [], "train.fasta is empty"),
    "not FASTA": ({"train": "Two words\n"}, [], "neither FASTA nor a table"),
    "no label": ({"train": fasta(*GOOD, ("x", "MK"))}, [], "record 'x' (line 121) has no label"),
    "one class": ({"train": fasta(*GOOD[::2])}, [], "all training examples have the label '0'"),
    "one example of a class": ({"train": fasta(*GOOD, ("x LABEL=2", "MK"))}, [], "the class '2' has one example"),
    "wrong letter": ({"train": fasta(*GOOD, ("x LABEL=1", "MK?"))}, [], "record 'x' (line 121) has '?' at position 3"),
    "no number": (
        {"train": fasta(*GOOD, ("x LABEL=1_0", "MK"))},
        ["--task", "sequence-regression"],
        "has '1_0' where a number is needed",
    ),
    "two spellings": (
        {"train": fasta(*GOOD, ("x LABEL=1.0", "MK"))},
        [],
        "the labels '1' (30 sequences) and '1.0' (1) differ only in how the number is written",
    ),
    "label columns of one class": (
        {"train": fasta(*GOOD)},
        ["--label-columns", "a,b"],
        "--label-columns is for several",
    ),
    "leak refused": (
        {"train": fasta(*GOOD), "test": fasta(("t LABEL=0", GOOD[0][1]))},
        ["--duplicates", "refuse"],
        "1 training sequences are in the validation or test set too, one is 'p0'",
    ),
    "wrong metric": ({"train": fasta(*GOOD)}, ["--metric", "rmse"], "the metric 'rmse' is not one of this task's"),
    "PiSSA with DoRA": ({"train": fasta(*GOOD)}, ["--method", "dora", "--lora-start", "pissa"], "cannot be combined"),
    "PiSSA with VeRA": (
        {"train": fasta(*GOOD)},
        ["--method", "vera", "--lora-start", "pissa"],
        "is for the method lora",
    ),
    "rsLoRA with IA3": (
        {"train": fasta(*GOOD)},
        ["--method", "ia3", "--lora-scaling", "rslora"],
        "is for the methods lora, dora and qlora; the method is ia3",
    ),
    "a rank of VeRA's": ({"train": fasta(*GOOD)}, ["--vera-rank", "8"], "is for the method vera; the method is lora"),
    "AdaLoRA shared out": (
        {"train": fasta(*GOOD)},
        ["--method", "adalora", "--processes", "2", "--strategy", "fsdp"],
        "processes that share the weights of a model cannot train with adalora; choose ddp",
    ),
    "positive label unknown": ({"train": fasta(*GOOD)}, ["--positive-label", "yes"], "no example has the positive"),
    "cls pooling of T5": ({"train": fasta(*GOOD)}, ["--pooling", "cls"], "no token at the start"),
    "nonsense number": ({"train": fasta(*GOOD)}, ["--epochs", "many"], "argument --epochs: 'many' is not an integer"),
    "NaN option": ({"train": fasta(*GOOD)}, ["--learning-rate", "nan"], "argument --learning-rate: nan is out of"),
    "unknown option": ({"train": fasta(*GOOD)}, ["--frobnicate"], "unrecognized arguments: --frobnicate"),
    "output nowhere": (
        {"train": fasta(*GOOD)},
        ["--output-log", "/no/such/x"],
        "--output-log: there is no folder /no/such",
    ),
    "one name for two outputs": ({"train": fasta(*GOOD)}, ["--output-log", "m.zip"], "have the same name"),
    "too long": ({"train": fasta(*GOOD)}, ["--max-length", 3, "--long-sequences", "refuse"], "over the limit of 3"),
    "more processes than sequences": (
        {"train": fasta(*GOOD)},
        ["--processes", 9],
        "9 processes cannot share updates of 8",
    ),
    "DeepSpeed where it is not": ({"train": fasta(*GOOD)}, ["--strategy", "deepspeed"], "DeepSpeed is not installed"),
    "truncated gzip": ({"train": b"\x1f\x8b\x08\x00\x00\x00\x00\x00"}, [], "cut short or damaged"),
}


def one_line(done, message, folder):
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and message in lines[0], done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.iterdir()), "something half-written stayed"


@pytest.mark.parametrize("mistake", FINETUNE_MISTAKES)
def test_finetune_names_the_mistake_quickly_and_leaves_nothing(script, tmp_path, mistake):
    files, options, message = FINETUNE_MISTAKES[mistake]
    arguments = []
    for name, content in files.items():
        path = tmp_path / f"{name}.fasta"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        arguments += [f"--{name}", path]
    done = script(
        "finetune", "--model", T5, *arguments, "--output-model", "m.zip", *options, check=False, without=TORCH
    )
    one_line(done, message, tmp_path / "work")


MODEL_MISTAKES = {
    "config.json": "has no config.json",
    "model.safetensors": "no weights",
    "spiece.model": "no tokenizer",
}


@pytest.mark.parametrize("missing", MODEL_MISTAKES)
def test_an_incomplete_base_model_is_named(script, tmp_path, missing):
    folder = tmp_path / "incomplete"
    shutil.copytree(T5, folder)
    (folder / missing).unlink()
    done = script("finetune", "--model", folder, *SITES, "--output-model", "m.zip", check=False, without=TORCH)
    one_line(done, "", tmp_path / "work")
    assert missing.split(".")[0] in done.stderr or MODEL_MISTAKES[missing] in done.stderr


def test_a_base_model_with_missing_tensors_is_named(script, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "holes"
    shutil.copytree(ESM, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.attention.self.query.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    done = script("finetune", "--model", folder, *SITES, "--output-model", "m.zip", check=False)
    one_line(done, "is incomplete: 1 weights are missing", tmp_path / "work")


def truncated(tmp_path):
    path = tmp_path / "cut.zip"
    path.write_bytes((DATA / "bundle_lora_t5.zip").read_bytes()[:-500])
    return path


PREDICT_MISTAKES = {
    "truncated archive": (truncated, T5, None, "cut.zip"),
    "another base model": (DATA / "bundle_lora_t5.zip", ESM, None, "was trained on another base model"),
    "no base model": (DATA / "bundle_lora_t5.zip", None, None, "give its base model too, seqlm/tiny-t5"),
    "an adapter as base model": (DATA / "bundle_lora_t5.zip", DATA / "bundle_lora_t5.zip", None, "only an adapter"),
    "a plain model": (DATA / "tiny_esm_folder.tar.gz", None, None, "is not a fine-tuned model of this tool suite"),
    "no archive": (DATA / "sites_test.fasta", T5, None, "sites_test.fasta"),
    "empty file": (DATA / "bundle_lora_t5.zip", T5, "", "is empty"),
    "wrong letter": (DATA / "bundle_lora_t5.zip", T5, fasta(("a", "MK"), ("b", "M-V")), "record 'b' (line 3) has '-'"),
    "DNA": (DATA / "bundle_lora_t5.zip", T5, fasta(("a", "ACGT" * 20)), "holds DNA or RNA (1 of 1 sequences)"),
}


@pytest.mark.parametrize("mistake", PREDICT_MISTAKES)
def test_predict_names_the_mistake_and_leaves_nothing(script, tmp_path, mistake):
    bundle, base, content, message = PREDICT_MISTAKES[mistake]
    if callable(bundle):
        bundle = bundle(tmp_path)
    sequences = DATA / "sites_test.fasta"
    if content is not None:
        sequences = tmp_path / "in.fasta"
        sequences.write_text(content)
    base = ["--base-model", base] if base else []
    done = script("predict", "--model", bundle, *base, "--sequences", sequences, "--output-table", "p.tsv",
                  check=False, without=TORCH)  # fmt: skip
    one_line(done, message, tmp_path / "work")


@pytest.mark.parametrize("name", ["finetune", "predict"])
def test_help_and_no_arguments(script, tmp_path, name):
    shown = script(name, "--help", without=TORCH)
    assert "--model" in shown.stdout
    one_line(script(name, check=False, without=TORCH), "the following arguments are required", tmp_path / "work")


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path, monkeypatch, capsys):
    """safetensors, zipfile and plain files report it in three ways; each ends in the same line."""
    import errno

    from seqlm.cli.errors import run
    from seqlm.cli.outputs import Outputs

    for problem in (
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device"),
    ):

        def fill(problem=problem):
            with Outputs() as outputs:
                outputs.file(tmp_path / "model.zip").write_text("half")
                outputs.folder(tmp_path / "figures").joinpath("roc.png").write_text("half")
                raise problem

        with pytest.raises(SystemExit) as stopped:
            run(fill)
        assert stopped.value.code == 2
        assert capsys.readouterr().err.startswith("error: the disk is full")
        assert not list(tmp_path.iterdir())


def test_outputs_appear_only_when_all_are_complete(tmp_path):
    from seqlm.cli.outputs import Outputs, cell, write_table

    (tmp_path / "old.tsv").write_text("old")
    with Outputs() as outputs:
        write_table(outputs.file(tmp_path / "old.tsv"), ["a\tb"], [[1.23456789, None, float("nan"), "x\ny"]])
        assert (tmp_path / "old.tsv").read_text() == "old"
    assert (tmp_path / "old.tsv").read_text() == "a b\n1.23457\t\t\tx y\n"
    assert cell(0.1 + 0.2) == "0.3"
    assert [path.name for path in tmp_path.iterdir()] == ["old.tsv"]


def test_a_stopped_job_cleans_up(tmp_path):
    """Galaxy stops a job with SIGTERM."""
    work = tmp_path / "work"
    work.mkdir()
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from seqlm.cli.errors import run\nfrom seqlm.cli.outputs import Outputs\n"
        "def main():\n    with Outputs() as outputs:\n        outputs.file('m.zip').write_text('half')\n"
        "        print('ready', flush=True)\n        time.sleep(60)\nrun(main)\n"
    )
    job = subprocess.Popen([sys.executable, "-c", code, ROOT / "scripts"], cwd=work, stdout=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "ready\n"
    job.terminate()
    assert job.wait(20) == 143
    assert not list(work.iterdir())


def test_prediction_tables_survive_odd_labels(tmp_path):
    from seqlm.cli.outputs import write_table

    buffer = tmp_path / "t.tsv"
    write_table(buffer, ["id", 'probability_"x"'], [["a", 0.5]])
    assert list(csv.reader(io.StringIO(buffer.read_text()), delimiter="\t", quoting=csv.QUOTE_NONE)) == [
        ["id", 'probability_"x"'],
        ["a", "0.5"],
    ]


# -- labels in columns of their own, and classes in files of their own


def test_labels_in_columns_count_where_they_are_known(script, tmp_path):
    train = DATA / "label_columns.tsv"
    script("finetune", "--model", ESM, "--train", train, "--task", "multi-label", "--label-columns", "membrane,4-5",
           "--id-column", "protein", "--method", "head", "--epochs", 2, "--test-fraction", 0.3, "--calibration",
           "temperature", "--class-weights", "balanced", "--output-model", "m.zip", "--output-metrics", "scores.tsv",
           "--output-predictions", "p.tsv", "--output-report", "r.md", "--output-html", "r.html")  # fmt: skip
    out = tmp_path / "work"
    names = ["membrane", "nucleus", "secreted"]
    given, made = {row["protein"]: row for row in table(train)}, table(out / "p.tsv")
    truth = np.array([[int(given[row["id"]][name] or -1) for name in names] for row in made])
    for row, known in zip(made, truth, strict=True):
        said = dict(zip(names, known.tolist(), strict=True))
        cells = [name for name in names if said[name] == 1] + [f"?{name}" for name in names if said[name] == -1]
        assert row["truth"] == (";".join(cells) or "none")
    called = np.array([[name in row["predicted"].split(";") for name in names] for row in made])
    scores = {row["metric"]: float(row["value"]) for row in table(out / "scores.tsv")
              if (row["split"], row["model"]) == ("test", "fine-tuned")}  # fmt: skip
    right = (truth == called)[truth >= 0]
    assert scores["hamming_accuracy"] == pytest.approx(right.mean(), abs=1e-6) and len(right) < truth.size
    report = (out / "r.md").read_text()
    for name in names:
        unknown = sum(row[name] == "" and any(row[other] for other in names) for row in given.values())
        assert re.search(rf"^\| {name}\S* \|.* {unknown} \|$", report, re.M)
    script("evaluate", "--predictions", "p.tsv", "--output-table", "again.tsv")
    again = {row["metric"]: float(row["value"]) for row in table(out / "again.tsv") if row["model"] == "p"}
    for name in ("hamming_accuracy", "macro_auroc", "fmax", "micro_f1"):
        assert again[name] == pytest.approx(scores[name], abs=1e-5)


def test_a_fasta_for_each_class_is_one_set_of_two_classes(script, tmp_path):
    classes = [f"--class-fasta=in the family={DATA / 'protein_family.fasta'}",
               f"--class-fasta=other={DATA / 'other_proteins.fasta'}",
               f"--test-class-fasta=in the family={DATA / 'protein_family_held_out.fasta'}"]  # fmt: skip
    script("finetune", "--model", ESM, *classes, "--method", "head", "--epochs", 1, "--output-model", "m.zip",
           "--output-predictions", "p.tsv", "--output-report", "r.md")  # fmt: skip
    rows = table(tmp_path / "work" / "p.tsv")
    assert {(row["truth"], row["split"]) for row in rows} == {("in the family", "test")}
    assert list(rows[0])[2:4] == ["probability_other", "probability_in the family"]
    report = (tmp_path / "work" / "r.md").read_text().replace("\\", "")
    assert "of the class 'other', read from other_proteins.fasta: 60 sequences" in report
    assert "The positive class is in the family, as its name says" in report
