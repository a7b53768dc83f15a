"""The DAG as DVC knows it, and one node of it run by DVC itself.

Each node is a `dvc repro --single-item` of its own, so locks, run cache and dvc.lock are DVC's:
while a node's command runs, DVC holds locks on that node's paths alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from lora_vs_api.config.fast_yaml import fast_yaml
from lora_vs_api.errors import UserError
from lora_vs_api.log import say
from lora_vs_api.orchestrate.claims import TRIALS
from lora_vs_api.orchestrate.lockfile import (
    LOCK,
    Entries,
    reads_the_same,
    whole_entries,
    write_lock,
)
from lora_vs_api.orchestrate.scheduler import Node
from lora_vs_api.shown import one_line

# DVC answers so when another process holds a lock for longer than it waits; asking again helps
BUSY = ("Unable to acquire lock", "is busy, it is being blocked by")
BUSY_SECONDS, PAUSE = 600, 1.0
# no permission, file too large, no space, read-only, over quota: as DVC names them
UNSAVED = ("[Errno 13]", "[Errno 27]", "[Errno 28]", "[Errno 30]", "[Errno 122]")


def read_nodes(root: str | Path = ".", patience: float = 0.0) -> tuple[list[Node], set[str]]:
    """Every node in the order in which `dvc repro` goes through them, and those that changed.

    ``patience``: for so many seconds it is asked again where another dvc holds the lock.

    A node that carries ``meta: {timed: true}`` in dvc.yaml measures time and is exclusive: nothing runs beside it.

    Raises:
        UserError: what DVC finds wrong with dvc.yaml, or who is at work here, in its words.
    """
    from dvc.exceptions import DvcException

    deadline, told = time.monotonic() + patience, False
    while True:
        try:
            return _read_nodes(root)
        except DvcException as error:
            if any(mark in str(error) for mark in BUSY) and time.monotonic() < deadline:
                if not told:
                    say(f"tried again for {patience:.0f} s: {one_line(error)}")
                    told = True
                time.sleep(PAUSE)
                continue
            # over several lines where another dvc is at work here: which, by its PID
            raise UserError(f"{root}: {one_line(error)}") from None


def _read_nodes(root: str | Path) -> tuple[list[Node], set[str]]:
    from dvc.repo import Repo, lock_repo
    from dvc.repo.reproduce import get_active_graph, plan_repro

    # locked once for both: between two locks DVC reads dvc.yaml and dvc.lock anew
    with Repo(str(root)) as repo, lock_repo(repo):
        graph = get_active_graph(repo.index.graph)
        nodes = [
            Node(
                stage.addressing,
                frozenset(need.addressing for need in graph.successors(stage)),
                bool((stage.meta or {}).get("timed")),
            )
            for stage in plan_repro(graph)
        ]
        return nodes, set(repo.status())


class Unchanged:
    """Which nodes need no run, by dvc.lock: DVC, asked for each in a process of its own, takes 1.5 s to say so.

    ``changed`` are those in which DVC found something to do before the first node ran. Any other has something
    to do only if a node before it leaves something else than it did.
    """

    def __init__(self, root: Path, nodes: Sequence[Node], changed: Collection[str]) -> None:
        self._lock, self._needs = root / LOCK, {node.address: node.needs for node in nodes}
        self._changed = frozenset(changed)
        self._read: tuple[bytes, Entries] = (b"", {})
        self.found: set[str] = set()

    def look_at(self, address: str) -> bool:
        """Whether the node, all that it needs being at an end, is as it should be."""
        if address in self._changed or not reads_the_same(
            address, self._needs[address], self._entries()
        ):
            return False
        self.found.add(address)
        return True

    def _entries(self) -> Entries:
        try:
            content = self._lock.read_bytes()
        except OSError:
            return {}
        if content != self._read[0]:
            self._read = content, whole_entries(content) or {}
        return self._read[1]


class Runner:
    """Runs nodes, each in a process that ends when this one does, or when it is told to stop."""

    def __init__(self, root: Path, logs: Path) -> None:
        self.root, self.logs = root, logs
        self._live: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self._guard = threading.Lock()

    def run(
        self, address: str, environment: dict[str, str], command: Sequence[str] | None = None
    ) -> str | None:
        """Bring one node up to date; None, or in a line what went wrong.

        ``command``: a trial's, which is run under that address in place of a node's `dvc repro`.
        """
        log = self.root / self.logs / f"{address}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            code = self._once(address, log, environment, command)
            said = log.read_text(encoding="utf-8", errors="replace")
            if code == 0:
                return None
            busy = any(mark in said for mark in BUSY) and time.monotonic() < deadline
            if self._stopped or not busy:
                break
            time.sleep(PAUSE)
        return "interrupted" if self._stopped else problem_line(said, log.relative_to(self.root))

    def _once(
        self, address: str, log: Path, environment: dict[str, str], command: Sequence[str] | None
    ) -> int:
        repro = [sys.executable, "-m", "dvc", "repro", "--single-item", address]
        claim = address if command is None else f"{TRIALS}/{address}"
        guarded = [sys.executable, "-m", "lora_vs_api.orchestrate.guard", claim,
                   *(command or repro)]  # fmt: skip
        with log.open("wb") as stream:
            with self._guard:
                if self._stopped:
                    return 130
                # the pipe's other end is closed by stop(), or by the end of this process
                child = subprocess.Popen(
                    guarded,
                    cwd=self.root,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=stream,
                    stderr=stream,
                    # Ray kills a lost worker's process group: the guard has to outlive that
                    start_new_session=True,
                )
                self._live.add(child)
            try:
                return child.wait()
            finally:
                with self._guard:
                    self._live.discard(child)
                    if child.stdin:
                        child.stdin.close()

    def stop(self) -> None:
        """End every node that runs; none starts any more."""
        with self._guard:
            self._stopped = True
            for child in self._live:
                if child.stdin:
                    child.stdin.close()

    def end(self) -> None:
        """:meth:`stop`, and wait for the ends: also from a signal's handler while `run` waits for one."""
        ending = threading.Thread(target=self.stop)
        ending.start()
        # the handler may have come while this very thread held the lock
        ending.join(1.0)
        for child in list(self._live):
            # leaves its exit code to who waits for it
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


