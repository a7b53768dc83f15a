"""The sections of params.yaml and the form of every key in them.

A value is in params.yaml or the file is refused: checking can never change a number, and no node
depends on this package. Only keys that an arm of a union or a condition may go without have a default,
null.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lora_vs_api.config.sections.analysis import (
    Cascade,
    Clauses,
    Economics,
    Hypothesis,
    Monitor,
    NodeResources,
    Ownership,
    Person,
    Plots,
    Stats,
)
from lora_vs_api.config.sections.api import (
    Api,
    CataloguePrices,
    Condition,
    ConditionServer,
    EmbeddedServer,
    FileShots,
    ListedPrices,
    LlamaCppServer,
    OpenAIServer,
    Prices,
    Replicates,
    WrittenShots,
)
from lora_vs_api.config.sections.base import Line, Section, Seed
from lora_vs_api.config.sections.data import (
    Contamination,
    Data,
    FileData,
    GeneratedData,
    Review,
    SeeAlso,
    Split,
    Task,
)
from lora_vs_api.config.sections.model import (
    Decoding,
    Evaluate,
    GgufWeights,
    HubWeights,
    Model,
    ModelFree,
    PathWeights,
    Robustness,
    Runtime,
    WheelWeights,
)
from lora_vs_api.config.sections.opponents import (
    GgufFile,
    HubFile,
    LocalFile,
    Opponent,
    WheelPart,
    WheelParts,
)
from lora_vs_api.config.sections.serving import Serving, VllmServer, VllmServing
from lora_vs_api.config.sections.training import (
    Adapter,
    Checkpoints,
    FullTuning,
    LearningCurve,
    Lora,
    LoraTuning,
    PromptTuning,
    Sanity,
    Sweep,
    Train,
    TrainingLabels,
    Tuning,
)
from lora_vs_api.prices.price import OwnPrice, Price

__all__ = [
    "Adapter",
    "Cascade",
    "CataloguePrices",
    "Clauses",
    "Condition",
    "ConditionServer",
    "Economics",
    "EmbeddedServer",
    "FileData",
    "FileShots",
    "FullTuning",
    "GeneratedData",
    "GgufFile",
    "GgufWeights",
    "HubFile",
    "HubWeights",
    "Hypothesis",
    "LearningCurve",
    "ListedPrices",
    "LlamaCppServer",
    "LocalFile",
    "LoraTuning",
    "Monitor",
    "OpenAIServer",
    "Opponent",
    "Ownership",
    "Params",
    "PathWeights",
    "Person",
    "Plots",
    "Price",
    "Prices",
    "PromptTuning",
    "Replicates",
    "SeeAlso",
    "Serving",
    "Stats",
    "Train",
    "TrainingLabels",
    "Tuning",
    "VllmServer",
    "VllmServing",
    "WheelPart",
    "WheelParts",
    "WheelWeights",
    "WrittenShots",
]


class Params(Section):
    """All of params.yaml."""

    profile_name: Line
    task_name: Annotated[str, Field(description="a plain word")]
    task_title: Line
    data: Data
    split: Split
    review: Review
    contamination: Contamination
    sanity: Sanity
    runtime: Runtime
    lora: Lora
    tunings: dict[str, Tuning]
    train: Train
    sweep: Sweep
    seeds: Annotated[
        list[Seed],
        Field(min_length=1, description="a list of integers ≥ 0, at least one, such as [0, 1, 2]"),
    ]
    decoding: Decoding
    evaluate: Evaluate
    serving: Serving
    model_free: list[ModelFree]
    robustness: Robustness
    learning_curve: LearningCurve
    cascade: Cascade
    monitor: Monitor
    training_labels: TrainingLabels
    stats: Stats
    economics: Economics
    plots: Plots
    checkpoints: Checkpoints
    nodes: dict[str, NodeResources]
    task: Task
    model: Model
    # models that API conditions ask on this machine, fetched before
    opponents: dict[str, Opponent]
    api: Api
    # none: the fine-tune against the untuned base and the predictors without a model
    conditions: dict[str, Condition]
    # what tables and figures call a condition or tuning; one without shows its own name
    labels: dict[str, Line]
    # the API condition that H1 is judged against; null where there is none
    baseline: Annotated[str | None, Field(description="a condition or null")]
    # reports of other runs on the task, which this run's report names
    see_also: list[SeeAlso]
    # whose token prices a condition is billed at, or a price of its own
    priced_as: dict[str, str | OwnPrice]
    prices: Prices
    # what stands beside it, and decides nothing; null: nothing does
    prices_beside: Prices | None
    hypothesis: Hypothesis
    # columns or fields by whose values the report shows the scores
    slices: Annotated[
        list[Annotated[str, Field(min_length=1)]],
        Field(description="a list of columns or fields, such as [language], or []"),
    ]
