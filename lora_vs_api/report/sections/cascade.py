"""What the fine-tune and another do together: the chosen rule, the others, the confidence."""

from __future__ import annotations

from lora_vs_api.analysis.cascade_results import (
    ALL,
    CERTAIN,
    NONE,
    PERSON,
    Cascade,
    Frontier,
    FrontierPoint,
    Point,
    ranked_cascade,
)
from lora_vs_api.analysis.results import MIN_CLUSTERS, Outcome
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections.change import Change
from lora_vs_api.report.sections.facts import is_local, unit_words

RULES = {
    "best": "of the highest field F1",
    "budget": "of the highest field F1 within the budget",
    "floor": "the cheapest that keeps the floor",
}
# shares escalated, of the table that goes with the figure
SHOWN = (0.0, 0.1, 0.25, 0.5, 1.0)
BEATS: dict[Outcome, str] = {"holds": "yes", "fails": "no", "undecided": "not shown"}


def cascade_section(inputs: ReportInputs) -> Markdown:
    """Empty where there is no cascade."""
    found = inputs.cascade
    if found is None:
        return Markdown()
    found = ranked_cascade(found)
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
        local=is_local(inputs.analysis),
        methods=_methods(found),
        shares=[(row.label, each) for row in found.frontier for each in _shown(row)],
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
            priced=_priced(inputs, point),
        ),
    )


def hands_on(point: Point) -> Markdown:
    """What a rule does, as the rest of a sentence that begins with it."""
    return render("cascade_hands", reach=_reach(point), point=point)


def _priced(inputs: ReportInputs, point: Point) -> str | None:
    """Whose prices a target on this machine is billed at; None of a hosted one, and of a person."""
    if not is_local(inputs.analysis):
        return None
    rows = [row for row in inputs.analysis.conditions if row.name == point.target]
    return rows[0].cost_per_1k.priced_as if rows else None


def _methods(found: Cascade) -> list[str]:
    """Those of the intervals of scores and costs, each once."""
    made = [one.method for row in found.points for one in (row.field_f1, row.usd_per_1k)]
    return [each for each in dict.fromkeys(made) if each != CERTAIN]


def _shown(row: Frontier) -> list[FrontierPoint]:
    """The points nearest to a few shares, each once."""
    near = [min(row.points, key=lambda each: abs(each.share - wanted)) for wanted in SHOWN]
    return [each for i, each in enumerate(near) if each not in near[:i]]


def _reach(point: Point) -> str:
    return {NONE: "none", ALL: "all"}.get(point.threshold, "some")


def verdict(found: Cascade, point: Point) -> Markdown:
    """Whether the chosen cascade, or any here, is better than the better of its two."""
    told = render(
        "cascade_verdict",
        reach=_reach(point),
        person=point.target == PERSON,
        one=len(found.seeds) == 1,
        point=point,
        beating=[row for row in found.points if row.beats_both == "holds"],
    )
    return Markdown(" ".join(told.split()))


def limits(found: Cascade) -> str:
    """The limits of budget and floor, in words; empty where there are none."""
    said = []
    if found.max_share is not None:
        said.append(f"at most {100 * found.max_share:g}% of the texts escalated")
    if found.max_usd_per_1000 is not None:
        said.append(f"at most USD {found.max_usd_per_1000:g} for 1,000 texts")
    budget = f"budget: {' and '.join(said)}" if said else ""
    floor = "" if found.min_f1 is None else f"floor: a field F1 of {found.min_f1:g}"
    return "; ".join(filter(None, (budget, floor)))