def environment_of(*, shares_cores: bool = False) -> dict[str, str]:
    """A node's environment.

    Args:
        shares_cores: other nodes run beside it. Threads that wait for each other then sleep instead
            of spinning on a core that another node could use: two trainings on two cores take 32
            seconds each so, and 92 otherwise. With nothing beside it, it costs 7 %. Results are the same.
    """
    environment = dict(os.environ, DVC_NO_ANALYTICS="1")
    if shares_cores:
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment["PATH"] = (
        f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    )
    return environment


def order_lock(nodes: list[Node], before: list[str], root: Path) -> None:
    """Put dvc.lock's new entries into the order that `dvc repro` would have written them in."""
    from dvc.utils.serialize import load_yaml

    path = root / LOCK
    if not path.is_file():
        return
    content = load_yaml(str(path))
    there = content["stages"]
    planned = {node.address: place for place, node in enumerate(nodes)}
    kept = [name for name in before if name in there]
    new = sorted(
        (name for name in there if name not in kept), key=lambda name: planned.get(name, -1)
    )
    if list(there) != [*kept, *new]:
        content["stages"] = {name: there[name] for name in [*kept, *new]}
        write_lock(path, content)


def has_landed(root: Path, address: str) -> bool:
    """Whether what another machine did is here: the node's entry in dvc.lock, and its outputs."""
    try:
        entries = whole_entries((root / LOCK).read_bytes())
    except OSError:
        return False
    entry = (entries or {}).get(address)
    if entry is None:
        return False
    outputs = [out["path"] for out in entry.get("outs", [])]
    return all("://" in path or (root / path).exists() for path in outputs)


def unseen_here(root: Path, address: str, patience: float = 15.0) -> str | None:
    """What a node that went well on another machine must have left in this folder; None where it has.

    For so many seconds it is looked for: a network file system shows a file a moment later.
    """
    deadline = time.monotonic() + patience
    while not has_landed(root, address):
        if time.monotonic() > deadline:
            return f"done elsewhere, and not in {LOCK} here: is this folder shared?"
        time.sleep(0.5)
    return None


def locked_nodes(root: Path) -> list[str]:
    """The addresses in dvc.lock, in their order."""
    path = root / LOCK
    return list(fast_yaml(path.read_text(encoding="utf-8"))["stages"]) if path.is_file() else []


def problem_line(said: str, log: Path) -> str:
    """The first complaint in what DVC ``said``, and where all of it is."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("error:", "ERROR:"))]
    first = errors[0] if errors else (lines[-1] if lines else "nothing was said")
    hint = ""
    if first.startswith("ERROR:") and any(mark in first for mark in UNSAVED):
        # DVC does not always say which disk: as a rule the cache's, which may be a shared one
        hint = "; not saved: is there room, and may you write, where `dvc cache dir` says and here?"
    return f"{first.removeprefix('error: ').removeprefix('ERROR: ')}{hint} (all of it: {log})"
