"""The rules for servers send each tool to where it fits: small, large and in several processes, by TPV itself."""

import json
import re
import subprocess

import pytest
import yaml

from makers.forms import FORMS, TOOLS, form_of
from makers.scripts import ROOT

pytestmark = pytest.mark.slow
PYTHON = ROOT / ".venvs" / "galaxy" / "bin" / "python"
TPV = ROOT / "deploy" / "tpv"
TRAINING, READING = ("finetune", "pretrain"), ("predict", "embed", "explain", "generate", "score")
ON_A_GPU = (*TRAINING, "fold")  # where there is one for whoever asks

# What stands around the lines of usegalaxy.eu there: GPU nodes of Docker alone, to which they add the cards.
EU = """
global: {default_inherits: default}
tools:
  default: {abstract: true, cores: 1, mem: cores * 3.8, gpus: 0, params: {tmp_dir: true}}
destinations:
  containers:
    runner: condor
    max_accepted_cores: 64
    max_accepted_mem: 1000
    max_accepted_gpus: 0
    params: {docker_enabled: true, docker_set_user: '', requirements: ''}
    scheduling: {accept: [docker]}
  gpus:
    runner: condor
    max_accepted_cores: 128
    max_accepted_mem: 500
    min_accepted_gpus: 1
    max_accepted_gpus: 4
    params:
      docker_enabled: true
      docker_set_user: ''
      docker_run_extra_arguments: "{entity.params.get('docker_run_extra_arguments') or ''} --gpus all"
      requirements: "without {entity.context.get('exclude_gpu_models', [])}"
      request_gpus: '{gpus or 0}'
    scheduling: {accept: [docker]}
"""

APPTAINER = """
tools:
  .*seqlm_.*: {scheduling: {require: [singularity]}}
"""

MODELS = {"small": "facebook/esm2_t6_8M_UR50D", "T5": "Rostlab/prot_t5_xl_uniref50", "3B": "facebook/esm2_t36_3B_UR50D",
          "folds": "biohub/ESMFold2"}  # fmt: skip


def values(tool, model, processes=1):
    """Of the form, as Galaxy keeps them; ``named`` is the base model that a fine-tuned model names."""
    base = {"source": "installed", "model": MODELS.get(model), "__current_case__": 0}
    if model == "named":
        base = {"source": "named", "__current_case__": 0}
    where = {
        "finetune": {"base": base},
        "pretrain": {"what": {"how": "go-on", "base": base}},
        "predict": {"base": base},
    }
    several = {"several": {"processes": str(processes), "strategy": "ddp"}} if tool in TRAINING else {}
    where |= {} if model != "named" else {tool: {"model": {"source": "history", "base": base}}}
    return {**where.get(tool, {"model": base}), **several, "label_pattern": r"LABEL=(\w+)"}


def image():
    return next(form_of("finetune").iter("container")).text


def shed(tool):
    return f"toolshed.g2.bx.psu.edu/repos/seqlm/seqlm_{tool}/seqlm_{tool}/{form_of(tool).get('version')}"


SIZES = (("small", 1), ("T5", 1), ("3B", 1))
PARALLEL = (("small", 4), ("3B", 4), ("small", 8))
CASES = [
    (chain, tool, model, processes, where)
    for chain, where in (("local", "shed"), ("local", "checkout"), ("eu", "shed"))
    for tool in TOOLS
    for model, processes in (
        SIZES + PARALLEL if tool in TRAINING else (*SIZES, ("named", 1), *([("folds", 1)] if tool == "fold" else []))
    )
] + [("apptainer", "finetune", "small", 2, "checkout")]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    (folder / "eu.yml").write_text(EU)
    (folder / "apptainer.yml").write_text(APPTAINER)
    asked = {
        "job_conf": str(ROOT / "deploy" / "job_conf.gpu.yml"),
        "chains": {
            "shared": [str(TPV / "shared.yml")],
            "local": [str(TPV / "shared.yml"), str(TPV / "local.yml")],
            "apptainer": [str(TPV / "shared.yml"), str(TPV / "local.yml"), str(folder / "apptainer.yml")],
            "eu": [str(TPV / "shared.yml"), str(folder / "eu.yml"), str(TPV / "usegalaxy-eu.yml")],
        },
        "jobs": [
            {"chain": chain, "tool": shed(tool) if where == "shed" else f"seqlm_{tool}",
             "form": str(FORMS / f"seqlm_{tool}.xml"), "values": values(tool, model, processes)}
            for chain, tool, model, processes, where in CASES
        ],
    }  # fmt: skip
    done = subprocess.run(
        [PYTHON, "-P", "-W", "ignore", ROOT / "tests" / "makers" / "routing.py"], input=json.dumps(asked), text=True,
        capture_output=True, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout)
    return answer["lint"], dict(zip(CASES, answer["jobs"], strict=True)), answer["dry"]


