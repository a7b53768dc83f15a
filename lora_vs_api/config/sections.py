"""The sections of params.yaml and the form of every key in them.

The models carry no default: a value is in params.yaml or the file is refused. So checking can
never change a number, and no node depends on this package.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lora_vs_api.record import fields as record

Share = Annotated[float, Field(gt=0, le=1, description="a share, above 0 and up to 1")]
Count = Annotated[int, Field(ge=1, description="an integer ≥ 1")]
Natural = Annotated[int, Field(ge=0, description="an integer ≥ 0")]
Positive = Annotated[float, Field(gt=0, description="a number above 0")]
NonNegative = Annotated[float, Field(ge=0, description="a number ≥ 0")]
RateText = Annotated[
    str,
    Field(
        pattern=r"^\d+(\.\d+)?([eE]-?\d+)?$",
        description='a learning rate as a quoted string, such as "2e-4"',
    ),
]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


class Data(Section):
    source: Literal["generator", "file"]
    path: str
    text: str | None
    record: str | None
    id: str | None
    n: Annotated[Annotated[int, Field(ge=1)] | None, Field(description="an integer ≥ 1, or null")]
    seed: Natural
    categories: dict[str, Share] | None
    sentiments: dict[str, Share] | None


class Shares(Section):
    train: Share
    val: Share
    test: Share


class Split(Section):
    shares: Shares
    seed: Natural


class Review(Section):
    sample: Count
    seed: Natural


class Contamination(Section):
    rows: Count
    field: str | None
    threshold: Share
    seed: Natural


class Sanity(Section):
    steps: Count
    r: Count
    learning_rate: RateText
    rows: Count
    min_valid_json: Annotated[float, Field(ge=0, le=1, description="a share from 0 to 1")]
    max_loss_ratio: Positive
    seed: Natural


class Lora(Section):
    r: Annotated[
        Annotated[int, Field(ge=1)] | Literal["best"],
        Field(description="an integer ≥ 1, or best for the sweep's winner"),
    ]
    learning_rate: Annotated[
        Annotated[str, Field(pattern=r"^(best|\d+(\.\d+)?([eE]-?\d+)?)$")] | float,
        Field(description="a number such as 2e-4, or best for the sweep's winner"),
    ]
    alpha_per_r: Positive
    dropout: Annotated[float, Field(ge=0, lt=1, description="a number from 0 to below 1")]
    variant: Literal["lora", "rslora", "dora", "pissa", "qlora"]
    plus_ratio: Annotated[
        Annotated[float, Field(ge=1)] | None, Field(description="a number ≥ 1, or null")
    ]
    target_modules: Annotated[
        Annotated[list[str], Field(min_length=1)] | Literal["all-linear"],
        Field(description="all-linear or a list of module names"),
    ]


class Tuning(Section):
    """Another way of tuning the base, beside the fine-tune that the question is about."""

    label: str
    method: Literal["lora", "rslora", "dora", "pissa", "qlora", "full", "prompt", "prefix"]
    learning_rate: RateText
    r: Annotated[Annotated[int, Field(ge=1)] | None, Field(description="an integer ≥ 1, or null")]
    plus_ratio: Annotated[
        Annotated[float, Field(ge=1)] | None, Field(description="a number ≥ 1, or null")
    ]
    virtual_tokens: Annotated[
        Annotated[int, Field(ge=1)] | None, Field(description="an integer ≥ 1, or null")
    ]
    seed: Natural


class Train(Section):
    epochs: Count
    max_steps: Annotated[
        Annotated[int, Field(ge=1)] | None, Field(description="an integer ≥ 1, or null")
    ]
    batch_size: Count
    gradient_accumulation: Count
    scheduler: Literal["cosine", "linear", "constant"]
    warmup_ratio: Annotated[float, Field(ge=0, lt=1, description="a share from 0 to below 1")]
    max_grad_norm: Positive


class Sweep(Section):
    ranks: Annotated[
        list[Annotated[int, Field(ge=1)]],
        Field(min_length=1, description="a list of integers ≥ 1, such as [8, 16]"),
    ]
    rank_sweep_learning_rate: RateText
    learning_rates: Annotated[
        list[RateText],
        Field(min_length=1, description='a list of quoted strings such as ["1e-4", "2e-4"]'),
    ]
    stop_ratio: Annotated[
        Annotated[float, Field(gt=1)] | None, Field(description="a number above 1, or null")
    ]
    val_rows: Count
    seed: Natural


class Evaluate(Section):
    test_rows: Count
    max_new_tokens: Count
    batch_size: Count
    constrained: bool
    latency_rows: Count
    shots_seed: Natural


class Robustness(Section):
    rows: Count
    perturbations: list[str]
    conditions: list[str]
    seed: Natural


class Stats(Section):
    resamples: Annotated[int, Field(ge=100, description="an integer ≥ 100")]
    confidence: Annotated[float, Field(gt=0.5, lt=1, description="between 0.5 and 1")]
    seed: Natural


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


class Plots(Section):
    palette: str
    lora_color: Annotated[
        str, Field(pattern=r"^#[0-9a-fA-F]{6}$", description='a colour such as "#0072B2"')
    ]
    dpi: Annotated[int, Field(ge=50, le=600, description="an integer 50..600")]


class Checkpoints(Section):
    folder: Annotated[str, Field(min_length=1, description="a folder's path")]
    minutes: Annotated[
        Annotated[float, Field(gt=0)] | None, Field(description="minutes above 0, or null")
    ]


class NodeResources(Section):
    cpus: Count
    gpus: Natural
    memory_gb: Positive
    minutes: Count


class TaskField(Section):
    """A field of the record; lora_vs_api.record.fields says which keys belong to which type."""

    type: Literal["string", "enum", "integer", "number", "boolean", "list", "object"]
    score: Annotated[
        Literal["exact", "normalised", "token_f1", "tolerance", "set_f1", "slot_f1"] | None,
        Field(description="exact, normalised, token_f1, tolerance, set_f1 or slot_f1"),
    ] = None
    values: list[str] | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    optional: bool = False
    tolerance: int | float | None = None
    items: TaskField | None = None
    fields: dict[str, TaskField] | None = None


class Task(Section):
    name: str
    title: str
    fields: Annotated[dict[str, TaskField], Field(min_length=1)]
    stratify_by: str | None
    instruction: Annotated[str, Field(min_length=1)]

    @property
    def field_specs(self) -> dict[str, dict[str, Any]]:
        """The fields as plain mappings, as lora_vs_api.record.fields takes them."""
        return {name: spec.model_dump(exclude_unset=True) for name, spec in self.fields.items()}

    @property
    def record_fields(self) -> tuple[record.Field, ...]:
        return record.fields_from_config(self.field_specs)


class Model(Section):
    name: str
    source: Literal["wheel", "hub", "path"]
    package: str | None
    version: str | None
    sha256: Annotated[
        Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None,
        Field(description="64 hexadecimal digits, or null"),
    ]
    gguf: str | None
    repo: str | None
    revision: str | None
    path: str | None
    license: str | None
    pad_token: str | None
    dtype: Literal["auto", "bfloat16", "float32"]
    disk_gb: Positive


class Api(Section):
    kind: Literal["embedded", "openai"]
    base_url: str | None
    port: Annotated[
        Annotated[int, Field(ge=1, le=65535)] | None,
        Field(description="a port 1..65535, or null for any free one"),
    ]
    key_env: str | None
    endpoint: Literal["responses", "chat"]
    mode: Literal["live", "batch"]
    concurrency: Count
    timeout_seconds: Positive
    max_attempts: Count
    max_minutes: Annotated[
        Annotated[float, Field(gt=0)] | None, Field(description="minutes above 0, or null")
    ]
    budget_usd: Annotated[
        Annotated[float, Field(ge=0)] | None, Field(description="USD ≥ 0, or null for no limit")
    ]
    store: Annotated[str | None, Field(description="a file's path, or null for no store")]
    replicates: Count
    replicate_rows: Count
    weights: str


class Condition(Section):
    label: str
    model: str
    shots: Natural
    output: Literal["text", "json_schema"]
    temperature: Annotated[
        Annotated[float, Field(ge=0, le=2)] | None,
        Field(description="a number 0..2, or null to send none"),
    ]
    reasoning_effort: Annotated[
        Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None,
        Field(description="one of none, minimal, low, medium, high, xhigh, or null to send none"),
    ]


class Price(Section):
    input: NonNegative
    cached_input: Annotated[
        Annotated[float, Field(ge=0)] | None, Field(description="a number ≥ 0, or null")
    ]
    output: NonNegative


class Prices(Section):
    as_of: str
    source: str
    batch_discount: Annotated[float, Field(ge=0, le=1, description="a share from 0 to 1")]
    models: dict[str, Price]


class AccuracyClause(Section):
    min_difference: float


class BreakEvenClause(Section):
    max_inferences: Count


class Clauses(Section):
    accuracy: AccuracyClause
    break_even: BreakEvenClause


class Hypothesis(Section):
    id: str
    statement: str
    clauses: Clauses


class Params(Section):
    profile_name: str
    data: Data
    split: Split
    review: Review
    contamination: Contamination
    sanity: Sanity
    device: Literal["cuda", "cpu"]
    lora: Lora
    tunings: dict[str, Tuning]
    train: Train
    sweep: Sweep
    seeds: Annotated[
        list[Annotated[int, Field(ge=0)]],
        Field(min_length=1, description="a list of integers ≥ 0, at least one, such as [0, 1, 2]"),
    ]
    evaluate: Evaluate
    robustness: Robustness
    stats: Stats
    economics: Economics
    plots: Plots
    checkpoints: Checkpoints
    nodes: dict[str, NodeResources]
    task: Task
    model: Model
    api: Api
    conditions: Annotated[dict[str, Condition], Field(min_length=1)]
    baseline: str
    priced_as: dict[str, str]
    prices: Prices
    hypothesis: Hypothesis
