"""Writing Markdown: text that comes from data is escaped or fenced, so that none of it acts as markup."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lora_vs_api.report.numbers import significant, usd


def escape(value: str) -> str:
    """``value`` as inline Markdown that reads as itself, also in a table cell."""
    one_line = re.sub(r"\s+", " ", value).strip().replace("&", "&amp;")
    one_line = re.sub(r"([\\`*\[\]<>|#~$])", r"\\\1", one_line)
    # an underscore inside a word is no emphasis, and escaped it would be hard to read
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", one_line)


def fence(value: str, language: str = "") -> str:
    """``value`` as a code block that nothing inside it can close."""
    longest = max((len(run) for run in re.findall(r"`+", value)), default=0)
    marks = "`" * max(3, longest + 1)
    # a lone carriage return or a line separator would end a line for some readers and not others
    lines = "\n".join(value.splitlines())
    return f"{marks}{language}\n{lines}\n{marks}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str = "") -> str:
    """A Markdown table; cells are already Markdown. ``align`` has one of l, r a column."""
    align = align or "l" * len(header)
    rules = ["---:" if side == "r" else "---" for side in align]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rules, *rows))


def code_span(value: str) -> str:
    return escape(value) if re.search(r"[`|\s]", value) else f"`{value}`"


def figure_link(name: str, what: str) -> str:
    return f"![{what}](figures/{name}.svg)"


def p_value(value: float) -> str:
    return "<0.0001" if value < 0.00005 else significant(value, 2)


def signed_usd(value: float) -> str:
    return ("−" if value < 0 else "+") + usd(abs(value))


def seconds_text(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def compact_json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)
