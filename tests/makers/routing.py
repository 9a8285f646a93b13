"""Where jobs are sent, by Total Perspective Vortex itself; run by the Python of Galaxy's environment.

    python -P routing.py < asked.json > found.json

``asked``: ``job_conf``, a job configuration; ``chains``, name -> files of TPV, the later over the earlier; ``jobs``,
each with ``chain``, ``tool`` (its id), ``form`` (its XML) and ``values`` of the form. ``found``: what linting says of
each chain, and of each job its destination and the command of its container, or a refusal; and where ``tpv dry-run``
sends each tool by that job configuration.
"""

from __future__ import annotations

import json
import logging
import sys
from contextlib import redirect_stdout
from types import SimpleNamespace

logging.disable()
with redirect_stdout(sys.stderr):  # what Galaxy's libraries say while they are imported
    from galaxy.jobs.mapper import JobMappingException
    from galaxy.model import Job, JobParameter
    from galaxy.tool_util.deps.container_classes import CONTAINER_CLASSES
    from galaxy.tool_util.deps.container_resolvers.explicit import (
        ExplicitContainerResolver,
        ExplicitSingularityContainerResolver,
    )
    from galaxy.tool_util.deps.dependencies import AppInfo, JobInfo, ToolInfo
    from galaxy.tool_util.parser import get_tool_source
    from tpv.commands.dryrunner import TPVDryRunner
    from tpv.commands.linter import TPVConfigLinter
    from tpv.commands.test import mock_galaxy  # what `tpv dry-run` has in place of a Galaxy
    from tpv.rules import gateway


def linted(files: list[str]) -> list[str]:
    """What `tpv lint` complains about, warnings too; not the types of the code, of which it says nothing by itself."""
    linter = TPVConfigLinter.from_url_or_path(files)
    linter.load_config()
    for check in (linter.lint_extra_fields, linter.lint_tools, linter.lint_destinations):
        check(linter.loader)
    return [*map(str, linter.errors), *map(" ".join, linter.warnings)]


def sent(job: dict, files: list[str], app: mock_galaxy.App) -> dict:
    """The destination of a job with these values of the form, or why there is none."""
    form = get_tool_source(job["form"])
    _, containers, resources, *_ = form.parse_requirements()
    tool = mock_galaxy.Tool(job["tool"], version=form.parse_version(), resource_requirements=resources)
    asked = Job()
    asked.parameters = [JobParameter(name, json.dumps(value)) for name, value in job["values"].items()]
    referrer = SimpleNamespace(id=job["chain"], params={})
    try:
        found = gateway.map_tool_to_destination(app, asked, tool, None, referrer, tpv_config_files=files)
    except JobMappingException as problem:
        return {"refused": str(problem)}
    env = {each["name"]: each["value"] for each in found.env}
    return {"id": found.id, "params": found.params, "env": env, "command": contained(containers, found.params)}


def contained(containers: list, params: dict) -> str:
    """The command that Galaxy makes of a job for its container, if it gets one."""
    for kind, resolver in (
        ("docker", ExplicitContainerResolver),
        ("singularity", ExplicitSingularityContainerResolver),
    ):
        if params.get(f"{kind}_enabled"):
            tool = ToolInfo(container_descriptions=containers, profile=25.1)
            description = resolver(AppInfo()).resolve({kind}, tool)
            server = AppInfo(container_image_cache_path="/images")
            place = "$_GALAXY_JOB_TMP_DIR" if params.get("tmp_dir") else None
            job = JobInfo("/job/working", "/galaxy/tools", "/job", place, None, "galaxy")
            container = CONTAINER_CLASSES[kind](description.identifier, server, tool, params, job, description)
            return container.containerize_command("/bin/bash tool_script.sh")
    return ""


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    with redirect_stdout(sys.stderr):
        app = mock_galaxy.App(job_conf=asked["job_conf"], create_model=True)
        answer = {
            "lint": {name: linted(files) for name, files in asked["chains"].items()},
            "jobs": [sent(job, asked["chains"][job["chain"]], app) for job in asked["jobs"]],
            "dry": {
                tool: TPVDryRunner.from_params(asked["job_conf"], tool_id=tool).run()[0].id
                for tool in {job["tool"] for job in asked["jobs"]}
            },
        }
    json.dump(answer, sys.stdout)
