"""A proteome in parts on a cluster of two nodes, one of which goes down: the workflow gives the tables of one job.

    python deploy/galaxy.py --name cluster --cluster run -- python deploy/cluster_test.py

Real daemons (munged, slurmctld, two slurmd) on this machine, Galaxy's own runner for Slurm, and TPV.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

from bioblend.galaxy import GalaxyInstance
from galaxy_config import REPOSITORY
from slurm_cluster import SlurmCluster, SlurmError, running_cluster

WORKFLOW = REPOSITORY / "workflows/protein-language-models/embed-and-predict-in-parts/embed-and-predict-in-parts.ga"
BUNDLE = REPOSITORY / "test-data" / "bundle_head_esm.zip"
MODEL = "seqlm/tiny-esm"
TABLES = ("Embeddings", "Predictions")
DYING = "node2"
TIMEOUT = 3600


class ClusterTestError(Exception):
    """Something is not as it has to be."""


def write_proteins(path: Path, number: int) -> None:
    """Made-up proteins of 20 to 60 residues, the same at each call."""
    draw = random.Random(20_000)
    with path.open("w") as file:
        for place in range(1, number + 1):
            residues = "".join(draw.choices("ACDEFGHIKLMNPQRSTVWY", k=draw.randint(19, 59)))
            file.write(f">made_up_{place:05}\nM{residues}\n")


class History:
    """A history of the Galaxy of this test.

    Args:
        folder: where its datasets are saved.
    """

    def __init__(self, folder: Path):
        self.galaxy = GalaxyInstance(os.environ["GALAXY_URL"], key=os.environ["GALAXY_KEY"])
        self.id = self.galaxy.histories.create_history("A proteome in parts")["id"]
        self.folder = folder

    def upload(self, path: Path, kind: str) -> dict:
        dataset = self.galaxy.tools.upload_file(str(path), self.id, file_type=kind)["outputs"][0]["id"]
        self.galaxy.datasets.wait_for_dataset(dataset, maxwait=TIMEOUT)
        return {"src": "hda", "id": dataset}

    def in_one_job(self, proteins: dict, bundle: dict) -> dict[str, str]:
        """Run both tools on all proteins; returns the dataset of each table, not yet computed."""
        embed = {"model|source": "installed", "model|model": MODEL, "sequences": proteins}
        predict = {"model|source": "history", "model|bundle": bundle, "sequences": proteins}
        for inputs in (embed, predict):
            inputs["computing|batch_tokens"] = 1  # each protein by itself, as in the workflow
        found = {}
        for label, tool, inputs in (("Embeddings", "seqlm_embed", embed), ("Predictions", "seqlm_predict", predict)):
            outputs = self.galaxy.tools.run_tool(self.id, tool, inputs)["outputs"]
            found[label] = next(each["id"] for each in outputs if each["output_name"] == label.lower())
        return found

    def in_parts(self, proteins: dict, bundle: dict, parts: int) -> str:
        """Start the workflow; returns its invocation."""
        inputs = {"Proteins": proteins, "Fine-tuned model": bundle, "Number of parts": parts}
        inputs["Model of the embeddings"] = MODEL
        workflow = self.galaxy.workflows.import_workflow_from_local_path(str(WORKFLOW))["id"]
        invoked = self.galaxy.workflows.invoke_workflow(workflow, inputs=inputs, inputs_by="name", history_id=self.id)
        return invoked["id"]

    def states(self) -> Counter:
        """How many jobs are in each state."""
        return Counter(job["state"] for job in self.galaxy.jobs.get_jobs(history_id=self.id))

    def tables_of(self, invocation: str) -> dict[str, str]:
        """Wait for the workflow and for all that was started before; returns the dataset of each table.

        Raises:
            ClusterTestError: a job failed, or time is over.
        """
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            shown, states = self.galaxy.invocations.show_invocation(invocation), self.states()
            if bad := set(states) & {"error", "failed", "deleted", "paused"} or shown["state"] in (
                "failed",
                "cancelled",
            ):
                raise ClusterTestError(
                    f"jobs: {dict(states)} ({bad}); workflow: {shown['state']} {shown.get('messages')}"
                )
            if shown["state"] in ("scheduled", "completed") and set(states) <= {"ok", "resubmitted"}:
                return {label: output["id"] for label, output in shown["outputs"].items()}
            time.sleep(1)
        raise ClusterTestError(f"not done after {TIMEOUT} s: {dict(self.states())}")

    def content(self, dataset: str) -> bytes:
        return self.galaxy.datasets.download_dataset(dataset, use_default_filename=False, maxwait=TIMEOUT)


def let_a_node_fail(cluster: SlurmCluster) -> int:
    """Wait until a part is computed on the node, kill the node, and switch it on again once Slurm has noticed.

    Returns:
        How many jobs Slurm put back into its queue.
    """

    def failed() -> list[dict[str, str]]:
        return [job for job in cluster.ended() if job["JobState"] == "NODE_FAIL"]

    _wait(lambda: len(cluster.ended()) >= 4 and cluster.running()[DYING], f"no part ran on {DYING}")
    time.sleep(1)
    killed = cluster.kill_node(DYING)
    print(f"{DYING} killed, with {len(killed)} processes of jobs", flush=True)
    _wait(failed, f"Slurm did not notice that {DYING} is gone")
    cluster.start_node(DYING)
    return len(failed())


def _wait(ready, complaint: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not ready():
        if time.monotonic() > deadline:
            raise ClusterTestError(complaint)
        time.sleep(0.5)


def compare(history: History, one: dict[str, str], parts: dict[str, str], proteins: int) -> None:
    """Both tables of the workflow must be those of one job, byte for byte.

    Raises:
        ClusterTestError: they are not; both are kept in the folder.
    """
    for label in TABLES:
        expected, found = history.content(one[label]), history.content(parts[label])
        rows, rows_in_parts = (content.count(b"\n") - 1 for content in (expected, found))
        if rows != proteins or expected != found:
            for name, content in (("one-job", expected), ("in-parts", found)):
                (history.folder / f"{label.lower()}-{name}.tsv").write_bytes(content)
            raise ClusterTestError(
                f"{label}: {rows} rows, in parts {rows_in_parts}, not the same; see {history.folder}"
            )
        print(f"{label}: {rows} rows, {len(expected):,} bytes, in parts as in one job")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proteins", type=int, default=20_000, help="a multiple of the parts")
    parser.add_argument("--parts", type=int, default=8)
    arguments = parser.parse_args()
    folder = Path(os.environ["GALAXY_FOLDER"])
    write_proteins(folder / "proteins.fasta", arguments.proteins)
    history = History(folder)
    began = time.monotonic()
    with running_cluster(folder / "slurm") as cluster:
        proteins = history.upload(folder / "proteins.fasta", "fasta")
        bundle = history.upload(BUNDLE, "zip")
        one = history.in_one_job(proteins, bundle)
        invocation = history.in_parts(proteins, bundle, arguments.parts)
        requeued = let_a_node_fail(cluster)
        parts = history.tables_of(invocation)
        compare(history, one, parts, arguments.proteins)
        ended = Counter((job["NodeList"], job["JobState"]) for job in cluster.ended())
    for (node, state), number in sorted(ended.items()):
        print(f"{node}: {number} jobs {state}")
    print(f"{requeued} jobs lost their node and ran again; {time.monotonic() - began:.0f} s")
    completed = sum(number for (_, state), number in ended.items() if state == "COMPLETED")
    nodes = {node for (node, state) in ended if state == "COMPLETED"}
    if not requeued or len(nodes) < 2 or completed != 2 * arguments.parts + 2:
        raise ClusterTestError(f"{completed} jobs on {len(nodes)} nodes, {requeued} of them again")


if __name__ == "__main__":
    try:
        main()
    except (ClusterTestError, SlurmError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(1)
