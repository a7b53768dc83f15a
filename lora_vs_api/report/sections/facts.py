"""Facts about a result that several sections state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from lora_vs_api.analysis.results import Analysis, Condition, Latency

# characters of a value that a sentence quotes
MAX_SHOWN = 60


class WithMethod(Protocol):
    """Anything that names the method of its interval."""

    @property
    def method(self) -> str: ...


def api_conditions(analysis: Analysis) -> list[Condition]:
    return [row for row in analysis.conditions if row.kind == "api"]


def is_embedded(analysis: Analysis) -> bool:
    """Whether the API conditions ask the untuned base behind a local server, not a hosted model."""
    return analysis.api_kind == "embedded"


def is_local(analysis: Analysis) -> bool:
    """Whether this machine serves the API conditions' models, the untuned base or others."""
    return analysis.api_kind != "openai"


def served_models(analysis: Analysis) -> list[str]:
    """The models behind the API conditions, each once."""
    return list(dict.fromkeys(row.model for row in api_conditions(analysis)))


def in_flight(latency: Latency) -> str:
    """How many requests were in flight while a condition was timed, in words."""
    if latency.p50 is None:
        return "–"
    if latency.in_flight_unknown or latency.in_flight is None:
        # a result without ends has the one number that all were timed at, or none that is known
        known = latency.in_flight
        if known is None:
            return "unknown number" if latency.concurrency is None else str(latency.concurrency)
        return f"{_ends(known)}, for some unknown,"
    return _ends(latency.in_flight)


def _ends(known: tuple[int, int]) -> str:
    fewest, most = known
    return str(most) if fewest == most else f"{fewest} to {most}"


def unguessed_fields(analysis: Analysis) -> list[str]:
    """Fields on which every condition that saw no example scores at most 0.1.

    Conditions that seldom write valid JSON fail for another reason and do not count.
    """
    blind = [
        row
        for row in analysis.conditions
        if row.kind in ("base", "api") and not row.shots and row.valid_json >= 0.5
    ]
    return [
        name
        for name in analysis.fields
        if blind and all(_at_most(row.per_field[name], 0.1) for row in blind)
    ]


def unit_words(analysis: Analysis) -> str:
    """What intervals and tests count: a text, or what texts are grouped by."""
    return "text" if analysis.groups is None else group_words(analysis.groups.by)


def group_words(column: str) -> str:
    """A column's name as the noun that it is."""
    return " ".join(column.replace("_", " ").split())


def apart(analysis: Analysis) -> str | None:
    """What the split kept whole, as a noun; None where it did not."""
    groups = analysis.groups
    return None if groups is None or groups.apart_by is None else group_words(groups.apart_by)


def _at_most(score: float | None, limit: float) -> bool:
    """False of a field without a score."""
    return score is not None and score <= limit


def seeds_words(analysis: Analysis) -> str:
    seeds = len(analysis.seeds)
    return "one seed" if seeds == 1 else f"mean of {seeds} seeds"


def constant_fields(analysis: Analysis) -> dict[str, str]:
    """Field → the one value that the fine-tune answers, where others were expected too."""
    found = analysis.lora.diagnosis.constant
    return {
        name: value if len(value) <= MAX_SHOWN else value[:MAX_SHOWN] + "…"
        for name, value in found.items()
    }


def method_names(rows: Iterable[WithMethod]) -> str:
    """The methods named, each once; one that only says less than another is left out."""
    named = list(dict.fromkeys(row.method for row in rows))
    return " / ".join(
        method
        for method in named
        if not any(other != method and other.startswith(method) for other in named)
    )
