"""Nodes as jobs of Slurm, submitted through submitit and followed through Slurm's own commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from lora_vs_api.errors import UserError
from lora_vs_api.log import say
from lora_vs_api.orchestrate.executors import Resources
from lora_vs_api.orchestrate.jobs import (
    Job,
    file_of,
    forget_job,
    keep_job,
    kept_jobs,
    new_array,
    new_job,
)
from lora_vs_api.orchestrate.pipeline import Runner, environment_of, unseen_here
from lora_vs_api.orchestrate.slurm_client import (
    Seen,
    SlurmSilent,
    Told,
    cancel,
    detail,
    last_words,
    queue,
    reason_in,
    waits_for,
)
from lora_vs_api.orchestrate.waves import Waves

if TYPE_CHECKING:
    from lora_vs_api.orchestrate.slurm_options import Option

SUBMITTED = Path("submitit")
# of the job's script, where its machine does not see this folder
UNSHARED = 97
# seconds that a network file system may take to show a new file
SEEN_SECONDS = 30
# seconds: between two looks at the queue; until a result must be seen that a job wrote; until it is
# said why a job waits
LOOK_SECONDS, LAG_SECONDS, QUIET_SECONDS = 10.0, 15.0, 10.0
# a refusal that time alone mends: asked again after so many seconds, and for so long
AGAIN_SECONDS, AGAIN_AT_MOST = (5.0, 15.0, 30.0, 60.0), 1800.0
TEMPORARY = (
    "MaxSubmitJob", "MaxJobsPerUser", "temporarily", "Unable to contact slurm controller",
    "Socket timed out", "Zero Bytes were transmitted", "Transport endpoint", "Connection refused",
    "Slurm backup controller in standby",
)  # fmt: skip


class _Refused(Exception):
    """Slurm does not take the job; the message is its own reason."""


def living_jobs(root: Path, trials: bool = True) -> dict[str, Job]:
    """The jobs of an earlier run that still wait or run, by node; those that have ended are forgotten.

    ``trials``: of a search too, which may be at work: what it submits just now is left alone without.

    What an ended one did is in dvc.lock. One that was submitted when the head died, and cannot find what
    it is to run, is cancelled.

    Raises:
        UserError: there may be such jobs, and Slurm does not answer.
    """
    kept = [job for job in kept_jobs(root) if trials or not job.trial]
    if not kept:
        return {}
    try:
        seen = queue()
    except SlurmSilent as error:
        names = ", ".join(job.address for job in kept)
        raise UserError(
            f"{names}: submitted to Slurm by an earlier run, which may still run, and Slurm does not "
            f"answer: {error}; run again when it does, or remove {file_of(Path(), kept[0]).parent} "
            "where you know that none does"
        ) from None
    found = {}
    for job in kept:
        now = _in(seen, job)
        if now is None or not now.lives:
            forget_job(root, job)
        elif job.job_id is None and not _can_run(root, now.job_id):
            cancel([now.job_id])
            forget_job(root, job)
        else:
            found[job.address] = job.known_as(now.job_id)
            keep_job(root, found[job.address])
    return found


def _in(seen: Iterable[Seen], job: Job) -> Seen | None:
    """The job in the queue."""
    return next((one for one in seen if one.key == job.key), None)


def _can_run(root: Path, job_id: str) -> bool:
    """Whether submitit had come so far as to name its file after the job."""
    return any(root.glob(f"logs/**/{SUBMITTED}/{job_id}_submitted.pkl"))


class SlurmExecutor:
    """Jobs of Slurm; what it is told beyond resources comes from ``options``.

    Nodes that start together and take the same are one job array; refused, each is submitted by itself.
    A job that Slurm preempts is queued again. ``living`` are jobs of an earlier run: their nodes are
    waited for and not started. ``commands``: address → what is run in place of a node.
    """

    def __init__(
        self,
        root: Path,
        logs: Path,
        jobs: int,
        needs: Mapping[str, Resources],
        timed: frozenset[str],
        options: Mapping[str, Option],
        cluster: str = "slurm",
        living: Mapping[str, Job] | None = None,
        commands: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        _refuse_gpus_beside_shards(options)
        try:
            import submitit
        except ImportError:
            raise UserError(
                "--on slurm: submitit is not installed; pip install 'lora-vs-api[slurm]'"
            ) from None
        try:
            self._submitit = submitit.AutoExecutor(root / logs / SUBMITTED, cluster=cluster)
        except RuntimeError as error:
            raise UserError(f"--on slurm: {error}") from None
        if cluster == "slurm":
            _say_why(self._submitit)
        self._root, self._logs, self._timed = root, logs, timed
        # of a search it fills up while trials are asked for
        self._needs = needs
        self._by_shards, self._told_of_parts = bool(_shards(options)[0]), False
        self._options = dict(options)
        self._commands = {} if commands is None else commands
        self._watch = _Watch() if cluster == "slurm" else None
        self._earlier = dict(living or {})
        self._live: dict[str, tuple[Job, Any]] = {}
        self._queued: dict[str, float] = {}
        self._stopped = threading.Event()
        # of submitit, which keeps one job's options between two calls
        self._submitting = threading.Lock()
        self._waves = Waves(self._submit_array)
        # each of its threads waits for one job
        self._pool = ThreadPoolExecutor(jobs)

    def start(self, address: str, slot: int) -> Future[str | None]:
        return self._pool.submit(self._run, address)

    def has_room(self, address: str, short: Sequence[str] = ()) -> bool:
        return True

    def queued(self, address: str) -> float | None:
        return self._queued.get(address)

    def stop(self) -> None:
        self._stopped.set()
        # one that is being submitted now is to be cancelled too; a Slurm that hangs must not keep this
        held = self._submitting.acquire(timeout=15)
        try:
            self._cancel_all()
        finally:
            if held:
                self._submitting.release()

    def close(self) -> None:
        self._stopped.set()
        self._pool.shutdown()
        if self._watch is not None:
            self._watch.close()

    def _cancel_all(self) -> None:
        ours = [job for job, _ in self._live.values()]
        if self._watch is None:
            for _, handle in list(self._live.values()):
                if not handle.done():
                    handle.cancel()
            return
        ids = [job.job_id for job in ours if job.job_id is not None]
        # of one that was being submitted when its sbatch was interrupted, the name alone is known
        nameless = [job for job in kept_jobs(self._root) if job.job_id is None]
        try:
            if nameless:
                seen = queue()
                ids += [one.job_id for job in nameless if (one := _in(seen, job)) is not None]
            cancel(ids)
        except SlurmSilent as error:
            say(f"not cancelled: {error}; `scancel {' '.join(ids)}` when Slurm answers")
            return
        if ids:
            say(f"cancelled: {', '.join(f'job {job_id}' for job_id in ids)}")

    def _run(self, address: str) -> str | None:
        """One node, from its submission to its end: None, or what went wrong."""
        earlier = self._earlier.pop(address, None)
        if earlier is not None:
            say(f"{address}: job {earlier.job_id} of an earlier run is waited for")
            problem = self._follow(earlier, self._handle(earlier))
            if self._stopped.is_set():
                return problem
            if is_current(self._root, address):
                return None
        try:
            return self._follow(*self._submit(address))
        except _Refused as error:
            return f"Slurm refused the job: {error}"
        except OSError as error:
            # no room for its files, say: this node's fault and no other's
            return f"{error.filename or self._logs}: {error.strerror}"

    def _handle(self, job: Job) -> Any:
        from submitit import SlurmJob

        return SlurmJob(folder=self._root / self._logs / SUBMITTED, job_id=job.job_id or "")

    def _submit(self, address: str) -> tuple[Job, Any]:
        """Submit a node's job, with others where it can be, again where a refusal may pass.

        Raises:
            _Refused: by Slurm for good, or this run is being stopped.
        """
        if self._watch is not None:
            kind = self._takes(address), address in self._timed
            submitted = self._waves.join(address, kind, self._stopped)
            if submitted is not None:
                return submitted
        began, pauses = time.monotonic(), iter(AGAIN_SECONDS)
        pause, told = AGAIN_SECONDS[0], False
        while True:
            try:
                return self._submit_once(address)
            except _Refused as error:
                passing = any(mark in str(error) for mark in TEMPORARY)
                if not passing or time.monotonic() - began > AGAIN_AT_MOST:
                    raise
                if not told:
                    say(f"{address}: Slurm does not take the job yet, it is asked again: {error}")
                    told = True
            pause = next(pauses, pause)
            if self._stopped.wait(pause):
                raise _Refused("interrupted")

    def _submit_array(self, addresses: Sequence[str]) -> dict[str, tuple[Job, Any]] | None:
        """Submit nodes as one job array; None where Slurm does not take it: each is then told why by itself.

        A limit of submitted jobs, say, may hold for all of them and not for one.
        """
        jobs = new_array(addresses, trial=addresses[0] in self._commands)
        with self._submitting:
            if self._stopped.is_set():
                return None
            try:
                # before they are submitted, as one alone is
                for job in jobs:
                    keep_job(self._root, job)
                self._tell_submitit(*jobs)
                with self._submitit.batch():
                    handles = [self._submitit.submit(self._node(a)) for a in addresses]
                known = [
                    job.known_as(str(handle.job_id))
                    for job, handle in zip(jobs, handles, strict=True)
                ]
                for job in known:
                    keep_job(self._root, job)
            except Exception:
                self._drop(*jobs)
                return None
            found = {job.address: (job, handle) for job, handle in zip(known, handles, strict=True)}
            self._live.update(found)
        return found

    def _submit_once(self, address: str) -> tuple[Job, Any]:
        job = new_job(address, trial=address in self._commands)
        with self._submitting:
            if self._stopped.is_set():
                raise _Refused("interrupted")
            # before it is submitted: a head that dies between the two finds it by its name
            keep_job(self._root, job)
            try:
                self._tell_submitit(job)
                handle = self._submitit.submit(self._node(address))
            except Exception as error:
                self._drop(job)
                raise _Refused(_reason(error)) from None
            job = job.known_as(str(handle.job_id))
            keep_job(self._root, job)
            self._live[address] = job, handle
        return job, handle

    def _node(self, address: str) -> _Node:
        return _Node(address, str(self._root), str(self._logs), self._commands.get(address))

    def _drop(self, *jobs: Job) -> None:
        """Forget what was refused; after an answer that was lost, it may be in the queue all the same."""
        if self._watch is not None:
            try:
                seen = queue()
                cancel(one.job_id for job in jobs if (one := _in(seen, job)) is not None)
            except SlurmSilent:
                # it would not find what to run, and end by itself
                pass
        for job in jobs:
            forget_job(self._root, job)

    def _tell_submitit(self, *jobs: Job) -> None:
        # it would keep what one job alone is told, such as a machine to itself, for all that follow
        self._submitit._executor.parameters.clear()
        self._submitit.update_parameters(**self._parameters(*jobs))

    def _takes(self, address: str) -> Resources:
        """What Slurm is asked for: a part of a GPU is a whole one, unless shards are asked for."""
        asked = self._needs[address]
        if not is_part(asked.gpus) or self._by_shards:
            return asked
        if not self._told_of_parts:
            self._told_of_parts = True
            say(
                f"{address}: a part of a GPU, for which Slurm gives a whole one, here and to all others; where the cluster "
                "has shards: --slurm gres=shard:N"
            )
        return replace(asked, gpus=1)

    def _parameters(self, job: Job, *others: Job) -> dict[str, Any]:
        """What submitit is told of a job; with ``others`` that take the same, of their array."""
        needs = self._takes(job.address)
        told: dict[str, Any] = {
            "name": job.name,
            "timeout_min": needs.minutes,
            "mem_gb": needs.memory_gb,
            "cpus_per_task": needs.cpus,
            # of a part, `gres` says how many shards
            "gpus_per_node": int(needs.gpus),
        }
        if job.address in self._timed:
            # a node that measures time has its machine to itself
            told["slurm_exclusive"] = True
        if others:
            # submitit's own is 256 at a time; `-j` has said how many
            told["slurm_array_parallelism"] = 1 + len(others)
        own = {key: value for key, value in self._options.items() if key != "setup"}
        if not is_part(needs.gpus):
            own = without_shards(own)
        told |= {f"slurm_{key}": value for key, value in own.items()}
        setup = self._options.get("setup", [])
        told["slurm_setup"] = [
            _sees_folder(self._root, job, *others),
            *(setup if isinstance(setup, list) else []),
        ]
        return told

    def _follow(self, job: Job, handle: Any) -> str | None:
        """Wait for a job's end: None, or what went wrong."""
        self._live[job.address] = job, handle
        try:
            if self._watch is None:
                return _result(handle, job)
            problem = self._ended(job, handle, self._watch)
        finally:
            if not self._stopped.is_set():
                # one that is cancelled now may take a while: the next run looks whether it has ended
                forget_job(self._root, job)
                self._live.pop(job.address, None)
        return problem

    def _ended(self, job: Job, handle: Any, watch: _Watch) -> str | None:
        result = handle.paths.result_pickle
        waits = _Waits(job)
        lag = None
        while not self._stopped.wait(0.5):
            if result.exists():
                self._note_times(job)
                problem = _result(handle, job)
                if problem is None and job.address not in self._commands:
                    return unseen_here(self._root, job.address)
                return problem
            gone = watch.has_ended(job, waits)
            if not gone:
                lag = None
                continue
            # a file that another machine wrote may take a moment to be seen here
            lag = time.monotonic() if lag is None else lag
            list(result.parent.iterdir())
            never_ran = gone == "CANCELLED" and not handle.paths.stdout.exists()
            if never_ran or time.monotonic() - lag > LAG_SECONDS:
                told = self._note_times(job)
                said = _stderr(handle)
                where = self._where(job, handle, told, said)
                return f"{_cause(told, self._root, said)} ({where})"
        return "interrupted"

    def _note_times(self, job: Job) -> Told | None:
        told = detail(job.job_id or "")
        if told and told.submitted and told.started:
            self._queued[job.address] = max(0.0, told.started - told.submitted)
        return told

    def _where(self, job: Job, handle: Any, told: Told | None, said: str) -> str:
        on = f" on {told.nodes}" if told and told.nodes else ""
        log = handle.paths.stderr
        if not log.exists():
            return f"job {job.job_id}{on}; it wrote no log here"
        words = last_words(said)
        return f"job {job.job_id}{on}; {log.relative_to(self._root)}" + (
            f": {words}" if words else ""
        )


