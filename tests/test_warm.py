"""The worker that stays alive: a node that it forks is the process that `python -m` would have started."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from lora_vs_api.orchestrate import ray_cluster, warm, warm_server
from lora_vs_api.orchestrate.executors import LocalExecutor
from lora_vs_api.orchestrate.warm import ALONE, Worker
from tests.imports import ROOT
from tests.model_servers import wait_for
from tests.processes import is_running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the worker is Linux's")

STAGE = """
import json, os, signal, subprocess, sys, threading, time
from pathlib import Path

what, *more = sys.argv[1:]
print("out", flush=True)
print("err", file=sys.stderr, flush=True)
if what == "facts":
    Path(more[0]).write_text(json.dumps({
        "argv": sys.argv, "path": sys.path[0], "folder": os.getcwd(), "executable": sys.executable,
        "environment": {k: v for k, v in os.environ.items() if k not in ("_", "SHLVL", "PWD", "OLDPWD")},
        "signals": [str(signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())), "main": sys.modules["__main__"].__spec__.name,
        "open": sorted(f for f in os.listdir("/proc/self/fd") if int(f) > 2 and os.path.exists(f"/proc/self/fd/{f}")
            and not os.readlink(f"/proc/self/fd/{f}").startswith("/proc")),
        "worker": os.getppid(), "flags": [sys.flags.isolated, sys.flags.safe_path, sys.flags.no_site],
    }))
elif what == "exit":
    sys.exit(int(more[0]))
elif what == "raise":
    raise ValueError("of the node")
elif what == "die":
    os.kill(os.getpid(), int(more[0]))
elif what == "wait":
    Path(more[0]).write_text(str(os.getpid()))
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(77)
elif what == "deaf":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    helper = subprocess.Popen(["sleep", "60"])
    Path(more[0]).write_text(f"{os.getpid()} {helper.pid}")
    time.sleep(60)
"""


# on all cores: products in torch and in OpenBLAS, and a few steps of a training
COMPUTING = """
import hashlib, os, sys
from pathlib import Path
import numpy as np
import torch
from scipy import linalg

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(512, 1024), torch.nn.GELU(), torch.nn.Linear(1024, 512))
optimizer = torch.optim.AdamW(model.parameters())
for _ in range(5):
    loss = (model(torch.randn(256, 512)) ** 2).mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
matrix = np.random.default_rng(0).normal(size=(600, 600))
digest = hashlib.sha256(linalg.inv(matrix @ matrix.T + np.eye(600)).tobytes())
for weights in model.parameters():
    digest.update(weights.detach().numpy().tobytes())
Path(sys.argv[1]).write_text(f"{os.getppid()} {torch.get_num_threads()} {digest.hexdigest()}")
"""


class Shell:
    """`sh -c "python -m stages.node …"`, as DVC starts a node, with and without a worker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "stages").mkdir()
        (folder / "stages" / "node.py").write_text(STAGE)
        self.cold = dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        self.worker = Worker(folder, Path("logs"))
        for _ in range(ALONE):
            assert self.worker.environment(self.cold) == self.cold
        self.warm = self.worker.environment(self.cold)
        wait_for(lambda: f"@{self.warm[warm.SOCKET]}" in Path("/proc/net/unix").read_text(), 120)

    @property
    def pid(self) -> int:
        assert self.worker._process
        return self.worker._process.pid

    def start(self, *arguments: str, environment: dict[str, str] | None = None, **more):
        return subprocess.Popen(
            ["/bin/sh", "-c", f"python -m stages.node {' '.join(arguments)}"], cwd=self.folder,
            env=self.warm if environment is None else environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **more,
        )  # fmt: skip

    def run(
        self, *arguments: str, environment: dict[str, str] | None = None
    ) -> tuple[int, str, str]:
        process = self.start(*arguments, environment=environment)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    def started(self, *arguments: str) -> tuple[subprocess.Popen[str], list[int]]:
        """A node that has written its PIDs."""
        process = self.start(*arguments, "pids")
        pids = self.folder / "pids"
        wait_for(lambda: pids.is_file() and pids.read_text(), 20)
        return process, [int(pid) for pid in pids.read_text().split()]


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setattr(warm, "MODULES", ("decimal", "no_such_module"))
    shell = Shell(tmp_path)
    yield shell
    pid = shell.pid
    shell.worker.close()
    assert not is_running(pid)


