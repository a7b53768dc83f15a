"""The fine-tune alone and against each baseline: intervals, tests and what the sample can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lora_vs_api.analysis.condition import ConditionRuns, rounded_interval
from lora_vs_api.analysis.results import (
    Comparison,
    Example,
    Examples,
    FieldDifference,
    IntervalEnds,
    LoraIntervals,
    LoraStatistics,
    McNemar,
    SeedScore,
    VarianceShares,
)
from lora_vs_api.analysis.scored_run import Floats, ScoredRun
from lora_vs_api.stats.bootstrap import (
    Draws,
    PairedDifference,
    bca_interval,
    cluster_bootstrap,
    paired_bootstrap,
    published_interval,
    two_level_bootstrap,
)
from lora_vs_api.stats.comparisons import (
    holm,
    mcnemar_exact,
    minimum_detectable_effect,
    required_sample_size,
)
from lora_vs_api.stats.rounding import rounded
from lora_vs_api.stats.variance import random_effects_interval, variance_shares

# differences in mean field F1 for which the report says how many texts would show them
EFFECTS = (0.01, 0.02, 0.05)
MAX_EXAMPLES = 2


def lora_statistics(
    seeds: Sequence[int], runs: Sequence[ScoredRun], draws: Draws
) -> LoraStatistics:
    """The fine-tune alone: each seed, its interval under five ways to count, its variance."""
    scores = np.stack([run.field_f1 for run in runs])
    shares = variance_shares(scores)
    return LoraStatistics(
        per_seed=tuple(
            SeedScore(
                seed=seed,
                field_f1=round(float(run.field_f1.mean()), 6),
                exact_match=round(float(run.exact_match.mean()), 6),
                valid_json=round(float(run.valid_json.mean()), 6),
            )
            for seed, run in zip(seeds, runs)
        ),
        intervals=LoraIntervals(
            clustered=rounded_interval(cluster_bootstrap(scores, *draws)),
            clustered_bca=rounded_interval(bca_interval(scores.mean(axis=0), *draws)),
            two_level=rounded_interval(two_level_bootstrap(scores, *draws)),
            random_effects=rounded_interval(random_effects_interval(scores, draws.confidence)),
            published_protocol=rounded_interval(published_interval(scores, *draws)),
        ),
        variance_shares=VarianceShares(
            seeds=_share(shares.seeds),
            texts=_share(shares.texts),
            interaction=_share(shares.interaction),
        ),
    )


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def compare(
    lora: ConditionRuns,
    baselines: Sequence[ConditionRuns],
    field_names: Sequence[str],
    draws: Draws,
) -> tuple[Comparison, ...]:
    """The fine-tune's mean over its seeds against each baseline's one run, paired by text."""
    mean_f1: Floats = np.stack([run.field_f1 for run in lora.runs]).mean(axis=0)
    paired = {
        other.name: paired_bootstrap(mean_f1, _only_run(other).field_f1, *draws)
        for other in baselines
    }
    adjusted = holm({name: rounded(found.p_value) for name, found in paired.items()})
    return tuple(
        _comparison(
            lora.runs, other, paired[other.name], rounded(adjusted[other.name]), field_names, draws
        )
        for other in baselines
    )


def _only_run(baseline: ConditionRuns) -> ScoredRun:
    (run,) = baseline.runs
    return run


def _comparison(
    lora: Sequence[ScoredRun],
    other: ConditionRuns,
    paired: PairedDifference,
    p_holm: float,
    field_names: Sequence[str],
    draws: Draws,
) -> Comparison:
    baseline = _only_run(other)
    by_seed = np.stack([run.field_f1 for run in lora])
    random_effects = random_effects_interval(by_seed - baseline.field_f1, draws.confidence)
    differences: Floats = by_seed.mean(axis=0) - baseline.field_f1
    return Comparison(
        baseline=other.name,
        label=other.label,
        difference=round(paired.difference, 6),
        low=round(paired.interval.low, 6),
        high=round(paired.interval.high, 6),
        method=paired.interval.method,
        p_value=rounded(paired.p_value),
        p_holm=p_holm,
        random_effects=IntervalEnds(
            low=round(random_effects.low, 6),
            high=round(random_effects.high, 6),
            method=random_effects.method,
        ),
        wins=paired.wins,
        ties=paired.ties,
        losses=paired.losses,
        mcnemar=_mcnemar(lora, baseline),
        minimum_detectable_effect=round(minimum_detectable_effect(differences), 6),
        required_sample_size=_sample_sizes(float(differences.std(ddof=1))),
        per_field=_per_field(lora, baseline, field_names, draws),
    )


def _mcnemar(lora: Sequence[ScoredRun], baseline: ScoredRun) -> McNemar:
    # a text counts as right when more than half of the seeds get every field of it right
    majority = np.mean([run.exact_match for run in lora], axis=0) > 0.5
    found = mcnemar_exact(majority, baseline.exact_match)
    return McNemar(only_lora=found.only_a, only_baseline=found.only_b, p_value=rounded(found.p))


def _sample_sizes(sd: float) -> dict[float, int]:
    sizes = {effect: required_sample_size(effect, sd) for effect in EFFECTS}
    # None is the answer for an effect of 0 alone
    return {effect: size for effect, size in sizes.items() if size is not None}


def _per_field(
    lora: Sequence[ScoredRun], baseline: ScoredRun, names: Sequence[str], draws: Draws
) -> dict[str, FieldDifference]:
    """Paired difference of every field, with the kind of interval that decides the score too."""
    # shape (n_seeds, n_texts, n_fields)
    differences = np.stack([run.fields for run in lora]) - baseline.fields
    found = {}
    for column, name in enumerate(names):
        interval = random_effects_interval(differences[:, :, column], draws.confidence)
        found[name] = FieldDifference(
            difference=round(interval.estimate, 6),
            low=round(interval.low, 6),
            high=round(interval.high, 6),
        )
    return found


def examples(
    rows: Sequence[Mapping[str, Any]],
    lora: ScoredRun,
    baseline: ScoredRun,
    number: int = MAX_EXAMPLES,
) -> Examples:
    """Texts on which the fine-tune gains most over the baseline, and loses most: up to ``number``."""
    gain = lora.field_f1 - baseline.field_f1
    order = np.argsort(-gain, kind="stable")

    def show(index: int) -> Example:
        row = rows[index]
        return Example(
            id=row["id"],
            text=row["text"],
            gold=row["record"],
            lora_output=lora.outputs[index],
            baseline_output=baseline.outputs[index],
            lora_f1=round(float(lora.field_f1[index]), 4),
            baseline_f1=round(float(baseline.field_f1[index]), 4),
        )

    return Examples(
        wins=tuple(show(i) for i in order[:number] if gain[i] > 0),
        losses=tuple(show(i) for i in order[::-1][:number] if gain[i] < 0),
    )
