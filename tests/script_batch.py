"""Several runs of the scripts in one Python process: libraries are imported once, whatever a run writes is its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "scripts"

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
    environment = dict(os.environ)
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
