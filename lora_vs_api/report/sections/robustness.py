"""What perturbing the texts costs each condition."""

from __future__ import annotations

from lora_vs_api.analysis.results import MIN_CLUSTERS, Drop, PerturbationDrop, Robustness
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections.facts import unit_words

WORDS = {
    "typos": "about one word in eight misspelt, at least one",
    "formatting": "case, line breaks, spaces and full stops adrift",
    "jargon": "abbreviations where there are some",
    "quoted_thread": "an automatic answer quoted below",
    "signature": "a mail footer below",
    "reordered": "sentences in another order",
}


def robustness_section(inputs: ReportInputs) -> Markdown:
    """Empty where nothing was to be perturbed."""
    found = inputs.robustness
    if found is None:
        return Markdown()
    lora = next((row for row in found.conditions if row.kind == "lora"), None)
    return render(
        "robustness",
        found=found,
        confidence=found.statistics.confidence,
        lora=lora,
        lora_side=side(lora.drop) if lora else 0,
        leads=[(lead, side(lead.drop)) for lead in found.leads],
        versions=[
            (name, WORDS[name], applied, perturbed(found, name) if applied else [])
            for name, applied in found.applied.items()
        ],
        # one applied to every text goes without saying, one applied to none has no number
        partly=any(0 < applied < found.texts for applied in found.applied.values()),
        never=[name for name, applied in found.applied.items() if applied == 0],
        tests=sum(len(row.by_perturbation) for row in found.conditions),
        clear=clear_drops(found),
        few=found.fewest < MIN_CLUSTERS,
        unit=unit_words(inputs.analysis),
        min_clusters=MIN_CLUSTERS,
    )


def side(drop: Drop) -> int:
    """The side of 0 on which the whole interval lies, 0 where it holds 0; 1 is worse."""
    return (drop.low > 0) - (drop.high < 0)


def perturbed(found: Robustness, perturbation: str) -> list[PerturbationDrop]:
    """What a perturbation costs each condition."""
    return [
        next(row for row in condition.by_perturbation if row.perturbation == perturbation)
        for condition in found.conditions
    ]


def clear_drops(found: Robustness) -> list[tuple[str, str]]:
    """Perturbation and condition of each drop that stays significant after Holm's correction."""
    level = 1 - found.statistics.confidence
    return [
        (row.perturbation, condition.label)
        for condition in found.conditions
        for row in condition.by_perturbation
        if row.p_holm < level and row.drop.estimate > 0
    ]
