"""The fine-tune alone and against each baseline: intervals, tests and what the sample can show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lora_vs_api.analysis import results
from lora_vs_api.analysis.condition import ConditionRuns, rounded_interval
from lora_vs_api.analysis.groups import clustering
from lora_vs_api.analysis.planning import planning
from lora_vs_api.analysis.results import (
    Comparison,
    Example,
    Examples,
    FieldDifference,
    IntervalEnds,
    LoraIntervals,
    LoraStatistics,
    McNemar,
    RateDifferences,
    SeedScore,
    VarianceShares,
)
from lora_vs_api.analysis.scored_run import Bools, Floats, ScoredRun
from lora_vs_api.stats.bayesian import text_interval
from lora_vs_api.stats.bootstrap import Draws, bca_interval, published_interval
from lora_vs_api.stats.clusters import Groups
from lora_vs_api.stats.comparisons import holm, mcnemar_exact
from lora_vs_api.stats.paired import (
    DIFFERENCES,
    PairedDifference,
    paired_difference,
    sign_flip,
)
from lora_vs_api.stats.ratio import Linearised
from lora_vs_api.stats.rounding import rounded
from lora_vs_api.stats.variance import (
    Share,
    random_effects_interval,
    random_effects_score,
    variance_shares,
)

MAX_EXAMPLES = 2


def lora_statistics(
    seeds: Sequence[int], runs: Sequence[ScoredRun], draws: Draws, groups: Groups = None
) -> LoraStatistics:
    """The fine-tune alone: each seed, its interval under four ways to count, its variance.

    The two that only stand for comparison, BCa and the published protocol, count no ``groups``.
    """
    scores = np.stack([run.field_f1 for run in runs])
    shares = variance_shares(scores, draws.confidence, draws.seed, groups=groups)
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
            random_effects=rounded_interval(random_effects_score(scores, draws, groups=groups)),
            texts=rounded_interval(text_interval(scores.mean(axis=0), draws, groups=groups)),
            texts_bca=rounded_interval(bca_interval(scores.mean(axis=0), *draws)),
            published_protocol=rounded_interval(published_interval(scores, *draws)),
        ),
        variance_shares=VarianceShares(
            seeds=_share(shares.seeds),
            texts=_share(shares.texts),
            interaction=_share(shares.interaction),
        ),
        clustering=clustering(scores, groups),
    )


def _share(found: Share | None) -> results.Share | None:
    if found is None:
        return None
    return results.Share(
        estimate=round(found.estimate, 4), low=round(found.low, 4), high=round(found.high, 4)
    )


def compare(
    lora: ConditionRuns,
    baselines: Sequence[ConditionRuns],
    field_names: Sequence[str],
    draws: Draws,
    groups: Groups = None,
) -> tuple[Comparison, ...]:
    """The fine-tune's mean over its seeds against each baseline, paired by text.

    A baseline with several runs has one for each of the fine-tune's seeds, and is paired by seed too.

    ``groups``: label of each text; texts of one group are counted together.
    """
    mean_f1 = _mean_f1(lora.runs)
    paired = {
        other.name: paired_difference(mean_f1, _mean_f1(other.runs), draws, groups=groups)
        for other in baselines
    }
    adjusted = holm({name: rounded(found.p_value) for name, found in paired.items()})
    return tuple(
        _comparison(
            lora.runs,
            other,
            paired[other.name],
            rounded(adjusted[other.name]),
            field_names,
            draws,
            groups,
        )
        for other in baselines
    )


def _mean_f1(runs: Sequence[ScoredRun]) -> Floats:
    """Field F1 of each text, mean over the runs; shape (n_texts,)."""
    mean: Floats = np.stack([run.field_f1 for run in runs]).mean(axis=0)
    return mean


def _comparison(
    lora: Sequence[ScoredRun],
    other: ConditionRuns,
    paired: PairedDifference,
    p_holm: float,
    field_names: Sequence[str],
    draws: Draws,
    groups: Groups,
) -> Comparison:
    baseline = other.runs
    if len(baseline) not in (1, len(lora)):
        raise ValueError(f"{other.name}: expected one run or {len(lora)}, found {len(baseline)}")
    by_seed = np.stack([run.field_f1 for run in lora])
    differences: Floats = by_seed - np.stack([run.field_f1 for run in baseline])
    random_effects = random_effects_interval(differences, draws.confidence, groups=groups)
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
        clusters=paired.n_clusters,
        clustering=clustering(differences, groups),
        wins=paired.wins,
        ties=paired.ties,
        losses=paired.losses,
        mcnemar=_mcnemar(lora, baseline, draws, groups),
        rates=_rates(lora, baseline, draws.confidence, groups),
        planning=planning(differences, draws.confidence, groups=groups),
        per_field=_per_field(lora, baseline, field_names, draws, groups),
    )


def _mcnemar(
    lora: Sequence[ScoredRun], baseline: Sequence[ScoredRun], draws: Draws, groups: Groups
) -> McNemar:
    # a text counts as right when more than half of the seeds get every field of it right
    ours, theirs = (
        np.mean([run.exact_match for run in runs], axis=0) > 0.5 for runs in (lora, baseline)
    )
    found, p = mcnemar_exact(ours, theirs), None
    if groups is not None:
        # the same test, where every group is one text
        signs = ours.astype(float) - theirs
        p = sign_flip(signs, draws.resamples, draws.seed, groups=groups)
    return McNemar(
        only_lora=found.only_a,
        only_baseline=found.only_b,
        p_value=rounded(found.p if p is None else p),
    )


def _rates(
    lora: Sequence[ScoredRun], baseline: Sequence[ScoredRun], confidence: float, groups: Groups
) -> RateDifferences:
    def difference(of: Callable[[ScoredRun], Bools]) -> FieldDifference:
        ours, theirs = (
            np.stack([of(run).astype(float) for run in runs]) for runs in (lora, baseline)
        )
        return decided_difference(ours - theirs, confidence, groups)

    return RateDifferences(
        exact_match=difference(lambda run: run.exact_match),
        valid_json=difference(lambda run: run.valid_json),
        schema_valid=difference(lambda run: run.schema_valid),
        truncated=difference(lambda run: run.truncated),
    )


def decided_difference(
    differences: Floats,
    confidence: float,
    groups: Groups,
    bounds: tuple[float, float] = DIFFERENCES,
) -> FieldDifference:
    """With the interval that decides, of differences (n_seeds, n_texts) within ``bounds``."""
    interval = random_effects_interval(differences, confidence, bounds=bounds, groups=groups)
    # one text's linearised value may lie outside -1..1, a difference of scores cannot
    low, high = DIFFERENCES
    return FieldDifference(
        difference=round(interval.estimate, 6),
        low=round(max(low, interval.low), 6),
        high=round(min(high, interval.high), 6),
    )


def _per_field(
    lora: Sequence[ScoredRun],
    baseline: Sequence[ScoredRun],
    names: Sequence[str],
    draws: Draws,
    groups: Groups,
) -> dict[str, FieldDifference | None]:
    """Paired difference of every field, with the kind of interval that decides the score too.

    None where no text has a value.
    """
    ours, theirs = (zip(*(run.by_field for run in runs)) for runs in (lora, baseline))
    return {
        # no record fills a field for one run and not for another
        name: _field_difference(
            [f for f in of_lora if f], [f for f in of_other if f], draws.confidence, groups
        )
        if all(of_other)
        else None
        for name, of_lora, of_other in zip(names, ours, theirs, strict=True)
    }


def _field_difference(
    lora: Sequence[Linearised], baseline: Sequence[Linearised], confidence: float, groups: Groups
) -> FieldDifference:
    """One field's, from the values of each seed and those of the baseline, one run or one a seed."""
    bounds = (
        min(found.low for found in lora) - max(found.high for found in baseline),
        max(found.high for found in lora) - min(found.low for found in baseline),
    )
    ours, theirs = (np.stack([found.values for found in each]) for each in (lora, baseline))
    return decided_difference(ours - theirs, confidence, groups, bounds)


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
            lora_cut=bool(lora.truncated[index]),
            baseline_cut=bool(baseline.truncated[index]),
        )

    return Examples(
        wins=tuple(show(i) for i in order[:number] if gain[i] > 0),
        losses=tuple(show(i) for i in order[::-1][:number] if gain[i] < 0),
    )
