"""What the tests share: where the tiny models and the data are, and how a script is run as Galaxy runs it."""

import os

import pytest

from makers.scripts import DATA, run_script, start_script

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")


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
