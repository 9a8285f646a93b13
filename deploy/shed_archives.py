"""A Galaxy of what the Tool Shed gets: each repository's archive, unpacked elsewhere, with its own test data.

The archives are what `planemo shed_upload` sends. Galaxy gets their tools through ``tool_conf.xml`` and their samples
of the data table, with the models of their test data as rows, as an administrator would write them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from galaxy_config import MODELS_TABLE, REPOSITORY, Toolbox, tool_files

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


def toolbox(folder: Path) -> Toolbox:
    """Archives, built and unpacked in an empty folder, as an administrator has them who did that: the tools, the table,
    the models. Models that no tool's tests name, but workflows do, are those of the checkout."""
    archives, tool_data = unpacked(folder), folder / "tool-data"
    tool_data.mkdir()
    sample = archives[DATA_MANAGER.name] / "tool-data" / f"{LOC}.sample"
    own = {row.partition("\t")[0]: row for row in model_rows({"checkout": REPOSITORY} | archives)}
    (tool_data / LOC).write_text("\n".join([*sample.read_text().splitlines(), *own.values(), ""]))
    return Toolbox(
        tools=[tool for path in archives.values() for tool in tool_files(path)],
        data_managers=[archives[DATA_MANAGER.name] / "data_manager_conf.xml"],
        tables=[MODELS_TABLE, *(path / TABLE for path in archives.values() if (path / TABLE).exists())],
        settings={"tool_data_path": str(tool_data)},
    )
