"""params.yaml, read and checked in full before a node does anything.

The models below carry no default: a value is in params.yaml or the file is refused. So
checking can never change a number, and this module is no dep of any node.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lora_vs_api.errors import UserError
from lora_vs_api.task.perturbation import PERTURBATIONS
from lora_vs_api.task.schema import fields_from_config

PARAMS = "params.yaml"

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
    """A field of the record; lora_vs_api.task.schema says which keys belong to which type."""

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
        """The fields as plain mappings, as lora_vs_api.task.schema takes them."""
        return {name: spec.model_dump(exclude_unset=True) for name, spec in self.fields.items()}


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


def load_params(path: str | Path = PARAMS) -> Params:
    """Read and check every key of ``path``.

    Raises:
        UserError: one line naming the first key at fault and the form it should have.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; `make params` composes it from conf/") from None
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(
            f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}"
        ) from None
    return _in_project(check_params(raw, str(path)), Path.cwd())


def _in_project(params: Params, here: Path) -> Params:
    """``params`` with the project's own model and store where ``here`` is a copy that DVC made.

    `dvc exp run --temp` and `--queue` work in .dvc/tmp/exps/, in copies that hold what git and DVC
    know. A model beside them would not be found there, and paid answers would go with the copy.
    """
    copies = next(
        (p for p in here.parents if p.parts[-3:] == (".dvc", "tmp", "exps")), None
    )  # fmt: skip
    if copies is None:
        return params
    project, path, store = copies.parents[2], params.model.path, params.api.store
    if path is not None and not (here / path).exists():
        path = str(project / Path(path).expanduser())
    # an absolute path stays what it is
    store = None if store is None else str(project / store)
    return params.model_copy(
        update={
            "model": params.model.model_copy(update={"path": path}),
            "api": params.api.model_copy(update={"store": store}),
        }
    )


def check_params(raw: Any, where: str = PARAMS) -> Params:
    """Check a composed configuration; see :func:`load_params`."""
    if not isinstance(raw, dict):
        raise UserError(f"{where}: expected a mapping of settings, found {type(raw).__name__}")
    unset = _unset(raw)
    if unset:
        raise UserError(f"{where}: {unset}: has no value yet; give one with -S {unset}=…")
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{where}: {_explain(error, raw)}") from None
    problem = _inconsistency(params)
    if problem:
        raise UserError(f"{where}: {problem}")
    return params


def _unset(value: Any, key: str = "") -> str | None:
    """The first key whose value is Hydra's ``???``, a value that has to be given."""
    if isinstance(value, dict):
        inner = (
            _unset(item, f"{key}.{name}" if key else str(name)) for name, item in value.items()
        )
        return next((found for found in inner if found), None)
    return key if value == "???" else None


