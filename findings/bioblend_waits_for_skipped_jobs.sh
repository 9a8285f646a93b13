#!/usr/bin/env bash
# bioblend 1.9.0 beside Galaxy 26.1's own list of states: it waits for a job that was skipped until its time is over.
#
# Guessed: `jobs.wait_for_job` returns as soon as a job will not change any more. In fact it knows four such states (ok,
# error, deleted, deleting), and Galaxy gives a job of a workflow step whose `when` was false another one: skipped. Such a
# job never changes again, and whoever waits for all jobs of an invocation waits for it for 12,000 seconds, as long as
# wait_for_job does by itself, and then gets a TimeoutException for a workflow in which all is well. The datasets of the
# same job are `ok`, and `datasets.wait_for_dataset` returns at once. Workflows with optional steps are to be waited for
# by their invocation's summary of jobs, or by their datasets.
#
# Seen: states of a job in Galaxy that bioblend does not end at: failed, skipped, stopped among others; a job that is
# skipped: TimeoutException; one that is ok: returned
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check bioblend==1.9.0 galaxy-schema==26.1.2

NO_PROXY=127.0.0.1 "$folder/venv/bin/python" - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bioblend import TimeoutException
from bioblend.galaxy import GalaxyInstance
from bioblend.galaxy.jobs import JOB_TERMINAL_STATES
from galaxy.schema.schema import JobState


class Answers(BaseHTTPRequestHandler):
    """What Galaxy says of a job: its name in the address is its state here."""

    def do_GET(self):
        state = self.path.partition("?")[0].rpartition("/")[2]
        body = json.dumps({"id": state, "state": state}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
threading.Thread(target=server.serve_forever, daemon=True).start()
jobs = GalaxyInstance(f"http://127.0.0.1:{server.server_port}", key="none").jobs


def waited(state: JobState) -> str:
    try:
        return "returned" if jobs.wait_for_job(state.value, maxwait=3, interval=1)["state"] == state.value else "other"
    except TimeoutException:
        return "TimeoutException"


unknown = sorted({state.value for state in JobState} - JOB_TERMINAL_STATES)
seen = {state.value: waited(state) for state in (JobState.OK, JobState.SKIPPED)}
print("not ended at:", ", ".join(unknown))
print("skipped:", seen["skipped"] + "; ok:", seen["ok"])
assert {"failed", "skipped", "stopped"} <= set(unknown), "this has changed"
assert seen == {"ok": "returned", "skipped": "TimeoutException"}, "this has changed"
PYTHON
