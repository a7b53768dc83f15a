"""Jobs of a batch system, written down before anybody waits for them: a head that dies forgets none.

One file a node, from before its job is submitted until its end has been seen.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lora_vs_api.files import write_json

# git and DVC leave this folder alone
FOLDER = Path(".dvc/tmp/jobs")


@dataclass(frozen=True)
class Job:
    """``job_id`` is None while it is being submitted; ``token`` stands in its name and in its file.

    ``trial``: a search's, in a copy of this folder, and no node of it. ``task``: which of a job array's it
    is, ``array`` that one's name; its tasks have one token and one name.
    """

    address: str
    token: str
    job_id: str | None = None
    trial: bool = False
    array: str | None = None
    task: int | None = None

    @property
    def name(self) -> str:
        """As Slurm knows it: what is found by it and ``task`` belongs to this submission alone."""
        return f"{(self.array or self.address).replace('@', '-')}.{self.token}"

    @property
    def key(self) -> tuple[str, int | None]:
        """As :attr:`Seen.key` of the queue."""
        return self.name, self.task

    def known_as(self, job_id: str) -> Job:
        return replace(self, job_id=job_id)


def new_job(address: str, trial: bool = False) -> Job:
    return Job(address, secrets.token_hex(4), trial=trial)


def new_array(addresses: Sequence[str], trial: bool = False) -> list[Job]:
    """One job array, a task for each address."""
    kinds = sorted({address.partition("@")[0] for address in addresses})
    name = kinds[0] if len(kinds) == 1 else "trials" if trial else "nodes"
    token = secrets.token_hex(4)
    return [
        Job(address, token, trial=trial, array=name, task=task)
        for task, address in enumerate(addresses)
    ]


def file_of(root: Path, job: Job) -> Path:
    """Where it is written down; that a machine reads the token there proves that it sees this folder."""
    return root / FOLDER / f"{job.address}.json"


def keep_job(root: Path, job: Job) -> None:
    write_json(file_of(root, job), asdict(job))


def forget_job(root: Path, job: Job) -> None:
    """Its end has been seen. A later job of the same node stays."""
    path = file_of(root, job)
    if any(kept.token == job.token for kept in _read(path)):
        path.unlink(missing_ok=True)


def kept_jobs(root: Path) -> list[Job]:
    """Those that an earlier run has submitted and not seen the end of."""
    folder = root / FOLDER
    return [job for path in sorted(folder.glob("*.json")) for job in _read(path)]


def _read(path: Path) -> Iterator[Job]:
    with suppress(OSError, ValueError, TypeError):
        yield Job(**json.loads(path.read_text(encoding="utf-8")))
