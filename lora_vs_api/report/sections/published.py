"""The published experiment beside this run, each figure labelled as whose it is."""

from __future__ import annotations

from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.published import is_published_task, published_experiment
from lora_vs_api.report.rendering import Markdown, render


def published_section(inputs: ReportInputs) -> Markdown:
    analysis, published = inputs.analysis, published_experiment()
    if not is_published_task(analysis.task):
        return Markdown("")
    compared, judged = ("lora", published.difference.baseline), analysis.baseline
    return render(
        "published",
        published=published,
        theirs=published.condition("lora"),
        their_base=published.condition(published.difference.baseline),
        others=[row for row in published.conditions if row.name not in compared],
        analysis=analysis,
        ours=analysis.lora,
        our_base=None if judged is None else analysis.condition(judged),
        judged=None if judged is None else analysis.decision(judged),
        break_even=None if judged is None else analysis.break_even(judged),
        prices=analysis.economics.prices,
        beside=analysis.economics.prices_beside,
        other=None if judged is None else analysis.otherwise(judged, "list"),
        verdict={clause.name: clause.outcome for clause in analysis.verdict.clauses},
    )
