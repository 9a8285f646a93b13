"""The demonstration: run the dephosphorylation workflow in a local Galaxy and bring its results to demo-out/.

    python deploy/demo.py                                    the embedded small model and synthetic sites
    python deploy/demo.py --data FOLDER --model MODEL        your own

FOLDER holds a FASTA file with "train" in its name and one with "test"; one with "predict" is optional. MODEL is a
folder in the layout of Hugging Face or, with a network, an id of its Hub.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from pathlib import Path

import bioblend
import demo_model
from bioblend.galaxy import GalaxyInstance
from demo_results import download, summary
from local_galaxy import REPOSITORY, Galaxy, GalaxyError, running

WORKFLOW = REPOSITORY / "workflows/protein-language-models/dephosphorylation-sites/dephosphorylation-sites.ga"
OUT = REPOSITORY / "demo-out"
INPUTS = {"Training sequences": "train", "Test sequences": "test", "Sequences to predict": "predict"}
EMBEDDED_DATA = REPOSITORY / "test-data"
EMBEDDED_MODEL = "seqlm/protein-esm-0.2m"
# A small model needs larger steps than a published one, for which the workflow's default is meant.
EMBEDDED_LEARNING_RATE = 0.003


def find_data(folder: Path) -> dict[str, Path]:
    """The FASTA file for each input of the workflow, found by its name.

    Raises:
        GalaxyError: one is missing or there are several.
    """
    if not folder.is_dir():
        raise GalaxyError(f"DEMO_DATA={folder} is no folder")
    files = [path for path in sorted(folder.iterdir()) if re.search(r"\.(fa|fasta|faa)(\.gz)?$", path.name.lower())]
    found: dict[str, Path] = {}
    for label, word in INPUTS.items():
        matching = [path for path in files if word in path.name.lower()]
        if word == "predict" and not matching:
            matching = [found["Test sequences"]]
        if len(matching) != 1:
            names = ", ".join(path.name for path in matching) or "none"
            raise GalaxyError(f'{folder} must hold one FASTA file with "{word}" in its name; found {names}')
        found[label] = matching[0]
    return found


def run_workflow(galaxy: GalaxyInstance, data: dict[str, Path], parameters: dict) -> dict[str, str]:
    """Upload, invoke, wait; returns the dataset id of each labelled output.

    Raises:
        GalaxyError: a job failed; the message holds what it wrote.
    """
    history = galaxy.histories.create_history("Dephosphorylation sites")["id"]
    uploaded = {}
    for path in dict.fromkeys(data.values()):
        kind = "fasta.gz" if path.name.endswith(".gz") else "fasta"
        uploaded[path] = galaxy.tools.upload_file(str(path), history, file_type=kind)["outputs"][0]["id"]
    workflow = galaxy.workflows.import_workflow_from_local_path(str(WORKFLOW))["id"]
    inputs = {label: {"src": "hda", "id": uploaded[path]} for label, path in data.items()}
    invocation = galaxy.workflows.invoke_workflow(
        workflow,
        inputs=inputs | parameters,
        inputs_by="name",
        history_id=history,
    )["id"]
    _wait(galaxy, history, invocation)
    outputs = galaxy.invocations.show_invocation(invocation)["outputs"]
    return {label: output["id"] for label, output in outputs.items()}


def _wait(galaxy: GalaxyInstance, history: str, invocation: str) -> None:
    began, said = time.monotonic(), {}
    while True:
        steps = galaxy.invocations.show_invocation(invocation)
        jobs = galaxy.jobs.get_jobs(history_id=history)
        for job in sorted(jobs, key=lambda each: each["create_time"]):
            name = {"__DATA_FETCH__": "upload"}.get(job["tool_id"], job["tool_id"])
            if said.get(job["id"]) != job["state"]:
                said[job["id"]] = job["state"]
                print(f"{time.monotonic() - began:5.0f} s  {name}: {job['state']}", flush=True)
            if job["state"] in ("error", "failed", "deleted", "paused"):
                details = galaxy.jobs.show_job(job["id"], full_details=True)
                raise GalaxyError(f"{name} failed:\n{details.get('stderr') or details.get('stdout') or details}")
        if steps["state"] in ("failed", "cancelled"):
            raise GalaxyError(f"the workflow could not be run: {steps.get('messages')}")
        if steps["state"] in ("scheduled", "completed") and all(job["state"] == "ok" for job in jobs):
            return
        time.sleep(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the FASTA files")
    parser.add_argument("--model", help="folder or id of the base model")
    arguments = parser.parse_args()
    test = EMBEDDED_DATA / "sites_test.fasta"
    data = dict(zip(INPUTS, (EMBEDDED_DATA / "sites_train.fasta", test, test), strict=True))
    if arguments.data:
        data = find_data(arguments.data)
    model, parameters = None, {"Base model": EMBEDDED_MODEL, "Learning rate": EMBEDDED_LEARNING_RATE}
    if arguments.model:
        model = demo_model.row(arguments.model)
        parameters = {"Base model": model[0]}
    began = time.monotonic()
    with running(Galaxy("demo")) as state:
        if model:
            demo_model.install(model, Galaxy("demo"))
        galaxy = GalaxyInstance(state["url"], key=state["key"])
        outputs = run_workflow(galaxy, data, parameters)
        shutil.rmtree(OUT, ignore_errors=True)
        OUT.mkdir()
        download(galaxy, outputs, OUT)
    seconds = time.monotonic() - began
    print(
        "\n"
        + summary(
            OUT,
            data,
            parameters["Base model"],
            demonstration=model is None,
            made_up=arguments.data is None,
            seconds=seconds,
        )
    )


if __name__ == "__main__":
    try:
        main()
    except (GalaxyError, bioblend.ConnectionError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
