"""Every repository of the Tool Shed, tried away from this one: its archive, unpacked, in a Galaxy of its own.

The archives are what `planemo shed_upload` sends. A fresh Galaxy gets their tools through ``tool_conf.xml`` and their
sample of the data table, with the models of their test data as rows, as an administrator would write them; then one
test of each tool that is to succeed is run, with the test data that Galaxy finds beside the tool.

    python deploy/shed_tests.py
    python deploy/shed_tests.py --tool-shed    the suite is installed from a Tool Shed on this machine in place of that
"""

from __future__ import annotations

import argparse
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
from galaxy_config import MODELS_LOC, MODELS_TABLE, REPOSITORY, Toolbox, tool_files
from galaxy_tests import RUNS, hub_of_the_tests, print_test
from local_galaxy import Galaxy, GalaxyError, running
from tool_shed import OWNER, SUITE, ToolShed, publish

sys.path.insert(0, str(REPOSITORY / "tests"))
from makers.archives import DATA_MANAGER, built_archives

TABLE, LOC = "tool_data_table_conf.xml.sample", "huggingface.loc"


def unpacked(folder: Path) -> dict[str, Path]:
    """The folder of each repository, the suite and the data manager among them."""
    archives = {}
    for project in (REPOSITORY, DATA_MANAGER):
        (folder / project.name).mkdir()
        archives |= built_archives(project, folder / project.name)
    return archives


def model_rows(archives: dict[str, Path]) -> list[str]:
    """A row for each model that an archive has for its tests."""
    rows = {}
    for folder in archives.values():
        table = folder / "test-data" / LOC
        for line in table.read_text().splitlines() if table.exists() else []:
            row, _, path = line.replace("${__HERE__}", str(table.parent)).rpartition("\t")
            if not line.startswith("#") and Path(path).is_dir():
                rows[row.partition("\t")[0]] = f"{row}\t{path}"
    return list(rows.values())


def toolbox(archives: dict[str, Path], tool_data: Path) -> Toolbox:
    """What an administrator does who has unpacked the archives: the tools, the table, the models."""
    tool_data.mkdir()
    sample = archives[DATA_MANAGER.name] / "tool-data" / f"{LOC}.sample"
    (tool_data / LOC).write_text("\n".join([*sample.read_text().splitlines(), *model_rows(archives), ""]))
    return Toolbox(
        tools=[tool for folder in archives.values() for tool in tool_files(folder)],
        data_managers=[archives[DATA_MANAGER.name] / "data_manager_conf.xml"],
        tables=[folder / TABLE for folder in archives.values() if (folder / TABLE).exists()],
        settings={"tool_data_path": str(tool_data)},
    )


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
    command_line = (tests[0]["data"].get("job") or {}).get("command_line", "")
    here = [name for name in ("tools", "scripts", "test-data", DATA_MANAGER) if str(REPOSITORY / name) in command_line]
    if here:
        print(f"failed   {tool}: it reads the checkout, not its archive:\n{command_line}")
    return tests[0]["data"]["status"] == "success" and not here


def all_pass(state: dict, galaxy: Galaxy, tools: list[str]) -> bool:
    """Run one test of each tool, several beside each other."""
    folder = galaxy.folder / "tests"
    folder.mkdir(exist_ok=True)
    with hub_of_the_tests(galaxy.folder), ThreadPoolExecutor(RUNS) as pool:
        passed = list(pool.map(lambda tool: passes(state, tool, folder), tools))
    print(f"{sum(passed)} of {len(tools)} tools work")
    return all(passed)


def try_unpacked(archives: dict[str, Path], folder: Path) -> bool:
    """Whether every tool works from its unpacked archive."""
    galaxy = Galaxy("shed")
    with running(galaxy, toolbox=toolbox(archives, folder / "tool-data")) as state:
        return all_pass(state, galaxy, sorted(set(archives) - {SUITE}))  # each repository is called as its tool


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool-shed", action="store_true", help="install the suite from a Tool Shed on this machine")
    try_all = try_installed if parser.parse_args().tool_shed else try_unpacked
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shed-") as name:
        passed = try_all(unpacked(Path(name)), Path(name))
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
