"""Models of 6-mers fine-tuned on labels and on sequences alone; their bundles and the Python of their cards."""

import json
import random
import re
import shutil
import zipfile

import pytest

from makers.models import make
from makers.scripts import manifest, run_all, run_batch, shown_by_card, table
from seqlm.checkpoints.bundle import open_bundle
from seqlm.families.recognition import recognise

pytestmark = pytest.mark.slow

SIZES = (30, 90)  # bases of the sequences, few of them a multiple of six


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of all runs."""
    folder = tmp_path_factory.mktemp("six_mers")
    rng = random.Random(3)
    lines = []
    for number in range(40):
        letters = "".join(
            rng.choices("ACGT", weights=(4, 1, 1, 4) if number % 2 else (1, 4, 4, 1), k=rng.randint(*SIZES))
        )
        lines.append(f">s{number} LABEL={number % 2}\n{letters}\n")
    (folder / "train.fasta").write_text("".join(lines))
    (folder / "two.fasta").write_text(">a\nACGTACGTACGTTGACAGCTATTG\n>b\nTTGACAGCTA\n")
    calls = []
    for name in ("generator", "carbon"):
        model = make(name, folder)
        common = ["--train", folder / "train.fasta", "--epochs", "1", "--device", "cpu", "--model-id", model]
        train = ["finetune", "--model", model, *common, "--output-report", "report.md", "--output-model"]
        label = [*train, "label.zip", "--task", "sequence-classification", "--learning-rate", "0.01"]
        writes = [*train, "writes.zip", "--task", "causal-lm"]
        (folder / f"{name}-lora").mkdir(), (folder / f"{name}-full").mkdir()
        lora = folder / f"{name}-lora"
        calls += [(lora, *label), (lora, *writes)]
        calls.append((folder / f"{name}-full", *(writes if name == "generator" else label), "--method", "full"))
    run_all(calls)
    return folder


@pytest.mark.parametrize("name", ["generator", "carbon"])
def test_labels_are_predicted_by_the_bundle_as_by_the_python_of_its_card(done, tmp_path, name):
    work = done / f"{name}-lora"
    (one,) = run_batch(
        [(work, "predict", "--model", "label.zip", "--base-model", done / name, "--sequences", done / "two.fasta",
          "--device", "cpu", "--output-table", "t.tsv")]
    )  # fmt: skip
    assert one.returncode == 0, one.stderr
    probability = float(table(work / "t.tsv")[1]["probability_1"])
    assert shown_by_card(work / "label.zip", tmp_path, "TTGACAGCTA")[1] == pytest.approx(probability, abs=1e-4)


@pytest.mark.parametrize(("name", "method"), [("generator", "lora"), ("generator", "full"), ("carbon", "lora")])
def test_what_learnt_to_write_is_scored_as_by_the_python_of_its_card(done, tmp_path, capsys, name, method):
    work = done / f"{name}-{method}"
    base = ["--base-model", done / name] if method == "lora" else []
    common = ["--model", "writes.zip", *base, "--device", "cpu", "--output-table"]
    score, generate = run_batch(
        [
            (work, "score", *common, "t.tsv", "--sequences", done / "two.fasta"),
            (work, "generate", *common, "g.tsv", "--prompt", "ACGTACG", "--num-sequences", "5", "--equal-only"),
        ]
    )
    assert score.returncode == 0, score.stderr
    assert generate.returncode == 0, generate.stderr
    assert all(row["sequence"].startswith("ACGTACG") for row in table(work / "g.tsv"))
    zipfile.ZipFile(work / "writes.zip").extractall(tmp_path)
    code = re.search(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.S).group(1)
    exec(code.replace('folder = "."', f"folder = {str(tmp_path)!r}"), {})
    printed = capsys.readouterr().out.split()
    assert float(printed[0]) == pytest.approx(float(table(work / "t.tsv")[0]["perplexity"]), rel=1e-4)
    assert set(printed[1]) <= set("ACGT")


def test_bundles_name_no_code_and_are_models_of_their_family(done, tmp_path):
    """Though the published files do; an upload of these is refused."""
    for name, archive in (("generator", "generator-full/writes.zip"), ("carbon", "carbon-full/label.zip")):
        (tmp_path / name).mkdir()
        bundle = open_bundle(done / archive, tmp_path / name)
        settings = json.loads((bundle.folder / "tokenizer_config.json").read_text())
        assert "auto_map" not in bundle.model.config and not settings.keys() & {"auto_map", "tokenizer_class"}
        family = recognise(bundle.folder, bundle.model.config)
        assert type(family).__name__.lower() == name
        assert (
            family.vocabulary
            == recognise(done / name, json.loads((done / name / "config.json").read_text())).vocabulary
        )
        assert manifest(done / archive)["family"] == "generator"
    shutil.make_archive(str(tmp_path / "upload"), "zip", done / "generator")
    (tmp_path / "refused").mkdir()
    with pytest.raises(Exception, match=r"'auto_map' in .* names Python code to run"):
        open_bundle(tmp_path / "upload.zip", tmp_path / "refused")
    plain = tmp_path / "plain"
    shutil.copytree(done / "carbon", plain)
    settings = json.loads((plain / "tokenizer_config.json").read_text())
    (plain / "tokenizer_config.json").write_text(
        json.dumps({key: settings[key] for key in settings if key != "auto_map"})
    )
    shutil.make_archive(str(tmp_path / "carbon-upload"), "zip", plain)
    (tmp_path / "taken").mkdir()
    assert open_bundle(tmp_path / "carbon-upload.zip", tmp_path / "taken").kind == "model"
