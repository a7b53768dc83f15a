"""Trials side by side: each experiment through an executor of `run`, on this machine, Ray or Slurm."""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lora_vs_api.errors import UserError
from lora_vs_api.orchestrate.executors import Executor, Resources
from lora_vs_api.search.study import score_of

# seconds that a network file system may take to show what git has of an experiment
SEEN_SECONDS = 15.0
# of a trial, as far as resources go: it trains and scores
KIND = "lr_trial"


@dataclass
class Asked:
    """What an executor looks up by a trial's name. Filled in before the trial starts."""

    each: Resources
    commands: dict[str, Sequence[str]] = field(default_factory=dict)
    needs: dict[str, Resources] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # for the executor that refuses at once what never fits
        self.needs[KIND] = self.each


def through(
    executor: Executor, asked: Asked, jobs: int
) -> Callable[[str, Sequence[str], Path], float]:
    """What :func:`run_search` takes as ``run``: an experiment, its score at its end."""
    slots: queue.SimpleQueue[int] = queue.SimpleQueue()
    for slot in range(jobs):
        slots.put(slot)

    def run(name: str, settings: Sequence[str], log: Path) -> float:
        asked.commands[name] = [sys.executable, "-m", "lora_vs_api.search.trial", name, *settings]
        asked.needs[name] = asked.each
        slot = slots.get()
        try:
            problem = executor.start(name, slot).result()
        finally:
            slots.put(slot)
        if problem is not None:
            raise UserError(problem)
        deadline = time.monotonic() + SEEN_SECONDS
        while True:
            try:
                return score_of(name, log)
            except UserError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    return run
