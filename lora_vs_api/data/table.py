"""What every reader of a file gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# the column that says of which file of a folder, or list of a file, a row is
FILE_SPLIT = "split"

Rows = list[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Table:
    """Rows as (place such as ``file.csv:12``, column → value), and what to know of how they were read.

    ``conversations``: their texts and records were taken from such. ``instruction`` is the one system prompt
    that all of these have, if any.
    """

    rows: Rows
    notes: list[str] = field(default_factory=list)
    conversations: bool = False
    instruction: str | None = None