def _inconsistency(params: Params) -> str | None:
    """What no single key can get wrong alone; None when all is well."""
    for key, values in (
        ("seeds", params.seeds),
        ("sweep.ranks", params.sweep.ranks),
        ("sweep.learning_rates", params.sweep.learning_rates),
        ("robustness.perturbations", params.robustness.perturbations),
        ("robustness.conditions", params.robustness.conditions),
    ):
        if len(set(values)) != len(values):
            return f"{key}: expected no value twice, found {values}"
    for key, rate in [
        ("sanity.learning_rate", params.sanity.learning_rate),
        ("sweep.rank_sweep_learning_rate", params.sweep.rank_sweep_learning_rate),
        ("lora.learning_rate", params.lora.learning_rate),
        *((f"tunings.{name}.learning_rate", t.learning_rate) for name, t in params.tunings.items()),
        *(("sweep.learning_rates", rate) for rate in params.sweep.learning_rates),
    ]:
        if rate != "best" and not 0 < float(rate) < 1:
            return f"{key}: expected a learning rate above 0 and below 1, found {rate!r}"
    needed_data = {
        "generator": ("n", "categories", "sentiments"),
        "file": ("text",),
    }
    for key in needed_data[params.data.source]:
        if getattr(params.data, key) is None:
            return f"data.{key}: needed with data.source={params.data.source}, found null"
    for key, mapping in (
        ("data.categories", params.data.categories),
        ("data.sentiments", params.data.sentiments),
        ("split.shares", params.split.shares.model_dump()),
    ):
        if mapping is not None and abs(sum(mapping.values()) - 1) > 1e-9:
            return f"{key}: expected shares that sum to 1, found a sum of {sum(mapping.values()):g}"
    try:
        fields_from_config(params.task.field_specs)
    except UserError as error:
        return str(error)
    name = params.contamination.field
    if name is not None and (
        name not in params.task.fields or params.task.fields[name].type != "enum"
    ):
        return f"contamination.field: expected an enum field of the task or null, found {params.contamination.field!r}"
    if params.task.stratify_by is not None and params.task.stratify_by not in params.task.fields:
        return f"task.stratify_by: expected a field of the task or null, found {params.task.stratify_by!r}"
    if params.baseline not in params.conditions:
        return (
            f"baseline: expected one of {', '.join(params.conditions)}, found {params.baseline!r}"
        )
    for name in params.conditions:
        price = params.priced_as.get(name)
        if price not in params.prices.models:
            return (
                f"priced_as.{name}: expected one of {', '.join(params.prices.models)} "
                f"(keys of prices.models), found {price!r}"
            )
    if params.evaluate.latency_rows > params.evaluate.test_rows:
        return "evaluate.latency_rows: expected no more than evaluate.test_rows"
    if "default" not in params.nodes:
        return "nodes.default: missing; it counts for every node that is not named"
    for name, tuning in params.tunings.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in (
            "lora",
            "base_zero_shot",
            *params.conditions,
        ):
            return (
                f"tunings.{name}: expected a name of its own in lower case, digits and underscores"
            )
        key = "virtual_tokens" if tuning.method in ("prompt", "prefix") else "r"
        if tuning.method != "full" and getattr(tuning, key) is None:
            return f"tunings.{name}.{key}: needed with method={tuning.method}, found null"
        if key == "virtual_tokens" and params.evaluate.constrained:
            return (
                f"tunings.{name}: learnt tokens ({tuning.method}) cannot be decoded with "
                "evaluate.constrained=true"
            )
    if params.robustness.rows > params.evaluate.test_rows:
        return "robustness.rows: expected no more than evaluate.test_rows"
    for key, values, allowed in (
        ("robustness.perturbations", params.robustness.perturbations, PERTURBATIONS),
        ("robustness.conditions", params.robustness.conditions, params.conditions),
    ):
        unknown = [value for value in values if value not in allowed]
        if unknown:
            return f"{key}: expected some of {', '.join(allowed)}, found {unknown[0]!r}"
    needed = {
        "wheel": ("package", "version", "sha256", "gguf"),
        "hub": ("repo", "revision"),
        "path": ("path",),
    }
    for key in needed[params.model.source]:
        if getattr(params.model, key) is None:
            return f"model.{key}: needed with model.source={params.model.source}, found null"
    if params.api.kind == "embedded" and params.api.mode == "batch":
        return "api.mode: expected live with api.kind=embedded, which has no Batch API"
    if params.api.kind == "openai":
        for key in ("base_url", "store"):
            if getattr(params.api, key) is None:
                return f"api.{key}: needed with api.kind=openai, found null"
        address = urlsplit(params.api.base_url)
        if address.username or address.password or address.query:
            # not shown: what stands there may be a secret, and params.yaml is committed
            return "api.base_url: expected no user, password or query; a key goes into api.key_env"
        if address.scheme not in ("http", "https") or address.hostname is None:
            return (
                "api.base_url: expected an address such as http://127.0.0.1:8000/v1, "
                f"found {params.api.base_url!r}"
            )
    return None


def _explain(error: ValidationError, raw: dict[str, Any]) -> str:
    """The first complaint in words: the key as the user wrote it, and the form it should have."""
    first = error.errors(include_url=False)[0]
    path: list[str | int] = []
    value: Any = raw
    for part in first["loc"]:
        known = (
            part in value
            if isinstance(value, dict)
            else (isinstance(value, list) and isinstance(part, int) and part < len(value))
        )
        # what cannot be followed in the file is pydantic's name for one arm of a union
        if known:
            value = value[part]
            path.append(part)
        elif first["type"] == "missing":
            path.append(part)
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]
    if first["type"] == "missing":
        return f"{key}: missing; `make params` composes a complete file from conf/"
    if first["type"] == "extra_forbidden":
        siblings = list(_schema_at(path[:-1])["properties"])
        near = difflib.get_close_matches(str(path[-1]), siblings, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"{key}: unknown key{hint}; expected one of {', '.join(siblings)}"
    return f"{key}: expected {_expected(path)}, found {value!r}"


def _schema_at(path: list[str | int]) -> dict[str, Any]:
    """The JSON Schema of the value at ``path`` of params.yaml."""
    root = Params.model_json_schema()
    node = root
    for part in path:
        if isinstance(part, int):
            node = node["items"]
        else:
            node = node.get("properties", {}).get(part) or node["additionalProperties"]
        node = _resolved(node, root)
    return node


def _resolved(node: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """``node`` itself, or the section that it names, null aside."""
    arms = [arm for arm in node.get("anyOf", []) if arm.get("type") != "null"]
    if len(arms) == 1 and ("$ref" in arms[0] or "additionalProperties" in arms[0]):
        node = arms[0]
    if "$ref" in node:
        return root["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def _expected(path: list[str | int]) -> str:
    """The form of the value at ``path``, in words."""
    node = _schema_at(path)
    if "properties" in node:
        return "a section with " + ", ".join(node["properties"])
    if "description" in node:
        return node["description"]
    if "enum" in node:
        return "one of " + ", ".join(node["enum"])
    if "anyOf" in node:
        choices = [str(arm.get("enum") or arm.get("type")) for arm in node["anyOf"]]
        return " or ".join(choices)
    if "minimum" in node:
        return f"{node['type']} ≥ {node['minimum']}"
    words = {
        "integer": "an integer",
        "number": "a number",
        "string": "a text",
        "array": "a list",
        "object": "a mapping",
    }
    return words.get(node.get("type", ""), "another value")
