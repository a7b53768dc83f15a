"""What a larger run could show: effects that can be detected, and texts and seeds that it takes.

Everything here is about the rule that decides, the random-effects interval at the registered
confidence, and about how far the true difference lies above that rule's limit. It rests on variance
components that were themselves estimated, from few seeds; VarianceShares says how well.
"""

from __future__ import annotations

from collections.abc import Sequence

from lora_vs_api.analysis.results import DetectableRow, EffectPlan, Planning, SampleSize
from lora_vs_api.analysis.scored_run import Floats
from lora_vs_api.stats.clusters import Groups
from lora_vs_api.stats.power import (
    Components,
    components,
    minimum_detectable_effect,
    required_texts,
)
from lora_vs_api.stats.rounding import rounded

# differences in mean field F1 for which the report says what would show them
EFFECTS = (0.01, 0.02, 0.05)

# chance of seeing an effect that is there
POWER = 0.8

# what the tables list beside what was run
TEXTS = (100, 300, 1000, 3000)
SEEDS = (3, 5, 10, 20)


def planning(differences: Floats, confidence: float, *, groups: Groups = None) -> Planning | None:
    """Plan from the differences at hand.

    Args:
        differences: LoRA minus baseline, shape (n_seeds, n_texts).
        confidence: of the interval that decides.
        groups: label of each text; what is called texts is then groups, of as many texts as these.

    Returns:
        None where nothing is seen of how texts differ: a single one (or a single group), or all
        alike. Of one seed, a plan for the adapter at hand alone.
    """
    n_seeds, n_texts = differences.shape
    if groups is not None:
        n_texts = len(set(groups))
    if n_texts < 2:
        return None
    found = components(differences, groups=groups)
    if not found.reach:
        # no text differs from another: the interval goes by the ends of the scale then
        return None
    seeds = [1] if n_seeds == 1 else sorted({n_seeds, *SEEDS})
    texts = sorted({n_texts, *TEXTS})
    return Planning(
        power=POWER,
        confidence=confidence,
        seeds=tuple(seeds),
        detectable=tuple(
            DetectableRow(
                texts=number,
                effects=tuple(_detectable(found, count, number, confidence) for count in seeds),
            )
            for number in texts
        ),
        here=_detectable(found, n_seeds, n_texts, confidence),
        effects=tuple(_effect_plan(effect, found, seeds, confidence) for effect in EFFECTS),
    )


def _detectable(found: Components, seeds: int, texts: int, confidence: float) -> float | None:
    effect = minimum_detectable_effect(found, seeds, texts, confidence, POWER)
    return None if effect is None else rounded(effect, 3)


def _effect_plan(
    effect: float, found: Components, seeds: Sequence[int], confidence: float
) -> EffectPlan:
    texts = [required_texts(effect, found, count, confidence, POWER) for count in seeds]
    possible = [
        SampleSize(seeds=count, texts=number)
        for count, number in zip(seeds, texts)
        if number is not None
    ]
    return EffectPlan(
        effect=effect,
        texts=tuple(texts),
        cheapest=min(possible, key=lambda size: (size.answers, size.seeds), default=None),
    )
