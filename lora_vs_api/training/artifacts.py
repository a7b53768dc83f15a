"""What the directory of a tuned model says about its training. Imports no torch.

Beside ``adapter_model.safetensors`` and ``adapter_config.json`` (of a full fine-tuning the model
itself, in transformers' files) there is ``training.json``: the specification that determines the
adapter, and its loss curve.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_vs_api.files import new_directory, read_json, write_json
from lora_vs_api.training.spec import TrainingSpec

RECORD = "training.json"


@dataclass(frozen=True)
class TrainingRecord:
    """The content of ``training.json``.

    ``spec`` is :meth:`TrainingSpec.as_json`, ``loss`` the training loss per optimiser step in nats
    per token. ``stopped_at_step`` is the step at which early stopping ended the training; None for
    a whole one.
    """

    spec: dict[str, Any]
    loss: list[float]
    stopped_at_step: int | None = None


def write_record(
    folder: Path, spec: TrainingSpec, losses: Sequence[float], stopped_at: int | None
) -> None:
    """Write ``training.json`` into ``folder``; a whole training has no ``stopped_at_step``."""
    record: dict[str, Any] = {"spec": spec.as_json(), "loss": [round(loss, 6) for loss in losses]}
    if stopped_at:
        record["stopped_at_step"] = stopped_at
    write_json(folder / RECORD, record)


def read_record(tuned: str | Path) -> TrainingRecord:
    """What the directory ``tuned`` says about its training.

    Raises:
        UserError: there is no such directory, or no training was written to it.
    """
    record = read_json(Path(tuned, RECORD))
    return TrainingRecord(record["spec"], record["loss"], record.get("stopped_at_step"))


def loss_curve(tuned: str | Path) -> list[float]:
    """Training loss per optimiser step."""
    return read_record(tuned).loss


def stopped_at_step(tuned: str | Path) -> int | None:
    """The optimiser step at which early stopping ended the training; None for a whole one."""
    return read_record(tuned).stopped_at_step


def reuse_adapter(candidate: str | Path, spec: TrainingSpec, out: str | Path) -> bool:
    """Copy the adapter ``candidate`` to ``out`` if it was trained to exactly ``spec``.

    Training again would give the same bytes: the rate sweep's trial at the rank sweep's rate is the
    winner of the rank sweep.
    """
    if not Path(candidate, RECORD).is_file():
        return False
    record = read_record(candidate)
    if record.spec != spec.as_json() or record.stopped_at_step is not None:
        return False
    with new_directory(out) as folder:
        shutil.copytree(candidate, folder, dirs_exist_ok=True)
    return True
