"""Which files of ``test-data/`` go into each archive of the Tool Shed: those that the tests of its tool name,
and the base models that these name.

    python deploy/shed_files.py           write them into .shed.yml
    python deploy/shed_files.py --check   only say what is out of date

A repository of the Tool Shed is small, and all test data together are several times what it may be.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TEST_DATA = REPOSITORY / "test-data"
MODELS = "huggingface.loc"
# The entry of a repository that this script writes: every source of it is below test-data/.
ENTRY = re.compile(r"^      - source:\n(?:          - test-data/.*\n)+", re.MULTILINE)


def model_folders() -> dict[str, str]:
    """The folder of each model by the name that a test gives it: ``{"seqlm/tiny-esm": "models/tiny-esm"}``."""
    rows = [line.split("\t") for line in (TEST_DATA / MODELS).read_text().splitlines() if not line.startswith("#")]
    return {row[0]: row[-1].removeprefix("${__HERE__}/") for row in rows}


def base_model(path: Path) -> str | None:
    """The model that a bundle or a published adapter names as that it was trained on, and finds by itself."""
    if (path / "adapter_config.json").is_file():
        return json.loads((path / "adapter_config.json").read_text())["base_model_name_or_path"]
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as bundle:
            if "seqlm.json" in bundle.namelist() and "model.safetensors" not in bundle.namelist():
                return json.loads(bundle.read("seqlm.json")).get("base_model", {}).get("id")
    return None


def test_files(tool: Path) -> list[str]:
    """What the tests of a tool name, as patterns of ``.shed.yml``; with a model also the table that has its row."""
    elements = list(ElementTree.parse(tool).iter())  # not of <tests> alone, as a test may expand a macro of the file
    values = {each.get(name) for each in elements for name in ("value", "file") if each.get(name)}
    names = {name for value in values for name in (value, *value.split(","))}
    folders = model_folders()
    names |= {base_model(TEST_DATA / folders.get(name, name)) for name in names} - {None}
    models = {f"{folders[name]}/**" for name in names if name in folders}
    files = {name for name in names if (TEST_DATA / name).is_file()}
    return [f"test-data/{name}" for name in sorted(files) + sorted(models) + [MODELS] * bool(models)]


def up_to_date(configuration: str) -> str:
    """The text of ``.shed.yml`` with the test data that today's tests name."""
    head, *repositories = re.split(r"^(?=  seqlm_\w+:$)", configuration, flags=re.MULTILINE)
    written = [head]
    for repository in repositories:
        tool = REPOSITORY / "tools" / f"{repository.split(':')[0].strip()}.xml"
        entry = "\n".join(["      - source:", *(f"          - {name}" for name in test_files(tool)), ""])
        text, entries = ENTRY.subn(lambda _, entry=entry: entry, repository)
        if entries != 1:
            raise SystemExit(f"error: .shed.yml has {entries} lists of test data for {tool.stem}, not one")
        written.append(text)
    return "".join(written)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 where something would change")
    arguments = parser.parse_args()
    path = REPOSITORY / ".shed.yml"
    before = path.read_text()
    after = up_to_date(before)
    if after == before:
        return 0
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), ".shed.yml", ".shed.yml", n=1, lineterm="")
    print(*lines, sep="\n")
    if arguments.check:
        print("error: .shed.yml does not list the test data that the tools' tests name; run deploy/shed_files.py")
        return 1
    path.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