def test_a_forked_node_finds_what_a_started_one_finds(shell):
    """Arguments, folder, environment, signals and open files; it is the worker's child, not the shell's."""
    facts = []
    for environment in (shell.cold, shell.warm):
        code, out, err = shell.run("facts", "facts.json", environment=environment)
        assert (code, out, err) == (0, "out\n", "err\n")
        facts.append(json.loads((shell.folder / "facts.json").read_text()))
    cold, forked = facts
    assert forked.pop("worker") == shell.pid != cold.pop("worker")
    # its connection alone, by which its client learns of its end
    assert len(forked.pop("open")) - len(cold.pop("open")) == 1
    assert forked == cold


@pytest.mark.parametrize(
    "what", [("exit", "0"), ("exit", "3"), ("raise",), ("die", "9"), ("die", "15")], ids=" ".join
)
def test_a_node_ends_as_it_would_have(shell, what):
    """Exit codes, a traceback, and the signal that it died of reach DVC."""
    cold, forked = (shell.run(*what, environment=e) for e in (shell.cold, shell.warm))
    assert forked[:2] == cold[:2]
    assert forked[2].splitlines()[-1:] == cold[2].splitlines()[-1:]


def test_another_environment_starts_by_itself(shell):
    """What a library may have read while it was imported: threads, caches, a hub that must not be asked."""
    for key, forked in (("OMP_THREAD_LIMIT", False), ("DVC_STAGE", True)):
        shell.run("facts", "facts.json", environment={**shell.warm, key: "1"})
        facts = json.loads((shell.folder / "facts.json").read_text())
        assert (facts["worker"] == shell.pid) is forked and facts["environment"][key] == "1"


@pytest.mark.parametrize("said", [b"", b"abc", struct.pack("!Q", 2) + b"[]"])
def test_a_client_that_makes_no_sense_ends_no_node(shell, said):
    """Nor one that only looks: the worker answers it, and goes on."""
    process, (pid,) = shell.started("wait")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{shell.warm[warm.SOCKET]}")
        if said:
            socket.send_fds(client, [said], [0, 1, 2])
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == warm_server.COLD
    assert is_running(pid) and is_running(shell.pid)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)


def test_a_node_that_cannot_be_forked_starts_by_itself(monkeypatch):
    """No process or memory left for it: its files are closed, and the worker's other nodes go on."""
    ours, theirs = socket.socketpair()
    files = list(os.pipe())
    node = warm_server.Node(
        {"module": "stages.node", "arguments": [], "folder": "/", "environment": {}}, files, theirs
    )
    server = warm_server.Server.__new__(warm_server.Server)
    server.nodes = {}
    monkeypatch.setattr(server, "_asked", lambda connection: node)

    def full():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    class Listening:
        def accept(self):
            return theirs, ""

    with ours:
        monkeypatch.setattr(os, "fork", full)
        assert server._accept(Listening()) is None and server.nodes == {}
        assert ours.recv(2) == warm_server.COLD and ours.recv(1) == b""
    for file in files:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(file)


def test_what_could_not_be_imported_is_in_the_log(shell):
    """Nodes then import it themselves, and nothing else would say why they take so long."""
    log = (shell.folder / "logs/worker.log").read_text()
    assert "no_such_module: ModuleNotFoundError: No module named 'no_such_module'" in log


