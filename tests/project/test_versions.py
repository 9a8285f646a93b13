"""The tools ask conda for versions that it was seen to have, and the tests run what the tools ask for."""

import csv
import xml.etree.ElementTree as ElementTree
from importlib import metadata
from pathlib import Path

import pytest

from seqlm.similarity import mmseqs

REPOSITORY = Path(__file__).resolve().parents[2]
# A version that no source shows on the channel, and why it is asked for all the same: `make oldest` tests the one seen.
NOT_SEEN = {"transformers"}
ELSEWHERE = {"python", "mmseqs2", "transformers", "huggingface_hub"}  # tested by others, or in more than one version


def pins():
    """Package -> version, as all forms say it."""
    found = {}
    for path in sorted([*(REPOSITORY / "tools").glob("*.xml"), *(REPOSITORY / "data_managers").rglob("*.xml")]):
        for requirement in ElementTree.parse(path).iter("requirement"):
            assert found.setdefault(requirement.text, requirement.get("version")) == requirement.get("version"), path
    return found


def seen():
    """Package -> row of the list."""
    with (REPOSITORY / "deploy" / "conda-versions.tsv").open(encoding="utf-8", newline="") as lines:
        return {row["package"]: row for row in csv.DictReader(lines, delimiter="\t")}


def test_each_version_has_a_line_that_says_where_it_was_seen():
    assert pins() == {package: row["version"] for package, row in seen().items()}
    for package, row in seen().items():
        assert all(row.values()), package
        same = row["seen"] == row["version"] or row["seen"].startswith(f"{row['version']}.")
        assert same == (package not in NOT_SEEN), package


def test_the_oldest_transformers_that_is_tested_is_the_one_that_was_seen():
    constraint = (REPOSITORY / "deploy" / "requirements-oldest.txt").read_text().split()
    assert f"transformers=={seen()['transformers']['seen']}" in constraint


def test_the_page_for_admins_shows_the_list():
    page = (REPOSITORY / "docs" / "admin.md").read_text(encoding="utf-8")
    missing = [row for row in seen().values() if f"| {' | '.join(row.values())} |" not in page]
    assert not missing


@pytest.mark.parametrize("package", sorted({*pins()} - ELSEWHERE))
def test_what_is_tested_is_what_is_asked_for(package):
    name = {"pytorch": "torch", "matplotlib-base": "matplotlib"}.get(package, package)
    assert numbers(metadata.version(name)) == numbers(pins()[package])


def numbers(version):
    """Those of a version: 0.14 is 0.14.0 and 0.14.0+cpu, 2026.03.4 is 2026.3.4."""
    parts = [int(part) for part in version.split("+")[0].split(".")]
    while parts[-1] == 0:
        parts.pop()
    return parts


def test_the_tests_run_the_release_of_mmseqs2_that_the_tools_ask_for():
    commit = pins()["mmseqs2"].split(".")[1]
    assert mmseqs.version().startswith(commit)
