"""Several processes train as one does: the same losses and weights, whatever they share; what fails ends them all."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from makers.scripts import DATA, ROOT, SCRIPTS, run_batch, table
from seqlm.checkpoints.folder import read_model_folder
from seqlm.data.records import Rules
from seqlm.families.recognition import recognise
from seqlm.inference.adapters import LoraSettings, add_adapter
from seqlm.inference.language_rows import read_texts
from seqlm.inference.likelihood import TokenModel
from seqlm.inference.loading import SequenceModel, load_backbone
from seqlm.inference.tasks import Head, Task, pair_width
from seqlm.tokenization.encoder import Encoder
from seqlm.tokenization.language_text import LanguageText
from seqlm.tools.finetune.examples import Examples
from seqlm.tools.finetune.label_training import train
from seqlm.training.language_training import train_language_model
from seqlm.training.launching import others
from seqlm.training.processes import ALONE, joined
from seqlm.training.state import Settings

CPU = torch.device("cpu")
BOTH = ("ddp", "fsdp")
LORA = LoraSettings(rank=4, dropout=0.0)
# what is learnt by which model, how, and what the processes share; 13 items in updates of 4, so that the last update
# has one item for two processes
CASES = {
    "lora of T5": ("sequence-classification", "t5", LORA, {}, BOTH),
    "DoRA, rows computed twice": (
        "sequence-classification", "esm", LoraSettings(rank=4, dropout=0.0, method="dora"),
        {"gradient_checkpointing": True}, ("ddp",),
    ),
    "PiSSA and layer norms": (
        "sequence-classification", "esm", LoraSettings(rank=4, dropout=0.0, pissa=True, layer_norms=True),
        {}, ("fsdp",),
    ),
    "AdaLoRA, whose ranks depend on the gradients": (
        "sequence-classification", "bert", LoraSettings(method="adalora", rank=2, dropout=0.0), {"budget": 60},
        ("ddp",),
    ),
    "IA3": ("sequence-classification", "esm", LoraSettings(method="ia3"), {}, BOTH),
    "VeRA": ("sequence-classification", "t5", LoraSettings(method="vera", dropout=0.0, vera_rank=16), {}, BOTH),
    "all weights of BERT, whose pooler is not used": ("sequence-regression", "bert", None, {"budget": 60}, BOTH),
    "residues, of which some are not known": ("residue-classification", "esm", LORA, {"budget": 60}, BOTH),
    "pairs": ("pair-classification", "esm", LORA, {}, ("ddp",)),
    "several labels, the head alone": ("multi-label", "esm", "head", {}, ("ddp",)),
    "writing": ("causal-lm", "llama", LORA, {}, BOTH),
}  # fmt: skip


def texts(count=13, seed=5):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), rng.integers(3, 40))) for _ in range(count)]


def learn(name, group):
    """Weights and history of one training."""
    task_name, kind, lora, options, _ = CASES[name]
    folder = DATA / "models" / f"tiny-{kind}"
    torch.manual_seed(3)
    rng = np.random.default_rng(1)
    family = recognise(folder, read_model_folder(folder).config)
    settings = Settings(**({"epochs": 2, "batch_size": 4, "learning_rate": 0.003, "metric": "loss"} | options))
    if task_name == "causal-lm":
        backbone = family.load_language_model(folder, dtype=torch.float32, output_loading_info=True)[0]
        model = TokenModel(add_adapter(backbone.requires_grad_(False), family, lora, "tiny", writes=True))
        read = read_texts(LanguageText(family, folder), [(one, one) for one in texts()], limit=30, rules=Rules())
        history = train_language_model(model, [one.rows for one in read], settings, group=group)
        return model, history
    labels = {"sequence-regression": None, "residue-classification": ("C", "E", "H")}.get(task_name, ("a", "b"))
    task = Task(task_name, labels)
    backbone = load_backbone(folder, family, torch.float32, CPU)
    if isinstance(lora, LoraSettings):
        backbone = add_adapter(backbone, family, lora, "tiny")
    elif lora is None:
        backbone.requires_grad_(True)
    for module in backbone.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):  # T5's attention
            module.dropout = 0.0
    width, pairs = family.hidden_size, None
    if task.level == "pair":
        width, pairs = pair_width(width, width, "symmetric"), rng.integers(0, 13, (13, 2))
    head = Head(width, task.outputs, dropout=0.0, pairs="symmetric" if pairs is not None else None)
    encoder = Encoder(family, folder, max_length=20, pooling="none" if task.level == "residue" else "mean")
    encoded = [encoder.encode(text) for text in texts()]
    if task.level == "residue":
        truth = [rng.integers(0, 3, len(text)) for text in texts()]
        truth = [np.full_like(one, -1) if n % 3 == 0 else one for n, one in enumerate(truth)]
        truth = task.truth(truth)
    elif task.several:
        truth = rng.integers(0, 2, (13, 2))
    else:
        truth = rng.normal(size=13) if labels is None else rng.integers(0, 2, 13)
    pooled = torch.from_numpy(rng.normal(size=(13, width)).astype(np.float32)) if lora == "head" else None
    data = Examples(task, encoded, truth, pooled=pooled, pairs=pairs)
    model = SequenceModel(backbone, family.hidden_size, head, task)
    validation = data
    if task.name == "sequence-classification":  # the better it learns, the worse it scores, so the first epoch is kept
        validation = Examples(task, encoded, 1 - truth)
    return model, train(model, data, validation, encoder.padding, settings, group)


def learn_all(rank, folder, meeting):
    """Every case with every strategy, as one of two processes; the first writes what it has learnt."""
    torch.set_num_threads(1)
    for strategy in BOTH:
        with joined(rank, 2, strategy, CPU, meeting / strategy) as group:
            numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
            given = group.given(numbers if rank == 0 else None)
            assert given.dtype == np.float32 and np.array_equal(given, numbers)
            assert group.told(["as", 1, 2.5] if rank == 0 else None) == ["as", 1, 2.5]
            for name in (name for name, case in CASES.items() if strategy in case[-1]):
                model, history = learn(name, group)
                weights = group.whole({key: one for key, one in model.named_parameters() if one.requires_grad})
                if rank == 0:
                    save_file(weights, folder / f"{strategy} {name}")
                    (folder / f"{strategy} {name}.json").write_text(json.dumps([history.best_epoch, history.epochs]))


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learnt")
    with others(2, learn_all, (folder, folder), folder):
        learn_all(0, folder, folder)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_two_processes_learn_what_one_learns(learnt, name):
    """Losses to a relative difference of 1e-4, weights to 1e-4 or 1e-3 of themselves, after 8 updates at a rate of
    3e-3."""
    model, history = learn(name, ALONE)
    expected = {key: one.detach() for key, one in model.named_parameters() if one.requires_grad}
    for strategy in CASES[name][-1]:
        weights = load_file(learnt / f"{strategy} {name}")
        best, epochs = json.loads((learnt / f"{strategy} {name}.json").read_text())
        assert best == history.best_epoch and len(epochs) == 2
        for one, two in zip(history.epochs, epochs, strict=True):
            assert two == pytest.approx(one, rel=1e-4, nan_ok=True)
        assert weights.keys() <= expected.keys() and any("head" in key or "lora" in key for key in weights)
        for key, one in weights.items():
            torch.testing.assert_close(one, expected[key], atol=1e-4, rtol=1e-3)


# How they end ------------------------------------------------------------------------------------------------------

ENDS = {
    "mistaken": "error: process 1 is mistaken",
    "killed": "error: one of the 3 processes was killed (signal 9), which happens where memory does not suffice",
    "defective": "ZeroDivisionError: a defect",
    "waiting": "error: the first is mistaken",
}


@pytest.mark.parametrize("waits", ["a moment", "for ever"])
@pytest.mark.parametrize("how", ENDS)
def test_a_process_that_fails_ends_all_with_what_it_says(tmp_path, how, waits):
    """Even where the first waits for it, as for a message that never comes."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "makers" / "processes.py", how, waits],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if line.startswith(ENDS[how][:30])]
    assert len(lines) == 1 and lines[0].startswith(ENDS[how]), done.stderr
    assert done.returncode == (1 if how == "defective" else 2)
    assert ("Traceback" in done.stderr) == (how == "defective")
    assert "nobody" not in done.stderr and not list(tmp_path.iterdir())
    assert time.monotonic() - began < 30


# The script ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_script_starts_processes_or_is_started_by_torchrun(tmp_path):
    """Of a head alone, the others get the vectors that the first computes. Losses agree to a difference of 1e-4."""
    head = (
        "--model", DATA / "models" / "tiny-esm", "--train", DATA / "sites_train.fasta", "--method", "head", "--epochs",
        1, "--head-dropout", 0, "--threads", 1, "--output-model", "model.zip",
    )  # fmt: skip
    calls = (("--output-log", "one"), ("--output-log", "two", "--processes", 2, "--strategy", "fsdp"))
    done = run_batch([(tmp_path, "finetune", *head, *call) for call in calls])
    assert not any(one.returncode for one in done), [one.stderr for one in done]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", 2, "--standalone"]
    call = [*torchrun, SCRIPTS / "finetune.py", *head, "--output-log", "run"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(list(map(str, call)), cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("loading the libraries") == 1, "one process speaks"
    one, *others_ = (table(tmp_path / name)[-1] for name in ("one", "two", "run"))
    for other in others_:
        for name in ("train_loss", "validation_loss"):
            assert float(other[name]) == pytest.approx(float(one[name]), rel=1e-4)
