"""What an API condition's labels cost, how good they are and what the fine-tune learnt from them."""

from __future__ import annotations

from lora_vs_api.analysis.distillation_results import Distillation
from lora_vs_api.analysis.results import MIN_CLUSTERS, Outcome
from lora_vs_api.paths import DISTILLED_CONDITION
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections.facts import is_local

SHOWN = 10
BEATS: dict[Outcome, str] = {
    "holds": "is more accurate than its teacher: the whole interval lies above zero",
    "fails": "is not more accurate than its teacher: the interval has nothing above zero",
    "undecided": "is not shown to be more accurate than its teacher, nor that it is not: the interval "
    "has values on both sides",
}
KEEPS: dict[Outcome, str] = {
    "holds": "is not worse by the margin",
    "fails": "is worse by the margin or more",
    "undecided": "may be worse by the margin",
}
GOLD: dict[Outcome, str] = {
    "holds": "gold labels taught more",
    "fails": "gold labels did not teach more",
    "undecided": "whether gold labels taught more is open",
}


def distillation_section(inputs: ReportInputs) -> Markdown:
    """Empty where no API condition labelled the training texts."""
    found, analysis = inputs.distillation, inputs.analysis
    if found is None:
        return Markdown()
    decision = found.against_teacher
    name = DISTILLED_CONDITION if found.beside_gold else "lora"
    return render(
        "distillation",
        found=found,
        left_out=found.labels.left_out[:SHOWN],
        more=len(found.labels.left_out) > SHOWN,
        each=found.usd / found.labels.asked,
        pupil=analysis.condition(name),
        gold=analysis.decision(name) if found.beside_gold else None,
        gold_words=GOLD[analysis.decision(name).superior] if found.beside_gold else None,
        lora=analysis.lora,
        decision=decision,
        beats=BEATS[decision.superior],
        keeps=KEEPS[decision.non_inferior],
        confidence=analysis.statistics.confidence,
        months=found.ownership.inputs.horizon_months,
        rows=list(zip(found.ownership.local, found.ownership.against[0].rows, strict=True)),
        served=found.beside_gold
        and analysis.serving is not None
        and bool(analysis.serving.converted),
        few=few_words(found),
        local=is_local(analysis),
    )


def few_words(found: Distillation) -> bool:
    """Whether so few texts have gold that their shares say little."""
    return 0 < found.with_gold < MIN_CLUSTERS
