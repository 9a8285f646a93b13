"""Everything that is tested in a real Galaxy: by planemo tools, data managers and workflows, by pytest what several
jobs do together and what a browser shows.

python deploy/galaxy.py --archives run -- python deploy/galaxy_tests.py                  what each commit has to pass
python deploy/galaxy.py --archives run -- python deploy/galaxy_tests.py --slow           the rest
python deploy/galaxy.py run -- python deploy/galaxy_tests.py tools/seqlm_predict.xml     planemo's tests of one
python deploy/galaxy.py run -- python deploy/galaxy_tests.py tests/galaxy/test_models.py pytest's of one file
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from galaxy_config import JOB_VARIABLES, REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))
from makers.hub import Hub, repository, running_hub
from makers.workflows import EACH_TIME, WORKFLOWS

# Runs of planemo beside each other: each waits for much of its time.
RUNS = 3
# planemo counts a quarter of a second for each of its questions, which are a second apart.
TIMEOUT = 900 // 4

# The name of a test and how many seconds it took.
Times = list[tuple[str, float]]


def planemo_tests(name: str, paths: list[Path], folder: Path) -> tuple[Times, int]:
    """Run the tests of a tool, or of workflows, and print one line a test. planemo cannot do both in one go.

    Args:
        name: what the logs of this run are called.

    Returns:
        The tests that were run, and how many of them failed.
    """
    if paths[0].suffix == ".ga":
        paths = [_copied(path, folder) for path in paths]
    results, page, log = (folder / f"planemo-{name}{suffix}" for suffix in (".json", ".html", ".log"))
    results.unlink(missing_ok=True)
    command = [
        # -P: what is beside that file, galaxy.py, is not the galaxy that planemo imports
        *(sys.executable, "-P", str(Path(__file__).with_name("patient_planemo.py"))),
        *("--directory", str(folder / f"planemo-{name}")),
        "test",
        *("--engine", "external_galaxy"),
        *("--galaxy_url", os.environ["GALAXY_URL"]),
        *("--galaxy_admin_key", os.environ["GALAXY_KEY"]),
        *("--galaxy_user_key", os.environ["GALAXY_KEY"]),
        *("--test_output", str(page)),
        *("--test_output_json", str(results)),
        *("--test_timeout", str(TIMEOUT)),
        "--no_shed_install",
        *map(str, paths),
    ]
    print(f"planemo tests {', '.join(path.name for path in paths)}; it writes to {log}", flush=True)
    with log.open("w") as output:
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
    tests = json.loads(results.read_text())["tests"] if results.exists() else []
    for test in tests:
        print_test(test)
        if REPOSITORY not in paths[0].parents and paths[0].suffix == ".xml" and (read := reads_the_checkout(test)):
            print(f"failed   {test['id']}: it reads {read} of the checkout, not of its archive")
            test["data"]["status"] = "failure"
    failed = sum(test["data"]["status"] != "success" for test in tests)
    if not tests or (status and not failed):
        print(f"{log.read_text()[-4000:]}\nplanemo ended with status {status}; see {log}")
        failed += 1
    return [(test["id"], _seconds(test["data"])) for test in tests], failed


def _copied(workflow: Path, folder: Path) -> Path:
    """A copy of the workflow's folder, since planemo writes beside it and leaves that there when it is interrupted."""
    inside = workflow.resolve().parent.relative_to(REPOSITORY)
    shutil.copytree(workflow.parent, folder / inside, dirs_exist_ok=True)
    test_data = folder / "test-data"
    if not test_data.is_symlink():
        test_data.symlink_to(REPOSITORY / "test-data")
    return folder / inside / workflow.name


def _seconds(data: dict) -> float:
    """How long a test took; of workflows planemo says only when they began and ended."""
    if data.get("end_datetime"):
        return (datetime.fromisoformat(data["end_datetime"]) - datetime.fromisoformat(data["start_datetime"])).seconds
    return data.get("time_seconds") or 0


def reads_the_checkout(test: dict) -> list[str]:
    """The folders of this repository that the command of a tool names."""
    command = (test["data"].get("job") or {}).get("command_line", "")
    folders = ("tools", "scripts", "test-data", "data_managers")
    return [name for name in folders if str(REPOSITORY / name) in command]


def print_test(test: dict) -> None:
    """Whether a test has passed, and if not, why not."""
    data = test["data"]
    print(f"{data['status']:8} {test['id']}  {_seconds(data):.0f} s", flush=True)
    if data["status"] == "success":
        return
    job = data.get("job") or {}
    for problem in data.get("output_problems") or []:
        print(f"    {str(problem)[:3000]}")
    for name in ("execution_problem", "problem_log"):
        if data.get(name):
            print(f"    {str(data[name])[-3000:]}")
    for name in ("command_line", "stderr", "stdout"):
        if job.get(name):
            print(f"  {name}:\n{str(job[name])[-3000:]}")