def is_part(gpus: float) -> bool:
    return 0 < gpus < 1


def _shards(options: Mapping[str, Option]) -> tuple[list[str], list[str]]:
    """What ``gres`` asks for: shards of a GPU, and all else."""
    asked = [one.strip() for one in str(options.get("gres", "")).split(",") if one.strip()]
    # squeue shows a gres: before each name, and sbatch takes it
    shards = [one for one in asked if re.match(r"(gres[:/])?shard([:=]|$)", one)]
    return shards, [one for one in asked if one not in shards]


def _refuse_gpus_beside_shards(options: Mapping[str, Option]) -> None:
    shards, others = _shards(options)
    gpus = [one for one in others if re.match(r"(gres[:/])?gpu([:=]|$)", one)]
    gpus += [key for key in ("gpus_per_node", "gpus_per_task") if key in options]
    if shards and gpus:
        raise UserError(
            f"--slurm: {gpus[0]} beside {shards[0]}, and Slurm gives no job both; expected shards alone: "
            "`nodes` in conf/config.yaml says which nodes take whole GPUs"
        )


def without_shards(options: Mapping[str, Option]) -> dict[str, Option]:
    """For a node that takes whole GPUs or none: Slurm gives no job both."""
    shards, others = _shards(options)
    if not shards:
        return dict(options)
    left = {key: value for key, value in options.items() if key != "gres"}
    return {**left, "gres": ",".join(others)} if others else left


