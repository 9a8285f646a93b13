"""Write every setting of the tools into the workflow files, after a tool has gained or lost a parameter.

A workflow that lacks a setting cannot be run from Galaxy's page before somebody has edited it there. Galaxy fills in
the defaults; everything else in the files stays as it was written.

    python deploy/galaxy.py run -- python deploy/refresh_workflows.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from bioblend.galaxy import GalaxyInstance
from galaxy_config import REPOSITORY


def refresh(galaxy: GalaxyInstance, path: Path) -> dict:
    """Complete the tool states of one workflow file and return what Galaxy had to say about them."""
    workflow = galaxy.workflows.import_workflow_from_local_path(str(path))["id"]
    url = f"{os.environ['GALAXY_URL']}/api/workflows/{workflow}/download"
    complete = galaxy.make_get_request(url, params={"style": "editor"}).json()
    content = json.loads(path.read_text())
    states = {step["uuid"]: step["tool_state"] for step in complete["steps"].values()}  # Galaxy may number them anew
    for step in content["steps"].values():
        if step["type"] == "tool":
            state = states[step["uuid"]]
            # The editor holds each top-level setting as JSON of its own.
            state = {name: json.loads(value) if isinstance(value, str) else value for name, value in state.items()}
            state.pop("__rerun_remap_job_id__", None)
            step["tool_state"] = json.dumps(state)
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n")
    return complete["upgrade_messages"]


if __name__ == "__main__":
    galaxy = GalaxyInstance(os.environ["GALAXY_URL"], key=os.environ["GALAXY_KEY"])
    for path in sorted(REPOSITORY.glob("workflows/*/*/*.ga")):
        messages = refresh(galaxy, path)
        print(f"{path.relative_to(REPOSITORY)}: {json.dumps(messages, indent=2) if messages else 'was complete'}")
