"""Print the name of the image that the tools run in, as tools/macros.xml says it, or a hash of what is in it.

    python deploy/image.py             # seqlm/seqlm:0.1.0
    python deploy/image.py --content   # of the packages, and of what builds the image

Needs no package, as whoever builds the image may have none.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from xml.etree import ElementTree

from requirements import TOOLS, pip_requirements

DEPLOY = Path(__file__).resolve().parent
BUILT_FROM = ("Dockerfile", "requirements-mmseqs.txt")  # beside the packages of the tools


def image() -> str:
    """The name with its tag."""
    macros = ElementTree.parse(TOOLS / "macros.xml")
    (name,) = (each.text for each in macros.iter("container"))
    for token in macros.iter("token"):
        name = name.replace(token.get("name"), token.text or "")
    return name


def content() -> str:
    """The same for images that hold the same."""
    files = [(DEPLOY / name).read_text(encoding="utf-8") for name in BUILT_FROM]
    return hashlib.sha256("\n".join([*pip_requirements(sorted(TOOLS.glob("*.xml"))), *files]).encode()).hexdigest()


if __name__ == "__main__":
    print(content() if sys.argv[1:] == ["--content"] else image())
