"""The collector of garbage spares what the libraries made, and still finds what a job leaves behind."""

import gc
import os
import subprocess
import sys

import pytest

from makers.scripts import DATA, SCRIPTS, mistake

CODE = """
import atexit, gc, weakref
atexit.register(lambda: print(gc.get_freeze_count() > 1000))  # run after what is registered later
from seqlm.cli.errors import Parser
from seqlm.cli.running import run
run(Parser(), lambda *_: None)

class Loop: pass
one = Loop()
one.itself, seen = one, weakref.ref(one)
del one
kept = [[] for _ in range(2 * gc.get_threshold()[0])]
print(gc.isenabled(), *gc.get_threshold(), seen() is None)
"""


def test_only_searches_of_everything_become_rare():
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["True", *map(str, gc.get_threshold()[:2]), "1000", "True", "True"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("dataset", "--split", "stratified", "--output-train", "train", "--sequences"),
        ("tokenizer", "--train", "--output-tokenizer", "t.zip", "--corpus"),
        ("tokenizer", "--extend", "--output-model", "t.zip", "--model", DATA / "models" / "tiny-dnabert2", "--corpus"),
    ],
)
def test_a_mistake_is_found_before_anything_that_draws_is_loaded(new_process, tmp_path, arguments):
    (tmp_path / "empty.fasta").touch()
    assert "empty" in mistake(new_process, *arguments, tmp_path / "empty.fasta")
