"""One local Galaxy server: start it, find everything that belongs to it, stop all of that.

The tests, the demonstration and `make serve` each have a Galaxy of their own, known by a name, in ``.galaxy/NAME``: its
log, its configuration, its data and ``state.json`` (url, key, pid).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import galaxy_config
import psutil
import requests
from galaxy_config import Toolbox

REPOSITORY = galaxy_config.REPOSITORY
INSTANCES = REPOSITORY / ".galaxy"
GALAXY_ENVIRONMENT = REPOSITORY / ".venvs" / "galaxy"
START_SECONDS = 300

# Requests to the local server must not go through a proxy of the machine.
os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"]))


class GalaxyError(Exception):
    """Galaxy did not do what was asked; the message says what to look at."""


class Galaxy:
    """One local Galaxy, known by the folder that holds its log, configuration, data and state."""

    kind = "Galaxy"

    def __init__(self, name: str):
        self.name = name
        self.folder = INSTANCES / name
        self.log = self.folder / "galaxy.log"
        self.worker_log = self.folder / "worker.log"
        self._state_file = self.folder / "state.json"

    @property
    def state(self) -> dict:
        """``url``, ``key``, ``pid`` of the Galaxy that was started last; empty when none was."""
        try:
            return json.loads(self._state_file.read_text())
        except FileNotFoundError:
            return {}

    def is_running(self) -> bool:
        """Whether the server answers."""
        state = self.state
        return "key" in state and bool(self.processes()) and version(state["url"]) is not None

    def start(self, *, port: int | None = None, keep: bool = False, toolbox: Toolbox | None = None) -> dict:
        """Start the server unless it runs, and return its state once it answers and has a user with a key.

        Raises:
            GalaxyError: it ended or stayed silent; the message ends with the tail of its log.
        """
        toolbox = toolbox or galaxy_config.checkout()
        if self.is_running():
            state = self.state
            galaxy_config.write_tool_list(self.folder / "config", toolbox)
            _ask("PUT", state, "/api/configuration/toolbox")
            return state
        self.stop()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("data", "home", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        bootstrap_key = secrets.token_hex(16)
        galaxy_yml = galaxy_config.write(self.folder, toolbox=toolbox, bootstrap_key=bootstrap_key)
        state = {"url": f"http://127.0.0.1:{free_port(port)}", "name": self.name}
        # Slurm's commands read the second, where jobs go to a cluster, which is started after Galaxy.
        variables = {"GALAXY_CONFIG_FILE": str(galaxy_yml), "SLURM_CONF": str(self.folder / "slurm" / "slurm.conf")}
        server = self._launch(self.log, variables, _server_command(state["url"]))
        state["pid"] = server.pid
        self._write_state(state)
        worker = self._launch(self.worker_log, variables, _worker_command())
        self._wait(server, worker, state["url"])
        state["key"] = _user_key(state["url"], bootstrap_key)
        self._write_state(state)
        return state

    def _launch(self, log: Path, variables: dict[str, str], command: list[str]) -> subprocess.Popen:
        unwanted = ("PYTHONPATH", "PYTHONHOME", "GALAXY_", "XDG_", "HF_", "TRANSFORMERS_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        environment |= {
            "PATH": f"{GALAXY_ENVIRONMENT / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "VIRTUAL_ENV": str(GALAXY_ENVIRONMENT),
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            galaxy_config.MARK: str(self.folder),
            **variables,
        }
        with log.open("wb") as output:
            # A session of its own: Ctrl-C in the terminal must reach this script, which then stops Galaxy in order.
            return subprocess.Popen(
                [str(GALAXY_ENVIRONMENT / "bin" / command[0]), *command[1:]],
                cwd=self.folder / "data",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait(self, server: subprocess.Popen, worker: subprocess.Popen, url: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while version(url) is None or b" ready." not in self.worker_log.read_bytes():
            for process, log in ((server, self.log), (worker, self.worker_log)):
                if process.poll() is not None:
                    raise GalaxyError(f"Galaxy ended with status {process.returncode} while starting.\n{tail(log)}")
            if time.monotonic() > deadline:
                raise GalaxyError(f"Galaxy did not answer within {START_SECONDS} s.\n{tail(self.log)}")
            time.sleep(0.2)

    def _write_state(self, state: dict) -> None:
        self._state_file.touch(mode=0o600)
        self._state_file.write_text(json.dumps(state, indent=2) + "\n")

    def processes(self) -> list[psutil.Process]:
        """The server, its workers and their jobs, wherever they are in the process tree.

        Jobs have process groups of their own, may outlive the server and may start sessions of their own: what carries
        the mark is ours, and so are the server's session and all descendants.
        """
        server = self.state.get("pid")
        marked, session = {}, {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if os.getsid(process.pid) == server:
                    session[process.pid] = process
                if process.environ().get(galaxy_config.MARK) == str(self.folder):
                    marked[process.pid] = process
        if server in session and server not in marked:
            session = {}  # the server is long gone and its number has been given to another program
        found = marked | session
        for process in list(found.values()):
            with contextlib.suppress(psutil.Error):
                found |= {child.pid: child for child in process.children(recursive=True)}
        return list(found.values())

    def stop(self) -> int:
        """End every process of this Galaxy and return how many there were.

        Raises:
            GalaxyError: something lives on or still listens.
        """
        count = 0
        # Several rounds, since a process may be starting a job while it is being stopped.
        for _ in range(5):
            processes = self.processes()
            if not processes:
                break
            count = max(count, len(processes))
            end(processes)
        url = self.state.get("url")
        if self.processes() or (url and count and _listens(url)):
            raise GalaxyError(f"Galaxy {self.name!r} could not be stopped; see {self.log}")
        self._state_file.unlink(missing_ok=True)
        return count


def version(url: str) -> str | None:
    """The release of the server that answers there, None where none does."""
    with contextlib.suppress(requests.RequestException, ValueError, KeyError):
        return requests.get(f"{url}/api/version", timeout=5).json()["version_major"]
    return None


def _ask(method: str, state: dict, path: str, **arguments) -> object:
    response = requests.request(
        method, state["url"] + path, headers={"x-api-key": state["key"]}, timeout=120, **arguments
    )
    response.raise_for_status()
    return response.json() if response.content else None


def _user_key(url: str, bootstrap_key: str) -> str:
    """Make the single user, if need be, and a key for it: the bootstrap key is no user and cannot own a history."""
    state = {"url": url, "key": bootstrap_key}
    users = [user for user in _ask("GET", state, "/api/users") if user["email"] == galaxy_config.USER]
    if not users:
        account = {"username": "biologist", "email": galaxy_config.USER, "password": secrets.token_hex(16)}
        users = [_ask("POST", state, "/api/users", json=account)]
    return _ask("POST", state, f"/api/users/{users[0]['id']}/api_key")


def free_port(wanted: int | None = None) -> int:
    """The port that is wanted, or any free one.

    Raises:
        GalaxyError: it is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except OSError as problem:
            raise GalaxyError(f"port {wanted} is taken; choose another with PORT=") from problem
        return probe.getsockname()[1]


