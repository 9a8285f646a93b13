"""Galaxy's own Tool Shed server on this machine, with every repository of this project in it.

planemo makes the repositories, and the archives of the data manager and of the suite are uploaded, as on a real Tool
Shed. Those of the tools are pushed with Mercurial, which the Tool Shed takes as well: of an archive that is uploaded it
adds each file by a Mercurial of its own, which would take some ten minutes for two thousand files.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

import requests
import yaml
from bioblend.toolshed import ToolShedInstance
from local_galaxy import GALAXY_ENVIRONMENT, REPOSITORY, START_SECONDS, Galaxy, GalaxyError, free_port, tail, version

OWNER = "seqlm"
SUITE = "suite_seqlm"


class ToolShed(Galaxy):
    """A Tool Shed, known by the folder that holds its log, configuration, data and state, as a Galaxy is."""

    kind = "Tool Shed"

    def start(self) -> dict:
        """Start an empty server and return its state (``url``, ``key`` of the owner of repositories).

        Raises:
            GalaxyError: it ended or stayed silent; the message ends with the tail of its log.
        """
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("data", "data/tmp", "home", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        bootstrap_key = secrets.token_hex(16)
        configuration = self.folder / "tool_shed.yml"
        configuration.touch(mode=0o600)
        # JSON is YAML.
        configuration.write_text(json.dumps({"tool_shed": _settings(self.folder / "data", bootstrap_key)}, indent=2))
        state = {"url": f"http://127.0.0.1:{free_port()}", "name": self.name}
        command = ["uvicorn", "--factory", "tool_shed.webapp.fast_factory:factory", "--host", "127.0.0.1"]
        command += ["--port", state["url"].rpartition(":")[2]]
        server = self._launch(self.log, {"TOOL_SHED_CONFIG_FILE": str(configuration)}, command)
        state["pid"] = server.pid
        self._write_state(state)
        deadline = time.monotonic() + START_SECONDS
        while version(state["url"]) is None:
            if server.poll() is not None or time.monotonic() > deadline:
                raise GalaxyError(f"the Tool Shed did not start.\n{tail(self.log)}")
            time.sleep(0.2)
        state["key"] = _owner_key(state["url"], bootstrap_key)
        self._write_state(state)
        return state


def _settings(data: Path, bootstrap_key: str) -> dict:
    return {
        "bootstrap_admin_api_key": bootstrap_key,
        "id_secret": secrets.token_hex(16),
        "database_connection": f"sqlite:///{data}/tool_shed.sqlite?isolation_level=IMMEDIATE",
        "file_path": str(data / "repositories"),
        "new_file_path": str(data / "tmp"),
        "hgweb_config_dir": str(data),
        "whoosh_index_dir": str(data / "search"),
        "model_cache_dir": str(data / "cache"),
        "config_hg_for_dev": True,  # takes what Mercurial pushes
        "log_level": "INFO",
    }


def _ask(url: str, key: str, path: str, **content) -> object:
    response = requests.post(f"{url}/api/{path}", headers={"x-api-key": key}, json=content, timeout=START_SECONDS)
    response.raise_for_status()
    return response.json()


def _owner_key(url: str, bootstrap_key: str) -> str:
    """Make the categories of the repositories, their owner, and a key for it."""
    for name in {name for project in projects() for name in yaml.safe_load(project.read_text())["categories"]}:
        _ask(url, bootstrap_key, "categories", name=name, description=name)
    account = {"username": OWNER, "email": f"{OWNER}@example.org", "password": secrets.token_hex(16)}
    return _ask(url, bootstrap_key, f"users/{_ask(url, bootstrap_key, 'users', **account)['id']}/api_key")


def projects() -> list[Path]:
    """Every ``.shed.yml``."""
    return [*sorted(REPOSITORY.glob("data_managers/*/.shed.yml")), REPOSITORY / ".shed.yml"]


def publish(shed: ToolShed, archives: dict[str, Path]) -> None:
    """Put every repository into the Tool Shed.

    Args:
        archives: the unpacked archive of each repository by its name.

    Raises:
        GalaxyError: the Tool Shed did not take one.
    """
    for project in projects():
        _create(shed, project.parent)
    repositories = ToolShedInstance(shed.state["url"], key=shed.state["key"]).repositories
    ids = {each["name"]: each["id"] for each in repositories.get_repositories()}
    if missing := set(archives) - set(ids):
        raise GalaxyError(f"the Tool Shed has no {', '.join(sorted(missing))}; see {shed.log}")
    for name in sorted(archives):
        if name.startswith("seqlm_"):
            _push(shed, name, archives[name])
            _ask(shed.state["url"], shed.state["key"], f"repositories/{ids[name]}/reset_metadata")
    for name in [*sorted(set(archives) - {SUITE}), SUITE]:  # what a suite names must be there before it
        if not name.startswith("seqlm_"):
            repositories.update_repository(ids[name], str(archives[name].with_name(f"{name}.tar.gz")), "Uploaded")
    for name in archives:
        if not repositories.get_ordered_installable_revisions(name, OWNER):
            raise GalaxyError(f"the Tool Shed has nothing of {name} that can be installed; see {shed.log}")


def _create(shed: ToolShed, project: Path) -> None:
    """Make the repositories of a ``.shed.yml``; planemo's status says nothing, as it calls a new one a failure."""
    command = [str(Path(sys.executable).with_name("planemo")), "--directory", str(shed.folder / "planemo")]
    command += ["shed_create", "--skip_upload", "--shed_target", shed.state["url"], "--shed_key", shed.state["key"]]
    with (shed.folder / "planemo.log").open("a") as log:
        subprocess.run([*command, str(project)], cwd=shed.folder, stdout=log, stderr=subprocess.STDOUT)


def _push(shed: ToolShed, name: str, content: Path) -> None:
    """Commit an archive to a Mercurial repository beside it, and push that."""
    beside = content.with_name(f"{name}.hg")
    shutil.copytree(content, beside)
    hg = [str(GALAXY_ENVIRONMENT / "bin" / "hg"), "--cwd", str(beside), "--config", f"ui.username={OWNER}"]
    for command in (
        ["init"],
        ["commit", "--quiet", "--addremove", "--message", "Uploaded"],
        ["push", "--quiet", f"{shed.state['url']}/repos/{OWNER}/{name}"],
    ):
        subprocess.run([*hg, *command], check=True, capture_output=True)
