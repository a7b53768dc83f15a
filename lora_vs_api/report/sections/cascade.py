"""What the fine-tune and another do together: the chosen rule, the others, the confidence."""

from __future__ import annotations

from lora_vs_api.analysis.cascade_results import ALL, NONE, PERSON, Cascade, Point
from lora_vs_api.analysis.results import MIN_CLUSTERS, Outcome
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render
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
        reach=None if point is None else reach(point),
        person=point is not None and point.target == PERSON,
        target=None if point is None else alone.get(point.target),
        lora=inputs.analysis.lora,
        rules=RULES,
        beats=BEATS,
        ends=(NONE, ALL),
        beating=[row for row in found.points if row.beats_both == "holds"],
        few=found.clusters < MIN_CLUSTERS,
        min_clusters=MIN_CLUSTERS,
        unit=unit_words(inputs.analysis),
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


def reach(point: Point) -> str:
    """How much a rule hands on: none of the texts, all, or some."""
    return {NONE: "none", ALL: "all"}.get(point.threshold, "some")
