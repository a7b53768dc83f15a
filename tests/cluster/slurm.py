"""A real Slurm of a test's own: a controller and three node daemons on loopback, in a temporary folder.

    python -m tests.cluster.slurm      start one, print what to export, stop it at Ctrl-C

Needs root and the programs of Debian's ``slurm-wlm`` and ``munge``; ``make test-cluster`` installs them.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

NODES = ("n1", "n2", "n3")
# a node daemon that sees its own empty folder where the others see the project
BLIND = "n3"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
GresTypes=gpu,shard
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
KillWait=30
SlurmdTimeout=10
MinJobAge=300
MaxJobCount=1000
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=5
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=600 State=UP
PartitionName=short Nodes=n1,n2 MaxTime=1 State=UP
PartitionName=blind Nodes=n3 State=UP
PartitionName=closed Nodes=n1,n2 State=INACTIVE
"""


def missing() -> str | None:
    """Why no Slurm can be started here; None where one can."""
    if sys.platform != "linux":
        return "Slurm runs on Linux"
    lacking = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if lacking:
        return f"{', '.join(lacking)} not installed (apt-get install slurm-wlm munge)"
    if os.geteuid() != 0:
        return "slurmd starts jobs as root alone"
    return None


def _path() -> str:
    return f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/sbin"


def _free_ports(number: int) -> list[int]:
    held = [socket.socket() for _ in range(number)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


@dataclass
class Slurm:
    """A running cluster; ``environment`` is what its clients need."""

    folder: Path
    environment: dict[str, str]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def run(self, *command: str) -> str:
        """What a client's command prints."""
        return subprocess.run(
            command, env=self.environment, check=True, text=True, capture_output=True, timeout=60
        ).stdout

    def jobs(self, states: str = "all") -> dict[str, tuple[str, str]]:
        """Job id → its name and state."""
        lines = self.run("squeue", "-h", "-r", "-t", states, "-o", "%i|%j|%T").splitlines()
        return {i: (name, state) for i, name, state in (line.split("|") for line in lines)}

    def start(self, name: str, command: Sequence[str]) -> None:
        log = (self.folder / f"{name}.out").open("wb")
        self.daemons[name] = subprocess.Popen(
            command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        log.close()

    def start_node(self, name: str, hidden: Path | None = None) -> None:
        """Start a node's daemon; ``hidden`` is a folder that is empty there, as on an own disk."""
        command = ["slurmd", "-D", "-N", name]
        if hidden is not None:
            command = ["unshare", "--mount", "sh", "-c",
                       f"mount -t tmpfs none {hidden} && exec {' '.join(command)}"]  # fmt: skip
        self.start(name, command)

    def stop(self) -> None:
        with suppress(subprocess.SubprocessError):
            self.run("scancel", "--me")
        for number in (signal.SIGTERM, signal.SIGKILL):
            for one in self.daemons.values():
                # each has a session of its own; what a job has left is of slurmstepd's
                with suppress(ProcessLookupError):
                    os.killpg(one.pid, number)
            deadline = time.monotonic() + 15
            for one in self.daemons.values():
                with suppress(subprocess.TimeoutExpired):
                    one.wait(max(0.1, deadline - time.monotonic()))


def _until(check, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} within {seconds:.0f} s")
        time.sleep(0.2)


@contextmanager
def private_slurm(hidden: Path | None = None) -> Iterator[Slurm]:
    """A cluster that lives as long as the block. ``hidden``: a folder that node n3 does not share."""
    # short, for the socket's path
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    folder.chmod(0o755)
    host = socket.gethostname().split(".")[0]
    controller, *ports = _free_ports(1 + len(NODES))
    (folder / "state").mkdir()
    lines = [CONF.format(folder=folder, host=host, controller=controller)]
    for name, port in zip(NODES, ports, strict=True):
        (folder / f"spool-{name}").mkdir()
        lines.append(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} "
            "CPUs=4 RealMemory=64000 Gres=gpu:1,shard:4 State=UNKNOWN\n"
        )
    nodes = "".join(lines[1:])
    # a partition may name only nodes that stand before it
    first, _, rest = lines[0].partition("PartitionName=")
    (folder / "slurm.conf").write_text(f"{first}{nodes}PartitionName={rest}")
    # a card that is none: Slurm only counts
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=shard Count=4\n")
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SLURM")
    }
    environment |= {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
    slurm = Slurm(folder, environment)
    try:
        slurm.start(
            "munged",
            ["munged", "--foreground", f"--socket={folder}/munge.socket", f"--key-file={key}",
             f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
             f"--seed-file={folder}/munged.seed", "--force"],
        )  # fmt: skip
        _until((folder / "munge.socket").exists, 20, "munged did not start")
        slurm.start("slurmctld", ["slurmctld", "-D"])
        for name in NODES:
            slurm.start_node(name, hidden if name == BLIND else None)

        def ready() -> bool:
            try:
                states = slurm.run("sinfo", "-h", "-N", "-o", "%N %t").split("\n")
            except subprocess.CalledProcessError:
                return False
            return {f"{name} idle" for name in NODES} <= {state.strip() for state in states}

        _until(ready, 60, f"the nodes did not come up (logs in {folder})")
        yield slurm
    finally:
        slurm.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    # as Ctrl-C: the daemons end with it
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with private_slurm(Path(sys.argv[1]) if len(sys.argv) > 1 else None) as cluster:
        print(f"export SLURM_CONF={cluster.folder}/slurm.conf", flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()
