"""Statistics, money, the claim and the look of the figures; and what a node takes of a machine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lora_vs_api.config.sections.base import (
    Count,
    Gpus,
    NonNegative,
    OptionalCount,
    Positive,
    Section,
    Seed,
)


class Stats(Section):
    resamples: Annotated[int, Field(ge=100, le=10**6, description="an integer 100..1000000")]
    confidence: Annotated[float, Field(gt=0.5, lt=1, description="between 0.5 and 1")]
    seed: Seed


class Ownership(Section):
    # a longer one would be another machine, model and price list
    horizon_months: Annotated[int, Field(ge=1, le=120, description="an integer 1..120")]
    discount_per_year: Annotated[float, Field(ge=0, le=1, description="a share from 0 to 1")]
    api_price_trend_per_year: Annotated[
        float, Field(gt=-1, le=1, description="a share above -1 and up to 1")
    ]
    machine: Literal["own", "rented_while_busy", "rented_around_the_clock"]
    purchase_usd: NonNegative
    machine_is_shared: bool
    idle_watts: NonNegative
    peak_to_mean: Annotated[float, Field(ge=1, description="a factor ≥ 1")]
    api_engineer_days: NonNegative
    upkeep_days_per_month: NonNegative
    api_upkeep_days_per_month: NonNegative
    retrain_every_months: OptionalCount
    retrain_engineer_days: NonNegative
    usd_per_label: NonNegative
    minutes_per_label: NonNegative
    usd_per_wrong_record: NonNegative


class Economics(Section):
    engineer_days: NonNegative
    hours_per_day: Positive
    usd_per_hour: NonNegative
    watts: Positive
    usd_per_kwh: NonNegative
    overhead: Annotated[float, Field(ge=1, description="a factor ≥ 1")]
    rented_usd_per_hour: Annotated[
        Annotated[float, Field(gt=0)] | None, Field(description="USD above 0, or null")
    ]
    sensitivity_factor: Annotated[float, Field(gt=1, description="a factor above 1")]
    volumes_per_day: Annotated[
        list[Annotated[int, Field(ge=1)]],
        Field(min_length=1, description="a list of integers ≥ 1"),
    ]
    run_to_run_sd: Annotated[float, Field(ge=0, le=1, description="a share from 0 to 1")]
    ownership: Ownership


class AccuracyClause(Section):
    # a margin of 0 would call equal scores inferior
    margin: Positive


class CostClause(Section):
    max_ratio: Positive


class BreakEvenClause(Section):
    max_inferences: Count


class Clauses(Section):
    accuracy: AccuracyClause
    cost: CostClause
    break_even: BreakEvenClause


class Hypothesis(Section):
    """A claim made before any training. ``id`` and ``statement`` null: none was; the clauses' limits are those
    that recommendations go by all the same."""

    id: str | None
    statement: str | None
    clauses: Clauses


class Plots(Section):
    palette: str
    lora_color: Annotated[
        str, Field(pattern=r"^#[0-9a-fA-F]{6}$", description='a colour such as "#0072B2"')
    ]
    dpi: Annotated[int, Field(ge=50, le=600, description="an integer 50..600")]


class NodeResources(Section):
    cpus: Count
    gpus: Gpus
    memory_gb: Positive
    minutes: Count


class Person(Section):
    """Who reads what is escalated: how long a text takes, and what an hour costs."""

    minutes: Positive
    usd_per_hour: NonNegative


class Cascade(Section):
    conditions: list[str]
    person: Person | None
    val_rows: Annotated[int, Field(ge=2, description="an integer ≥ 2")]
    rule: Literal["best", "budget", "floor"]
    max_share: Annotated[
        Annotated[float, Field(ge=0, le=1)] | None,
        Field(description="a share from 0 to 1, or null"),
    ]
    max_usd_per_1000: Annotated[
        Annotated[float, Field(ge=0)] | None, Field(description="a number ≥ 0, or null")
    ]
    min_f1: Annotated[
        Annotated[float, Field(ge=0, le=1)] | None,
        Field(description="a number from 0 to 1, or null"),
    ]
    # what dvc.yaml makes of cascade=none or cascade=escalate
    seeds: list[int]
    asked: list[str]
    answers: str
    timings: str


class Matters(Section):
    length: Annotated[float, Field(gt=0, le=1, description="a number above 0, at most 1")]
    vocabulary: Annotated[float, Field(gt=0, le=1, description="a number above 0, at most 1")]
    labels: Annotated[float, Field(gt=0, le=1, description="a number above 0, at most 1")]
    confidence: Annotated[float, Field(gt=0, le=1, description="a number above 0, at most 1")]
    f1: Annotated[float, Field(gt=0, lt=1, description="a number above 0, below 1")]


class Monitor(Section):
    drift_alarm: Annotated[float, Field(ge=0.001, lt=0.5, description="from 0.001 to below 0.5")]
    quality_alarm: Annotated[float, Field(ge=0.001, lt=0.5, description="from 0.001 to below 0.5")]
    matters: Matters
