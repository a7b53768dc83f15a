"""The answer: what to do and why, and what became of the hypothesis."""

from __future__ import annotations

from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections.facts import (
    is_embedded,
    rival,
    served_models,
    strongest_api,
)


def answer_section(inputs: ReportInputs) -> Markdown:
    analysis = inputs.analysis
    # the claim names one baseline; the decision is against the best alternative
    names = dict.fromkeys([analysis.baseline, strongest_api(analysis).name])
    timed = [row for row in (analysis.lora, strongest_api(analysis)) if row.latency.p50 is not None]
    return render(
        "answer",
        analysis=analysis,
        advice=recommendation(inputs),
        rivals=[rival(analysis, name) for name in names],
        timed=timed,
        # how much longer the slow answers of each take
        tails=[(row.latency.p95 or 0) - (row.latency.p50 or 0) for row in timed],
        embedded=is_embedded(analysis),
        models=served_models(analysis),
    )


def recommendation(inputs: ReportInputs) -> Markdown:
    """What to do, by a fixed rule, against the strongest API condition.

    Its paired interval decides accuracy (better, worse, unclear), its break-even volume money
    (before the limit that the hypothesis names, after it, never). Each of the nine cases has one
    sentence.
    """
    analysis = inputs.analysis
    strongest = rival(analysis, strongest_api(analysis).name)
    volume, limit = strongest.break_even.volume, inputs.hypothesis.clauses.break_even.max_inferences
    return render(
        "recommendation",
        rival=strongest.condition,
        accuracy=strongest.accuracy,
        money="never" if volume is None else "soon" if volume < limit else "late",
        volume=volume,
        embedded=is_embedded(analysis),
        models=served_models(analysis),
    )


def verdict_section(inputs: ReportInputs) -> Markdown:
    analysis = inputs.analysis
    return render(
        "verdict",
        verdict=analysis.verdict,
        baseline=analysis.condition(analysis.baseline),
        embedded=is_embedded(analysis),
    )
