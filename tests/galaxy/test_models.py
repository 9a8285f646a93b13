"""From the Hub to a result: a model that the data manager has fetched is offered by a form, and computes.

Runs beside a Galaxy whose jobs ask the Hub of the tests (`make test` starts both).
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

if "GALAXY_URL" not in os.environ:
    pytest.skip("needs a running Galaxy; `make test` starts one", allow_module_level=True)

from bioblend.galaxy import GalaxyInstance

from makers.hub import Hub

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ["GALAXY_FOLDER"])
MANAGER = "data_manager_huggingface"
GATED = "someone/gated"
TOKEN = Hub("", {}).token


@pytest.fixture(scope="module")
def galaxy() -> GalaxyInstance:
    return GalaxyInstance(os.environ["GALAXY_URL"], key=os.environ["GALAXY_KEY"])


@pytest.fixture(scope="module")
def history(galaxy) -> str:
    return galaxy.histories.create_history("models that are fetched")["id"]


def run(galaxy: GalaxyInstance, history: str, tool: str, inputs: dict, **more) -> dict:
    """Run a tool as its form does, and return its job when it has ended."""
    payload = {"history_id": history, "tool_id": tool, "inputs": inputs, "input_format": "legacy", **more}
    answer = galaxy.make_post_request(f"{galaxy.base_url}/api/tools", payload=payload)
    return galaxy.jobs.show_job(finished(galaxy, answer["jobs"][0]["id"]), full_details=True)


def finished(galaxy: GalaxyInstance, job: str) -> str:
    deadline = time.monotonic() + 300
    while galaxy.jobs.get_state(job) not in ("ok", "error", "deleted"):
        assert time.monotonic() < deadline, "the job does not end"
        time.sleep(0.5)
    return job


def rows(galaxy: GalaxyInstance) -> list[dict[str, str]]:
    table = galaxy.tool_data.show_data_table("huggingface")
    return [dict(zip(table["columns"], fields, strict=True)) for fields in table["fields"]]


@pytest.fixture(scope="module")
def credentials(galaxy) -> list[dict]:
    """The token of an account with access, in Galaxy's vault, as a form sends it along."""
    user = galaxy.users.get_current_user()["id"]
    tool = galaxy.tools.show_tool(MANAGER)
    said = {"source_type": "tool", "source_id": MANAGER, "source_version": tool["version"]}
    name = f"of the tests, {time.time_ns()}"  # a Galaxy that goes on has those of a run before
    group = galaxy.make_post_request(
        f"{galaxy.base_url}/api/users/{user}/credentials",
        payload={
            **said,
            "service_credential": {
                "name": "huggingface",
                "version": "1.0",
                "group": {"name": name, "variables": [], "secrets": [{"name": "token", "value": TOKEN}]},
            },
        },
    )
    known = galaxy.make_get_request(f"{galaxy.base_url}/api/users/{user}/credentials").json()
    service = next(each for each in known if any(one["id"] == group["id"] for one in each["groups"]))
    return [
        {
            "user_credentials_id": service["id"],
            "name": "huggingface",
            "version": "1.0",
            "selected_group": {"id": group["id"], "name": name},
        }
    ]


@pytest.fixture
def token_of_the_server():
    """The token in the environment of the jobs, as an administrator sets it for the destination of the data manager."""
    variables = FOLDER / "config" / "job_variables.sh"
    before = variables.read_text()
    variables.write_text(f"{before}export HF_TOKEN={TOKEN}\n")
    yield
    variables.write_text(before)


def rows_of(galaxy: GalaxyInstance, model: str) -> list[dict[str, str]]:
    return [row for row in rows(galaxy) if row["value"].startswith(model)]


def test_a_gated_model_is_refused_without_a_token(galaxy, history):
    before = rows_of(galaxy, GATED)
    job = run(galaxy, history, MANAGER, {"source|kind": "hub", "source|model": GATED})
    assert job["state"] == "error"
    assert f"error: {GATED} is gated" in job["tool_stderr"]
    assert rows_of(galaxy, GATED) == before


@pytest.mark.xfail(strict=True, reason="Galaxy 26.1.2 loses the credentials of data managers: DataManagerToolAction")
def test_a_gated_model_is_fetched_with_a_credential(galaxy, history, credentials):
    inputs = {"source|kind": "hub", "source|model": "someone/gated-too"}
    job = run(galaxy, history, MANAGER, inputs, credentials_context=credentials)
    assert job["state"] == "ok"


def test_a_model_that_was_fetched_is_offered_and_used(galaxy, history, token_of_the_server, tmp_path):
    before = rows_of(galaxy, GATED)
    job = run(galaxy, history, MANAGER, {"source|kind": "hub", "source|model": GATED, "entry|name": "A gated model"})
    assert job["state"] == "ok", job["tool_stderr"]

    (row,) = [row for row in rows_of(galaxy, GATED) if row not in before]
    assert (row["name"], row["pipeline_tag"], row["domain"]) == ("A gated model", "feature-extraction", "sequence")
    folder = Path(row["path"])
    assert folder == FOLDER / "data" / "models" / "huggingface" / GATED / row["version"]
    assert json.loads((folder / "fetched.json").read_text())["commit"] == row["version"]

    # neither what the job was told nor what it said holds the token
    assert TOKEN not in json.dumps(job)
    assert not [file for file in folder.iterdir() if TOKEN.encode() in file.read_bytes()]

    form = galaxy.tools.build("seqlm_embed", inputs={"model|source": "installed"}, history_id=history)
    source = next(each for each in form["inputs"] if each["name"] == "model")
    offered = next(case for case in source["cases"] if case["value"] == "installed")["inputs"][0]["options"]
    assert [row["name"], row["value"], False] in offered

    (tmp_path / "two.fasta").write_text(">one\nMKTAYIAKQR\n>two\nMSLNNEWQL\n")
    sequences = galaxy.tools.upload_file(str(tmp_path / "two.fasta"), history, file_type="fasta")["outputs"][0]["id"]
    inputs = {
        "model|source": "installed",
        "model|model": row["value"],
        "sequences": {"src": "hda", "id": sequences},
    }
    embedding = run(galaxy, history, "seqlm_embed", inputs)
    assert embedding["state"] == "ok", embedding["tool_stderr"]
    assert f"--model='{row['path']}'" in embedding["command_line"]
    content = galaxy.datasets.download_dataset(embedding["outputs"]["embeddings"]["id"]).decode().splitlines()
    assert [line.split("\t")[0] for line in content] == ["id", "one", "two"]

    again = run(galaxy, history, MANAGER, {"source|kind": "hub", "source|model": GATED})
    assert again["state"] == "error"
    assert f"the table has {GATED} at commit {row['version']} already" in again["tool_stderr"]
    assert len({row["value"] for row in rows_of(galaxy, GATED)}) == len(before) + 1
