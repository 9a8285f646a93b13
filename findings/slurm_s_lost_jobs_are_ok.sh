#!/usr/bin/env bash
# Galaxy 26.1.2: with the runner for Slurm's commands, a job that died with its node has ended well.
#
# Guessed: where squeue lists a job no longer, Galaxy asks sacct for its state and takes NODE_FAIL, TIMEOUT or
# OUT_OF_MEMORY for a failure. In fact it reads that state, keeps it in a variable that nothing reads,
# and answers OK, whatever it is; only a job that sacct does not know at all is an error. As long as squeue still lists the
# job, a state such as NF is taken as it is.
#
# Seen: sacct says COMPLETED: ok; NODE_FAIL: ok; TIMEOUT: ok; OUT_OF_MEMORY: ok; nothing: error; squeue says NF: error
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/uv"
"$folder/uv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/uv/bin/uv" venv --quiet "$folder/venv"
# its pin of certifi is left open, since not every index has that one
echo certifi > "$folder/overrides.txt"
"$folder/uv/bin/uv" pip install --quiet --python "$folder/venv" galaxy-app==26.1.2 --override "$folder/overrides.txt"

"$folder/venv/bin/python" - <<'PYTHON'
from types import SimpleNamespace

from galaxy.jobs.runners.util.cli.job.slurm import Slurm


def state(squeue: str, sacct: str) -> str:
    """What Galaxy makes of job 4 by what the two commands print."""
    shell = SimpleNamespace(execute=lambda command: SimpleNamespace(stdout=sacct, stderr=""))
    return Slurm().parse_single_status(squeue, "4", shell).value


NO_LONGER = "JOBID ST\n"
seen = {name: state(NO_LONGER, f"4|{name}\n") for name in ("COMPLETED", "NODE_FAIL", "TIMEOUT", "OUT_OF_MEMORY")}
seen["nothing"] = state(NO_LONGER, "")
listed = state(f"{NO_LONGER}4 NF\n", "")
print("sacct says", "; ".join(f"{name}: {found}" for name, found in seen.items()) + f"; squeue says NF: {listed}")
assert list(seen.values()) == ["ok"] * 4 + ["error"] and listed == "error", "this has changed"
PYTHON
