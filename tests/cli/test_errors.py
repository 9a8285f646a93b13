"""Every way out of a script is one line and an exit status."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from makers.scripts import SCRIPTS
from seqlm.cli.errors import InputError, Unfailing, run
from seqlm.cli.progress import Progress


class Panic(BaseException):
    """What Rust's panics are in Python."""


def deep(level=0):
    return deep(level + 1)


WAYS = {
    "mistake": (InputError("line 3:\nno label"), 2, "line 3: no label"),
    "full disk": (OSError(errno.ENOSPC, "No space left on device"), 2, "the disk is full, so nothing was written"),
    "quota": (OSError(errno.EDQUOT, "Disk quota exceeded"), 2, "the disk is full"),
    "full disk in a library": (RuntimeError("I/O error: No space left on device"), 2, "the disk is full"),
    "large file": (
        OSError(errno.EFBIG, "File too large"),
        2,
        "a file would be larger than this job may write (ulimit -f)",
    ),
    "no permission": (PermissionError(errno.EACCES, "Permission denied", "a.tsv"), 2, "a.tsv: Permission denied"),
    "a disk that fails": (OSError(errno.EIO, "Input/output error"), 2, "OSError: Input/output error"),
    "memory": (MemoryError(), 2, "the memory is used up, so nothing was written"),
    "memory of torch": (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 2, "the memory is used up"),
    "recursion": (deep, 2, "something in a file is nested too deeply"),
    "overflow": (lambda: 2.0**5000, 2, "a number is too large to compute with"),
    "panic": (Panic("index out of bounds"), 2, "a library gave up on what is in a file (index out of bounds)"),
    "interrupted": (KeyboardInterrupt(), 130, "stopped before the outputs were complete, so there are none"),
    "stopped": (lambda: os.kill(os.getpid(), signal.SIGTERM), 143, "stopped before the outputs were complete"),
    "defect": (KeyError("x"), 1, "KeyError, a defect of this tool: please report it with the lines above"),
}


@pytest.fixture
def ended(capsys):
    """What a job says that ends in some way, and its exit status."""

    def end(how):
        def job():
            if callable(how):
                how()
            raise how

        before = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as stopped:
                run(job)
        finally:
            signal.signal(signal.SIGTERM, before)
        return stopped.value.code, capsys.readouterr().err

    return end


@pytest.mark.parametrize("name", WAYS)
def test_every_way_out_is_one_line(ended, name):
    how, status, message = WAYS[name]
    code, said = ended(how)
    *above, last = said.splitlines()
    assert (code, last.startswith(f"error: {message}")) == (status, True), said
    assert bool(above) == (name == "defect")


class Full:
    def write(self, *_):
        raise OSError(errno.ENOSPC, "No space left on device")

    flush = write


def test_a_line_about_progress_never_fails_a_job(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Unfailing(Full()))
    Progress("predicting", 10, "sequences")(10)
    with open(os.devnull, "w") as closed:
        pass
    monkeypatch.setattr(sys, "stderr", Unfailing(closed))
    Progress("predicting", 10, "sequences")(10)


def shell(folder, command, script, *arguments):
    """A script in a shell that redirects what it says, or that limits its files."""
    folder.mkdir(exist_ok=True)
    call = ["bash", "-c", command, "bash", sys.executable, SCRIPTS / script, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(list(map(str, call)), cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "<&- >&- 2>&-"])
def test_where_nothing_can_be_said_a_job_ends_as_it_would(tmp_path, data, redirection):
    folder, command = tmp_path / "work", f'"$@" {redirection}'
    usual = ("evaluate.py", "--resamples=100", "--output-table=t.tsv")
    done = shell(folder, command, *usual, f"--predictions={data / 'predicted_sites_weak.tsv'}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (folder / "t.tsv").read_text().startswith("model\t")
    (folder / "t.tsv").unlink()
    done = shell(folder, command, *usual, "--predictions=none.tsv")
    assert done.returncode == 2 and not list(folder.iterdir())


@pytest.mark.parametrize("output", ["table", "npz", "h5", "h5 --pooling=none", "parquet --pooling=none"])
def test_a_file_that_grows_too_large_is_one_line_whatever_its_library(tmp_path, model_path, output):
    """As a full disk, it is found out while a library writes, and for some again when they end."""
    letters = "ACDEFGHIKLMNPQRSTVWY"
    records = [f">s{n}\n{letters[n % 20 :]}{letters * (n % 3)}\n" for n in range(500)]
    (tmp_path / "many.fasta").write_text("".join(records))
    kind, *more = output.split()
    usual = ("embed.py", "--model", model_path("esm"), "--sequences", tmp_path / "many.fasta")
    done = shell(tmp_path / "work", 'ulimit -f 40 && exec "$@"', *usual, f"--output-{kind}=e", *more)
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("embedding:", "loading"))]
    assert (done.returncode, len(lines)) == (2, 1), done.stderr
    assert lines[0].startswith("error: a file would be larger than this job may write")
    assert not list((tmp_path / "work").iterdir())
