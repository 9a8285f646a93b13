"""Start and stop the local Galaxy from the command line.

    python deploy/galaxy.py start              start it in the background, or say where it runs already
    python deploy/galaxy.py status
    python deploy/galaxy.py stop               stop it and every job that it started
    python deploy/galaxy.py run -- COMMAND     start, run COMMAND with GALAXY_URL and GALAXY_KEY set, stop
    python deploy/galaxy.py --archives run -- COMMAND    the same with the tools of the Tool Shed's archives, unpacked
    python deploy/galaxy.py serve              start, put the workflows in, stop on Ctrl-C

Data are made afresh at every start, which costs no time; only ``serve`` keeps its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import psutil
from bioblend.galaxy import GalaxyInstance
from galaxy_config import Toolbox, checkout
from local_galaxy import INSTANCES, REPOSITORY, Galaxy, GalaxyError, end, running
from shed_archives import toolbox as toolbox_of_archives


def run(galaxy: Galaxy, command: list[str], *, toolbox: Toolbox) -> int:
    """Run a command with a Galaxy beside it and return its exit status."""
    with running(galaxy, toolbox=toolbox) as state:
        child = psutil.Popen(
            command,
            env=os.environ
            | {"GALAXY_URL": state["url"], "GALAXY_KEY": state["key"], "GALAXY_FOLDER": str(galaxy.folder)}
            | {"GALAXY_TOOLS": os.pathsep.join(map(str, toolbox.files))},
        )
        try:
            return child.wait()
        finally:
            if child.is_running():
                end([child, *child.children(recursive=True)])


def serve(galaxy: Galaxy, *, port: int | None, toolbox: Toolbox) -> None:
    """Keep a Galaxy open for the browser, with the workflows in place, until it is interrupted."""
    if galaxy.is_running():
        raise GalaxyError(f"it is open already at {galaxy.state['url']}; `make stop` stops it")
    with running(galaxy, port=port, keep=True, toolbox=toolbox) as state:
        workflows = GalaxyInstance(state["url"], key=state["key"]).workflows
        for path in sorted(REPOSITORY.glob("workflows/*/*/*.ga")):
            put_workflow(workflows, path)
        print(f"\n  Open {state['url']} in a browser. Ctrl-C stops Galaxy.\n", flush=True)
        while galaxy.is_running():
            time.sleep(2)
        raise GalaxyError(f"Galaxy ended by itself; see {galaxy.log}")


def put_workflow(workflows, path: Path) -> None:
    """Import a workflow file, or make it the newest version of the workflow of that name."""
    content = json.loads(path.read_text())
    known = [each for each in workflows.get_workflows(name=content["name"]) if not each["deleted"]]
    if known:
        workflows.update_workflow(known[0]["id"], workflow=content)
    else:
        workflows.import_workflow_dict(content)
    print(f"workflow: {content['name']}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="dev", help="which Galaxy, default: dev")
    parser.add_argument("--port", type=int, help="default: any free one")
    parser.add_argument("--tools", type=Path, default=REPOSITORY / "tools", help="folder of the tools' XML")
    parser.add_argument("--archives", action="store_true", help="for run: tools of the Tool Shed's archives, unpacked")
    parser.add_argument("--cluster", action="store_true", help="jobs of the tools go to deploy/slurm_cluster.py")
    parser.add_argument("action", choices=["start", "stop", "stop-all", "status", "run", "serve"])
    parser.add_argument("command", nargs=argparse.REMAINDER, help="for run: -- COMMAND")
    arguments = parser.parse_args()
    if arguments.archives and arguments.action != "run":
        parser.error("--archives is for run")
    galaxy = Galaxy(arguments.name)
    toolbox = checkout(arguments.tools.resolve(), cluster=arguments.cluster)
    if arguments.action == "run":
        command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
        if arguments.archives and galaxy.is_running():
            raise GalaxyError("it runs with other tools; `make stop` stops it")
        with tempfile.TemporaryDirectory(prefix="archives-") as folder:
            return run(galaxy, command, toolbox=toolbox_of_archives(Path(folder)) if arguments.archives else toolbox)
    if arguments.action == "serve":
        serve(galaxy, port=arguments.port, toolbox=toolbox)
    elif arguments.action == "start":
        try:
            state = galaxy.start(port=arguments.port, toolbox=toolbox)
        except BaseException:
            galaxy.stop()
            raise
        print(f"Galaxy runs at {state['url']}; key and pid in {galaxy.folder / 'state.json'}")
    elif arguments.action == "status":
        print(f"runs at {galaxy.state['url']}" if galaxy.is_running() else "does not run")
    else:
        everything = [Galaxy(path.name) for path in sorted(INSTANCES.glob("*")) if path.is_dir()]
        for each in everything if arguments.action == "stop-all" else [galaxy]:
            if each.stop():
                print(f"Galaxy {each.name!r} stopped")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GalaxyError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