class _Waits:
    """What has been said of a job that waits, so that nothing is said twice."""

    def __init__(self, job: Job) -> None:
        self.job, self.since = job, time.monotonic()
        self.reason, self.ran = "", False

    def look(self, now: Seen) -> None:
        label = f"{self.job.address}: job {self.job.job_id}"
        if now.state != "PENDING":
            self.ran = self.ran or now.state == "RUNNING"
            return
        if self.ran:
            self.ran, self.reason = False, now.reason
            say(f"{label} was queued again: {waits_for(now.reason)}")
        waited = time.monotonic() - self.since
        if now.reason not in ("None", "", self.reason) and waited > QUIET_SECONDS:
            self.reason = now.reason
            say(f"{label} waits: {waits_for(now.reason)}")


class _Watch:
    """Looks at the queue every few seconds, once for all jobs."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int | None], Seen] = {}
        self._missing: dict[tuple[str, int | None], int] = {}
        self._looks = 0
        self._silent = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._done.set()

    def has_ended(self, job: Job, waits: _Waits) -> str | None:
        """The state in which it ended, or that Slurm knows it no more; None where it has not."""
        now = self._seen.get(job.key)
        if now is not None:
            self._missing.pop(job.key, None)
            waits.look(now)
            return None if now.lives else now.state
        # it was submitted after the last look, or Slurm has forgotten it
        first = self._missing.setdefault(job.key, self._looks)
        return "UNKNOWN" if self._looks - first >= 3 else None

    def _look(self) -> None:
        while not self._done.wait(LOOK_SECONDS if self._looks > 2 else 2.0):
            try:
                self._seen = {one.key: one for one in queue()}
                self._looks += 1
                self._silent = False
            except Exception as error:
                # of whatever kind: without this thread the run would wait for ever
                known = isinstance(error, SlurmSilent)
                if not self._silent:
                    what = str(error) if known else f"{type(error).__name__}: {error}"
                    say(f"Slurm does not answer, and is asked again: {what}")
                self._silent = True


class _Node:
    """One node as a job; after a preemption it is submitted again as it is."""

    def __init__(
        self, address: str, root: str, logs: str, command: Sequence[str] | None = None
    ) -> None:
        self.address, self.root, self.logs, self.command = address, root, logs, command

    def __call__(self) -> str | None:
        self._runner = Runner(Path(self.root), Path(self.logs))
        ended = threading.Event()

        def end(number: int, frame: FrameType | None) -> None:
            # in a thread: `run` may hold a lock of the runner's at this moment
            ended.set()
            threading.Thread(target=self._runner.stop).start()

        if "SLURM_JOB_ID" in os.environ:
            # cancelled, preempted or out of time: the node ends before Slurm kills what it sees
            signal.signal(signal.SIGTERM, end)
        problem = self._runner.run(self.address, environment_of(), self.command)
        if ended.is_set():
            # no result: Slurm's state says what this was, and a requeued job runs again
            sys.exit(128 + signal.SIGTERM)
        return problem

    def checkpoint(self) -> Any:
        from submitit.helpers import DelayedSubmission

        # before the job is queued again: its next start must not meet this one
        self._runner.end()
        return DelayedSubmission(_Node(self.address, self.root, self.logs, self.command))


def _sees_folder(root: Path, job: Job, *others: Job) -> str:
    """A line of the job's script, which ends it where its machine does not see this very folder.

    Each task of an array has a file of its own to look for: another's goes with that one's end.
    """
    files = {one.task: shlex.quote(str(file_of(root, one))) for one in (job, *others)}
    which = f"file={files[job.task]}"
    if others:
        cases = " ".join(f"{task}) file={file};;" for task, file in files.items())
        which = f'case "$SLURM_ARRAY_TASK_ID" in {cases} esac'
    return (
        f"{which}; "
        f"for look in $(seq {SEEN_SECONDS}); do ls {shlex.quote(str(file_of(root, job).parent))} >/dev/null 2>&1; "
        f'grep -qs {job.token} "$file" && break; sleep 1; done; '
        f'grep -qs {job.token} "$file" || '
        f"{{ echo {shlex.quote(f'{root}: not the folder that `run` was started in')} >&2; exit {UNSHARED}; }}"
    )


def _say_why(executor: Any) -> None:
    """Have sbatch's words in the exception; submitit would print them between the lines of `run`."""
    # of the class: an array is submitted by a second one of it
    kind = type(executor._executor)
    made = kind._make_submission_command
    if made.__name__ == _say_why.__name__:
        return

    def command(self: Any, path: Path) -> list[str]:
        script = 'exec 3>&1; said=$("$@" 2>&1 >&3) || { code=$?; echo "$said"; exit $code; }'
        return ["sh", "-c", script, "sbatch", *made(self, path)]

    # what is wrapped once is not wrapped again
    command.__name__ = _say_why.__name__
    kind._make_submission_command = command


