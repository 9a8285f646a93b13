"""What is chosen for a job with so much memory, and what is refused, on GPUs and CPUs that are not there."""

import os
import re
from argparse import Namespace
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from makers.forms import parser_of
from makers.models import sequences
from makers.scripts import one_line, run_script, table
from seqlm.checkpoints.folder import ModelFolder, read_model_folder
from seqlm.cli.errors import InputError
from seqlm.families.esm import Esm
from seqlm.families.recognition import recognise
from seqlm.families.t5 import T5Encoder
from seqlm.inference import machine
from seqlm.inference.fitting import Memory, Setting
from seqlm.inference.loading import precision_of
from seqlm.inference.machine import Machine
from seqlm.inference.memory import Adapter, Need, Rows, adapted_numbers, precision_for, weights_in
from seqlm.tools.pretrain.memory import _new

PLENTY = 1e12
GPUS = {
    "T4": (15, (7, 5)), "V100": (16, (7, 0)), "V100 of 32 GB": (32, (7, 0)), "L40S": (48, (8, 9)), "H100": (80, (9, 0)),
}  # fmt: skip


def esm(width, depth, heads):
    config = {
        "model_type": "esm", "hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads,
        "intermediate_size": 4 * width, "vocab_size": 33, "max_position_embeddings": 1026,
        "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    return Esm(config, {"<cls>": 0, "<eos>": 2}, "protein")


PROTT5 = {
    "model_type": "t5", "d_model": 1024, "d_kv": 128, "d_ff": 16384, "num_heads": 32, "num_layers": 24,
    "vocab_size": 128, "dropout_rate": 0.1,
}  # fmt: skip
SHAPES = {
    "8M": esm(320, 6, 20), "150M": esm(640, 30, 20), "650M": esm(1280, 33, 20), "3B": esm(2560, 36, 40),
    "ProtT5-XL": T5Encoder(PROTT5, {"</s>": 1}, "protein"),
}  # fmt: skip


def need_of(shape, task, longest=514, **others):
    """Reading (``embed``), or training on the ``last`` two layers, with ``lora`` on all, or of ``full`` weights."""
    family = SHAPES[shape]
    width, across, inner = family.hidden_size, family.attention_width, family.inner_width
    weights = family.depth * (4 * width * across + 2 * width * inner) + family.vocabulary_size * width
    need = Need(family, weights, 4 * weights, longest, most=10**6, **others)
    if task == "embed":
        return need
    need = replace(need, item=longest, update=8 * longest, single=True, trains=True, may_checkpoint=True)
    if task == "full":
        return replace(need, trained=weights, whole=True)
    adapter, layers = Adapter(3, 1, 0), 2 if task == "last" else family.depth
    trained = adapted_numbers(family, adapter, layers)
    return replace(need, adapter=adapter, first=family.depth - layers, trained=trained)


def fitted(need, where, **asked):
    memory = Memory(need, Namespace(**{"device": "auto", "precision": "auto", "batch_tokens": "auto", **asked}))
    memory.fit(where)
    return memory


def gpu(name):
    size, capability = GPUS[name]
    return Machine("cuda", 64e9, size * 1e9 - 0.6e9, capability, "the GPU has")


def cpu(size):
    return Machine("cpu", size * 1e9, words="this job has")


# GPU, shape, task -> precision and tokens of reading, and of training, with checkpointing
CHOSEN = {
    ("T4", "8M", "full"): ("fp16", 16384, "fp32", 4096, False),
    ("T4", "650M", "lora"): ("fp16", 16384, "fp32", 2048, False),
    ("T4", "650M", "full"): ("fp16", 16384, "fp32", 4096, True),
    ("T4", "3B", "lora"): ("fp16", 4096, "fp32", 1024, True),
    ("T4", "ProtT5-XL", "last"): ("fp32", 8192, "fp32", 4096, False),
    ("V100", "150M", "lora"): ("fp16", 16384, "fp32", 4096, False),
    ("V100", "ProtT5-XL", "lora"): ("fp32", 8192, "fp32", 1024, False),
    ("V100 of 32 GB", "650M", "lora"): ("fp16", 16384, "fp32", 4096, False),
    ("V100 of 32 GB", "ProtT5-XL", "full"): ("fp32", 16384, "fp32", 1024, False),
    ("L40S", "650M", "full"): ("bf16", 16384, "bf16", 4096, False),
    ("L40S", "3B", "lora"): ("bf16", 16384, "bf16", 2048, False),
    ("L40S", "ProtT5-XL", "full"): ("bf16", 16384, "bf16", 2048, False),
    ("H100", "3B", "full"): ("bf16", 16384, "bf16", 2048, False),
    ("H100", "ProtT5-XL", "full"): ("bf16", 16384, "bf16", 4096, False),
}


@pytest.mark.parametrize("case", CHOSEN, ids=" ".join)
def test_precision_tokens_and_checkpointing_suit_the_gpu(case):
    name, shape, task = case
    memory = fitted(need_of(shape, task), gpu(name))
    reading, training = (precision_for("auto", memory.machine, memory.need.family, one) for one in (False, True))
    assert (reading, memory.tokens(), training, memory.tokens(training=True), memory.checkpointing) == CHOSEN[case]
    assert memory.expected <= memory.allowed


@pytest.mark.parametrize("name", GPUS)
def test_bf16_is_what_a_gpu_has_and_not_what_torch_can_do_on_it(monkeypatch, name):
    """torch says of every GPU that it has bf16, which on a T4 or a V100 is computed in fp32, and slowly."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: GPUS[name][1])
    has = GPUS[name][1] >= (8, 0)
    here, esm, t5 = torch.device("cuda"), SHAPES["650M"], SHAPES["ProtT5-XL"]
    assert precision_of("auto", here, esm) == (torch.bfloat16 if has else torch.float16)
    assert precision_of("auto", here, t5) == (torch.bfloat16 if has else torch.float32)  # which overflows in fp16
    for family in (esm, t5):
        assert precision_of("auto", here, family, training=True) == (torch.bfloat16 if has else torch.float32)
        assert precision_of("fp32", here, family) == torch.float32
    if has:
        assert precision_of("bf16", here, t5) == torch.bfloat16
        return
    with pytest.raises(InputError, match=r"\(compute capability 7\.\d\) has no bf16; let the tool decide, or use fp16"):
        precision_of("bf16", here, esm)
    with pytest.raises(InputError, match="has no bf16; let the tool decide, or use fp32"):
        precision_of("bf16", here, t5)


def test_half_precision_is_advised_where_it_is_had_and_a_slow_one_is_said_to_be_slow(monkeypatch):
    small = replace(gpu("T4"), gpu=3.2e9)
    with pytest.raises(InputError) as refused:
        fitted(need_of("ProtT5-XL", "embed"), small)
    assert "half precision" not in str(refused.value)
    with pytest.raises(InputError, match=r"compute in half precision \(--precision fp16\)"):
        fitted(need_of("650M", "embed"), replace(small, gpu=2e9), precision="fp32")
    with pytest.raises(InputError, match=r"compute in half precision \(--precision bf16\)"):
        fitted(need_of("650M", "embed"), replace(gpu("H100"), gpu=2e9), precision="fp32")
    for slow, said in ((True, r"\(--precision bf16, slowly on this CPU\)"), (False, r"\(--precision bf16\)")):
        monkeypatch.setattr("seqlm.inference.fitting.slow_in_bf16", lambda slow=slow: slow)
        with pytest.raises(InputError, match=rf"compute in half precision {said}"):
            fitted(need_of("650M", "embed"), cpu(3))


@pytest.mark.parametrize(("name", "shape"), [("T4", "ProtT5-XL"), ("V100", "3B"), ("V100 of 32 GB", "3B")])
def test_a_gpu_that_is_too_small_for_all_weights_is_told_that_an_adapter_fits(name, shape):
    with pytest.raises(InputError, match=r"needs about [\d.]+ GB of memory, and the GPU has .*--method lora"):
        fitted(need_of(shape, "full"), gpu(name))
    fitted(need_of(shape, "lora"), gpu(name))


def test_the_machine_must_hold_what_goes_to_the_gpu():
    with pytest.raises(InputError, match=r"on its way to the GPU, and this job has 3\.0 GB"):
        fitted(need_of("ProtT5-XL", "embed"), replace(gpu("H100"), memory=3e9))


@pytest.mark.parametrize("task", ["embed", "last", "lora", "full"])
@pytest.mark.parametrize("shape", SHAPES)
def test_where_memory_suffices_everything_is_as_ever(shape, task):
    on_cpu = fitted(need_of(shape, task), cpu(PLENTY))
    assert on_cpu.reading == Setting(1024)
    assert on_cpu.training == Setting(2048 if task != "embed" else 0)
    on_gpu = fitted(need_of(shape, task), replace(gpu("H100"), memory=PLENTY, gpu=PLENTY))
    assert on_gpu.reading == Setting(16384)
    assert on_gpu.training == Setting(4096 if task != "embed" else 0)


def test_as_memory_gets_less_so_does_what_is_expected():
    """First tokens get fewer, then activations are computed twice, then freed memory is given back at once, and in the
    end the job is refused."""
    seen, before = [], 1e99
    for tenths in range(200, 0, -1):
        try:
            memory = fitted(need_of("150M", "lora"), cpu(tenths / 10))
        except InputError:
            break
        assert memory.expected <= min(before, memory.allowed)
        before = memory.expected
        if memory.training not in seen:
            seen.append(memory.training)
    assert seen[0] == Setting(2048)
    assert [one.tokens for one in seen if not one.checkpointing] == [2048, 1024, 512]
    assert seen[-1] == Setting(512, checkpointing=True, exact=True) and tenths < 20
    assert all(one.checkpointing and not one.exact for one in seen[3:-1])


def test_what_a_refusal_advises_fits():
    need = need_of("650M", "full", longest=1026)
    with pytest.raises(InputError) as refused:
        fitted(need, cpu(8))
    said = str(refused.value)
    assert "649 million weights" in said and "this job has 8.0 GB" in said
    fits = re.search(r"a model of up to (\d+) million weights", said)
    fitted(need.smaller(float(fits[1]) / 650), cpu(8))
    assert "--method lora" in said
    fitted(need_of("650M", "lora", longest=1026), cpu(8))
    with pytest.raises(InputError, match=r"read at most [\d,]+ tokens at once"):
        fitted(need_of("ProtT5-XL", "embed", longest=20_000), cpu(16))


def test_an_asked_number_of_tokens_is_kept_or_refused():
    memory = fitted(need_of("8M", "lora"), cpu(16), batch_tokens=100_000)
    assert memory.tokens() == memory.tokens(training=True) == 100_000
    with pytest.raises(InputError, match="leave the tokens at once at auto"):
        fitted(need_of("8M", "embed"), cpu(1), batch_tokens=100_000)
    assert fitted(need_of("8M", "embed"), cpu(1)).tokens() == 1024


def test_processes_share_the_memory():
    alone = fitted(need_of("150M", "lora"), cpu(12)).training
    assert fitted(need_of("150M", "lora", processes=4), cpu(48)).training == alone
    assert fitted(need_of("150M", "lora", processes=4), cpu(12)).training != alone
    with pytest.raises(InputError, match=r"this job has 0\.8 GB for each of 4 processes; train with one process"):
        fitted(need_of("150M", "lora", processes=4), cpu(3))


def test_sequences_are_written_in_as_many_slots_as_fit(capsys):
    need = replace(need_of("150M", "embed"), slot=10**8, slots=1000)
    assert fitted(need, cpu(PLENTY)).slots == 128
    assert fitted(need, cpu(PLENTY), batch_tokens=514 * 7).slots == 7
    some = fitted(need, cpu(8)).slots
    assert 40 < some < 70
    assert f"128 sequences at once do not fit into memory; {some} are written together" in capsys.readouterr().err
    with pytest.raises(InputError, match="needs about"):
        fitted(replace(need, slot=10**10), cpu(8))


def test_a_head_alone_is_trained_on_as_many_tokens_as_are_read():
    memory = fitted(need_of("8M", "embed", single=True), cpu(PLENTY))
    assert memory.tokens(training=True) == memory.tokens() == 1024 and not memory.checkpointing


def test_an_encoder_is_weighed_without_decoder_and_heads():
    tensors = {"encoder.a": ("F16", (10, 2)), "decoder.b": ("F32", (99,)), "lm_head.bias": ("F32", (5,))}
    folder = ModelFolder(Path("model"), {}, (), tensors)
    assert weights_in(folder) == (20, 40)
    assert weights_in(folder, encoder=False) == (124, 40 + 4 * 104)


def test_a_new_model_is_weighed_by_its_sizes(model_path):
    """As one with the same config.json that is there."""
    for name in ("esm-mlm", "protgpt2", "bert", "llama"):
        found = read_model_folder(model_path(name))
        family = recognise(found.path, found.config)
        assert _new(family) == pytest.approx(weights_in(found, encoder=False)[0], rel=0.3), name


def test_long_proteins_in_windows_are_one_item_of_training():
    rows = Rows.of([100, 1000, 30], SHAPES["8M"], 400)
    assert rows.longest == 402
    assert rows.item == rows.largest[0] == 3 * 402
    assert rows.total == 3 * 402 + 102 + 32


def test_the_gpu_is_asked_by_torch(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (14e9, 16e9))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3e9)
    memory = Memory(need_of("650M", "lora"), Namespace(device="auto", precision="auto", batch_tokens="auto"))
    assert memory.on(torch.device("cuda")).machine.gpu == memory.allowed == 14e9
    assert memory.tokens(training=True) == 2048


def test_memory_that_galaxy_gave_is_what_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setenv("GALAXY_MEMORY_MB", "2048")
    assert machine.memory_allowed() == (2 << 30, "this job has")
    for nothing in ("", "0", "much"):
        monkeypatch.setenv("GALAXY_MEMORY_MB", nothing)
        assert machine.memory_allowed()[1] == "this machine has free"
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.memory_allowed()[1] == "this machine has free"
    (tmp_path / "memory.max").write_text("100000000\n")
    assert machine.memory_allowed() == (1e8, "this job is held to")


def inputs(folder, model_path):
    """Tool -> its script and options, on tiny models."""
    proteins = sequences("esm", count=40, shortest=20)
    fasta, labels = folder / "proteins.fasta", ("a", "b") * 20
    fasta.write_text(
        "".join(f">p{n} LABEL={one}\n{text}\n" for n, (text, one) in enumerate(zip(proteins, labels, strict=True)))
    )
    esm, writer = model_path("esm-mlm"), model_path("protgpt2")
    return {
        "embed": ("--model", esm, "--sequences", fasta, "--output-table", "out.tsv"),
        "score": ("--model", esm, "--sequences", fasta, "--output-table", "out.tsv"),
        "generate": ("--model", writer, "--equal-only", "--output-table", "out.tsv"),
        "finetune": ("--model", esm, "--train", fasta, "--output-model", "out.zip", "--epochs", 2),
        "pretrain": ("--model", esm, "--corpus", fasta, "--output-model", "out.zip", "--context", 32, "--max-steps", 2),
    }


@pytest.mark.parametrize("tool", ["embed", "score", "generate", "finetune", "pretrain"])
def test_a_job_that_does_not_fit_is_refused_before_torch(tool, tmp_path, model_path):
    work = tmp_path / "work"
    work.mkdir()
    options = (*inputs(tmp_path, model_path)[tool], "--device", "cpu")
    done = run_script(work, tool, *options, without=("torch",), env={**os.environ, "GALAXY_MEMORY_MB": "300"})
    one_line(done, "this job has 0.3 GB", work)
    assert "needs about 0.5 GB of memory" in done.stderr or "needs about 0.6 GB of memory" in done.stderr


def test_a_prediction_that_does_not_fit_is_refused_before_torch(tmp_path, model_path):
    options = inputs(tmp_path, model_path)["finetune"]
    work = tmp_path / "work"
    work.mkdir()
    made = run_script(tmp_path, "finetune", *options, "--method", "head")
    assert re.search(r"^memory: 0\.\d\d GB expected, 0\.\d\d GB used at most, \d[\d.]* GB allowed$", made.stderr, re.M)
    given = ("--model", tmp_path / "out.zip", "--base-model", model_path("esm-mlm"), "--device", "cpu")
    given += ("--sequences", tmp_path / "proteins.fasta", "--output-table", "out.tsv")
    done = run_script(work, "predict", *given, without=("torch",), env={**os.environ, "GALAXY_MEMORY_MB": "300"})
    one_line(done, "this job has 0.3 GB", work)


def planned(options, folder):
    """What a fine-tuning starts from."""
    from seqlm.tools.finetune.inputs import check

    return check(parser_of("finetune").parse_args([str(one) for one in options]), folder)


def test_with_little_memory_the_same_is_learnt(tmp_path, model_path):
    """In smaller passes, with activations computed twice and freed memory given back at once."""
    options, found = inputs(tmp_path, model_path)["finetune"], {}
    options += ("--lora-dropout", 0, "--head-dropout", 0, "--output-predictions", "out.tsv", "--learning-rate", 0.01)
    memory, exact = planned(options, tmp_path).memory, False
    for little in range(560, 760):  # MiB
        with suppress(InputError):
            memory.fit(cpu(little * 2**20 / 1e9))
            if exact := memory.training.exact:
                break
    assert exact and memory.checkpointing and memory.tokens(training=True) <= 64
    for name, megabytes in (("plenty", 64_000), ("little", little)):
        folder = tmp_path / name
        folder.mkdir()
        done = run_script(folder, "finetune", *options, env={**os.environ, "GALAXY_MEMORY_MB": str(megabytes)})
        assert done.returncode == 0, done.stderr
        assert ("gradient checkpointing), freed memory is given back" in done.stderr) == (name == "little")
        found[name] = [float(row["probability_b"]) for row in table(folder / "out.tsv")]
    assert found["plenty"] == pytest.approx(found["little"], abs=1e-4)
    assert len(set(found["plenty"])) > 1


def test_what_memory_asks_for_is_done_in_training(tmp_path, model_path):
    """Checkpointing that nobody asked for reaches the training."""
    from seqlm.tools.finetune.learning import settings_of

    plan = planned(inputs(tmp_path, model_path)["finetune"], tmp_path)
    assert not settings_of(plan, torch.device("cpu"), "loss").gradient_checkpointing
    plan.memory.training = Setting(32, checkpointing=True)
    settings = settings_of(plan, torch.device("cpu"), "loss")
    assert settings.gradient_checkpointing and settings.budget == 32
