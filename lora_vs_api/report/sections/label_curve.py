"""How many labels the fine-tune takes to be as good as each condition, and what more would bring."""

from __future__ import annotations

from lora_vs_api.analysis.results import (
    MIN_CLUSTERS,
    CurveRival,
    LearningCurve,
    OwnershipInputs,
)
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, escape, render
from lora_vs_api.report.sections.change import Change
from lora_vs_api.report.sections.facts import has_choice, unit_words

SHOWN = {"holds": "yes", "fails": "no, at none of them", "undecided": "open"}
SHOWN_AT_LAST = "no with {last:,}, open with fewer"
RISES = {
    "holds": "the last stretch of labels is shown to have helped",
    "fails": "the last stretch of labels did not help",
    "undecided": "whether the last stretch of labels helped is open",
}


def label_curve_section(inputs: ReportInputs) -> Markdown:
    """Empty where no smaller set was trained on."""
    found = inputs.learning_curve
    if found is None:
        return Markdown()
    points, ahead, analysis = found.points, found.ahead, inputs.analysis
    own, reference = analysis.ownership.inputs, analysis.reference
    served = analysis.serving is not None and bool(analysis.serving.converted)
    return render(
        "label_curve",
        found=found,
        final=points[-1],
        smaller=points[:-1],
        chosen=has_choice(analysis),
        shorter=points[0].steps < points[-1].steps,
        confidence=found.statistics.confidence,
        it=subject(found),
        at_last=any(rival.below_at_last for rival in found.rivals),
        served=served,
        headline=[
            headline(rival, reference.label, found)
            for rival in found.rivals
            if rival.name == reference.name
        ],
        rivals=[
            (
                rival,
                analysis.condition(rival.name),
                shown_words(rival, found),
                number(rival.break_even.estimate, found),
                between(rival, found),
            )
            for rival in found.rivals
        ],
        method=found.rivals[0].break_even.method if found.rivals else "",
        ahead=ahead,
        more=ahead.end - ahead.start,
        rises=RISES[ahead.rises],
        priced=bool(own.usd_per_label),
        cost=own.usd_per_label * found.to_label,
        hundredth=usd_per_hundredth(found, own),
        records=records_to_pay(found, own),
        few=found.clusters < MIN_CLUSTERS,
        unit=unit_words(analysis),
        min_clusters=MIN_CLUSTERS,
    )


def label_change(inputs: ReportInputs) -> Change | None:
    """How many labels it takes against the strongest rival, and what more would bring; None without a curve."""
    found, analysis = inputs.learning_curve, inputs.analysis
    if found is None:
        return None
    rival = analysis.strongest_rival
    ahead, own = found.ahead, analysis.ownership.inputs
    return Change(
        "Labels",
        render(
            "change_labels",
            headline=next(
                headline(row, rival.label, found) for row in found.rivals if row.name == rival.name
            ),
            found=found,
            ahead=ahead,
            more=ahead.end - ahead.start,
            cost=own.usd_per_label * found.to_label,
        ),
    )


def headline(rival: CurveRival, label: str, found: LearningCurve) -> Markdown:
    """What the interval says of one condition, and no more."""
    last, name, it = found.points[-1].labels, escape(label), subject(found)
    sure = f"{found.statistics.confidence:.0%} interval {between(rival, found)}"
    estimate = number(rival.break_even.estimate, found)
    if rival.shown == "holds":
        said = f"From {estimate} labels on {it} scores at least as much as {name}"
    elif rival.shown == "fails":
        said = f"At every number of labels up to {last:,} {it} scores below {name}"
    elif rival.below_at_last:
        said = f"With {last:,} labels {it} scores below {name}; whether it does with fewer is open"
    else:
        by_estimate = (
            f"it does not up to {last:,}"
            if rival.break_even.estimate is None
            else f"it does from {estimate} on"
        )
        said = (
            f"Whether {it} scores at least as much as {name} from some number of labels up to "
            f"{last:,} on is open: by the estimate {by_estimate}"
        )
    return Markdown(f"{said} ({sure}).")


def subject(found: LearningCurve) -> str:
    """What a claim is about, as :func:`lora_vs_api.report.sections.advice.subject` has it."""
    return "this adapter" if len(found.points[-1].seeds) == 1 else "the fine-tune"


def shown_words(rival: CurveRival, found: LearningCurve) -> str:
    """The headline in a word or two."""
    if rival.below_at_last:
        return SHOWN_AT_LAST.format(last=found.points[-1].labels)
    return SHOWN[rival.shown]


def number(labels: float | None, found: LearningCurve) -> str:
    """A number of labels that is known to be from the smallest to the largest of the curve."""
    first, last = found.points[0].labels, found.points[-1].labels
    if labels is None:
        return f"more than {last:,}"
    return f"{first:,} or fewer" if labels <= first else f"{labels:,.0f}"


def between(rival: CurveRival, found: LearningCurve) -> str:
    low, high = rival.break_even.low, rival.break_even.high
    if low == high:
        return number(low, found)
    return f"{number(low, found)} to {number(high, found)}"


def usd_per_hundredth(found: LearningCurve, own: OwnershipInputs) -> float | None:
    """What 0.01 of field F1 costs in labels; None where they are free, are there already or are not
    shown to help."""
    cost, added = own.usd_per_label * found.to_label, found.ahead.field_f1.estimate
    if found.ahead.rises != "holds" or not cost or added <= 0:
        return None
    return cost * 0.01 / added


def records_to_pay(found: LearningCurve, own: OwnershipInputs) -> float | None:
    """Answers until fewer wrong records have paid for the labels; None where none does, it costs
    nothing either way or the labels are not shown to help."""
    cost = own.usd_per_label * found.to_label
    saved = found.ahead.exact_match.estimate * own.usd_per_wrong_record
    if found.ahead.rises != "holds" or not cost or saved <= 0:
        return None
    return cost / saved
