"""The base model that `make demo DEMO_MODEL=` was given, made a row of the local Galaxy's table of models."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from bioblend.galaxy import GalaxyInstance
from galaxy_config import MODELS_LOC, TOOLS_ENVIRONMENT
from local_galaxy import INSTANCES, Galaxy, GalaxyError

DOWNLOADS = INSTANCES / "models"
# Weights in pickle are neither fetched nor loaded.
WANTED = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.txt")


def row(model: str) -> list[str]:
    """The table's row for a folder in Hugging Face's layout, or for an id of the Hub, which is downloaded.

    An id may name a revision: ``owner/name@revision``.

    Raises:
        GalaxyError: there is no such model, or it lacks its configuration or safetensors weights.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        name, revision, folder = f"local/{folder.resolve().name}", "local", folder.resolve()
    elif re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", model):
        name, _, revision = model.partition("@")
        revision = revision or "main"
        folder = _download(name, revision)
    else:
        raise GalaxyError(f"DEMO_MODEL={model} is neither a folder nor an id such as facebook/esm2_t6_8M_UR50D")
    for pattern in ("config.json", "*.safetensors"):
        if not list(folder.glob(pattern)):
            raise GalaxyError(f"the model in {folder} has no {pattern}; only safetensors weights can be used")
    return [name, name, "feature-extraction", "sequence", "demonstration", revision, str(folder)]


def _download(name: str, revision: str) -> Path:
    folder = DOWNLOADS / name.replace("/", "--") / revision.replace("/", "--")
    command = [TOOLS_ENVIRONMENT / "bin" / "hf", "download", name, "--revision", revision, "--local-dir", folder]
    for pattern in WANTED:
        command += ["--include", pattern]
    print(f"downloading {name} ({revision}) from the Hugging Face Hub", flush=True)
    done = subprocess.run(
        command, env=os.environ | {"NO_COLOR": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("Hint")]
        reason = (lines or ["no reason given"])[-1]
        raise GalaxyError(f"{name} could not be downloaded (no folder of that name is here either): {reason}")
    return folder


def install(model: list[str], galaxy: Galaxy) -> None:
    """Add the row to a running Galaxy's table of models."""
    (galaxy.folder / "config" / MODELS_LOC).write_text("\t".join(model) + "\n")
    state = galaxy.state
    GalaxyInstance(state["url"], key=state["key"]).tool_data.reload_data_table("huggingface")
