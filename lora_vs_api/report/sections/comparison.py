"""The comparison: scores, paired tests and what the intervals count."""

from __future__ import annotations

from lora_vs_api.analysis.order import ranked
from lora_vs_api.analysis.results import (
    MIN_CLUSTERS,
    Analysis,
    Clustering,
    Interval,
    Planning,
)
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.published import is_published_task
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections.advice import difference_between
from lora_vs_api.report.sections.facts import (
    has_api,
    in_flight,
    is_local,
    method_names,
    seeds_words,
    served_models,
    unit_words,
)
from lora_vs_api.shown import plural

# a p95 from fewer is close to the slowest of them
MIN_TIMED = 20


def results_section(inputs: ReportInputs) -> Markdown:
    analysis = inputs.analysis
    rows = ranked(analysis).conditions
    billed = [(row, row.billing) for row in rows if row.billing]
    return render(
        "results",
        analysis=analysis,
        rows=rows,
        methods=method_names(row.field_f1 for row in rows),
        of_rates=method_names(row.rate_intervals.exact_match for row in rows),
        unit=unit_words(analysis),
        unreadable=[row for row in rows if row.valid_json < 0.5],
        few=[row.label for row in rows if 0 < row.latency.requests < MIN_TIMED],
        min_timed=MIN_TIMED,
        incomparable=[
            row.label
            for row in rows
            if row.latency.p50 is not None and not row.latency.compares_with(analysis.lora.latency)
        ],
        # as the figure itself: it draws what compares with the fine-tune
        timed=analysis.lora.latency.compares_with(analysis.lora.latency),
        replicated=[row for row in rows if row.noise_floor],
        in_flight=in_flight,
        prices=analysis.economics.prices.words if has_api(analysis) else None,
        local=is_local(analysis),
        models=served_models(analysis),
        refused=[row for row in rows if row.outcomes.refused or row.outcomes.filtered],
        billed=[row for row, _ in billed],
        lost=any(billing.lost_attempts for _, billing in billed),
        reasoning=any(billing.reasoning_tokens for _, billing in billed),
        estimated=any(billing.estimated for _, billing in billed),
        unknown=any(billing.unknown for _, billing in billed),
    )


def paired_section(inputs: ReportInputs) -> Markdown:
    analysis = inputs.analysis
    return render(
        "paired",
        comparisons=analysis.comparisons,
        decided=[
            (row, decision, difference_between(decision))
            for row in analysis.comparisons
            for decision in [analysis.decision(row.baseline)]
        ],
        statistics=analysis.statistics,
        seeds=seeds_words(analysis),
        trainings=len(analysis.seeds),
        methods=method_names(analysis.comparisons),
        few=analysis.comparisons[0].clusters < MIN_CLUSTERS,
        min_clusters=MIN_CLUSTERS,
        unit=unit_words(analysis),
        grouped=analysis.groups is not None,
    )


def statistics_section(inputs: ReportInputs) -> Markdown:
    analysis = inputs.analysis
    planned = plans(analysis)
    return render(
        "statistics",
        analysis=analysis,
        published=is_published_task(analysis.task),
        confidence=analysis.statistics.confidence,
        seeds=len(analysis.seeds),
        few=analysis.comparisons[0].clusters < MIN_CLUSTERS,
        min_clusters=MIN_CLUSTERS,
        unit=unit_words(analysis),
        alike=alike(analysis),
        clusters=analysis.comparisons[0].clusters,
        sampled=sampled(analysis),
        intervals=what_varies(analysis),
        per_seed=analysis.lora_statistics.per_seed,
        shares=analysis.lora_statistics.variance_shares,
        plans=planned,
        power=planned[0][1].power if planned else None,
    )


def alike(analysis: Analysis) -> list[tuple[str, float, float]]:
    """How alike texts of one group are: in the fine-tune's score, and in the differences that decide.

    Each with its intraclass correlation and how many times as wide it makes the standard error.
    """
    found: list[tuple[str, Clustering | None]] = [
        ("the fine-tune's score", analysis.lora_statistics.clustering)
    ]
    for name in dict.fromkeys((analysis.reference.name, analysis.strongest_rival.name)):
        row = analysis.comparison(name)
        found.append((f"its difference from {row.label}", row.clustering))
    return [
        (what, row.intraclass_correlation, row.design_effect**0.5)
        for what, row in found
        if row is not None
        and row.intraclass_correlation is not None
        and row.design_effect is not None
    ]


def sampled(analysis: Analysis) -> str:
    if analysis.groups is None:
        return "comes from which texts were sampled"
    return f"comes from which {plural(unit_words(analysis))}, with their texts, were sampled"


def what_varies(analysis: Analysis) -> list[tuple[str, Interval]]:
    """The intervals of the fine-tune's score, each with what varies in it."""
    intervals = analysis.lora_statistics.intervals
    # with one seed there is nothing to be said about another training
    seeds = len(analysis.seeds)
    units = plural(unit_words(analysis))
    used = [(f"{units} (used here)", intervals.texts)]
    if seeds > 1:
        used = [
            (f"{units} and seeds (used here)", intervals.random_effects),
            (f"{units} alone", intervals.texts),
        ]
    independent = "" if analysis.groups is None else " as if independent"
    return [
        *used,
        (f"texts alone{independent}, BCa, for comparison", intervals.texts_bca),
        (
            f"{'published protocol' if is_published_task(analysis.task) else 'each answer as independent'} "
            f"(n = {analysis.texts * seeds})",
            intervals.published_protocol,
        ),
    ]


def plans(analysis: Analysis) -> list[tuple[str, Planning]]:
    """Label and plan of the baseline that the hypothesis is about, and of the strongest rival."""
    names = dict.fromkeys((analysis.reference.name, analysis.strongest_rival.name))
    rows = [analysis.comparison(name) for name in names]
    return [(row.label, row.planning) for row in rows if row.planning]
