"""A Slurm cluster of two nodes on this machine, for ``make cluster-test``.

Everything lies in one folder: configuration, key, sockets, state and logs. A Slurm that the machine has is not touched.
The daemons run as whoever starts them, without control groups, so that no right is needed but to install them.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import galaxy_config
import psutil
from local_galaxy import end

NODES = ("node1", "node2")
START_SECONDS = 60
# A node that does not answer is given up after this; the controller asks a few times before.
SILENT_SECONDS = 10
# A job that lost its node waits so long for another. Slurm gives it by the lifetime of credentials.
REQUEUE_SECONDS = 10


class SlurmError(Exception):
    """The cluster did not do what was asked; the message says what to look at."""


class SlurmCluster:
    """The daemons of one cluster, known by the folder that holds all its files.

    Args:
        folder: ``slurm`` in the folder of a Galaxy that was started with ``cluster``.
    """

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.conf = self.folder / "slurm.conf"
        self.ended_jobs = self.folder / "jobs.txt"
        self._daemons: dict[str, subprocess.Popen] = {}

    def start(self) -> None:
        """Write the configuration and start every daemon.

        Raises:
            SlurmError: the nodes are not ready in time.
        """
        self._write()
        self._launch("munged", "--foreground", *(f"--{name}={path}" for name, path in self._munge_files().items()))
        self._wait(self._munge_files()["socket"].exists, "munged made no socket")
        self._launch("slurmctld", "-D", "-i")
        for node in NODES:
            self.start_node(node)
        self._wait(lambda: set(self.nodes().values()) == {"idle"}, "the nodes are not idle")

    def start_node(self, node: str) -> None:
        """Switch a node on."""
        self._launch(node, "-D", "-N", node, program="slurmd")

    def kill_node(self, node: str) -> list[psutil.Process]:
        """Let a node go down as when its power fails: its daemon and all that runs there, at once.

        Returns:
            What ran there besides the daemon.
        """
        jobs = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get("SLURMD_NODENAME") == node:
                    jobs.append(process)
        steps = [parent for job in jobs if (parent := job.parent()) and parent.name().startswith("slurmstepd")]
        for process in [psutil.Process(self._daemons[node].pid), *steps, *jobs]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._daemons.pop(node).wait()
        return jobs

    def nodes(self) -> dict[str, str]:
        """What each node is, in Slurm's words: idle, allocated, down*."""
        return dict(line.split() for line in self.ask("sinfo", "-h", "-N", "-o", "%N %T").splitlines())

    def running(self) -> dict[str, list[str]]:
        """The names of the jobs that run on each node now."""
        found: dict[str, list[str]] = {node: [] for node in NODES}
        for line in self.ask("squeue", "-h", "-t", "running", "-o", "%N %j").splitlines():
            node, name = line.split(maxsplit=1)
            found[node].append(name)
        return found

    def ended(self) -> list[dict[str, str]]:
        """Every job as often as it ended, with Slurm's names: JobId, Name, JobState, NodeList, …"""
        lines = self.ended_jobs.read_text().splitlines()
        return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]

    def ask(self, *command: str) -> str:
        """What a command of Slurm says; empty while the controller does not answer."""
        return subprocess.run(command, env=self._environment(), capture_output=True, text=True).stdout

    def stop(self) -> None:
        """End all daemons, and what still runs on the nodes."""
        for node in [name for name in self._daemons if name in NODES]:
            self.kill_node(node)
        end([psutil.Process(daemon.pid) for daemon in self._daemons.values() if daemon.poll() is None])
        self._daemons.clear()

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
        # With the mark of the Galaxy beside it, `make stop` ends daemons whose test was killed.
        return os.environ | {"PATH": path, "SLURM_CONF": str(self.conf), galaxy_config.MARK: str(self.folder.parent)}

    def _launch(self, name: str, *arguments: str, program: str | None = None) -> None:
        with (self.folder / f"{name}.out").open("ab") as output:
            self._daemons[name] = subprocess.Popen(
                [program or name, *arguments],
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C must reach the test, which then ends them in order
            )

    def _wait(self, ready, complaint: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            dead = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            if dead or time.monotonic() > deadline:
                raise SlurmError(f"{complaint}; ended: {', '.join(dead) or 'none'}; see {self.folder}/*.out and *.log")
            time.sleep(0.2)

    def _munge_files(self) -> dict[str, Path]:
        names = {"socket": "socket", "key-file": "key", "log-file": "log", "pid-file": "pid", "seed-file": "seed"}
        # munged wants a socket that all can reach, and a key that nobody else can.
        return {
            option: self.folder / ("public" if name == "socket" else "private") / name for option, name in names.items()
        }

    def _write(self) -> None:
        for name in ("public", "private", "state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "private").chmod(0o700)
        key = self._munge_files()["key-file"]
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        self.ended_jobs.touch()
        self.conf.write_text(self._configuration())

    def _configuration(self) -> str:
        user, host = getpass.getuser(), socket.gethostname().split(".")[0]
        controller, *ports = _free_ports(1 + len(NODES))
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=4000"
            for node, port in zip(NODES, ports, strict=True)
        )
        return f"""ClusterName=seqlm
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={self._munge_files()["socket"]},cred_expire={REQUEUE_SECONDS}
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool-%n
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/%n.pid
SlurmctldLogFile={self.folder}/slurmctld.log
SlurmdLogFile={self.folder}/%n.log
# No control groups: a machine may not give any.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
# One core a node, whatever the machine has.
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
# What happens when a node fails: its jobs are put back into the queue, and a node that is back takes jobs again.
SlurmdTimeout={SILENT_SECONDS}
JobRequeue=1
ReturnToService=2
JobCompType=jobcomp/filetxt
JobCompLoc={self.ended_jobs}
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[SlurmCluster]:
    """A cluster for the length of a ``with`` block, which it does not outlive."""
    cluster = SlurmCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
