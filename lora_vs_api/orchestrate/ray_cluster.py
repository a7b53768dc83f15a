"""Nodes as tasks of a Ray cluster: that of RAY_ADDRESS, else one that lives as long as this run."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lora_vs_api.errors import UserError
from lora_vs_api.orchestrate.executors import Resources
from lora_vs_api.orchestrate.parcel import Landed, Parcel, has_commit, no_commit, run_parcel
from lora_vs_api.orchestrate.pipeline import Runner, environment_of, unseen_here
from lora_vs_api.orchestrate.transfer import Transfer
from lora_vs_api.orchestrate.warm import worker_of

# git and DVC leave this folder alone
MARKERS = Path(".dvc/tmp")
# seconds until every machine must have said whether it sees this folder
PROBE_SECONDS = 120.0
# a head that does not take a connection so many times, so many seconds apart, is dead
LOOK_SECONDS, LOOKS = 2.0, 4


class RayExecutor:
    """A task whose worker or machine dies is started again by Ray, elsewhere if need be.

    ``needs`` are those of the nodes that are to run, ``sharing`` those that others may run beside, ``warm``
    those that a worker which stays alive may run. ``commands``: address → what is run in place of a
    node, beside others.
    """

    RETRIES = 3

    def __init__(
        self,
        root: Path,
        logs: Path,
        jobs: int,
        needs: Mapping[str, Resources],
        sharing: frozenset[str],
        transfer: Transfer | None = None,
        warm: frozenset[str] = frozenset(),
        commands: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        address = os.environ.get("RAY_ADDRESS")
        if address is None:
            # read when Ray is imported, and of effect on every system: with it the cluster listens
            # on loopback alone, else on all of the machine's addresses
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        else:
            # what it says of a head that is gone is said here, in one line
            os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError:
            raise UserError(
                "--on ray: Ray is not installed; pip install 'lora-vs-api[ray]'"
            ) from None
        if address is not None:
            _reachable(address)
        options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False}
        if address is None:
            options["address"] = "local"
        try:
            with _stderr_into(root / logs / "ray.log"):
                ray.init(**options, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError) as error:
            raise UserError(f"RAY_ADDRESS: {address}: {' '.join(str(error).split())}") from None
        self._ray, self._needs = ray, needs
        self._refs: dict[str, Any] = {}
        self._told: dict[str, Future[str | None]] = {}
        self._share = 1 / jobs if address is None else None
        self._run = ray.remote(max_retries=self.RETRIES)(_node_of_ray)
        self._transfer = transfer
        self._root, self._logs = str(root), str(logs)
        self._sharing, self._warm = sharing, warm
        self._commands = {} if commands is None else commands
        self._threads = os.environ.get("OMP_NUM_THREADS")
        self._lost: str | None = None
        self._closed = threading.Event()
        self._marker = root / MARKERS / f"marker-{secrets.token_hex(8)}"
        self._marker.parent.mkdir(parents=True, exist_ok=True)
        self._marker.write_text(self._marker.name)
        try:
            self._refuse_what_never_fits()
            if address is not None:
                if transfer is None:
                    self._refuse_another_folder()
                else:
                    why = no_commit(self._root, transfer.commit)
                    self._refuse_machines(has_commit, (self._root, transfer.commit), why)
                threading.Thread(target=self._watch, args=(address,), daemon=True).start()
        except BaseException:
            self.close()
            raise

    def start(self, address: str, slot: int) -> Future[str | None]:
        told: Future[str | None] = Future()
        self._told[address] = told
        if self._lost is not None:
            told.set_result(self._lost)
            return told
        needs = self._needs[address]
        options: dict[str, Any] = {"name": address, "num_gpus": needs.gpus}
        # on one machine a node's own threads use all cores: jobs share them as they do without Ray
        options["num_cpus"] = needs.cpus
        if self._share is not None:
            options["num_cpus"] = self._ray.cluster_resources()["CPU"] * self._share
        else:
            options["memory"] = int(needs.memory_gb * 2**30)
        command = self._commands.get(address)
        own = command is not None
        self._refs[address] = self._run.options(**options).remote(
            address, self._root, self._logs, self._threads, own or address in self._sharing,
            own or address in self._warm, str(self._marker), command,
            None if self._transfer is None else self._transfer.parcel(address),
        )  # fmt: skip
        root, transfer = Path(self._root), self._transfer

        def tell(done: Future[str | None]) -> None:
            # in a thread: Ray's own would tell of no other task meanwhile
            threading.Thread(
                target=_tell,
                args=(told, done, root, None if own else address, transfer),
                daemon=True,
            ).start()

        self._refs[address].future().add_done_callback(tell)
        return told

    def has_room(self, address: str, short: Sequence[str] = ()) -> bool:
        return True

    def queued(self, address: str) -> float | None:
        return None

    def stop(self) -> None:
        if self._lost is not None:
            return
        for reference in self._refs.values():
            # by force: the worker ends, and its node with it
            self._ray.cancel(reference, force=True)

    def close(self) -> None:
        self._closed.set()
        self._marker.unlink(missing_ok=True)
        if self._lost is None:
            self._ray.shutdown()
        else:
            # taken down without its head, Ray waits for it or crashes, here and at this process's end
            told = [one.result() for one in self._told.values() if one.done()]
            atexit.register(_leave, int(any(told)))

    def _refuse_what_never_fits(self) -> None:
        """Ray itself would wait without end for a machine that can hold the task.

        Raises:
            UserError: no machine of the cluster has what a node takes.
        """
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        for address, needs in self._needs.items():
            asked: dict[str, float] = {"GPU": needs.gpus}
            if self._share is None:
                asked |= {"CPU": needs.cpus, "memory": needs.memory_gb * 2**30}
            if not any(all(m.get(k, 0) >= v for k, v in asked.items()) for m in machines):
                least = {key: max((m.get(key, 0) for m in machines), default=0) for key in asked}
                raise UserError(
                    f"{address}: needs {_amounts(asked)} on one machine, and those of the Ray cluster "
                    f"have at most {_amounts(least)}; `nodes` in conf/config.yaml says what nodes take"
                )

    def _refuse_another_folder(self) -> None:
        """Have every machine look for the marker.

        Raises:
            UserError: one does not see this folder, or does not answer.
        """
        why = (
            f"does not see this folder: {self._root} has to be the same on every machine "
            "(a shared file system; without one: --transfer remote)"
        )
        self._refuse_machines(_sees, (str(self._marker),), why)

    def _refuse_machines(
        self, check: Callable[..., bool], given: tuple[str, ...], why: str
    ) -> None:
        """Have every machine ``check``; ``why`` is said of those where it is false.

        Raises:
            UserError: it is false on one, or one does not answer.
        """
        from ray.exceptions import NodeDiedError, TaskUnschedulableError, WorkerCrashedError
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        look = self._ray.remote(max_retries=1, num_cpus=0)(check)
        asked = {}
        for node in self._ray.nodes():
            if node["Alive"]:
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
                asked[look.options(scheduling_strategy=there).remote(*given)] = name
        done, silent = self._ray.wait(list(asked), num_returns=len(asked), timeout=PROBE_SECONDS)
        if silent:
            raise UserError(
                f"Ray: {_few([asked[one] for one in silent])}: no worker answers in {PROBE_SECONDS:.0f} s"
            )
        blind, broken = [], []
        for one in done:
            try:
                if not self._ray.get(one):
                    blind.append(asked[one])
            except (NodeDiedError, TaskUnschedulableError, WorkerCrashedError):
                # it has left the cluster since; a task looks again wherever it runs
                continue
            except Exception as error:  # Ray's own, around whatever happened there
                broken.append(f"{asked[one]}: {_last_line(error)}")
        if broken:
            raise UserError(
                f"Ray: {broken[0]}; every machine needs this Python environment"
                f"{'' if self._transfer else ' and this folder'}"
            )
        if blind:
            raise UserError(f"Ray: {_few(blind)}: {why}")

    def _watch(self, address: str) -> None:
        """Say that the head is dead as soon as it takes no connections: Ray itself tries for a minute."""
        endpoint = _endpoint(address) or _endpoint(self._ray.get_runtime_context().gcs_address)
        missed = 0
        while endpoint and missed < LOOKS:
            if self._closed.wait(LOOK_SECONDS):
                return
            try:
                socket.create_connection(endpoint, timeout=5).close()
                missed = 0
            except OSError:
                missed += 1
        if not endpoint:
            return
        self._lost = (
            f"the Ray head at {endpoint[0]}:{endpoint[1]} is dead; `run` again when one lives"
        )
        for told in list(self._told.values()):
            with suppress(InvalidStateError):
                told.set_result(self._lost)


def _leave(code: int) -> None:
    """End at once: 1 where nodes failed, of the head's death or before it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def _stderr_into(log: Path) -> Iterator[None]:
    """What Ray's own code writes past Python, of loggers and networks, goes into a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with log.open("ab") as stream:
            os.dup2(stream.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _node_of_ray(
    address: str,
    root: str,
    logs: str,
    threads: str | None,
    shares_cores: bool,
    warm: bool,
    marker: str,
    command: Sequence[str] | None,
    parcel: Parcel | None,
) -> str | Landed | None:
    if parcel is None and not _sees(marker):
        # one that joined the cluster later
        host = socket.gethostname()
        return f"{host} does not see this folder: {root} has to be the same on every machine"
    environment = environment_of(shares_cores=shares_cores)
    # Ray gives its workers one of its own; a node's numbers must not depend on who ran it
    environment.pop("OMP_NUM_THREADS", None)
    if threads is not None:
        environment["OMP_NUM_THREADS"] = threads
    if parcel is not None:
        return run_parcel(parcel, environment)
    if not warm:
        return Runner(Path(root), Path(logs)).run(address, environment, command)
    worker = worker_of(Path(root), Path(logs))
    problem = Runner(Path(root), Path(logs)).run(address, worker.environment(environment), command)
    # one that measures time may come next, in another of Ray's workers
    worker.wait_until_imported()
    return problem


def _sees(marker: str) -> bool:
    """Whether this machine sees the very folder of the run, by a file with a random name."""
    path = Path(marker)
    with suppress(OSError):
        # a network file system may remember for a while that a file was not there
        os.listdir(path.parent)
        return path.read_text() == path.name
    return False


def _endpoint(address: str) -> tuple[str, int] | None:
    """Host and port; None for ``auto`` and other forms without a port."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    return (host, int(port)) if host and port.isdigit() else None


