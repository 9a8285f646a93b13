"""Every repository of the Tool Shed, tried away from this one: its archive, unpacked, in a Galaxy of its own.

The archives are what `planemo shed_upload` sends. A fresh Galaxy gets their tools through ``tool_conf.xml`` and their
sample of the data table, with the models of their test data as rows, as an administrator would write them; then one
test of each tool that is to succeed is run, with the test data that Galaxy finds beside the tool.

    python deploy/shed_tests.py
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
from galaxy_config import REPOSITORY, Toolbox, tool_files
from galaxy_tests import RUNS, hub_of_the_tests, print_test
from local_galaxy import Galaxy, GalaxyError, running

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
    results = folder / f"{tool.rpartition('/')[2]}.json"
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


def main() -> int:
    began = time.monotonic()
    galaxy = Galaxy("shed")
    with tempfile.TemporaryDirectory(prefix="shed-") as name:
        folder = Path(name)
        archives = unpacked(folder)
        results = folder / "results"
        results.mkdir()
        with running(galaxy, toolbox=toolbox(archives, folder / "tool-data")) as state, hub_of_the_tests(galaxy.folder):
            tools = sorted(set(archives) - {"suite_seqlm"})  # each repository is called as its tool
            with ThreadPoolExecutor(RUNS) as pool:
                passed = list(pool.map(lambda tool: passes(state, tool, results), tools))
    print(f"From unpacked archives: {sum(passed)} of {len(tools)} tools work; {time.monotonic() - began:.0f} s")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GalaxyError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