def _listens(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@contextlib.contextmanager
def running(galaxy: Galaxy, **start_options) -> Iterator[dict]:
    """A Galaxy for the length of a ``with`` block; one that ran before is used and left as it was.

    Whatever ends the block, a signal included, everything that was started here is stopped. Yields the state.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    mine = not galaxy.is_running()
    began = time.monotonic()
    try:
        state = galaxy.start(**start_options)
        print(f"{galaxy.kind} {state['url']} ready after {time.monotonic() - began:.0f} s", flush=True)
        yield state
    finally:
        if mine:
            # An impatient second Ctrl-C must not leave anything behind.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            if galaxy.stop():
                print(f"{galaxy.kind} stopped", flush=True)


def _server_command(url: str) -> list[str]:
    # Galaxy's own launcher, gravity, refuses to run as root; this is what it would call.
    return [
        "gunicorn",
        "galaxy.webapps.galaxy.fast_factory:factory()",
        *("--worker-class", "galaxy.webapps.galaxy.workers.Worker"),
        *("--config", "python:galaxy.web_stack.gunicorn_config"),
        *("--bind", url.removeprefix("http://")),
        *("--timeout", str(START_SECONDS)),
        *("--graceful-timeout", "3"),
        "--preload",
        "--no-control-socket",
    ]


def _worker_command() -> list[str]:
    return [
        *("celery", "--app", "galaxy.celery", "worker"),
        *("--pool", "threads", "--concurrency", "2"),
        *("--queues", "celery,galaxy.internal,galaxy.external"),
        *("--loglevel", "info"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]


def tail(log: Path, lines: int = 30) -> str:
    """The end of a log, for a message."""
    return "\n".join([f"The end of {log}:", *log.read_text(errors="replace").splitlines()[-lines:]])


def end(processes: list[psutil.Process]) -> None:
    """Ask processes to end, and end those that did not within a few seconds."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=4)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=10)


def _interrupted(number: int, frame: object) -> None:
    raise KeyboardInterrupt
