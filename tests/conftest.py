"""What the tests share: where the tiny models and the data are, and how a script is run as Galaxy runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DATA = ROOT / "test-data"
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
            [sys.executable, ROOT / "scripts" / f"{name}.py", *map(str, arguments)],
            cwd=work,
            capture_output=True,
            text=True,
            **options,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


HEAVY = {"accelerate", "matplotlib", "numba", "peft", "scipy", "sklearn", "torch", "transformers", "umap"}


def mistake(script, *arguments):
    """The one line that a script ends with on a mistake, which must come before any library that takes a second."""
    done = script(*arguments, check=False, env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 2 and len(lines) == 1 and lines[0].startswith("error: "), lines
    assert "seqlm.cli.errors" in imported and not imported & HEAVY
    return lines[0]
