"""The few numbers that `dvc metrics diff` compares between branches."""

from __future__ import annotations

from lora_vs_api.analysis.results import (
    Analysis,
    ApiSummary,
    BaselineSummary,
    LoraSummary,
    Summary,
)
from lora_vs_api.stats.rounding import rounded


def summary(analysis: Analysis) -> Summary:
    """Headline figures, rounded so that what differs is readable and noise is not shown."""
    lora = analysis.lora
    base, untuned = analysis.condition("base_zero_shot"), analysis.comparison("base_zero_shot")
    api, judged = (
        analysis.condition(analysis.baseline),
        analysis.comparison(analysis.baseline),
    )
    volume = analysis.break_even(analysis.baseline).volume
    return Summary(
        r=analysis.selected.r,
        learning_rate=analysis.selected.learning_rate,
        lora=LoraSummary(
            field_f1=round(lora.field_f1.estimate, 3),
            valid_json=round(lora.valid_json, 3),
            exact_match=round(lora.exact_match, 3),
        ),
        untuned_base=BaselineSummary(
            field_f1=round(base.field_f1.estimate, 3),
            lora_gain=round(untuned.difference, 3),
            lora_gain_low=round(untuned.low, 3),
        ),
        api_baseline=ApiSummary(
            field_f1=round(api.field_f1.estimate, 3),
            lora_gain=round(judged.difference, 3),
            lora_gain_low=round(judged.low, 3),
            p_holm=rounded(judged.p_holm, 2),
        ),
        break_even_inferences="never" if volume is None else rounded(volume, 2),
    )