def _reachable(address: str) -> None:
    """Ray itself would try for minutes; ``auto`` and other forms without a port are left to it."""
    endpoint = _endpoint(address)
    if endpoint is None:
        return
    try:
        socket.create_connection(endpoint, timeout=10).close()
    except OSError as error:
        raise UserError(f"RAY_ADDRESS: {address}: {error}; expected a running cluster's") from None


def _tell(
    told: Future[str | None],
    done: Future[str | Landed | None],
    root: Path,
    address: str | None,
    transfer: Transfer | None,
) -> None:
    """Hand on a task's end, an exception as the words that say what went wrong.

    ``address``: of a node, whose outputs have to be seen here; None of a command.
    """
    error = done.exception()
    result = done.result() if error is None else _last_line(error)
    problem = None
    if transfer is not None and address is not None and isinstance(result, Landed):
        try:
            problem = transfer.land(address, result)
        except Exception as trouble:
            # a full disk here, say: without an answer the run would wait for ever
            problem = f"done, and not written here: {_last_line(trouble)}"
    elif not isinstance(result, Landed):
        problem = result
    # it has been told already where the head was dead before
    with suppress(InvalidStateError):
        told.set_result(
            unseen_here(root, address) if problem is None and address is not None else problem
        )


def _last_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1]


def _amounts(amounts: Mapping[str, float]) -> str:
    units = {"CPU": "cores", "GPU": "GPU", "memory": "GB of memory"}
    return ", ".join(
        f"{value / 2**30 if key == 'memory' else value:.3g} {units[key]}"
        for key, value in amounts.items()
    )


def _few(names: Sequence[str], most: int = 3) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
