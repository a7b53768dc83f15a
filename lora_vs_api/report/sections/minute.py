"""The page on top: what to do at the configured volume, what it costs a month, how sure that is, what would
change it, and the next step. A manager reads it in a minute; all else is detail.

Nothing is decided here: every sentence is made of the claims of :mod:`lora_vs_api.analysis.decision` and of
:mod:`lora_vs_api.report.sections.at_volume`, in the words of :mod:`lora_vs_api.report.sections.advice`.
"""

from __future__ import annotations

from collections.abc import Callable

from lora_vs_api.analysis.order import ranked
from lora_vs_api.analysis.results import Analysis
from lora_vs_api.report import numbers
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, escape, render
from lora_vs_api.report.sections import advice
from lora_vs_api.report.sections.answer import decided, recommends
from lora_vs_api.report.sections.at_volume import (
    Monthly,
    Tie,
    at_volume,
    monthly_local,
    monthly_rival,
    ties,
    volume_per_day,
    volumes,
)
from lora_vs_api.report.sections.cascade import cascade_change
from lora_vs_api.report.sections.change import Change
from lora_vs_api.report.sections.facts import (
    has_api,
    is_embedded,
    is_local,
    priced_entries,
    unit_words,
)
from lora_vs_api.report.sections.label_curve import label_change
from lora_vs_api.report.sections.next_steps import next_commands
from lora_vs_api.shown import count

# kinds that end an answer by themselves; the untuned base writes on to the limit, whatever it is
ENDS = ("lora", "tuned", "api")
CUT_OFTEN = 0.05  # of a condition's answers: from here on its score is the token limit's too


def minute_section(inputs: ReportInputs) -> Markdown:
    analysis = inputs.analysis
    rival = analysis.strongest_rival
    decision, paid = analysis.decision(rival.name), at_volume(analysis, rival.name)
    command, purpose = next(iter(next_commands(analysis, inputs.settings.task_name).items()))
    return render(
        "minute",
        model=analysis.model,
        asked=has_api(analysis),
        advice=decided(analysis),
        per_day=paid.per_day,
        months=paid.months,
        monthly=monthly(analysis),
        local=is_local(analysis),
        priced=priced_entries(analysis),
        total=all(at_volume(analysis, name).total for name in compared(analysis)),
        confidence=analysis.statistics.confidence,
        texts=analysis.texts,
        groups=analysis.groups,
        unit=unit_words(analysis),
        seeds=len(analysis.seeds),
        embedded=is_embedded(analysis),
        rival=rival,
        accuracy=advice.accuracy_words(decision, "it"),
        difference=decision.difference,
        between=advice.difference_between(decision),
        paid=advice.at_volume_words(paid),
        changes=changes(inputs),
        command=command,
        purpose=purpose[:1].upper() + purpose[1:],
    )


def compared(analysis: Analysis) -> list[str]:
    """The rivals whose month is told: the one that decides, and the strongest API condition."""
    rows = (analysis.strongest_rival, analysis.strongest_api)
    return list(dict.fromkeys(row.name for row in rows if row is not None))


def monthly(analysis: Analysis) -> list[Monthly]:
    """The fine-tune's month and those of the rivals, in the order of every table."""
    told = {analysis.lora.name, *compared(analysis)}
    return [
        monthly_local(analysis) if row.kind == "lora" else monthly_rival(analysis, row.name)
        for row in ranked(analysis).conditions
        if row.name in told
    ]


def changes(inputs: ReportInputs) -> list[Change]:
    """What would change the decision, each section's line in the order of ``WHAT_WOULD_CHANGE``."""
    found = (line(inputs) for line in WHAT_WOULD_CHANGE)
    return [change for change in found if change is not None]


def volume_change(inputs: ReportInputs) -> Change | None:
    """What would be said at the other configured volumes; None where there is no other."""
    analysis = inputs.analysis
    rival, told = analysis.strongest_rival, volume_per_day(analysis)
    decision, here = analysis.decision(rival.name), is_local(analysis)
    others = [per_day for per_day in volumes(analysis) if per_day != told]
    if not others:
        return None
    if recommends(analysis):
        said = {
            per_day: advice.action(
                decision, rival, at_volume(analysis, rival.name, per_day).pays, here=here
            )
            for per_day in (told, *others)
        }
    else:
        said = {
            per_day: Markdown(advice.pays_words(at_volume(analysis, rival.name, per_day)))
            for per_day in (told, *others)
        }
    same = len(set(said.values())) == 1
    return Change(
        "Volume",
        render(
            "change_volume",
            here=said[told],
            same=said[told] if same else None,
            others=others,
            said=[(per_day, words) for per_day, words in said.items() if per_day != told],
            rival=rival.label,
            recommended=recommends(analysis),
        ),
    )


def price_change(inputs: ReportInputs) -> Change | None:
    """Prices that tip the total cost against the strongest API condition; None without one."""
    analysis = inputs.analysis
    api = analysis.strongest_api
    if api is None:
        return None
    found, owned = ties(analysis, api.name), analysis.ownership.inputs
    return Change(
        "Prices",
        render(
            "change_prices",
            label=api.label,
            per_day=volume_per_day(analysis),
            months=owned.horizon_months,
            conditions=[
                tipped(
                    found["api"],
                    "1,000 answers of the API cost",
                    analysis.break_even(api.name).api_per_1k,
                ),
                tipped(
                    found["label"],
                    f"each of the {count(owned.labelled_texts, 'label')} costs",
                    owned.usd_per_label,
                ),
                tipped(found["wrong"], "a wrong record costs", owned.usd_per_wrong_record),
            ],
        ),
    )


def tipped(found: Tie, amount: str, now: float) -> Markdown:
    """When the fine-tune costs less in total, as a clause; ``amount`` with its verb, ``now`` in USD."""
    configured = f"(USD {numbers.usd(now)} here)"
    said = {
        "any": f"whatever {amount} {configured}",
        "none": f"never, whatever {amount} {configured}",
        "above": f"if {amount} more than USD {numbers.usd(found.usd)} {configured}",
        "below": f"if {amount} less than USD {numbers.usd(found.usd)} {configured}",
    }
    return escape(said[found.side])


def accuracy_change(inputs: ReportInputs) -> Change | None:
    """What more texts and seeds could still show; None where nothing on the accuracy is open."""
    analysis = inputs.analysis
    rival = analysis.strongest_rival
    if not advice.accuracy_is_open(analysis.decision(rival.name)):
        return None
    planning = analysis.comparison(rival.name).planning
    return Change(
        "More texts or seeds" if len(analysis.seeds) > 1 else "More texts",
        render(
            "change_accuracy",
            rival=rival.label,
            here=None if planning is None else planning.here,
            power=None if planning is None else planning.power,
        ),
    )


def limit_change(inputs: ReportInputs) -> Change | None:
    """Conditions of which the token limit cut answers that might have been right; None where it cut few."""
    cut = [
        row
        for row in ranked(inputs.analysis).conditions
        if row.kind in ENDS and row.truncated >= CUT_OFTEN
    ]
    told = [render("change_limit", row=row) for row in cut]
    return Change("Token limit", Markdown(" ".join(told))) if told else None


# A section that knows what would change the decision has a function that says so in one Change, or None where
# it has nothing to say, and stands here. The order is the page's.
WHAT_WOULD_CHANGE: list[Callable[[ReportInputs], Change | None]] = [
    volume_change,
    price_change,
    accuracy_change,
    limit_change,
    label_change,
    cascade_change,
]
