"""A sweep's scored trials, the best of them and its adapter. Knows nothing of torch."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lora_vs_api.errors import UserError
from lora_vs_api.files import new_directory, read_json, write_json


@dataclass(frozen=True)
class Trial:
    """One training of a sweep, its scores the means over ``texts`` validation texts, each 0..1.

    ``sweep`` and ``item`` name its node; ``steps`` are the optimiser steps that it took and
    ``last_loss`` is the last one's; ``stopped_at_step`` is the optimiser step at which early
    stopping ended it, None for a whole training.
    """

    sweep: str
    item: str
    r: int
    learning_rate: float
    seed: int
    texts: int
    field_f1: float
    valid_json: float
    exact_match: float
    last_loss: float
    steps: int
    stopped_at_step: int | None = None

    @property
    def adapter(self) -> Path:
        return Path("models", self.sweep, self.item)


def write_trials(path: str | Path, trials: Iterable[Trial]) -> None:
    write_json(path, [asdict(trial) for trial in trials])


def read_trials(path: str | Path) -> list[Trial]:
    return [Trial(**trial) for trial in read_json(path)]


def best_trial(trials: Sequence[Trial]) -> Trial:
    """The trial of highest val field F1; ties go to the smaller rank, then the smaller rate."""
    if not trials:
        raise UserError("sweep: no trial to choose from")
    return min(trials, key=lambda t: (-t.field_f1, t.r, t.learning_rate))


def copy_adapter(adapter: str | Path, out: str | Path) -> None:
    """Copy a trial's adapter to ``out``."""
    with new_directory(out) as folder:
        shutil.copytree(adapter, folder, dirs_exist_ok=True)
