"""What the report is made of, and the facts that several sections state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lora_vs_api.report.numbers import days, volume
from lora_vs_api.report.sections.writing import escape


@dataclass(frozen=True)
class ReportInputs:
    """What the report is made of; the first nine are the metrics files of the same name.

    ``settings`` holds the configuration that the method section prints: instruction, fields,
    device, train, lora, max_new_tokens, constrained, model and watts. ``environment`` is
    :func:`lora_vs_api.report.provenance.environment`; ``digests`` maps files to their SHA-256.
    """

    analysis: Mapping[str, Any]
    robustness: Mapping[str, Any]
    corpus: Mapping[str, Any]
    split: Mapping[str, Any]
    data_check: Mapping[str, Any]
    review: Mapping[str, Any]
    contamination: Mapping[str, Any]
    hypothesis: Mapping[str, Any]
    sanity: Mapping[str, Any]
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    digests: Mapping[str, str]


def accuracy_of(comparison: Mapping[str, Any]) -> str:
    """better, worse or unclear, by the side of 0 on which the whole paired interval lies."""
    if comparison["low"] > 0:
        return "better"
    return "worse" if comparison["high"] < 0 else "unclear"


def strongest_api(analysis: Mapping[str, Any]) -> Mapping[str, Any]:
    """The API condition of highest field F1; of equals, the cheaper."""
    return max(
        (row for row in analysis["conditions"] if row["kind"] == "api"),
        key=lambda row: (row["field_f1"]["estimate"], -row["cost_per_1k"]["usd"]),
    )


def is_embedded(analysis: Mapping[str, Any]) -> bool:
    return analysis["api_kind"] == "embedded"


def lora_row(analysis: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(row for row in analysis["conditions"] if row["kind"] == "lora")


def condition_row(analysis: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next(row for row in analysis["conditions"] if row["name"] == name)


def comparison_row(analysis: Mapping[str, Any], name: str | None = None) -> Mapping[str, Any]:
    wanted = name or analysis["baseline"]
    return next(row for row in analysis["comparisons"] if row["baseline"] == wanted)


def break_even_row(analysis: Mapping[str, Any], name: str | None = None) -> Mapping[str, Any]:
    wanted = name or analysis["baseline"]
    rows = analysis["economics"]["break_even"]
    return next(row for row in rows if row["baseline"] == wanted)


def price_name(condition: Mapping[str, Any]) -> str:
    return str(condition["cost_per_1k"]["priced_as"])


def served_models(analysis: Mapping[str, Any]) -> str:
    """The models behind the API conditions, each once."""
    return ", ".join(
        dict.fromkeys(row["model"] for row in analysis["conditions"] if row["kind"] == "api")
    )


def unguessed_fields(analysis: Mapping[str, Any]) -> list[str]:
    """Fields on which every condition that saw no example scores at most 0.1.

    Conditions that seldom write valid JSON fail for another reason and do not count.
    """
    blind = [
        row
        for row in analysis["conditions"]
        if row["kind"] in ("base", "api") and not row["shots"] and row["valid_json"] >= 0.5
    ]
    return [
        name
        for name in analysis["fields"]
        if blind and all(row["per_field"][name] <= 0.1 for row in blind)
    ]


def seeds_words(analysis: Mapping[str, Any]) -> str:
    seeds = len(analysis["seeds"])
    return "one seed" if seeds == 1 else f"mean of {seeds} seeds"


def difference_words(row: Mapping[str, Any], analysis: Mapping[str, Any]) -> str:
    return (
        f"{row['difference']:+.3f} ({analysis['statistics']['confidence']:.0%} interval "
        f"{row['low']:+.3f} to {row['high']:+.3f})"
    )


def days_words(row: Mapping[str, Any]) -> str:
    """In brackets, a break-even's interval and how long it takes at the middle configured volume."""
    if not row["days"]:
        return ""
    rates = list(row["days"])
    rate = rates[len(rates) // 2]
    return f" ({volume_range(row['interval'])}; {days(row['days'][rate])} at {int(rate):,} a day)"


def volume_range(interval: Mapping[str, Any]) -> str:
    """The ends of a break-even volume's interval; an end of None is never."""
    return f"{volume(interval['low'])} to {volume(interval['high'])}"


def constant_fields(analysis: Mapping[str, Any]) -> dict[str, str]:
    """Field → the one label that the fine-tune answers, where other labels were expected too."""
    found = {}
    for field, matrix in lora_row(analysis)["diagnosis"]["confusion"].items():
        answered = {label for row in matrix.values() for label, n in row.items() if n}
        expected = [label for label, row in matrix.items() if sum(row.values())]
        # giving no answer is another failure, and counted as such
        if len(answered) == 1 and len(expected) > 1 and answered <= set(matrix):
            found[field] = answered.pop()
    return found


def method_names(rows: Any) -> str:
    """The methods named, each once; one that only says less than another is left out."""
    named = list(dict.fromkeys(row["method"] for row in rows))
    return escape(
        " / ".join(
            method
            for method in named
            if not any(other != method and other.startswith(method) for other in named)
        )
    )
