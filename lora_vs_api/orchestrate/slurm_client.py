"""What Slurm says of jobs: through squeue and scontrol, and sacct where there is accounting."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

PATIENCE = 60  # seconds that a command of Slurm's may take
WIDTH = 160  # of a line of a job's log, where it is shown
# of which a job has not ended, or not for good
LIVING = frozenset(
    {"PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "REQUEUED",
     "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT"}
)  # fmt: skip
# of which a job waits without end unless somebody does something, and what
HELD = {
    "PartitionTimeLimit": "more time than the partition allows: --slurm time=MINUTES, or another partition",
    "PartitionNodeLimit": "more nodes than the partition allows: another partition",
    "PartitionDown": "the partition is down: another one, or wait until it is up",
    "PartitionInactive": "the partition takes no jobs: another one, or wait until it does",
    "BadConstraints": "no node is like that: less of it, or another partition",
    "AssocMaxWallDurationPerJobLimit": "more time than your account may ask for: --slurm time=MINUTES",
    "QOSMaxWallDurationPerJobLimit": "more time than your QOS may ask for: --slurm time=MINUTES",
    "InvalidAccount": "no such account: --slurm account=NAME",
    "InvalidQOS": "no such QOS: --slurm qos=NAME",
    "DependencyNeverSatisfied": "what it depends on has failed",
    "JobHeldUser": "held by you: `scontrol release` lets it go on",
    "JobHeldAdmin": "held by an administrator, who can release it",
    "launch failed requeued held": "it could not be started: `scontrol release` tries again",
    "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions":
        "`sinfo -R` says why they are",
    "ReqNodeNotAvail": "`sinfo -R` says why",
}  # fmt: skip


class SlurmSilent(Exception):
    """A command of Slurm's failed; the message is its own."""


@dataclass(frozen=True)
class Seen:
    """A job, or one task of a job array, in the queue: ``reason`` is why it waits, or how it ended."""

    job_id: str
    name: str
    state: str
    reason: str

    @property
    def lives(self) -> bool:
        return self.state in LIVING

    @property
    def task(self) -> int | None:
        """Which of its array's it is: of `123_4`, 4."""
        _, mark, task = self.job_id.partition("_")
        return int(task) if mark and task.isdigit() else None

    @property
    def key(self) -> tuple[str, int | None]:
        """By name, as ids begin again where Slurm was set up anew; an array's tasks share theirs."""
        return self.name, self.task


@dataclass(frozen=True)
class Told:
    """A job in detail. Times are in seconds since 1970 by the controller's clock.

    Attributes:
        exit_code: its own, and the signal that ended it.
        started: None for one that never was.
    """

    state: str
    reason: str = ""
    exit_code: tuple[int, int] = (0, 0)
    nodes: str = ""
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None


def ask(*command: str) -> str:
    """What a command of Slurm's prints.

    Raises:
        SlurmSilent: it failed, or is not there.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise SlurmSilent(f"{command[0]}: no answer in {PATIENCE} s") from None
    except OSError as error:
        raise SlurmSilent(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        raise SlurmSilent(reason_in(done.stderr) or f"{command[0]}: exit code {done.returncode}")
    return done.stdout


def reason_in(said: str) -> str:
    """Slurm's own reason in what a command said: its errors in one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [m[1] for line in lines if (m := re.match(r"\w+: (?:fatal|error): (.*)", line))]
    errors = [error.removeprefix("Batch job submission failed: ") for error in errors]
    return "; ".join(dict.fromkeys(errors)) or " ".join(lines[-1:])


def queue() -> list[Seen]:
    """This user's jobs, with those that ended within the last minutes.

    Raises:
        SlurmSilent: the controller does not answer.
    """
    found = []
    # -r: a line for each task of an array, also while they wait together
    said = ask("squeue", "-h", "-r", "-t", "all", "-u", str(os.getuid()), "-o", "%i|%T|%j|%r")
    for line in said.splitlines():
        # the reason may be a sentence
        parts = line.split("|", 3)
        if len(parts) < 4:
            # no job: a site's banner, or the name of a cluster
            continue
        job_id, state, name, reason = parts
        found.append(Seen(job_id, name, state, reason.strip("()")))
    return found


def detail(job_id: str) -> Told | None:
    """What Slurm knows of one job; None where it has forgotten it."""
    with suppress(SlurmSilent, ValueError):
        return _of_controller(ask("scontrol", "show", "job", "-o", job_id))
    with suppress(SlurmSilent, ValueError):
        return _of_accounting(
            ask("sacct", "-n", "-P", "-X", "-j", job_id, "-o",
                "State,ExitCode,NodeList,Submit,Start,End")
        )  # fmt: skip
    return None


def cancel(job_ids: Iterable[str]) -> None:
    """Cancel jobs; those that have ended already stay as they are.

    Raises:
        SlurmSilent: the controller does not answer.
    """
    ids = list(job_ids)
    if ids:
        try:
            ask("scancel", *ids)
        except SlurmSilent as error:
            if "nvalid job id" not in str(error):
                raise


def waits_for(reason: str) -> str:
    """Why a job waits, with what helps where time alone does not."""
    known = next((key for key in HELD if reason == key or reason.startswith(f"{key},")), None)
    return reason if known is None else f"{reason} ({HELD[known]})"


def _of_controller(said: str) -> Told:
    found = dict(re.findall(r"(?:^| )([A-Za-z:/]+)=(.*?)(?= [A-Za-z:/]+=|$)", said.strip()))
    return Told(
        found["JobState"],
        found.get("Reason", ""),
        _exit_code(found.get("ExitCode", "0:0")),
        found.get("NodeList", "").replace("(null)", ""),
        _moment(found.get("SubmitTime")),
        _moment(found.get("StartTime")) if found.get("NodeList", "(null)") != "(null)" else None,
        _moment(found.get("EndTime")),
    )


def _of_accounting(said: str) -> Told:
    # of a job that was started again: its last start
    state, code, nodes, submitted, started, ended = said.strip().splitlines()[-1].split("|")
    ran = nodes not in ("", "None assigned")
    return Told(
        # "CANCELLED by 1000"
        state.split()[0],
        "",
        _exit_code(code),
        nodes if ran else "",
        _moment(submitted),
        _moment(started) if ran else None,
        _moment(ended),
    )


def _exit_code(text: str) -> tuple[int, int]:
    code, _, number = text.partition(":")
    return int(code), int(number or 0)


def _moment(text: str | None) -> float | None:
    try:
        return datetime.fromisoformat(text or "").timestamp()
    except ValueError:
        return None


def last_words(stderr: str, lines: int = 3) -> str:
    """The last lines of a job's stderr, without what submitit and Slurm say in every one."""
    said: Sequence[str] = [line.strip() for line in stderr.splitlines() if line.strip()]
    said = [line for line in said if not re.match(r"submitit (INFO|WARNING)|srun: Job step", line)]
    # a command that was killed is told with all that it was started with
    return " | ".join(line if len(line) <= WIDTH else f"{line[:WIDTH]}…" for line in said[-lines:])
