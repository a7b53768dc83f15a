"""The answer: what to do and why, and what became of the hypothesis."""

from __future__ import annotations

from dataclasses import dataclass

from lora_vs_api.analysis.order import ranked
from lora_vs_api.analysis.results import Analysis, Condition, Decision, PaidOtherwise
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections import advice
from lora_vs_api.report.sections.at_volume import at_volume, volume_per_day
from lora_vs_api.report.sections.facts import (
    apart,
    api_conditions,
    has_api,
    in_flight,
    is_embedded,
    is_local,
    is_own_server,
    priced_entries,
    served_models,
    stamp,
    unit_words,
)


@dataclass(frozen=True)
class Rival:
    """A condition beside the fine-tune, with what is decided and how it is said.

    ``per_day`` is the volume a day that ``days`` is told for, None where neither is told. ``beside`` and
    ``here`` are its answers at the other list's prices and run on this machine, None where they have no
    such cost; ``money_beside`` is what could be said at those prices, None where it is the same.
    """

    condition: Condition
    decision: Decision
    accuracy: Markdown
    difference_between: str
    money: Markdown
    pay_back_volume: str
    per_day: int | None
    days: float | None
    beside: PaidOtherwise | None
    money_beside: Markdown | None
    here: PaidOtherwise | None
    money_here: Markdown | None


def rival(analysis: Analysis, name: str) -> Rival:
    decision = analysis.decision(name)
    entries = [row for row in analysis.economics.break_even if row.baseline == name]
    days = (entries[0].days or {}) if entries else {}
    per_day = volume_per_day(analysis) if days else None
    beside, here = analysis.otherwise(name, "list"), analysis.otherwise(name, "machine")
    differs = beside is not None and advice.money_outcomes(
        beside.decision
    ) != advice.money_outcomes(decision)
    return Rival(
        condition=analysis.condition(name),
        decision=decision,
        accuracy=advice.accuracy_words(decision, "it"),
        difference_between=advice.difference_between(decision),
        money=advice.money_words(decision),
        pay_back_volume=advice.pay_back_volume(decision),
        per_day=per_day,
        days=None if per_day is None else days[per_day],
        beside=beside,
        money_beside=advice.money_words(beside.decision) if beside and differs else None,
        here=here,
        money_here=advice.money_words(here.decision) if here else None,
    )


def rivals(analysis: Analysis) -> list[Rival]:
    """The one that the claim names, the strongest API condition, that of all, and without a model.

    Where no API condition was asked the untuned base stands in the place of the first two.
    """
    conditions = (
        analysis.untuned if analysis.baseline is None else analysis.reference,
        analysis.strongest_api,
        analysis.strongest_rival,
        analysis.strongest_model_free,
    )
    names = dict.fromkeys(row.name for row in conditions if row is not None)
    return [rival(analysis, name) for name in names]


def answer_section(inputs: ReportInputs) -> Markdown:
    analysis = inputs.analysis
    beside = (analysis.strongest_api or analysis.untuned, analysis.strongest_rival)
    # by name: the two may be one
    timed = {row.name: row for row in (analysis.lora, *beside) if row.latency.p50 is not None}
    compare = all(row.latency.compares_with(analysis.lora.latency) for row in timed.values())
    return render(
        "answer",
        analysis=analysis,
        trained_on=analysis.trained_on,
        rivals=rivals(analysis),
        prices=analysis.economics.prices,
        beside=analysis.economics.prices_beside,
        seeds=len(analysis.seeds),
        timed=list(timed.values()),
        compare=compare,
        in_flight=in_flight,
        # how much longer the slow answers of each take
        tails=[(row.latency.p95 or 0) - (row.latency.p50 or 0) for row in timed.values()],
        asked=has_api(analysis),
        local=is_local(analysis),
        models=served_models(analysis),
        unit=unit_words(analysis),
        scope=scope(analysis),
        see_also=() if apart(analysis) else inputs.settings.see_also,
    )


def scope(analysis: Analysis) -> Markdown:
    """For which texts the answer holds: new ones of what training has seen, or of new groups."""
    groups = analysis.groups
    return render(
        "scope",
        groups=groups,
        texts=analysis.texts,
        unit=unit_words(analysis),
        apart=apart(analysis),
    )


def decided(analysis: Analysis) -> Markdown:
    """What to do as :func:`_decided` says it, stamped where the run was a try."""
    said, stamped = _decided(ranked(analysis)), stamp(analysis)
    return said if stamped is None else Markdown(f"{stamped}. {said}")


def _decided(analysis: Analysis) -> Markdown:
    """What to do, against the strongest condition without tuning; nothing where the untuned base stands in.

    Where other models of this machine do, they are rivals too: that a hosted one was not asked is said first.

    Which sentence it is follows from the outcomes of the decision and of the configured volume alone, see
    :mod:`lora_vs_api.report.sections.advice`.
    """
    strongest = analysis.strongest_rival
    if is_embedded(analysis):
        return render(
            "open_question",
            models=served_models(analysis),
            priced=priced_entries(analysis),
            conditions=len(api_conditions(analysis)),
        )
    decision = analysis.decision(strongest.name)
    advised = advice.NOTHING
    if recommends(analysis):
        paid = at_volume(analysis, strongest.name)
        advised = advice.recommend(decision, strongest, paid, here=is_local(analysis))
    if is_local(analysis):
        return render(
            "stand_in",
            advised=advised,
            models=served_models(analysis),
            priced=priced_entries(analysis),
            own_server=is_own_server(analysis),
        )
    return advised if has_api(analysis) else render("no_api", advised=advised)


def recommends(analysis: Analysis) -> bool:
    """Whether there is anything to recommend: a rival that is no stand-in, and a score above 0."""
    return not is_embedded(analysis) and any(
        row.field_f1.estimate > 0 for row in analysis.conditions
    )


def verdict_section(inputs: ReportInputs) -> Markdown:
    analysis = inputs.analysis
    if analysis.verdict.id is None:
        return Markdown("")
    return render(
        "verdict",
        verdict=analysis.verdict,
        prices=analysis.economics.prices,
        beside=analysis.economics.prices_beside,
        other=None if analysis.baseline is None else analysis.otherwise(analysis.baseline, "list"),
        baseline=analysis.reference,
        seeds=len(analysis.seeds),
        embedded=is_embedded(analysis),
        local=is_local(analysis),
    )
