"""What the tests share: where the tiny models and the data are, and how a script is run as Galaxy runs it."""

import os
import sys
from pathlib import Path

import pytest

from makers.scripts import DATA, run_script, start_script
from seqlm.cli import noticing

# MMseqs2 lies beside the interpreter, as conda has it
path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", PATH=path)

# Files of which each takes more than 3 % of the whole. They come first, so that no process of tests is left with one of
# them when the others have ended.
LONG = (
    "classify/test_run.py", "pretrain/test_script.py", "plot/test_script.py", "finetune/test_script.py",
    "training/test_processes.py", "plot/test_run.py", "dataset/test_script.py", "finetune/test_residue_script.py",
    "families/test_families.py", "generate/test_script.py", "score/test_script.py", "project/test_attacks.py",
    "project/test_any_user.py",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get("/".join(item.path.parts[-2:]), len(LONG)))


def pytest_make_parametrize_id(config, val, argname):
    """Packed bytes are not the name of a test: gzip and zip hold the time, and two processes would disagree on it."""
    if isinstance(val, bytes) and not val.decode("latin-1").replace("\n", "").replace("\t", "").isprintable():
        return argname
    return None


@pytest.fixture(autouse=True)
def _nothing_noticed():
    """What was noticed about the files of another test is not known."""
    noticing.forget()


@pytest.fixture
def data():
    return DATA


@pytest.fixture
def model_path():
    """The folder of a tiny model, by its short name."""
    return lambda name: DATA / "models" / f"tiny-{name}"


@pytest.fixture
def script(tmp_path):
    """Run one of the scripts in an empty folder, as a fork of a process that has imported the libraries."""
    return _runner(tmp_path, run_script)


@pytest.fixture
def new_process(tmp_path):
    """Run one of the scripts in an empty folder, in a process that starts from nothing: for what imports do."""
    return _runner(tmp_path, start_script)


def _runner(tmp_path, how):
    def run(name, *arguments, check=True, **options):
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        done = how(work, name, *arguments, **options)
        assert not check or done.returncode == 0, done.stderr
        return done

    return run
