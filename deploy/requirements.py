"""Print the tools' conda requirements as lines for pip, so that every environment holds the same versions.

The versions stand once, in tools/macros.xml and in the tools that add a package of their own. Needs no package itself:
it runs before any environment exists.

    python deploy/requirements.py > requirements.txt
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1] / "tools"

# Packages that conda and pip name differently.
PIP_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
# What pip does not install: requirements-mmseqs.txt has the program.
NOT_ON_PIP = {"python", "mmseqs2"}


def pip_requirements(files: list[Path]) -> list[str]:
    """Requirement lines such as ``torch==2.13.0``, sorted, from the ``<requirement>`` elements of Galaxy XML files.

    Raises:
        ValueError: two files want different versions of one package, or a version is missing.
    """
    versions: dict[str, tuple[str, Path]] = {}
    for path in files:
        for requirement in ElementTree.parse(path).iter("requirement"):
            name, version = (requirement.text or "").strip(), requirement.get("version")
            if requirement.get("type") != "package" or name in NOT_ON_PIP:
                continue
            if not version:
                raise ValueError(f"{path}: requirement {name!r} has no version")
            name = PIP_NAMES.get(name, name)
            known, where = versions.setdefault(name, (version, path))
            if known != version:
                raise ValueError(f"{path}: {name} {version}, but {where} has {known}; keep one version")
    return [f"{name}=={version}" for name, (version, _) in sorted(versions.items())]


if __name__ == "__main__":
    try:
        print("\n".join(pip_requirements(sorted(TOOLS.glob("*.xml")))))
    except (ValueError, ElementTree.ParseError) as mistake:
        sys.exit(f"error: {mistake}")
