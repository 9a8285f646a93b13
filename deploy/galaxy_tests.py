"""Everything that is tested in a real Galaxy: planemo's tests of tools and workflows, and what a browser shows.

python deploy/galaxy.py run -- python deploy/galaxy_tests.py                            all of it
python deploy/galaxy.py run -- python deploy/galaxy_tests.py tools/seqlm_predict.xml    planemo's tests of one
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from galaxy_config import REPOSITORY, tool_files


def planemo_tests(name: str, paths: list[Path], folder: Path) -> tuple[int, int]:
    """Run the tests of tools, or of workflows, and print one line a test. planemo cannot do both in one go.

    Args:
        name: what the logs of this run are called.

    Returns:
        How many passed and how many did not.
    """
    if paths[0].suffix == ".ga":
        paths = [_copied(path, folder) for path in paths]
    results, page, log = (folder / f"planemo-{name}{suffix}" for suffix in (".json", ".html", ".log"))
    results.unlink(missing_ok=True)
    command = [
        str(Path(sys.executable).with_name("planemo")),
        *("--directory", str(folder / f"planemo-{name}")),
        "test",
        *("--engine", "external_galaxy"),
        *("--galaxy_url", os.environ["GALAXY_URL"]),
        *("--galaxy_admin_key", os.environ["GALAXY_KEY"]),
        *("--galaxy_user_key", os.environ["GALAXY_KEY"]),
        *("--test_output", str(page)),
        *("--test_output_json", str(results)),
        *("--test_timeout", "900"),
        "--no_shed_install",
        *map(str, paths),
    ]
    print(f"planemo tests {', '.join(path.name for path in paths)}; it writes to {log}", flush=True)
    with log.open("w") as output:
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
    tests = json.loads(results.read_text())["tests"] if results.exists() else []
    for test in tests:
        _print_test(test)
    failed = sum(test["data"]["status"] != "success" for test in tests)
    passed = len(tests) - failed
    if not tests or (status and not failed):
        print(f"{log.read_text()[-4000:]}\nplanemo ended with status {status}; see {log}")
        failed += 1
    return passed, failed


def _copied(workflow: Path, folder: Path) -> Path:
    """A copy of the workflow's folder, since planemo writes beside it and leaves that there when it is interrupted."""
    inside = workflow.resolve().parent.relative_to(REPOSITORY)
    shutil.copytree(workflow.parent, folder / inside, dirs_exist_ok=True)
    test_data = folder / "test-data"
    if not test_data.is_symlink():
        test_data.symlink_to(REPOSITORY / "test-data")
    return folder / inside / workflow.name


def _print_test(test: dict) -> None:
    data = test["data"]
    print(f"{data['status']:8} {test['id']}  {data.get('time_seconds') or 0:.0f} s", flush=True)
    if data["status"] == "success":
        return
    job = data.get("job") or {}
    for problem in data.get("output_problems") or []:
        print(f"    {problem}")
    for name in ("execution_problem", "problem_log"):
        if data.get(name):
            print(f"    {str(data[name])[-3000:]}")
    for name in ("command_line", "stderr", "stdout"):
        if job.get(name):
            print(f"  {name}:\n{str(job[name])[-3000:]}")


def number_of_tests(tool: Path) -> int:
    """How many tests a tool has, so that parts of about the same length can be made."""
    return len(ElementTree.parse(tool).findall("tests/test"))


def browser_test() -> int:
    """Open form and report in a browser, as pytest; returns its exit status."""
    folder = REPOSITORY / "tests" / "galaxy"
    return subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(folder)]).returncode


def main() -> int:
    folder = Path(os.environ["GALAXY_FOLDER"]) / "tests"
    folder.mkdir(exist_ok=True)
    began = time.monotonic()
    chosen = [Path(path) for path in sys.argv[1:]]
    paths = chosen or [*tool_files(REPOSITORY / "tools"), *sorted(REPOSITORY.glob("workflows/*/*/*.ga"))]
    tools = sorted((path for path in paths if path.suffix == ".xml"), key=number_of_tests, reverse=True)
    parts = {"tools": tools[::2], "other-tools": tools[1::2], "workflows": [one for one in paths if one not in tools]}
    # Side by side: much of a test is waiting.
    with ThreadPoolExecutor() as pool:
        counts = list(pool.map(lambda part: planemo_tests(*part, folder), filter(lambda part: part[1], parts.items())))
    passed, failed = map(sum, zip(*counts, strict=True))
    browser = 0 if chosen else browser_test()
    print(
        f"In Galaxy: {passed} planemo tests passed, {failed} failed"
        + ("" if chosen else f"; browser test {'failed' if browser else 'passed'}")
        + f"; {time.monotonic() - began:.0f} s; details in {folder}"
    )
    return 1 if failed or browser or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
