"""Print the sets of conda packages that the tools ask for, as combinations/hash.tsv of BioContainers'
multi-package-containers has them, each with the tools that ask for it and the name that its image gets there.

    .venvs/planemo/bin/python -P deploy/mulled.py > deploy/multi-package-containers.tsv

A server that runs no image but those of BioContainers finds them by that name. They have no CUDA: conda builds them
where there is no GPU. (-P: or Python takes the folder's own galaxy.py for Galaxy's library.)
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from galaxy.tool_util.deps.mulled.util import build_target, v2_image_name
from galaxy.tool_util.parser import get_tool_source

TOOLS = Path(__file__).resolve().parents[1] / "tools"


def combinations() -> dict[tuple[tuple[str, str], ...], list[str]]:
    """Packages with their versions -> the tools that ask for just these."""
    asked = defaultdict(list)
    for path in sorted(TOOLS.glob("seqlm_*.xml")):
        requirements, *_ = get_tool_source(str(path)).parse_requirements()
        asked[tuple(sorted((one.name, one.version) for one in requirements))].append(path.stem)
    return asked


if __name__ == "__main__":
    print("# For combinations/hash.tsv of BioContainers/multi-package-containers; deploy/mulled.py writes this file.")
    for packages, tools in combinations().items():
        name = v2_image_name([build_target(package, version=version) for package, version in packages], image_build="0")
        print(f"# {', '.join(tools)}: quay.io/biocontainers/{name}")
        print(",".join(f"{package}={version}" for package, version in packages))
