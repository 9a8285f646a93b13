"""Python run as a server's container runs it: by a user whom the machine does not know, without variables, who may
write into one folder alone, on a machine that is otherwise read-only and has no network.

Docker makes such a place of the image that SEQLM_IMAGE names. Without one, root can (with namespaces of the kernel), of
the Python that runs the tests. Anyone else runs it as themselves, with the same variables, and whether something was
written elsewhere is told from the times of files.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

IMAGE = os.environ.get("SEQLM_IMAGE", "")
ROOT = Path(__file__).resolve().parents[2]
KERNEL = {"proc", "sysfs", "cgroup", "cgroup2", "devpts", "devtmpfs", "mqueue"}  # no place for files
WALLS = """
import fcntl, os, socket, struct, subprocess, sys
job, *words = sys.argv[1:]
def mount(*options):
    subprocess.run(["mount", *options], check=True)
mount("--bind", job, job)
for line in open("/proc/self/mounts").read().splitlines():
    _, place, kind, *_ = line.split()
    if kind not in %r and place not in (job, "/dev/shm") and os.path.isdir(place) and os.access(place, os.W_OK):
        mount("-o", "remount,bind,ro", place)
with socket.socket() as any:  # processes of one job talk to each other
    fcntl.ioctl(any, 0x8914, struct.pack("16sh14x", b"lo", 0x41))
os.chdir(job)
os.execvp(words[0], words)
"""


@cache
def stranger() -> int:
    """A uid that has no entry among the users: that of the containers of some servers, if it is none here."""
    if IMAGE:
        return 999
    known = {user.pw_uid for user in pwd.getpwall()}
    return next(uid for uid in (999, *range(60_999, 61_999)) if uid not in known)


@cache
def walled() -> bool:
    """Whether such a place can be made here."""
    if IMAGE:
        return True
    tried = ["unshare", "--mount", "--net", "mount", "--bind", *2 * [tempfile.gettempdir()]]
    able = os.geteuid() == 0 and all(map(shutil.which, ("unshare", "setpriv")))
    return able and subprocess.run(tried, capture_output=True).returncode == 0


@contextmanager
def job_folder() -> Iterator[Path]:
    """An empty folder of the stranger's, where anyone can find it."""
    with tempfile.TemporaryDirectory(prefix="seqlm_job_", ignore_cleanup_errors=True) as folder:
        if IMAGE:
            os.chmod(folder, 0o777)
        elif walled():
            os.chown(folder, stranger(), stranger())
        yield Path(folder)


def run_as_anyone(job: Path, *arguments, **variables: str) -> subprocess.CompletedProcess:
    """Run Python in the folder of a job, with no variables but PATH and those that are given."""
    words = [sys.executable, *map(str, arguments)]
    environment = {"PATH": os.environ["PATH"], **variables}
    if IMAGE:
        given = [f"--env={name}={value}" for name, value in variables.items()]
        given += [f"--volume={ROOT}:{ROOT}:ro", f"--volume={job}:{job}", f"--workdir={job}"]
        user = f"--user={stranger()}:{stranger()}"
        words = ["docker", "run", "--rm", user, "--read-only", "--network=none", *given, IMAGE, "python", *words[1:]]
    elif walled():
        user = ["setpriv", f"--reuid={stranger()}", f"--regid={stranger()}", "--clear-groups", "--no-new-privs"]
        if not all(map(_open_to_all, (sys.executable, sys.base_prefix, job, *words))):  # in the home of root, say
            user += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        words = ["unshare", "--mount", "--net", sys.executable, "-c", WALLS % KERNEL, str(job), *user, *words]
    else:
        environment.setdefault("TMPDIR", str(job))
    return subprocess.run(words, cwd=job, env=environment, capture_output=True, text=True, timeout=600)


def _open_to_all(path: str | Path) -> bool:
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in Path(path).parents if folder.is_dir())


def written_since(start: float) -> list[str]:
    """Files that the user of :func:`run_as_anyone` has written since then, where libraries do and no job is."""
    user, places = stranger(), [Path("/dev/shm")]  # all else is read-only
    if not walled():
        user = os.geteuid()
        places += [Path.home() / name for name in (".cache", ".config", ".triton")]
    found = (Path(folder) / name for place in places for folder, _, names in os.walk(place) for name in names)
    return [str(file) for file in found if (now := file.lstat()).st_uid == user and now.st_mtime >= start]
