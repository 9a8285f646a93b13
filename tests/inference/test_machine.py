"""Which GPUs are used, told on GPUs that are not there: what torch was built for, sees, and says."""

import re

import pytest
import torch

from seqlm.checkpoints.folder import read_model_folder
from seqlm.cli.errors import InputError
from seqlm.families.recognition import recognise
from seqlm.inference import machine
from seqlm.inference.loading import precision_of, prepare

CARDS = {"T4": (7, 5), "V100": (7, 0), "L40S": (8, 9), "H100": (9, 0), "B200": (10, 0), "later": (13, 0)}
# what torch is built as: the wheels of CUDA 12.6 and 13.0 of one release
BUILT = {
    "12.6": ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"],
    "13.0": ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"],
}


def test_a_gpu_runs_what_was_built_for_it_or_for_an_earlier_one_of_its_kind():
    unable = {
        version: {name for name, has in CARDS.items() if not machine.runs_on(has, built)}
        for version, built in BUILT.items()
    }
    assert unable == {"12.6": {"B200", "later"}, "13.0": {"V100"}}
    assert machine.runs_on((9, 0), ["sm_90a"]) and not machine.runs_on((9, 1), ["sm_90a"])
    assert machine.runs_on((9, 4), ["gfx942"])  # another maker's


def on_this_gpu(monkeypatch, capability, built, version="13.0"):
    """A GPU of which torch knows, whatever it can do with it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100-PCIE-32GB")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built)
    monkeypatch.setattr(torch.version, "cuda", version)
    monkeypatch.setattr(machine, "GPU_DEVICES", ["/dev/null"])


def test_a_gpu_that_torch_was_not_built_for_is_said_and_not_used(monkeypatch, capsys):
    on_this_gpu(monkeypatch, (7, 0), BUILT["12.6"])
    assert prepare(0, 1, "auto") == prepare(0, 1, "cuda") == torch.device("cuda")
    on_this_gpu(monkeypatch, (7, 0), BUILT["13.0"])
    assert prepare(0, 1, "cpu") == torch.device("cpu")
    assert capsys.readouterr().err == ""
    assert prepare(0, 1, "auto") == torch.device("cpu")
    said = "was not built for the GPU (Tesla V100-PCIE-32GB, compute capability 7.0)"
    assert f"{said}, so that everything is computed on the CPU\n" in capsys.readouterr().err
    with pytest.raises(InputError, match=re.escape(f"{said}; choose the CPU or let the tool decide")):
        prepare(0, 1, "cuda")


def test_a_gpu_that_torch_does_not_see_is_said(monkeypatch, capsys):
    on_this_gpu(monkeypatch, None, [])
    assert prepare(0, 1, "auto") == torch.device("cpu")
    assert "its driver is missing or older than CUDA 13.0 needs, so that everything" in capsys.readouterr().err
    on_this_gpu(monkeypatch, None, [], version=None)
    assert prepare(0, 1, "auto") == torch.device("cpu")
    assert "was built without CUDA" in capsys.readouterr().err
    for hidden in ("", "-1"):  # by whoever started the job
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert prepare(0, 1, "auto") == torch.device("cpu")
    assert capsys.readouterr().err == ""
    with pytest.raises(InputError, match="no GPU was found; choose the CPU"):
        prepare(0, 1, "cuda")


FLAGS = {  # some of what /proc/cpuinfo says of a CPU
    "Zen 3": "flags\t\t: fpu sse2 fma f16c avx2 sha_ni",
    "Cascade Lake": "flags\t\t: fpu avx2 fma avx512f avx512bw avx512_vnni",
    "Zen 4": "flags\t\t: fpu avx2 fma avx512f avx512_vnni avx512_bf16",
    "Sapphire Rapids": "flags\t\t: fpu avx512f avx512_bf16 amx_bf16 amx_tile amx_int8",
    "Graviton 2": "Features\t: fp asimd asimdhp asimddp",
    "Graviton 3": "Features\t: fp asimd sve svebf16 i8mm bf16",
    "not said": "model name\t: bf16",
}


@pytest.mark.parametrize("name", FLAGS)
def test_bf16_on_a_cpu_without_instructions_for_it_is_said_to_be_slow(model_path, tmp_path, monkeypatch, capsys, name):
    described = tmp_path / "cpuinfo"
    described.write_text(f"processor\t: 0\n{FLAGS[name]}\nbogomips\t: 4890.81\n")
    slow = name in ("Zen 3", "Cascade Lake", "Graviton 2")
    assert machine.slow_in_bf16(described) == slow
    assert not machine.slow_in_bf16(tmp_path / "none")  # as on another system
    monkeypatch.setattr("seqlm.inference.loading.slow_in_bf16", lambda: slow)
    machine.say_slow_bf16.cache_clear()
    folder, here = model_path("esm"), torch.device("cpu")
    esm = recognise(folder, read_model_folder(folder).config)
    for asked, dtype in (("auto", torch.float32), ("fp32", torch.float32), ("bf16", torch.bfloat16)):
        assert capsys.readouterr().err == ""
        assert precision_of(asked, here, esm) == precision_of(asked, here, esm) == dtype
    assert capsys.readouterr().err.count("note: this CPU has no instructions for bf16") == slow
