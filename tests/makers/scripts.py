"""Several runs of the scripts in one Python process: libraries are imported once, whatever a run writes is its own."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = ROOT / "test-data"
SCRIPTS = ROOT / "scripts"

_DRIVER = """
import contextlib, io, json, os, runpy, sys, traceback
scripts, calls = sys.argv[1], json.load(sys.stdin)
sys.path.insert(0, scripts)
done = []
for folder, name, *arguments in calls:
    os.chdir(folder)
    sys.argv = [f"{name}.py", *arguments]
    errors, status = io.StringIO(), 0
    with contextlib.redirect_stderr(errors):
        try:
            runpy.run_path(f"{scripts}/{name}.py", run_name="__main__")
        except SystemExit as stopped:
            status = stopped.code or 0
        except BaseException:
            status = 1
            traceback.print_exc()
    done.append([status, errors.getvalue()])
json.dump(done, sys.stdout)
"""


@dataclass
class Done:
    returncode: int
    stderr: str


def run_batch(calls: list[tuple], *, torch: bool = True) -> list[Done]:
    """Run ``(folder, script, *arguments)`` one after the other, each in its folder.

    Args:
        torch: False for a process in which whoever imports torch fails.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if not torch:
        blocked = Path(calls[0][0]).parent / "no_torch" / "torch"
        blocked.mkdir(parents=True, exist_ok=True)
        (blocked / "__init__.py").write_text("raise RuntimeError('torch was imported')\n")
        environment["PYTHONPATH"] = str(blocked.parent)
    texts = json.dumps([[str(part) for part in call] for call in calls])
    finished = subprocess.run(
        [sys.executable, "-c", _DRIVER, SCRIPTS], input=texts, capture_output=True, text=True, env=environment
    )
    assert finished.returncode == 0, finished.stderr
    return [Done(*one) for one in json.loads(finished.stdout)]


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))


def manifest(archive: Path) -> dict:
    with zipfile.ZipFile(archive) as bundle:
        return json.loads(bundle.read("seqlm.json"))


def shown_by_card(archive: Path, folder: Path, *sequences: str) -> list[float]:
    """The numbers that the code in a bundle's README prints for these sequences, in place of those that it shows."""
    zipfile.ZipFile(archive).extractall(folder)
    code = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S).group(1)
    shown = re.findall(r'"((?:MKT|MSL)[A-Z]+|[ACGT]{10})"', code)
    assert len(shown) == len(sequences), code
    for old, new in zip(shown, sequences, strict=True):
        code = code.replace(f'"{old}"', f'"{new}"')
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
        calls.append((work, script, *arguments))
    done = run_batch(calls, torch=False)
    return {name: (one, call[0]) for name, one, call in zip(mistakes, done, calls, strict=True)}


# libraries that take a second to import
HEAVY = {"accelerate", "matplotlib", "numba", "peft", "scipy", "sklearn", "torch", "transformers", "umap"}


def mistake(script, *arguments):
    """The one line that a script ends with on a mistake, which must come before any library that takes a second."""
    done = script(*arguments, check=False, env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 2 and len(lines) == 1 and lines[0].startswith("error: "), lines
    assert "seqlm.cli.errors" in imported and not imported & HEAVY
    return lines[0]
