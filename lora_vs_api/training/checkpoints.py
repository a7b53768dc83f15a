"""Checkpoints of a training, from which one that was killed goes on to the same result.

A training has a folder of its own, named by the digest of all that determines its course. In it is
at most one checkpoint in the Trainer's format: weights, optimiser, schedule, random state and the
losses so far. A checkpoint is written under another name, gets the digests of its files and is
then renamed, so that what a kill left half-written, or a disk has lost since, is never read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from lora_vs_api.digests import directory_sha256, file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, write_json
from lora_vs_api.log import say
from lora_vs_api.training.resources import ResourceUse

RECORD = "checkpoint.json"
# what a training runs besides the libraries: the loop, and the model that it moves
PACKAGES = ("model", "record", "training")
# they compute, and draw the random numbers: another version may go on another way
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate")


@dataclass(frozen=True)
class CheckpointSettings:
    """Where checkpoints are kept and how many minutes lie between two."""

    folder: str
    minutes: float


@dataclass(frozen=True)
class Checkpoint:
    """One that can be gone on from, and what the training has taken up to it."""

    path: Path
    used: ResourceUse


class Checkpoints:
    """The folder of one training, which this process alone writes to."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder = folder
        self.seconds = seconds
        # where the Trainer writes: what is there when a process starts was never finished
        self.unfinished = folder / "unfinished"

    def last(self) -> Checkpoint | None:
        """The checkpoint to go on from; one that cannot be read is set aside with a line."""
        found = sorted(self.folder.glob("checkpoint-*[0-9]"), key=_step, reverse=True)
        for path in found:
            used = _read(path)
            if used is not None:
                return Checkpoint(path, used)
            aside = path.with_name(f"{path.name}.unreadable")
            shutil.rmtree(aside, ignore_errors=True)
            os.replace(path, aside)
            say(f"{path}: cannot be read, set aside as {aside.name}")
        return None

    def finish(self, step: int, used: ResourceUse) -> None:
        """Make what the Trainer wrote for ``step`` the one checkpoint there is."""
        written, path = self.unfinished / f"checkpoint-{step}", self.folder / f"checkpoint-{step}"
        files = {
            str(file.relative_to(written)): file_sha256(file)
            for file in sorted(written.rglob("*"))
            if file.is_file()
        }
        write_json(written / RECORD, {"used": asdict(used), "files": files})
        earlier = list(self.folder.glob("checkpoint-*[0-9]"))
        os.replace(written, path)
        for other in earlier:
            shutil.rmtree(other, ignore_errors=True)

    def remove(self) -> None:
        """The training is over, nobody will go on from here."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _step(path: Path) -> int:
    return int(path.name.rsplit("-", 1)[1])


def _read(path: Path) -> ResourceUse | None:
    """What a training that is resumed here has taken; None where a file is missing or has changed."""
    try:
        record = read_json(path / RECORD)
        whole = all(file_sha256(path / name) == digest for name, digest in record["files"].items())
    except (UserError, OSError, ValueError):
        return None
    if not whole:
        return None
    used = record["used"]
    return ResourceUse(used["seconds"], used["joules"], (*used["resumed_at"], _step(path)))


@contextmanager
def checkpoints_of(
    training: Mapping[str, Any], settings: CheckpointSettings | None, description: str
) -> Iterator[Checkpoints | None]:
    """The checkpoints of the training that ``training`` (JSON) determines, for this process alone.

    None without ``settings``, and where another process is at the same training: this one then
    trains from the start and writes no checkpoint.

    Raises:
        UserError: the folder cannot be written to.
    """
    if settings is None:
        yield None
        return
    folder = Path(settings.folder, training_key(training))
    lock = FileLock(folder / "lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        say(f"{description}: another process is at it too; this one writes no checkpoints")
        yield None
        return
    except OSError as error:
        raise UserError(
            f"checkpoints.folder: {folder} cannot be written to: {error.strerror}; "
            "checkpoints.minutes=null trains without"
        ) from None
    try:
        checkpoints = Checkpoints(folder, settings.minutes * 60)
        shutil.rmtree(checkpoints.unfinished, ignore_errors=True)
        yield checkpoints
    finally:
        # before the lock is released: the folder may be the next process's right after
        if not any(folder.glob("checkpoint-*")):
            checkpoints.remove()
        lock.release()


def training_key(training: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of all that determines a training's course.

    Besides ``training`` these are the code of the packages that train and the libraries' versions:
    from a checkpoint of other code a training would come to a result that neither code gives.
    """
    packages = Path(__file__).resolve().parents[1]
    everything = {
        "training": training,
        "code": [directory_sha256(packages / name) for name in PACKAGES],
        "libraries": {name: version(name) for name in LIBRARIES},
    }
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:16]


class SaveEveryMinutes(TrainerCallback):
    """Asks for a checkpoint when the last is old enough, but not after the last step."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.since = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step < state.max_steps and time.monotonic() - self.since >= self.seconds:
            control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.since = time.monotonic()
