"""How the base is tuned: the fine-tune, its sweep, and other ways to compare it with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lora_vs_api.config.sections.base import (
    Count,
    HomePath,
    OptionalCount,
    OptionalMinutes,
    OptionalRatio,
    Positive,
    RateText,
    Section,
    Seed,
)

Variant = Literal["lora", "rslora", "dora", "pissa", "qlora"]


class Sanity(Section):
    steps: Count
    r: Count
    learning_rate: RateText
    rows: Count
    min_valid_json: Annotated[float, Field(ge=0, le=1, description="a share from 0 to 1")]
    max_loss_ratio: Positive
    seed: Seed


class Adapter(Section):
    """What rank and learning rate leave open of a LoRA adapter."""

    variant: Variant
    plus_ratio: OptionalRatio
    alpha_per_r: Positive
    dropout: Annotated[float, Field(ge=0, lt=1, description="a number from 0 to below 1")]
    target_modules: Annotated[
        Annotated[list[Annotated[str, Field(pattern=r"\S")]], Field(min_length=1)]
        | Literal["all-linear"],
        Field(description="all-linear or a list of module names"),
    ]


class Lora(Section):
    r: Annotated[
        Annotated[int, Field(ge=1)] | Literal["best"],
        Field(description="an integer ≥ 1, or best for the sweep's winner"),
    ]
    learning_rate: Annotated[
        Annotated[str, Field(pattern=r"^(best|\d+(\.\d+)?([eE]-?\d+)?)$")] | float,
        Field(description="a number such as 2e-4, or best for the sweep's winner"),
    ]
    adapter: Adapter


class LoraTuning(Section):
    """The base tuned by another LoRA-like adapter; LoRA+ where there is a ``plus_ratio``."""

    method: Variant
    learning_rate: RateText
    r: Count
    plus_ratio: OptionalRatio = None
    seed: Seed


class FullTuning(Section):
    """Every weight of the base tuned."""

    method: Literal["full"]
    learning_rate: RateText
    seed: Seed


class PromptTuning(Section):
    """Virtual tokens learnt, before the prompt or before every layer."""

    method: Literal["prompt", "prefix"]
    learning_rate: RateText
    virtual_tokens: Count
    seed: Seed


Tuning = Annotated[LoraTuning | FullTuning | PromptTuning, Field(discriminator="method")]


class Train(Section):
    """``max_length`` is of prompt and record together, in tokens; ``too_long`` what becomes of a text with more."""

    epochs: Count
    max_steps: OptionalCount
    batch_size: Count
    gradient_accumulation: Count
    group_by_length: bool
    scheduler: Literal["cosine", "linear", "constant"]
    warmup_ratio: Annotated[float, Field(ge=0, lt=1, description="a share from 0 to below 1")]
    max_grad_norm: Positive
    max_length: OptionalCount
    too_long: Literal["refuse", "cut"]

    @property
    def most_texts(self) -> int | None:
        """How many texts ``max_steps`` lets a training see; None where epochs decide, which see all."""
        if self.max_steps is None:
            return None
        return self.max_steps * self.batch_size * self.gradient_accumulation


class Trial(Section):
    """``train`` is how a trial is trained: in all that it does not change, like the final trainings."""

    seed: Seed
    val_rows: Count
    train: Train


class Sweep(Section):
    ranks: Annotated[
        list[Annotated[int, Field(ge=1)]],
        Field(description="a list of integers ≥ 1, such as [8, 16], or [] without a sweep"),
    ]
    rank_sweep_learning_rate: RateText
    learning_rates: Annotated[
        list[RateText],
        Field(
            description='a list of quoted strings such as ["1e-4", "2e-4"], or [] without a sweep'
        ),
    ]
    early_stopping_ratio: Annotated[
        Annotated[float, Field(gt=1)] | None, Field(description="a number above 1, or null")
    ]
    trial: Trial

    @property
    def rates_tried(self) -> list[str]:
        """None without ranks, which leaves the sweep out: rates are tried at the best rank."""
        return self.learning_rates if self.ranks else []


class CurveSteps(Section):
    """How many optimiser steps a training on fewer texts takes; never more than a final training."""

    scale: Literal["proportional", "same"]
    least: Count


class LearningCurve(Section):
    """Trainings on so many texts each, with each seed; no size leaves the curve out."""

    sizes: Annotated[
        list[Annotated[int, Field(ge=1)]],
        Field(description="a list of integers ≥ 1, such as [50, 100, 200], or []"),
    ]
    seeds: Annotated[
        list[Seed],
        Field(min_length=1, description="a list of integers ≥ 0, at least one, such as [10, 11]"),
    ]
    steps: CurveSteps


class TrainingLabels(Section):
    """Who labels the training texts; an API condition that does is called the teacher."""

    source: Literal["gold", "api"]
    condition: str | None
    max_left_out: Annotated[float, Field(ge=0, lt=1, description="a share from 0 to below 1")]
    # what dvc.yaml makes of training_labels=gold, api or api_only
    # null in it where no condition is there to be asked, which is refused by name
    asked: list[str | None]
    seeds: list[int]
    rows: str
    first_rows: str
    timings: str
    results: str
    bill: str
    bill_timings: str


class Checkpoints(Section):
    folder: Annotated[HomePath, Field(min_length=1, description="a folder's path")]
    minutes: OptionalMinutes
