"""The suite, installed by Galaxy from a Tool Shed server on this machine, and one test of each of its tools.

    python deploy/shed_install.py

Each test is one that is to succeed, with the test data that Galaxy finds beside the installed tool.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from bioblend.galaxy import GalaxyInstance
from bioblend.toolshed import ToolShedInstance
from galaxy_config import MODELS_LOC, MODELS_TABLE, Toolbox
from galaxy_tests import RUNS, hub_of_the_tests, print_test, reads_the_checkout
from local_galaxy import Galaxy, GalaxyError, running
from shed_archives import DATA_MANAGER, LOC, model_rows, unpacked
from tool_shed import OWNER, SUITE, ToolShed, publish


def first_success(state: dict, tool: str) -> int:
    """The number of the first test of a tool that is to succeed; one that takes a model from the table goes before."""
    answer = requests.get(f"{state['url']}/api/tools/{tool}/test_data", headers={"x-api-key": state["key"]}, timeout=60)
    answer.raise_for_status()
    tests = [test for test in answer.json() if not test["expect_failure"]]
    return max(tests, key=lambda test: bool(test["required_data_tables"]))["test_index"]


def passes(state: dict, tool: str, folder: Path) -> bool:
    """Run one test of a tool, as Galaxy knows the tool and its test data, and print how it went."""
    results = folder / f"{tool.replace('/', '_')}.json"
    command = [
        str(Path(sys.executable).with_name("galaxy-tool-test")),
        *("--galaxy-url", state["url"], "--key", state["key"], "--admin-key", state["key"]),
        *("--tool-id", tool, "--test-index", str(first_success(state, tool))),
        *("--output-json", str(results), "--output", str(folder), "--with-reference-data"),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    tests = json.loads(results.read_text())["tests"] if results.exists() else []
    if len(tests) != 1:
        print(f"failed   {tool}: {done.stdout[-2000:]}{done.stderr[-2000:]}", flush=True)
        return False
    print_test(tests[0])
    if here := reads_the_checkout(tests[0]):
        print(f"failed   {tool}: it reads {here} of the checkout, not of its archive")
    return tests[0]["data"]["status"] == "success" and not here


def all_pass(state: dict, galaxy: Galaxy, tools: list[str]) -> bool:
    """Run one test of each tool, several beside each other."""
    folder = galaxy.folder / "tests"
    folder.mkdir(exist_ok=True)
    with hub_of_the_tests(galaxy.folder), ThreadPoolExecutor(RUNS) as pool:
        passed = list(pool.map(lambda tool: passes(state, tool, folder), tools))
    print(f"{sum(passed)} of {len(tools)} tools work")
    return all(passed)


def try_installed(archives: dict[str, Path], folder: Path) -> bool:
    """Whether Galaxy installs the suite with all that it names from a Tool Shed, and every tool of it works."""
    shed, galaxy = ToolShed("tool-shed"), Galaxy("shed")
    with running(shed) as its:
        publish(shed, archives)
        sheds = folder / "tool_sheds_conf.xml"
        sheds.write_text(f'<tool_sheds><tool_shed name="Local" url="{its["url"]}/"/></tool_sheds>\n')
        settings = {"tool_sheds_config_file": str(sheds), "tool_data_path": str(folder / "tool-data")}
        with running(galaxy, toolbox=Toolbox([], [], [MODELS_TABLE], settings)) as state:
            tools = install_suite(GalaxyInstance(state["url"], key=state["key"]), its["url"], set(archives))
            add_models(state, galaxy)
            # galaxy-tool-test asks for an id without version, by which Galaxy finds no installed data manager.
            return all_pass(state, galaxy, [tool for tool in tools if DATA_MANAGER.name not in tool])


def install_suite(galaxy: GalaxyInstance, shed: str, names: set[str]) -> list[str]:
    """Install the suite through Galaxy's API, and with it what it names.

    Returns:
        The ids of the tools, such as ``127.0.0.1:8000/repos/seqlm/seqlm_embed/seqlm_embed/0.1.0+galaxy0``.

    Raises:
        GalaxyError: a repository is not installed, or a tool of it is missing.
    """
    revision = ToolShedInstance(shed).repositories.get_ordered_installable_revisions(SUITE, OWNER)[-1]
    galaxy.toolshed.install_repository_revision(
        f"{shed}/",
        SUITE,
        OWNER,
        revision,
        install_tool_dependencies=False,
        install_repository_dependencies=True,
        install_resolver_dependencies=False,
        new_tool_panel_section_label="Biological language models",
    )
    states = {
        each["name"]: f"{each['status']} {each['error_message'] or ''}" for each in galaxy.toolshed.get_repositories()
    }
    if wrong := {name: states.get(name, "missing") for name in names if states.get(name, "").strip() != "Installed"}:
        raise GalaxyError(f"not installed: {wrong}")
    tools = sorted(tool["id"] for tool in galaxy.tools.get_tools() if f"/repos/{OWNER}/" in tool["id"])
    if len(tools) != len(names) - 1:
        raise GalaxyError(f"{len(names) - 1} tools were to be installed, and Galaxy has {tools}")
    print(f"installed: {', '.join(sorted(states))}", flush=True)
    return tools


def add_models(state: dict, galaxy: Galaxy) -> None:
    """Rows for the models of the installed repositories' test data, written while Galaxy runs."""
    tables = (galaxy.folder / "data").rglob(f"test-data/{LOC}")
    rows = model_rows({str(path): path.parents[1] for path in tables})
    with (galaxy.folder / "config" / MODELS_LOC).open("a") as table:
        table.writelines(f"{row}\n" for row in rows)
    address = f"{state['url']}/api/tool_data/huggingface/reload"
    requests.get(address, headers={"x-api-key": state["key"]}, timeout=60).raise_for_status()


def main() -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shed-") as name:
        passed = try_installed(unpacked(Path(name)), Path(name))
    print(f"Tool Shed: {'passed' if passed else 'failed'}; {time.monotonic() - began:.0f} s")
    return 0 if passed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GalaxyError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
