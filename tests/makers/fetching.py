"""Runs of the script that fetches models, beside a small Hub on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .hub import Hub, Repository, repository
from .scripts import DATA, ROOT

MANAGER = ROOT / "data_managers" / "data_manager_huggingface"
SCRIPT = MANAGER / "data_manager" / "fetch_model.py"
ESM = "facebook/esm2_t6_8M_UR50D"


@dataclass
class Fetched:
    """What a run did.

    Attributes:
        row: the columns of the line that it printed last; empty after a refusal.
        error: its line that begins with ``error:``, without that.
    """

    status: int
    stdout: str
    stderr: str

    @property
    def row(self) -> list[str]:
        return self.stdout.splitlines()[-1].split("\t") if self.status == 0 else []

    @property
    def path(self) -> Path:
        return Path(self.row[-1])

    @property
    def error(self) -> str:
        assert self.status == 2 and "Traceback" not in self.stderr, self.stderr
        (line,) = re.findall(r"^error: (.*)$", self.stderr, re.M)
        return line


def fetch_model(hub: Hub, folder: Path, *arguments, model: str = ESM, token: str | None = None) -> Fetched:
    """Fetch a model into a folder, in a process that starts from nothing, as from a shell."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder / "home"),
        "NO_PROXY": "127.0.0.1,localhost",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",  # as in the image of the tools
    } | ({"HF_TOKEN": token} if token else {})
    command = [sys.executable, SCRIPT, "--model", model, "--folder", folder / "models", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    return Fetched(done.returncode, done.stdout, done.stderr)


def tiny(name: str = "esm-mlm", **options) -> Repository:
    """A tiny model of the tests as a repository of the Hub."""
    return repository(DATA / "models" / f"tiny-{name}", **options)
