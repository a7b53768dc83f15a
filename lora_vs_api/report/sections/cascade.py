"""What the fine-tune and another do together: the chosen rule, the others, the confidence."""

from __future__ import annotations

from lora_vs_api.analysis.cascade_results import ALL, NONE, PERSON, Cascade, Point
from lora_vs_api.analysis.results import MIN_CLUSTERS, Outcome
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections.change import Change
from lora_vs_api.report.sections.facts import unit_words

RULES = {
    "best": "of the highest field F1",
    "budget": "of the highest field F1 within the budget",
    "floor": "the cheapest that keeps the floor",
}
BEATS: dict[Outcome, str] = {"holds": "yes", "fails": "no", "undecided": "not shown"}


def cascade_section(inputs: ReportInputs) -> Markdown:
    """Empty where there is no cascade."""
    found = inputs.cascade
    if found is None:
        return Markdown()
    point = found.chosen_point
    alone = {row.name: row for row in inputs.analysis.conditions}
    return render(
        "cascade",
        found=found,
        confidence=found.statistics.confidence,
        rule=RULES[found.rule],
        limits=limits(found),
        point=point,
        hands=None if point is None else hands_on(point),
        verdict=None if point is None else verdict(found, point),
        target=None if point is None else alone.get(point.target),
        lora=inputs.analysis.lora,
        rules=RULES,
        beats=BEATS,
        ends=(NONE, ALL),
        few=found.clusters < MIN_CLUSTERS,
        min_clusters=MIN_CLUSTERS,
        unit=unit_words(inputs.analysis),
    )


def cascade_change(inputs: ReportInputs) -> Change | None:
    """What escalation by the configured rule comes to; None without a cascade, or where none was chosen."""
    found = inputs.cascade
    point = None if found is None else found.chosen_point
    if found is None or point is None:
        return None
    return Change(
        "Both together",
        render(
            "change_cascade",
            rule=RULES[found.rule],
            hands=hands_on(point),
            verdict=verdict(found, point),
            point=point,
            lora=inputs.analysis.lora,
        ),
    )


def hands_on(point: Point) -> Markdown:
    """What a rule does, as the rest of a sentence that begins with it."""
    return render("cascade_hands", reach=_reach(point), point=point)


def _reach(point: Point) -> str:
    return {NONE: "none", ALL: "all"}.get(point.threshold, "some")


def verdict(found: Cascade, point: Point) -> Markdown:
    """Whether the chosen cascade, or any here, is better than the better of its two."""
    return render(
        "cascade_verdict",
        reach=_reach(point),
        person=point.target == PERSON,
        point=point,
        beating=[row for row in found.points if row.beats_both == "holds"],
    )


def limits(found: Cascade) -> str:
    """The limits of budget and floor, in words; empty where there are none."""
    said = []
    if found.max_share is not None:
        said.append(f"at most {found.max_share:.0%} of the texts escalated")
    if found.max_usd_per_1000 is not None:
        said.append(f"at most USD {found.max_usd_per_1000:g} for 1,000 texts")
    budget = f"budget: {' and '.join(said)}" if said else ""
    floor = "" if found.min_f1 is None else f"floor: a field F1 of {found.min_f1:g}"
    return "; ".join(filter(None, (budget, floor)))
