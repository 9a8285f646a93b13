"""A process that has imported the libraries, and of which each run of a script is a fork.

To import torch, transformers, peft and scikit-learn takes longer than most runs of the tests. A fork has them from the
start and is otherwise as good as a new process: modules of this project, variables, signals and whatever else a run
changes are its own. Only what happens before and during the import of a library is not seen here, and is tested with a
process that starts from nothing.

Run as ``forks.py SCRIPTS MODULE...``; it ends with the process that holds the other end of its standard input.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from typing import NoReturn


def serve() -> dict | None:
    """Fork for each line of standard input and print the exit status, null where it hangs, and the memory that it took.

    Returns what to run, in a fork alone.
    """
    held = resident()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            become(request)
            return request
        ended = os.pidfd_open(child)
        readable = select.select([ended, sys.stdin], [], [], request["seconds"])[0]
        if ended not in readable:  # it hangs, or nobody waits for it any more
            os.kill(child, signal.SIGKILL)
        _, status, used = os.wait4(child, 0)
        os.close(ended)
        status = os.waitstatus_to_exitcode(status) if ended in readable else None
        print(json.dumps([status, max(0, used.ru_maxrss / 1024 - held)]), flush=True)
    return None


def resident() -> float:
    """MiB that this process holds of its own, which a fork has from the start."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024


class Refused:
    """A finder of modules that refuses some libraries, even where they have been imported."""

    def __init__(self, names: list[str]):
        self.names = names
        for module in [one for one in sys.modules if one.partition(".")[0] in names]:
            del sys.modules[module]

    def find_spec(self, name: str, path=None, target=None) -> None:
        if name in self.names:
            raise RuntimeError(f"{name} was imported")


def become(request: dict) -> None:
    """Folder, variables, arguments, files and libraries of a process of its own."""
    sys.meta_path.insert(0, Refused(request["without"]))
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = [request["script"], *request["arguments"]]
    for number, path in enumerate((os.devnull, request["stdout"], request["stderr"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)


def run(script: str) -> NoReturn:
    """Run a script and end as Python does, less the taking apart of every library."""
    status = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as stopped:
        status = stopped.code or 0
    except BaseException:
        status = 1
        traceback.print_exc()
    threading._shutdown()  # waits for its threads
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


if __name__ == "__main__":
    own = tempfile.mkdtemp(prefix="seqlm_forks_")
    os.environ.update(HF_HOME=own, MPLCONFIGDIR=own)
    for name in sys.argv[2:]:
        importlib.import_module(name)
    sys.path[0] = sys.argv[1]
    gc.freeze()  # so that forks share the memory of the libraries
    request = serve()
    if request:
        run(request["script"])
    shutil.rmtree(own)