def test_the_rules_are_sound(found):
    assert found[0] == {name: [] for name in ("shared", "local", "apptainer", "eu")}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_dry_run_with_the_sample_of_the_job_configuration_sends_a_tool_there_too(found, tool):
    where = "slurm_gpu_docker" if tool in ON_A_GPU else "slurm_cpu"
    assert found[2][shed(tool)] == found[2][f"seqlm_{tool}"] == where


def requested(job, name):
    return int(re.search(rf"--{name}[=:](?:gpu:)?(\d+)", job["params"]["native_specification"])[1])


@pytest.mark.parametrize("where", ["shed", "checkout"])
@pytest.mark.parametrize("tool", TOOLS)
def test_on_a_server_of_one_s_own_only_training_and_folding_take_a_gpu_and_memory_grows_with_the_model(
    found, tool, where
):
    jobs = {case[2:4]: job for case, job in found[1].items() if case[:2] == ("local", tool) and case[4] == where}
    memory = {model: requested(job, "mem") // 1024 for (model, processes), job in jobs.items() if processes == 1}
    if tool in TRAINING:
        assert {job["id"] for (_, processes), job in jobs.items() if processes < 8} == {"slurm_gpu_docker"}
        assert memory == {"small": 16, "T5": 16, "3B": 48}
        assert requested(jobs["small", 1], "gres") == 1 and requested(jobs["small", 1], "cpus-per-task") == 4
        assert requested(jobs["small", 4], "gres") == 4 and requested(jobs["small", 4], "cpus-per-task") == 8
        assert requested(jobs["3B", 4], "mem") == 4 * 48 * 1024
        assert jobs["3B", 1]["env"]["GALAXY_MEMORY_MB"] == str(48 * 1024)
        assert "refused" in jobs["small", 8]  # no destination has eight
        return
    if tool == "fold":
        assert {job["id"] for job in jobs.values()} == {"slurm_gpu_docker"}
        assert memory == {"small": 24, "T5": 24, "3B": 24, "named": 24, "folds": 48}
        assert requested(jobs["small", 1], "gres") == 1 and requested(jobs["small", 1], "cpus-per-task") == 4
        return
    assert {job["id"] for job in jobs.values()} == {"slurm_cpu"}
    assert {job["command"] for job in jobs.values()} == {""}
    if tool in READING:
        assert memory == {"small": 8, "T5": 8, "3B": 32, "named": 16}
    elif tool in ("evaluate", "tokenizer"):  # as any tool of which nothing is said
        assert set(memory.values()) == {4}
    else:
        assert set(memory.values()) == {8}


def test_a_container_has_the_job_s_folder_for_temporary_files_the_models_read_only_and_the_gpus_of_the_job(found):
    job = found[1]["local", "finetune", "small", 1, "shed"]
    for part in (
        '-v "$_GALAXY_JOB_TMP_DIR:/tmp:rw"', "-v /data/huggingface:/data/huggingface:ro", "--net none",
        "--gpus all --env CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES", image(),
    ):  # fmt: skip
        assert part in job["command"], part


def test_apptainer_runs_the_same_image(found):
    job = found[1]["apptainer", "finetune", "small", 2, "checkout"]
    assert job["id"] == "slurm_gpu_apptainer" and requested(job, "gres") == 2
    for part in (
        "singularity -s exec", "--nv --env CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES", f"docker://{image()} ",
        '-B "$_GALAXY_JOB_TMP_DIR:/tmp"', "-B /data/huggingface:/data/huggingface:ro",
    ):  # fmt: skip
        assert part in job["command"], part


def test_the_page_for_admins_shows_destinations_of_the_sample():
    page = (ROOT / "docs" / "admin.md").read_text(encoding="utf-8")
    shown = yaml.safe_load(re.search(r"```\n(one_gpu:.*?)```", page, re.S)[1])
    sample = yaml.safe_load((ROOT / "deploy" / "job_conf.gpu.yml").read_text())["execution"]["environments"]
    assert shown == {name: sample[name] for name in shown} and len(shown) == 2


@pytest.mark.parametrize("tool", [*TRAINING, *READING, "fold"])
def test_on_usegalaxy_eu_training_finds_its_image_on_a_node_with_a_gpu(found, tool):
    jobs = {case[2:4]: job for case, job in found[1].items() if case[:2] == ("eu", tool)}
    for (model, processes), job in jobs.items():
        if processes > 4:
            assert "choose at most four processes" in job["refused"]
            continue
        assert job["id"] == ("gpus" if tool in ON_A_GPU else "containers")
        assert " --user 999 " in job["command"] and image() in job["command"]
        assert job["command"].count("--user ") == 1
        if tool in TRAINING:
            assert "--shm-size 16g" in job["command"] and job["command"].count("--gpus all") == 1
            assert job["params"]["request_gpus"] == str(processes)
            assert ("Tesla T4" in job["params"]["requirements"]) == (model != "small")
