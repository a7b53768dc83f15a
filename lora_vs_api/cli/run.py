"""Bring the pipeline up to date, independent nodes side by side: on this machine, on Ray or on Slurm.

What `dvc repro` does, with the same dvc.lock: each node is run by DVC, as soon as what it needs is
there. Nodes that measure time (evaluate_*) are exclusive: nothing runs beside them.
A node that fails leaves the others' results in place; those that need it are skipped.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lora_vs_api.config.load import load_params
from lora_vs_api.errors import UserError
from lora_vs_api.log import say

if TYPE_CHECKING:
    from lora_vs_api.config.sections import Params
    from lora_vs_api.orchestrate.executors import Executor, Resources
    from lora_vs_api.orchestrate.jobs import Job
    from lora_vs_api.orchestrate.pipeline import Unchanged
    from lora_vs_api.orchestrate.scheduler import Node, Outcome
    from lora_vs_api.orchestrate.slurm_options import Option

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOGS = Path("logs/run")
# held by the one that submits; git and DVC leave this folder alone
HEAD = Path(".dvc/tmp/run.lock")
# the node that all results lead to
REPORT = "report"


@dataclass(frozen=True)
class RunOptions:
    """What to run and where.

    ``targets``: nodes, by address or by their name before the @; none means all. ``gpus``: None
    takes all that there are. ``on``: local, ray or slurm. ``slurm``: KEY=VALUE for it. ``opened``: the
    report is opened at the end, in a browser where there is one. ``transfer``: folder, which all machines share,
    or remote, DVC's, for Ray. ``workers``: warm, forked from one that keeps its imports, or cold.
    """

    targets: Sequence[str]
    jobs: int
    gpus: int | None
    on: str
    slurm: Sequence[str]
    opened: bool = False
    transfer: str = "folder"
    workers: str = "warm"


def run_pipeline(given: RunOptions) -> None:
    """Bring the targets, and what they need, up to date; tell each node that ends, then the answer.

    Raises:
        UserError: a wrong option, an executor that is not there, another run, or nodes that failed.
    """
    from lora_vs_api.orchestrate.claims import TRIALS, claims
    from lora_vs_api.orchestrate.jobs import kept_jobs
    from lora_vs_api.orchestrate.pipeline import read_nodes

    if given.jobs < 1:
        raise UserError(f"--jobs: expected an integer ≥ 1, found {given.jobs}")
    root = Path.cwd()
    options = options_of(given)
    with alone(root, given.on):
        # of one that was cancelled a moment ago, dvc may still be ending when Slurm says that it has
        submitted = bool(kept_jobs(root))
        # before DVC is asked: what ends meanwhile is then in dvc.lock, or still waited for
        living = living_jobs_of(root, given.on, trials=given.on == "slurm")
        # a search that runs trials is about to start others, for which DVC holds its lock a while
        busy = submitted or any(claims(root)) or any(claims(root, TRIALS))
        patience = claim_patience() if busy else 0.0
        mend(patience)
        everything, changed = read_nodes(root, patience)
        _run_nodes(given, root, everything, changed | living.keys(), living, options)


def _run_nodes(
    given: RunOptions,
    root: Path,
    everything: Sequence[Node],
    changed: set[str],
    living: Mapping[str, Job],
    options: Mapping[str, Option],
) -> None:
    from lora_vs_api.cli.plan import plan_in_short
    from lora_vs_api.orchestrate.lockfile import keep_copy
    from lora_vs_api.orchestrate.pipeline import Unchanged, locked_nodes, order_lock
    from lora_vs_api.orchestrate.scheduler import run_nodes

    nodes, reported = _chosen(given, everything, changed)
    for job in living.values():
        if job.address not in {node.address for node in nodes}:
            say(
                f"{job.address}: job {job.job_id} of an earlier run goes on; nothing here waits for it"
                + ("; `search --on slurm` does" if job.trial else "")
            )
    if not nodes:
        say("Data and pipelines are up to date.")
        _tell(reported, given)
        return
    for line in plan_in_short(root, {node.address for node in nodes}):
        say(line)
    _say_who_runs(root, nodes, living)
    before, started = locked_nodes(root), time.monotonic()
    say(f"{len(nodes)} nodes to look at, {given.jobs} at a time; what they say is in {LOGS}/")
    if given.on == "slurm":
        # each has a machine, or its share of one, to itself
        nodes = [replace(node, exclusive=False) for node in nodes]
    executor = _executor(given, root, everything, nodes, changed, living, options)
    # elsewhere, what is interrupted may still write dvc.lock
    at_an_end = given.on == "local"
    unchanged = Unchanged(root, nodes, changed)

    def start(address: str, slot: int) -> Future[str | None]:
        if not unchanged.look_at(address):
            return executor.start(address, slot)
        nothing: Future[str | None] = Future()
        nothing.set_result(None)
        return nothing

    try:
        outcome = run_nodes(
            nodes,
            start,
            given.jobs,
            _Teller(root, len(nodes), executor, unchanged),
            executor.has_room,
        )
        at_an_end = True
    except BaseException:
        executor.stop()
        raise
    finally:
        executor.close()
        if at_an_end:
            order_lock(list(everything), before, root)
        keep_copy(root)
    say(f"{len(outcome.done)} of {len(nodes)} done in {time.monotonic() - started:.0f} s")
    if outcome.failed:
        for address, problem in outcome.failed.items():
            say(f"error: {address}: {problem}")
        skipped = f"; skipped: {', '.join(outcome.skipped)}" if outcome.skipped else ""
        raise UserError(f"{len(outcome.failed)} of {len(nodes)} nodes failed{skipped}")
    _tell(reported, given)


def _chosen(
    given: RunOptions, everything: Sequence[Node], changed: set[str]
) -> tuple[list[Node], bool]:
    """The nodes to look at, and whether the report is among what was asked for."""
    from lora_vs_api.orchestrate.scheduler import needed_by, touched_by

    unknown = [target for target in given.targets if not _matching(everything, target)]
    if unknown:
        raise UserError(f"{unknown[0]}: no such node; `dvc stage list` names them")
    nodes = list(everything)
    if given.targets:
        wanted = [a for target in given.targets for a in _matching(everything, target)]
        nodes = needed_by(everything, wanted)
    reported = any(node.address == REPORT for node in nodes)
    return touched_by(nodes, changed & {node.address for node in nodes}), reported


class _Teller:
    """Says of each node how it ended, and keeps what its end may have damaged."""

    def __init__(self, root: Path, total: int, executor: Executor, unchanged: Unchanged) -> None:
        self._root, self._total = root, total
        self._queued, self._unchanged = executor.queued, unchanged.found
        self._since: dict[str, float] = {}

    def __call__(self, event: str, address: str, outcome: Outcome, running: Sequence[str]) -> None:
        from lora_vs_api.orchestrate.lockfile import keep_copy

        if event == "start":
            self._since[address] = time.monotonic()
            return
        if event == "failed":
            # killed, it may have left half of dvc.lock, which would fail all others
            with suppress(UserError):
                mend()
        elif address in self._unchanged:
            event = "unchanged"
        else:
            keep_copy(self._root)
        ended = len(outcome.done) + len(outcome.failed) + len(outcome.skipped)
        say(
            f"[{ended}/{self._total}] {address} {event}{self._took(address)}"
            + (f"; running: {', '.join(running)}" if running else "")
        )

    def _took(self, address: str) -> str:
        """Its seconds; those in a queue apart, where there is one."""
        if address not in self._since or address in self._unchanged:
            return ""
        took, queued = time.monotonic() - self._since[address], self._queued(address)
        if queued is None or queued > took:
            return f" in {took:.0f} s"
        return f" in {took - queued:.0f} s after {queued:.0f} s in the queue"


@contextmanager
def alone(root: Path, on: str) -> Iterator[None]:
    """Two heads would submit the same nodes; on one machine DVC's own locks keep them apart.

    Raises:
        UserError: another `run --on slurm` or `--on ray` is at work in this folder.
    """
    if on == "local" or fcntl is None:
        yield
        return
    path = root / HEAD
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            raise UserError(
                f"another run is at work in this folder: {stream.read().strip() or 'it does not say where'}"
            ) from None
        except OSError:
            # a file system without locks; the nodes' claims still keep each from running twice
            yield
            return
        stream.truncate(0)
        stream.write(f"PID {os.getpid()} on {socket.gethostname()}")
        stream.flush()
        yield


def living_jobs_of(root: Path, on: str, trials: bool = True) -> dict[str, Job]:
    """Jobs of Slurm that an earlier run has left.

    ``trials``: also of a search, which are in nobody's way but another search's.

    Raises:
        UserError: there are some, and this run is to be elsewhere.
    """
    from lora_vs_api.orchestrate.jobs import kept_jobs

    # nothing of Slurm's is asked where nothing was ever submitted
    if not kept_jobs(root):
        return {}
    from lora_vs_api.orchestrate.slurm import living_jobs

    living = living_jobs(root, trials)
    if living and on != "slurm":
        ids = " ".join(str(job.job_id) for job in living.values())
        commands = sorted({"search" if job.trial else "run" for job in living.values()})
        waits = " or ".join(f"`{command} --on slurm`" for command in commands)
        raise UserError(
            f"{', '.join(living)}: submitted to Slurm by an earlier run, and not at an end; "
            f"{waits} waits for it, `scancel {ids}` ends it"
        )
    return living


def _say_who_runs(root: Path, nodes: Sequence[Node], living: Mapping[str, Job]) -> None:
    """Nodes that run somewhere already: theirs are waited for, and nothing waits without saying why."""
    from lora_vs_api.orchestrate.claims import claims

    for address, holder in claims(root):
        if address in {node.address for node in nodes} and address not in living:
            say(f"{address} runs already, on {holder}: its end is waited for")


def _tell(reported: bool, given: RunOptions) -> None:
    """The decision, where all that it rests on is up to date."""
    if reported:
        from lora_vs_api.cli.answer import tell_answer

        tell_answer(opened=given.opened)


def mend(patience: float = 0.0) -> None:
    """Recover a dvc.lock that a kill left empty or half, and say so; copy one that is whole.

    ``patience``: for so many seconds it is tried again while another DVC is at work.

    Raises:
        UserError: it holds a conflict of git's, or another DVC is at work.
    """
    from lora_vs_api.orchestrate.lockfile import keep_copy, mend_lock

    deadline, told = time.monotonic() + patience, False
    while True:
        try:
            done = mend_lock(Path.cwd())
            break
        except UserError as error:
            if time.monotonic() >= deadline:
                raise
            if not told:
                say(f"tried again for {patience:.0f} s: {error}")
                told = True
            time.sleep(1.0)
    if done:
        say(done)
    keep_copy(Path.cwd())


def claim_patience() -> float:
    """Seconds until the claim of a process that died on another machine counts no more."""
    from lora_vs_api.orchestrate.claims import BEAT_SECONDS, STALE_SECONDS

    return STALE_SECONDS + 2 * BEAT_SECONDS


def mend_before_repro() -> None:
    """:func:`mend`, for a `dvc repro` that comes next: it knows nothing of other machines.

    Raises:
        UserError: as :func:`mend`; or a node of an earlier run still runs somewhere.
    """
    from lora_vs_api.orchestrate.claims import TRIALS, claims
    from lora_vs_api.orchestrate.jobs import kept_jobs

    root = Path.cwd()
    submitted = bool(kept_jobs(root))
    living_jobs_of(root, "local", trials=False)
    patience, told = claim_patience(), False
    deadline = time.monotonic() + patience
    # what was interrupted a moment ago is about to end, and what died elsewhere renews its claim no more
    while running := list(claims(root)):
        address, holder = running[0]
        if time.monotonic() >= deadline:
            raise UserError(f"{address} is running on {holder}: wait for its end, or end it there")
        if not told:
            say(
                f"{address} is running on {holder}: waiting for its end, or until it is known to be dead, "
                f"for {patience:.0f} s at most"
            )
            told = True
        time.sleep(1.0)
    # the next trial of a search may be starting, or a cancelled job ending
    mend(patience if submitted or any(claims(root, TRIALS)) else 0.0)


def _executor(
    given: RunOptions,
    root: Path,
    everything: Sequence[Node],
    nodes: Sequence[Node],
    changed: set[str],
    living: Mapping[str, Job],
    options: Mapping[str, Option],
) -> Executor:
    from lora_vs_api.orchestrate import executors

    # of a graph whose nodes lost the mark, on Slurm, the whole one says what is timed
    timed = frozenset(node.address for node in everything if node.exclusive)
    sharing = frozenset(n.address for n in everything if given.jobs > 1 and not n.exclusive)
    # what measures time or memory does so in a process of its own
    warm = frozenset(n.address for n in everything if given.workers == "warm" and not n.exclusive)
    if given.on == "local":
        cards = cards_here(given.gpus)
        # without a GPU nothing is asked of the settings, which a graph of one's own may lack
        asked = _needs(nodes, load_params()) if cards else {}
        # what is timed runs alone, whatever it takes
        shared = [
            a.partition("@")[0] for a, one in asked.items() if one.gpus == 1 and a not in timed
        ]
        say_who_waits(Counter(shared), given.jobs, len(cards))
        return executors.LocalExecutor(root, LOGS, given.jobs, cards, sharing, warm, needs=asked)
    params = load_params()
    needs = _needs(nodes, params)
    if given.on == "ray":
        from lora_vs_api.orchestrate.ray_cluster import RayExecutor
        from lora_vs_api.orchestrate.transfer import Transfer, refuse_asking

        transfer = None
        if given.transfer == "remote":
            refuse_asking(needs, params)
            transfer = Transfer(root, nodes, changed)
        return RayExecutor(root, LOGS, given.jobs, needs, sharing, transfer, warm)
    from lora_vs_api.orchestrate.slurm import SlurmExecutor

    return SlurmExecutor(root, LOGS, given.jobs, needs, timed, options, living=living)


def say_who_waits(whole: Counter[str], jobs: int, cards: int) -> None:
    """Nodes that take a whole GPU each go one by one on it, whatever -j says; ``whole``: how many of each name."""
    many = [name for name, count in whole.most_common() if count > max(1, cards)]
    if cards and jobs > cards and many:
        say(
            f"a GPU has one {' or '.join(many)} at a time; nodes.{many[0]}.gpus=0.5, where its memory is "
            "enough, lets two share it"
        )


def _needs(nodes: Sequence[Node], params: Params) -> dict[str, Resources]:
    from lora_vs_api.orchestrate.executors import resources_of
    from lora_vs_api.orchestrate.expenses import asks_elsewhere

    needs = {}
    for node in nodes:
        name = node.address.split("@")[0]
        asked = params.nodes.get(name, params.nodes["default"])
        hosted = asks_elsewhere(node.address, params)
        needs[node.address] = resources_of(asked, params.runtime.device, hosted)
    return needs


def options_of(given: RunOptions) -> dict[str, Option]:
    if given.transfer == "remote" and given.on != "ray":
        why = {
            "slurm": "sbatch's own files need a folder that all machines share",
            "local": "there is one machine",
        }[given.on]
        raise UserError(f"--transfer remote: for --on ray; with --on {given.on} {why}")
    if given.on != "slurm":
        if given.slurm:
            raise UserError("--slurm: what Slurm is told, so it needs --on slurm")
        return {}
    try:
        from lora_vs_api.orchestrate.slurm_options import typed_options

        return typed_options(given.slurm)
    except ImportError:
        raise UserError(
            "--on slurm: submitit is not installed; pip install 'lora-vs-api[slurm]'"
        ) from None


def _matching(nodes: Sequence[Node], target: str) -> list[str]:
    """A node by its address, or all of a matrix by the name before the @."""
    return [node.address for node in nodes if target in (node.address, node.address.split("@")[0])]


def cards_here(gpus: int | None) -> list[str]:
    """The names of the GPUs to give away: so many, or all that NVML sees and the user does not hide.

    Raises:
        UserError: more than there are, or than the user leaves.
    """
    from lora_vs_api.orchestrate.cards import named_cards, visible_cards

    if gpus is not None and gpus < 0:
        raise UserError(f"--gpus: expected an integer ≥ 0, found {gpus}")
    there, visible = gpus_here(), visible_cards(os.environ)
    if gpus is None:
        gpus = there if visible is None else min(there, len(visible))
    return named_cards(gpus, there)


def gpus_here() -> int:
    """GPUs that NVML sees; 0 without a driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0
