"""Facts about a result that several sections state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from lora_vs_api.analysis.results import Analysis, BreakEven, Comparison, Condition

Accuracy = Literal["better", "worse", "unclear"]


class WithMethod(Protocol):
    """Anything that names the method of its interval."""

    @property
    def method(self) -> str: ...


@dataclass(frozen=True)
class Rival:
    """An API condition beside the fine-tune. ``per_day``: the volume a day that ``days`` is told for."""

    condition: Condition
    comparison: Comparison
    break_even: BreakEven
    accuracy: Accuracy
    per_day: int | None


def rival(analysis: Analysis, name: str) -> Rival:
    comparison, break_even = analysis.comparison(name), analysis.break_even(name)
    rates = list(break_even.days or ())
    return Rival(
        condition=analysis.condition(name),
        comparison=comparison,
        break_even=break_even,
        accuracy=accuracy_of(comparison),
        per_day=rates[len(rates) // 2] if rates else None,
    )


def accuracy_of(comparison: Comparison) -> Accuracy:
    """The side of 0 on which the whole paired interval lies; unclear where it holds 0."""
    if comparison.low > 0:
        return "better"
    return "worse" if comparison.high < 0 else "unclear"


def api_conditions(analysis: Analysis) -> list[Condition]:
    return [row for row in analysis.conditions if row.kind == "api"]


def strongest_api(analysis: Analysis) -> Condition:
    """The API condition of highest field F1; of equals, the cheaper."""
    return max(
        api_conditions(analysis),
        key=lambda row: (row.field_f1.estimate, -row.cost_per_1k.usd),
    )


def is_embedded(analysis: Analysis) -> bool:
    """Whether the API conditions ask the untuned base behind a local server, not a hosted model."""
    return analysis.api_kind == "embedded"


def served_models(analysis: Analysis) -> list[str]:
    """The models behind the API conditions, each once."""
    return list(dict.fromkeys(row.model for row in api_conditions(analysis)))


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
        if blind and all(row.per_field[name] <= 0.1 for row in blind)
    ]


def seeds_words(analysis: Analysis) -> str:
    seeds = len(analysis.seeds)
    return "one seed" if seeds == 1 else f"mean of {seeds} seeds"


def constant_fields(analysis: Analysis) -> dict[str, str]:
    """Field → the one label that the fine-tune answers, where other labels were expected too."""
    found = {}
    for field, matrix in analysis.lora.diagnosis.confusion.items():
        answered = {label for row in matrix.values() for label, n in row.items() if n}
        expected = [label for label, row in matrix.items() if sum(row.values())]
        # giving no answer is another failure, and counted as such
        if len(answered) == 1 and len(expected) > 1 and answered <= set(matrix):
            found[field] = answered.pop()
    return found


def method_names(rows: Iterable[WithMethod]) -> str:
    """The methods named, each once; one that only says less than another is left out."""
    named = list(dict.fromkeys(row.method for row in rows))
    return " / ".join(
        method
        for method in named
        if not any(other != method and other.startswith(method) for other in named)
    )