def _reason(error: Exception) -> str:
    cause = error.__cause__
    if isinstance(cause, subprocess.CalledProcessError):
        return reason_in(f"{cause.output or ''}\n{cause.stderr or ''}") or "it did not say why"
    return " ".join(str(error).split()) or type(error).__name__


def _result(handle: Any, job: Job) -> str | None:
    """What the job's process said at its end; an exception of it as its last line."""
    try:
        problem = handle.result()
    except Exception as error:  # submitit's own, and whatever a lost machine leaves
        lines = [line for line in str(error).splitlines() if line.strip(" -")]
        said = next((line for line in lines if "Job not requeued because" in line), None)
        if said is not None:
            return (
                f"{said.partition('because: ')[2].rstrip('.')}: more minutes in `nodes` of "
                f"conf/config.yaml, or --slurm time=MINUTES (job {job.job_id})"
            )
        trace = [line for line in lines if not line.startswith(("You can check", "  - "))]
        last = trace[-1].strip() if trace else type(error).__name__
        hint = f"{BARE}: " if any(mark in last for mark in BARE_MARKS) else ""
        return f"{hint}{last} (job {job.job_id})"
    return None if problem is None else f"{problem} (job {job.job_id})"


def _stderr(handle: Any) -> str:
    try:
        return str(handle.paths.stderr.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""


def _cause(told: Told | None, root: Path, said: str = "") -> str:
    """Why a job ended without a result, in words; ``said`` is its stderr."""
    if told is None:
        return "Slurm knows the job no more, and it left no result"
    if told.state in CAUSES:
        return CAUSES[told.state]
    code, number = told.exit_code
    if code == UNSHARED:
        return _unshared(told, root)
    if told.reason in ("JobLaunchFailure", "launch failed requeued held") or (code, number) == (
        0,
        53,
    ):
        return f"the job could not be started: {_unshared(told, root)}, and may you write there?"
    if number or code > 128:
        return f"killed by signal {number or code - 128}"
    if code == 127 or any(mark in said for mark in BARE_MARKS):
        return BARE
    if code:
        return f"exit code {code}"
    return f"ended without a result ({told.state})"


# what a job says that lacks this shell's variables
BARE = "the environment of this shell was not passed on to the job (sbatch's --export)"
BARE_MARKS = (
    "Could not figure out which environment", "ModuleNotFoundError", "command not found",
    "python: not found",
)  # fmt: skip


def _unshared(told: Told, root: Path) -> str:
    where = told.nodes or "the job's machine"
    return f"{where} does not see this folder: {root} has to be the same on every machine"


CAUSES = {
    "CANCELLED": "cancelled",
    "TIMEOUT": (
        "out of time: more minutes in `nodes` of conf/config.yaml, or --slurm time=MINUTES"
    ),
    "OUT_OF_MEMORY": (
        "out of memory: more memory_gb in `nodes` of conf/config.yaml, or --slurm mem=32GB"
    ),
    "NODE_FAIL": "its machine was lost",
    "BOOT_FAIL": "its machine did not start",
    "DEADLINE": "it could not end before its deadline",
    "PREEMPTED": "preempted, and not queued again",
}


def is_current(root: Path, address: str) -> bool:
    """Whether DVC has nothing to do for the node; asked in a process of its own, as threads meet here."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json", address],
        cwd=root, env=environment_of(), capture_output=True, text=True,
    )  # fmt: skip
    try:
        return done.returncode == 0 and json.loads(done.stdout) == {}
    except ValueError:
        return False
