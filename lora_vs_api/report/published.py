"""The published experiment's figures, which stand beside a run's own and are none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

PUBLISHED = Path(__file__).with_suffix(".yaml")
Outcome = Literal["holds", "fails"]


class Figures(BaseModel):
    """A part of published.yaml; the file holds more than the report shows."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PublishedCondition(Figures):
    """``break_even`` is None for the fine-tune itself; times are in seconds."""

    name: str
    label: str
    field_f1: float
    low: float
    high: float
    valid_json: float
    exact_match: float
    p50: float
    p95: float
    usd_per_1k: float
    break_even: float | None = None


class PublishedDifference(Figures):
    baseline: str
    estimate: float
    low: float
    high: float


class PublishedTrial(Figures):
    r: int
    learning_rate: float
    field_f1: float


class PublishedSelection(Figures):
    r: int
    learning_rate: float


class PublishedSweep(Figures):
    texts: int
    ranks: tuple[PublishedTrial, ...]
    learning_rates: tuple[PublishedTrial, ...]


class Published(Figures):
    """``counted_as``: the rows that its intervals take for independent texts."""

    task: str
    title: str
    date: str
    model: str
    machine: str
    texts: int
    counted_as: int
    seeds: int
    selected: PublishedSelection
    training_usd: float
    conditions: tuple[PublishedCondition, ...]
    difference: PublishedDifference
    verdict: dict[str, Outcome]
    sweep: PublishedSweep
    notes: tuple[str, ...]

    def condition(self, name: str) -> PublishedCondition:
        return next(row for row in self.conditions if row.name == name)


def published_experiment() -> Published:
    """The published figures, as they were published."""
    return Published.model_validate(yaml.safe_load(PUBLISHED.read_text(encoding="utf-8")))


def is_published_task(task: str) -> bool:
    """Whether a run's task is the published one; figures of another task are no measure of it.

    Args:
        task: the run's ``task_title``.
    """
    return task == published_experiment().task