@contextmanager
def hub_of_the_tests(folder: Path) -> Iterator[Hub]:
    """A Hub on this machine that jobs of Galaxy ask in place of the real one.

    Its models have new commits at each start, since a Galaxy that goes on would not fetch the same again.
    """
    models = REPOSITORY / "test-data" / "models"
    with running_hub(
        {
            "facebook/esm2_t6_8M_UR50D": repository(models / "tiny-esm-mlm", commit=secrets.token_hex(20)),
            "someone/gated": repository(models / "tiny-esm", commit=secrets.token_hex(20), gated=True),
            "someone/gated-too": repository(models / "tiny-esm", commit=secrets.token_hex(20), gated=True),
        }
    ) as hub:
        variables = folder / "config" / JOB_VARIABLES
        variables.write_text(f"export HF_ENDPOINT={hub.url} NO_PROXY=127.0.0.1,localhost\n")
        try:
            yield hub
        finally:
            variables.unlink(missing_ok=True)


def number_of_tests(tool: Path) -> int:
    """How many tests a tool has, so that the longest runs begin first."""
    return len(ElementTree.parse(tool).findall("tests/test"))


def pytest_tests(paths: list[Path], folder: Path, marked: str | None) -> tuple[Times, int]:
    """Run tests/galaxy: models that are fetched and then used, forms and reports in a browser.

    Args:
        marked: which marks the tests are to have, all of them if None.

    Returns:
        The tests that were run, and pytest's exit status.
    """
    results, log = folder / "pytest.xml", folder / "pytest.log"
    results.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={results}", *map(str, paths)]
    command += ["-m", marked] if marked else []
    with log.open("w") as output:
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
    # In one piece, since planemo's tests of tools go on beside it and print their lines.
    print(log.read_text(), flush=True)
    cases = ElementTree.parse(results).iter("testcase") if results.exists() else []
    return [(case.get("name"), float(case.get("time"))) for case in cases], status


def workflow_and_pytest_tests(
    workflows: list[Path], scripts: list[Path], folder: Path, marked: str | None
) -> dict[str, tuple[Times, int]]:
    """The tests of workflows, and then pytest's, some of which open the reports that the workflows have written."""
    parts = {"workflows": planemo_tests("workflows", workflows, folder)} if workflows else {}
    if scripts:
        parts["pytest"] = pytest_tests(scripts, folder, marked)
    return parts


def print_slowest(part: str, times: Times) -> None:
    """The ten slowest tests of a part, in seconds."""
    print(f"The slowest of {len(times)} tests ({part}):")
    for name, seconds in sorted(times, key=lambda test: test[1], reverse=True)[:10]:
        print(f"  {seconds:5.0f} s  {name}")


def main() -> int:
    galaxy = Path(os.environ["GALAXY_FOLDER"])
    folder = galaxy / "tests"
    folder.mkdir(exist_ok=True)
    began = time.monotonic()
    paths, marked = [Path(path).resolve() for path in sys.argv[1:] if path != "--slow"], None
    if not paths:
        slow = "--slow" in sys.argv
        marked = "slow" if slow else "not slow"
        paths = [
            *([] if slow else map(Path, os.environ["GALAXY_TOOLS"].split(os.pathsep))),
            *(path for name, path in WORKFLOWS.items() if slow != (name in EACH_TIME)),
            *sorted(REPOSITORY.glob("tests/galaxy/test_*.py")),
        ]
    tools = sorted((path for path in paths if path.suffix == ".xml"), key=number_of_tests, reverse=True)
    scripts = [path for path in paths if path.suffix == ".py"]
    workflows = [path for path in paths if path not in (*tools, *scripts)]
    # The workflows begin first and take the longest; the other places take one tool after the other.
    with hub_of_the_tests(galaxy), ThreadPoolExecutor(RUNS) as pool:
        first = pool.submit(workflow_and_pytest_tests, workflows, scripts, folder, marked)
        of_tools = list(pool.map(lambda tool: planemo_tests(tool.stem, [tool], folder), tools))
        parts = first.result()
    if tools:
        parts["tools"] = [test for times, _ in of_tools for test in times], sum(failed for _, failed in of_tools)
    for part, (times, _) in parts.items():
        print_slowest(part, times)
    pytest_times, pytest_status = parts.pop("pytest", ([], 0))
    failed = sum(failures for _, failures in parts.values())
    tests = sum(len(times) for times, _ in parts.values())
    print(
        f"In Galaxy: {max(0, tests - failed)} planemo tests passed, {failed} failed"
        + (f"; pytest {'failed' if pytest_status else 'passed'}" if scripts else "")
        + f"; {time.monotonic() - began:.0f} s; details in {folder}"
    )
    return 1 if failed or pytest_status or not tests + len(pytest_times) else 0


if __name__ == "__main__":
    sys.exit(main())
