"""What the tests share: where the tiny models and the data are, and how a script is run as Galaxy runs it."""

import os
import subprocess
import sys

import pytest

from makers.scripts import DATA, SCRIPTS

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
    """Run one of the scripts in an empty folder; returns the finished process."""

    def run(name, *arguments, check=True, **options):
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, SCRIPTS / f"{name}.py", *map(str, arguments)],
            cwd=work,
            capture_output=True,
            text=True,
            **options,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return run
