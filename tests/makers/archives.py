"""The archives of Tool Shed repositories, as planemo uploads them, unpacked."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PLANEMO = REPOSITORY / ".venvs" / "planemo" / "bin" / "planemo"
DATA_MANAGER = REPOSITORY / "data_managers" / "data_manager_huggingface"


def built_archives(project: Path, built: Path) -> dict[str, Path]:
    """Build the archive of each repository of a project, and unpack it beside itself.

    Args:
        project: the folder of a ``.shed.yml``.
        built: an empty folder.

    Returns:
        The folder of each repository by the repository's name; its archive lies beside it, as ``NAME.tar.gz``.
    """
    command = [PLANEMO, "--directory", built, "shed_upload", "--tar_only", "--shed_target", "toolshed", project]
    done = subprocess.run(command, cwd=built, env=os.environ | {"HOME": str(built)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    unpacked = {}
    for path in sorted(built.glob("shed_upload*.tar.gz")):
        # The archive of a project of one repository has no name behind it.
        name = path.name.removeprefix("shed_upload").strip("_").removesuffix(".tar.gz") or project.name
        unpacked[name] = path.rename(built / f"{name}.tar.gz").with_suffix("").with_suffix("")
        with tarfile.open(built / f"{name}.tar.gz") as archive:
            assert all(member.isfile() for member in archive), "a link or something else that is not a file"
            archive.extractall(unpacked[name], filter="data")
    return unpacked
