"""What every section is, and the forms that many keys share."""

from __future__ import annotations

import re
from datetime import date
from os.path import expanduser
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

Share = Annotated[float, Field(gt=0, le=1, description="a share, above 0 and up to 1")]
Count = Annotated[int, Field(ge=1, description="an integer ≥ 1")]
Natural = Annotated[int, Field(ge=0, description="an integer ≥ 0")]
# what numpy's generators take; torch's and Python's take more
Seed = Annotated[int, Field(ge=0, lt=2**32, description="an integer from 0 to 4294967295")]
# GPUs: several whole ones, or a part of one
Gpus = Annotated[
    Annotated[int, Field(ge=0)] | Annotated[float, Field(gt=0, lt=1)],
    Field(description="an integer ≥ 0, or a part of one GPU such as 0.33"),
]
Positive = Annotated[float, Field(gt=0, description="a number above 0")]
NonNegative = Annotated[float, Field(ge=0, description="a number ≥ 0")]
OptionalCount = Annotated[
    Annotated[int, Field(ge=1)] | None, Field(description="an integer ≥ 1, or null")
]
OptionalRatio = Annotated[
    Annotated[float, Field(ge=1)] | None, Field(description="a number ≥ 1, or null")
]
# a longer one is no time to the operating system
Seconds = Annotated[
    float, Field(gt=0, le=1e9, description="seconds above 0, at most a thousand million")
]
OptionalMinutes = Annotated[
    Annotated[float, Field(gt=0, le=1e7)] | None,
    Field(description="minutes above 0, at most ten million, or null"),
]
RateText = Annotated[
    str,
    Field(
        pattern=r"^\d+(\.\d+)?([eE]-?\d+)?$",
        description='a learning rate as a quoted string, such as "2e-4"',
    ),
]


# how other languages write null, which YAML takes for a text; in small letters none is a level of reasoning
OTHERS_NULL = ("None", "NONE", "nil", "NIL", "Nil", "undefined", "<NA>")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    return text


_LINE_END = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _one_line(text: str) -> str:
    if _LINE_END.search(_not_blank(text)):
        raise ValueError(text)
    return text


# what tables and figures call something
Line = Annotated[str, AfterValidator(_one_line), Field(description="a text on one line")]


def _iso(value: Any) -> Any:
    """YAML takes a day without quotes for a date."""
    return value.isoformat() if type(value) is date else value


def _a_day(text: str) -> str:
    if date.fromisoformat(text).isoformat() != text:
        raise ValueError(text)
    return text


# of "C:\\temp\\new" in double quotes YAML makes a tab and a line end
FilePath = Annotated[
    str,
    Field(
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="a text, a path without control characters; in YAML, one with backslashes stands in single quotes",
    ),
]
# of what no node depends on; DVC takes a ~ in a dependency for a folder of that name
HomePath = Annotated[FilePath, AfterValidator(expanduser)]
Day = Annotated[
    str,
    BeforeValidator(_iso),
    AfterValidator(_a_day),
    Field(description="a day such as 2026-11-01"),
]
Device = Literal["cuda", "cpu"]
DType = Literal["auto", "bfloat16", "float32"]


class Section(BaseModel):
    """A mapping of params.yaml: no key more, no key less, no value of another type, no infinity, no blank text, no
    other language's null."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        protected_namespaces=(),
        allow_inf_nan=False,
    )

    @field_validator("*")
    @classmethod
    def _says_something(cls, value: Any) -> Any:
        if isinstance(value, str) and value.strip() in OTHERS_NULL:
            raise ValueError(value)
        return _not_blank(value) if isinstance(value, str) else value


# they end up in what pip is asked for, where a URL or an option would have it run what it finds there
PackageName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
        description="a package's name in letters, digits, dots, dashes and underscores",
    ),
]
PackageVersion = Annotated[
    str,
    Field(pattern=r"^[0-9][A-Za-z0-9.!+]*$", description="one version in quotes, such as '0.1.2'"),
]
