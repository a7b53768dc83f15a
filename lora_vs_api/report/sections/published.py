"""The published experiment beside this run, each figure labelled as whose it is."""

from __future__ import annotations

from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.published import published_experiment
from lora_vs_api.report.rendering import Markdown, render


def published_section(inputs: ReportInputs) -> Markdown:
    analysis, published = inputs.analysis, published_experiment()
    compared = ("lora", published.difference.baseline)
    return render(
        "published",
        published=published,
        theirs=published.condition("lora"),
        their_base=published.condition(published.difference.baseline),
        others=[row for row in published.conditions if row.name not in compared],
        analysis=analysis,
        ours=analysis.lora,
        our_base=analysis.condition(analysis.baseline),
        judged=analysis.decision(analysis.baseline),
        break_even=analysis.break_even(analysis.baseline),
        verdict={clause.name: clause.outcome for clause in analysis.verdict.clauses},
    )
