"""Runs of the scripts, for which the libraries are imported once, and what the tests read of their outputs."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = ROOT / "test-data"
SCRIPTS = ROOT / "scripts"

# What the scripts import of other people's, less UMAP, which compiles itself for long, and pyarrow, which starts a
# thread that a fork would not have.
PLAIN = (
    "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "matplotlib.figure", "rdkit.Chem",
    "safetensors.numpy", "scipy.stats", "sklearn.ensemble", "sklearn.linear_model", "sklearn.manifold",
    "sklearn.neural_network", "tokenizers",
)  # fmt: skip
LEARNING = (
    "peft", "torch.distributed.fsdp", "transformers.modeling_utils",
    *(f"transformers.models.{name}.modeling_{name}" for name in ("bert", "esm", "gpt2", "llama", "roberta", "t5")),
)  # fmt: skip


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str
    memory: float = 0.0  # MiB at most, beyond what the process had that it is a fork of


@cache
def _forks(torch: bool) -> subprocess.Popen:
    """The process of which the runs of this process of tests are forks; it ends with it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, ROOT / "tests" / "makers" / "forks.py", SCRIPTS, *PLAIN, *(LEARNING if torch else ())]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def run_script(
    folder: Path, name: str, *arguments, without: tuple = (), env: dict[str, str] | None = None, seconds: float = 600
) -> Done:
    """Run a script in a folder, as a fork of a process that has imported the libraries.

    Args:
        without: libraries whose import fails.
        env: its variables, those of this process where none are given.
        seconds: after which it is killed.
    """
    forks = _forks("torch" not in without)
    with tempfile.TemporaryDirectory(prefix="seqlm_run_") as said:
        files = {stream: f"{said}/{stream}" for stream in ("stdout", "stderr")}
        request = {
            "script": str(SCRIPTS / f"{name}.py"),
            "arguments": [str(one) for one in arguments],
            "folder": str(folder),
            "environment": {"OMP_NUM_THREADS": "1", **(os.environ if env is None else env)},
            "without": without,
            "seconds": seconds,
            **files,
        }
        print(json.dumps(request), file=forks.stdin, flush=True)
        status, memory = json.loads(forks.stdout.readline())
        texts = {stream: Path(file).read_text() for stream, file in files.items()}
    assert status is not None, f"{name} hangs: {texts['stderr']}"
    return Done(status, **texts, memory=memory)


def start_script(folder: Path, name: str, *arguments, env: dict[str, str] | None = None) -> Done:
    """Run a script in a folder, in a process that starts from nothing."""
    command = [sys.executable, SCRIPTS / f"{name}.py", *map(str, arguments)]
    env = {"OMP_NUM_THREADS": "1", **(os.environ if env is None else env)}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)
    return Done(done.returncode, done.stdout, done.stderr)


def repeated(option: str, values: Iterable) -> list[str]:
    """An option that is repeated, once for each value."""
    return [f"{option}={value}" for value in values]


def last_of_each(arguments: Iterable) -> list:
    """Arguments less an option and its value that come again further on: what a test gives in place of the usual."""
    chunks: dict[str, list] = {}
    for word in arguments:
        if str(word).startswith("--"):
            chunks[str(word)] = []
        chunks[[*chunks][-1]].append(word)
    return [word for chunk in chunks.values() for word in chunk]


def run_batch(calls: list[tuple], *, torch: bool = True, new: int | None = None) -> list[Done]:
    """Run ``(folder, script, *arguments)`` one after the other, each in its folder.

    Args:
        torch: False where whoever imports torch is to fail.
        new: place of a call that gets a process that starts from nothing.
    """
    without = () if torch else ("torch",)
    return [
        start_script(*call) if place == new else run_script(*call, without=without) for place, call in enumerate(calls)
    ]


def run_all(calls: list[tuple]) -> list[Done]:
    """The same, where none of the calls may fail."""
    done = run_batch(calls)
    for call, one in zip(calls, done, strict=True):
        assert one.returncode == 0, f"{call[1]}: {one.stderr[-800:]}"
    return done


def vectors(path: Path) -> dict:
    """Id -> vector of a table of embeddings."""
    import numpy as np  # which the environment of the tests in Galaxy does not have

    return {row["id"]: np.array([float(row[key]) for key in row if key.startswith("dim_")]) for row in table(path)}


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))


def manifest(archive: Path) -> dict:
    with zipfile.ZipFile(archive) as bundle:
        return json.loads(bundle.read("seqlm.json"))


def shown_by_card(archive: Path, folder: Path, *sequences: str, states: str = "") -> list[float]:
    """The numbers that the code in a bundle's README prints for these sequences, in place of those that it shows.

    Args:
        states: 3Di states of the one sequence, where the model reads them too.
    """
    zipfile.ZipFile(archive).extractall(folder)
    code = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S).group(1)
    shown = re.findall(r'"((?:MKT|MSL|EVQ|DIQ)[A-Z]+|[ACGT]{10})"', code)
    assert len(shown) == len(sequences), code
    for old, new in zip(shown, sequences, strict=True):
        code = code.replace(f'"{old}"', f'"{new}"')
    code = code.replace('"dvvlvvqlvv"', f'"{states}"')
    code = code.replace('folder = "."', f"folder = {str(folder)!r}")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    return [float(number) for number in re.findall(r"-?\d+\.\d+(?:e[-+]?\d+)?", printed.getvalue())]


def one_line(done: Done, message: str, folder: Path) -> None:
    """The run named the mistake in one line, with the exit status of a mistake, and left nothing."""
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and message in lines[0], done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.iterdir()), "something half-written stayed"


def run_mistakes(folder: Path, mistakes: dict[str, tuple], script: str, common: tuple) -> dict[str, tuple[Done, Path]]:
    """Run a script on every mistake, where torch cannot be imported.

    Args:
        mistakes: name -> (option -> content of its file or a path, other options, message).
    """
    calls = []
    for number, (files, options, _) in enumerate(mistakes.values()):
        inputs, work = folder / f"{script}{number}" / "in", folder / f"{script}{number}" / "work"
        inputs.mkdir(parents=True)
        work.mkdir()
        arguments = [*common, *options]
        for option, content in files.items():
            path = content
            if not isinstance(content, Path):
                path = inputs / option
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
            arguments += [f"--{option}", path]
        calls.append((work, script, *last_of_each(arguments)))
    done = run_batch(calls, torch=False)
    return {name: (one, call[0]) for name, one, call in zip(mistakes, done, calls, strict=True)}


# libraries that take a second to import
HEAVY = {"accelerate", "matplotlib", "numba", "peft", "scipy", "sklearn", "torch", "transformers", "umap"}


def mistake(new_process, *arguments):
    """The one line that a script ends with on a mistake, which must come before any library that takes a second."""
    done = new_process(*arguments, check=False, env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 2 and len(lines) == 1 and lines[0].startswith("error: "), lines
    assert "seqlm.cli.errors" in imported and not imported & HEAVY
    return lines[0]