def test_nothing_is_imported_beside_a_node_that_measures_time(tmp_path, monkeypatch):
    """The third node has a worker started; one that is timed waits until it has imported all."""
    (tmp_path / "slow_import.py").write_text("import time; time.sleep(0.4)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(warm, "MODULES", ("slow_import",))
    shared = frozenset(("a", "b", "c"))
    executor = LocalExecutor(tmp_path, Path("logs"), 1, [], frozenset(), shared)
    listens: list[bool] = []

    def run(address, *_):
        listens.append(f"@{executor._worker._name}" in Path("/proc/net/unix").read_text())

    monkeypatch.setattr(executor._runner, "run", run)
    try:
        for address in ("a", "b", "c", "timed"):
            executor.start(address, 0).result(20)
        assert listens == [False, False, False, True]
        # where none was started, and where it is to end, nothing is waited for
        executor.stop()
        Worker(tmp_path, Path("logs")).wait_until_imported()
    finally:
        executor.close()


def test_workers_of_ray_write_logs_of_their_own(tmp_path, monkeypatch):
    """Several share a folder; each waits for its imports before its node ends, as a timed one may come next."""
    heard: list[str] = []
    monkeypatch.setattr(Worker, "wait_until_imported", lambda self: heard.append(self._log.name))
    monkeypatch.setattr(ray_cluster.Runner, "run", lambda *_: "done")
    (tmp_path / "marker").write_text("marker")
    for is_warm in (True, False):
        given = (str(tmp_path), "logs", None, False, is_warm, str(tmp_path / "marker"), None, None)
        assert ray_cluster._node_of_ray("a", *given) == "done"
    assert heard == [f"worker-{socket.gethostname()}-{os.getpid()}.log"]


def test_another_python_has_a_script_of_its_own(tmp_path, monkeypatch):
    """On machines that share the folder, one would else start the other's."""
    ours = Worker(tmp_path, Path("logs"))
    monkeypatch.setattr(sys, "executable", "/elsewhere/python")
    assert Worker(tmp_path, Path("logs"))._folder != ours._folder


def test_without_a_worker_nodes_start_by_themselves(shell):
    """One that was killed, and whatever else asks for `python`."""
    os.kill(shell.pid, signal.SIGKILL)
    wait_for(lambda: f"@{shell.warm[warm.SOCKET]}" not in Path("/proc/net/unix").read_text(), 20)
    assert shell.run("exit", "3") == (3, "out\n", "err\n")
    version = subprocess.run(["python", "-c", "print(3)"], env=shell.warm, capture_output=True)
    assert version.stdout == b"3\n"


def test_ctrl_c_reaches_the_node(shell):
    """DVC's group gets it; the node, in a group of its own, through its client."""
    process, (pid,) = shell.started("wait")
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    # of the shell, which the signal has reached too
    assert process.returncode in (77, -signal.SIGINT, 128 + signal.SIGINT)
    wait_for(lambda: not is_running(pid), 5)


@pytest.mark.parametrize("killed", ["client", "worker"])
def test_what_is_killed_takes_the_node_along(shell, killed):
    """kill -9, and a node that hears no signal: nothing of it goes on, the worker lives."""
    process, pids = shell.started("deaf")
    if killed == "client":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill(shell.pid, signal.SIGKILL)
    wait_for(lambda: not is_running(pids[0]), 10)
    if killed == "client":
        wait_for(lambda: not is_running(pids[1]), 5)
        process.communicate(timeout=30)
        assert shell.run("exit", "3")[0] == 3 and is_running(shell.pid)
    else:
        # what a node starts is tied to it by a pipe of its own; this sleep is not
        os.kill(pids[1], signal.SIGKILL)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 1 and "the worker that ran this node was killed" in err


@pytest.mark.slow
def test_a_node_whose_dvc_was_killed_ends(shell):
    """The shell that DVC started is an orphan then; its client asks the node to end, in order."""
    starter = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; subprocess.run(['/bin/sh', '-c', sys.argv[1]])",
         "python -m stages.node wait pids; true"],
        cwd=shell.folder, env=shell.warm, start_new_session=True,
    )  # fmt: skip
    pids = shell.folder / "pids"
    wait_for(lambda: pids.is_file() and pids.read_text(), 20)
    starter.kill()
    starter.wait()
    wait_for(lambda: not is_running(int(pids.read_text())), 10)


