"""The base model that `make demo DEMO_MODEL=` was given, made a row of the local Galaxy's table of models."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from bioblend.galaxy import GalaxyInstance
from galaxy_config import MODELS_LOC, TOOLS_ENVIRONMENT
from local_galaxy import INSTANCES, REPOSITORY, Galaxy, GalaxyError

DOWNLOADS = INSTANCES / "models"
FETCH = REPOSITORY / "data_managers/data_manager_huggingface/data_manager/fetch_model.py"


def row(model: str) -> list[str]:
    """The table's row for a folder in Hugging Face's layout, or for an id of the Hub, which is fetched.

    An id may name a revision: ``owner/name@revision``.

    Raises:
        GalaxyError: there is no such model, or it lacks its configuration or safetensors weights.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        name, revision, folder = f"local/{folder.resolve().name}", "local", folder.resolve()
    elif re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", model):
        name, _, revision = model.partition("@")
        return _fetched(name, revision)
    else:
        raise GalaxyError(f"DEMO_MODEL={model} is neither a folder nor an id such as facebook/esm2_t6_8M_UR50D")
    for pattern in ("config.json", "*.safetensors"):
        if not list(folder.glob(pattern)):
            raise GalaxyError(f"the model in {folder} has no {pattern}; only safetensors weights can be used")
    return [name, name, "feature-extraction", "sequence", "demonstration", revision, str(folder)]


def _fetched(name: str, revision: str) -> list[str]:
    """The row of a model that the data manager's script has fetched."""
    loc = DOWNLOADS / "fetched.loc"
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    loc.unlink(missing_ok=True)
    command = [TOOLS_ENVIRONMENT / "bin" / "python", FETCH, "--model", name, "--revision", revision]
    print(f"fetching {name} from the Hugging Face Hub", flush=True)
    done = subprocess.run(
        [*command, "--folder", DOWNLOADS, "--loc", loc], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1].removeprefix("error: ")
        raise GalaxyError(f"{name} could not be fetched (no folder of that name is here either): {reason}")
    return loc.read_text().rstrip("\n").split("\t")


def install(model: list[str], galaxy: Galaxy) -> None:
    """Add the row to a running Galaxy's table of models."""
    (galaxy.folder / "config" / MODELS_LOC).write_text("\t".join(model) + "\n")
    state = galaxy.state
    GalaxyInstance(state["url"], key=state["key"]).tool_data.reload_data_table("huggingface")
