"""Where nodes run: on this machine, on Ray, or on Slurm. An executor turns an address into a future.

On Ray and Slurm the project's folder has to be the same on every machine (a shared file system):
DVC works in it there as it does on this one.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lora_vs_api.errors import UserError
from lora_vs_api.orchestrate.pipeline import Runner, environment_of

if TYPE_CHECKING:
    import submitit


@dataclass(frozen=True)
class Resources:
    """What a node takes: CPU cores, GPUs, GB of memory, and minutes at most."""

    cpus: int
    gpus: int
    memory_gb: float
    minutes: int


class Executor(Protocol):
    """``start`` gives a future that is None for a node that went well, else what went wrong."""

    def start(self, address: str, slot: int) -> Future[str | None]: ...

    def stop(self) -> None:
        """End what runs and start nothing more."""

    def close(self) -> None:
        """Give back what the executor holds."""


class LocalExecutor:
    """Processes of this machine; each slot has a GPU of its own where there are several.

    ``sharing`` are the nodes that others may run beside.
    """

    def __init__(
        self, root: Path, logs: Path, jobs: int, gpus: int, sharing: frozenset[str]
    ) -> None:
        self._runner, self._gpus, self._sharing = Runner(root, logs), gpus, sharing
        self._pool = ThreadPoolExecutor(jobs)

    def start(self, address: str, slot: int) -> Future[str | None]:
        environment = environment_of(slot, self._gpus, shares_cores=address in self._sharing)
        return self._pool.submit(self._runner.run, address, environment)

    def stop(self) -> None:
        self._runner.stop()

    def close(self) -> None:
        self._pool.shutdown()


class RayExecutor:
    """Tasks of a Ray cluster: that of RAY_ADDRESS, else one that lives as long as this run.

    A task whose worker or machine dies is started again by Ray, elsewhere if need be. ``sharing``
    are the nodes that others may run beside.
    """

    RETRIES = 3

    def __init__(
        self,
        root: Path,
        logs: Path,
        jobs: int,
        needs: Mapping[str, Resources],
        sharing: frozenset[str],
    ) -> None:
        address = os.environ.get("RAY_ADDRESS")
        if address is None:
            # read when Ray is imported, and of effect on every system: with it the cluster listens
            # on loopback alone, else on all of the machine's addresses
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
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
            ray.init(**options, logging_level=logging.ERROR)
        except ConnectionError as error:
            raise UserError(f"RAY_ADDRESS: {address}: {error}") from None
        self._ray, self._needs = ray, needs
        self._refs: dict[str, Any] = {}
        self._share = 1 / jobs if address is None else None
        self._run = ray.remote(max_retries=self.RETRIES)(_node_of_ray)
        self._root, self._logs = str(root), str(logs)
        self._sharing = sharing
        self._threads = os.environ.get("OMP_NUM_THREADS")

    def start(self, address: str, slot: int) -> Future[str | None]:
        needs = self._needs[address]
        total = self._ray.cluster_resources()
        options: dict[str, Any] = {"name": address, "num_gpus": needs.gpus}
        # on one machine a node's own threads use all cores: jobs share them as they do without Ray
        options["num_cpus"] = needs.cpus if self._share is None else total["CPU"] * self._share
        if needs.gpus > total.get("GPU", 0):
            raise UserError(
                f"{address}: needs {needs.gpus} GPU, and the Ray cluster has "
                f"{total.get('GPU', 0):g}; `nodes` in conf/config.yaml says what nodes take"
            )
        if self._share is None:
            options["memory"] = int(needs.memory_gb * 2**30)
        self._refs[address] = self._run.options(**options).remote(
            address, self._root, self._logs, self._threads, address in self._sharing
        )
        return _without_exception(self._refs[address].future())

    def stop(self) -> None:
        for reference in self._refs.values():
            # by force: the worker ends, and its node with it
            self._ray.cancel(reference, force=True)

    def close(self) -> None:
        self._ray.shutdown()


class SlurmExecutor:
    """Jobs of Slurm, through submitit; what it is told beyond resources comes from ``options``.

    A job that Slurm preempts is queued again.
    """

    def __init__(
        self,
        root: Path,
        logs: Path,
        jobs: int,
        needs: Mapping[str, Resources],
        timed: frozenset[str],
        options: Mapping[str, str | int],
        cluster: str = "slurm",
    ) -> None:
        try:
            import submitit
        except ImportError:
            raise UserError(
                "--on slurm: submitit is not installed; pip install 'lora-vs-api[slurm]'"
            ) from None
        try:
            self._submitit = submitit.AutoExecutor(root / logs / "submitit", cluster=cluster)
        except RuntimeError as error:
            raise UserError(f"--on slurm: {error}") from None
        self._root, self._logs, self._needs, self._timed = root, logs, needs, timed
        self._options = dict(options)
        self._jobs: list[submitit.Job[str | None]] = []
        # each of its threads waits for one job
        self._pool = ThreadPoolExecutor(jobs)

    def start(self, address: str, slot: int) -> Future[str | None]:
        needs = self._needs[address]
        self._submitit.update_parameters(
            name=address.replace("@", "-"),
            timeout_min=needs.minutes,
            mem_gb=needs.memory_gb,
            cpus_per_task=needs.cpus,
            gpus_per_node=needs.gpus,
            # a node that measures time has its machine to itself
            **({"slurm_exclusive": True} if address in self._timed else {}),
            **{f"slurm_{key}": value for key, value in self._options.items()},
        )
        job = self._submitit.submit(_Job(address, str(self._root), str(self._logs)))
        self._jobs.append(job)

        def result() -> str | None:
            try:
                return job.result()
            except Exception as error:  # submitit's own, and whatever a lost machine leaves
                return f"{str(error).strip().splitlines()[-1]} (job {job.job_id})"

        return self._pool.submit(result)

    def stop(self) -> None:
        for job in self._jobs:
            if not job.done():
                job.cancel()

    def close(self) -> None:
        self._pool.shutdown()


class _Job:
    """One node as a job; after a preemption it is submitted again as it is."""

    def __init__(self, address: str, root: str, logs: str) -> None:
        self.address, self.root, self.logs = address, root, logs

    def __call__(self) -> str | None:
        return Runner(Path(self.root), Path(self.logs)).run(self.address, environment_of())

    def checkpoint(self) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _node_of_ray(
    address: str, root: str, logs: str, threads: str | None, shares_cores: bool
) -> str | None:
    environment = environment_of(shares_cores=shares_cores)
    # Ray gives its workers one of its own; a node's numbers must not depend on who ran it
    environment.pop("OMP_NUM_THREADS", None)
    if threads is not None:
        environment["OMP_NUM_THREADS"] = threads
    return Runner(Path(root), Path(logs)).run(address, environment)


def _reachable(address: str) -> None:
    """Ray itself would try for minutes; ``auto`` and other forms without a port are left to it."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise UserError(f"RAY_ADDRESS: {address}: {error}; expected a running cluster's") from None


def _without_exception(future: Future[str | None]) -> Future[str | None]:
    """The same, with an exception as the words that say what went wrong."""
    told: Future[str | None] = Future()

    def pass_on(done: Future[str | None]) -> None:
        error = done.exception()
        told.set_result(done.result() if error is None else str(error).strip().splitlines()[-1])

    future.add_done_callback(pass_on)
    return told