def test_the_worker_ends_with_its_starter(shell):
    """kill -9 on `run`: its end of the pipe closes; what runs is ended by its guard first."""
    process, (pid,) = shell.started("wait")
    worker = shell.worker._process
    worker.stdin.close()
    time.sleep(0.3)
    assert worker.poll() is None and is_running(pid)
    # and no new node comes to it
    assert shell.run("exit", "3")[0] == 3
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)
    assert worker.wait(10) == 0 and not is_running(pid)


@pytest.mark.slow
def test_a_forked_node_computes_the_same_bytes(tmp_path):
    """On as many threads; OpenMP's and BLAS's begin anew after the fork, in two nodes at a time."""
    shell = Shell(tmp_path)
    try:
        (tmp_path / "stages" / "node.py").write_text(COMPUTING)
        assert shell.run("cold", environment=shell.cold)[0] == 0
        nodes = [shell.start(name) for name in ("one", "two")]
        assert [node.wait(120) for node in nodes] == [0, 0]
        cold, one, two = ((tmp_path / name).read_text().split() for name in ("cold", "one", "two"))
        assert one[0] == two[0] == str(shell.pid) != cold[0], "one of them started by itself"
        assert one[1:] == two[1:] == cold[1:]
    finally:
        shell.worker.close()


def test_the_tests_own_worker_outlives_who_is_killed_while_it_asks(tmp_path):
    """A header or a message that breaks off is one test's; the worker ended or span for ever."""
    path = str(tmp_path / "socket")
    server = subprocess.Popen(
        [sys.executable, "-S", ROOT / "tests/warm/server.py", path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert server.stdin and server.stdout and server.stdout.readline() == b"listening\n"
    for said in (b"", b"\0", struct.pack("!i", 9) + b"[1, 2"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(said)
    server.stdin.close()
    assert server.wait(10) == 0


def workers() -> set[str]:
    """The sockets on which workers listen, of whatever project."""
    words = Path("/proc/net/unix").read_text().split()
    return {word for word in words if word.startswith("@lora-vs-api-")}


SHORT = """
import os, sys, time
from pathlib import Path
name = sys.argv[1]
while name == "n2" and not Path("go").exists():
    time.sleep(0.1)
if name == "n3" and not Path("again").exists():
    Path("again").write_text(f"{os.getpid()} {os.getppid()}")
    time.sleep(120)
Path(f"{name}.txt").write_text(name)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=str)
def test_a_run_that_is_ended_takes_worker_and_node_along(repository, how):
    """Through `run` and DVC: nothing is left, the next run does the rest, and DVC then finds nothing to do."""
    stages = {
        f"n{i}": {"cmd": f"python -m stages.short n{i}", "outs": [f"n{i}.txt"]} for i in range(4)
    }
    (repository / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    shutil.copy(ROOT / "params.yaml", repository)
    (repository / "stages").mkdir()
    shutil.copy(ROOT / "stages" / "__init__.py", repository / "stages")
    (repository / "stages" / "short.py").write_text(SHORT)
    environment = dict(os.environ, PYTHONPATH=str(ROOT), DVC_NO_ANALYTICS="1")
    command = [sys.executable, "-m", "lora_vs_api", "run", "-j", "1"]
    before = workers()
    with (repository / "said").open("w") as said:
        run = subprocess.Popen(
            command,
            cwd=repository,
            env=environment,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    log = repository / "logs/run/worker.log"
    wait_for(lambda: log.is_file() and workers() - before, 240)
    (repository / "go").touch()
    again = repository / "again"
    wait_for(lambda: again.is_file() and again.read_text(), 120)
    node, worker = map(int, again.read_text().split())
    assert b"warm_server.py" in Path(f"/proc/{worker}/cmdline").read_bytes()
    os.kill(run.pid, how)
    assert run.wait(60) == (-how if how == signal.SIGKILL else 128 + how)
    wait_for(lambda: not is_running(node) and not is_running(worker), 60)
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "1 of 1 done" in done.stderr, done.stderr
    status = [sys.executable, "-m", "dvc", "status", "--json"]
    left = subprocess.run(status, cwd=repository, env=environment, capture_output=True, text=True)
    assert left.stdout.strip() == "{}"
