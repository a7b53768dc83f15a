"""Facts about a result that several sections state."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from lora_vs_api.analysis.results import Analysis, Condition, Latency, in_flight_words
from lora_vs_api.report.stamp import stamp_of

# characters of a value that a sentence quotes
MAX_SHOWN = 60


class WithMethod(Protocol):
    """Anything that names the method of its interval."""

    @property
    def method(self) -> str: ...


def stamp(analysis: Analysis) -> str | None:
    """What has to stand wherever these results are shown; None of a whole run."""
    return stamp_of(analysis.profile)


def api_conditions(analysis: Analysis) -> list[Condition]:
    return [row for row in analysis.conditions if row.kind == "api"]


def has_api(analysis: Analysis) -> bool:
    """Whether there is an API side at all."""
    return bool(api_conditions(analysis))


def has_choice(analysis: Analysis) -> bool:
    """Whether the sweep had anything to choose from."""
    return analysis.tried is None or analysis.tried.is_choice


def is_embedded(analysis: Analysis) -> bool:
    """Whether API conditions ask the untuned base behind a local server, not a hosted model."""
    return analysis.api_kind == "embedded" and has_api(analysis)


def is_local(analysis: Analysis) -> bool:
    """Whether the API conditions were asked on this machine: of a node's server or of a user's own."""
    return has_api(analysis) and (analysis.api_kind != "openai" or analysis.loopback)


def is_own_server(analysis: Analysis) -> bool:
    """Whether a server answered that the user runs on this machine; what it asks in turn is not known."""
    return is_local(analysis) and analysis.api_kind == "openai"


def served_models(analysis: Analysis) -> list[str]:
    """The models behind the API conditions, each once."""
    return list(dict.fromkeys(row.model for row in api_conditions(analysis)))


def weight_words(analysis: Analysis) -> str:
    """What is served here: open models, and with how many bits if the names of all say so, as Q4_K_M does."""
    found = [re.search(r"-I?Q(\d)_", name) for name in served_models(analysis)]
    bits = {match[1] if match else None for match in found}
    known = f"{bits.pop()}-bit " if len(bits) == 1 and None not in bits else ""
    return f"an open {known}model" if len(found) == 1 else f"open {known}models"


def has_several(analysis: Analysis) -> bool:
    """Whether there is more than one API condition, so that a sentence speaks of conditions."""
    return len(api_conditions(analysis)) > 1


def priced_entries(analysis: Analysis) -> list[str]:
    """Whose token prices the API conditions are billed at, each once, in the order of the models."""
    return list(dict.fromkeys(str(row.cost_per_1k.priced_as) for row in api_conditions(analysis)))


def in_flight(latency: Latency) -> str:
    """How many requests were in flight while a condition was timed, in words."""
    if latency.p50 is None:
        return "–"
    if latency.in_flight is None:
        return "unknown number"
    unknown = ", for some unknown," if latency.in_flight_unknown else ""
    return in_flight_words(latency.in_flight) + unknown


def unguessed_fields(analysis: Analysis) -> list[str]:
    """Fields on which every condition that saw no example scores at most 0.1, and the fine-tune more.

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
        if blind
        and all(_at_most(row.per_field[name], 0.1) for row in blind)
        and not _at_most(analysis.lora.per_field[name], 0.1)
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
