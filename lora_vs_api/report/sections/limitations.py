"""What the results do not show."""

from __future__ import annotations

from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections.facts import (
    apart,
    constant_fields,
    has_api,
    has_choice,
    has_several,
    is_embedded,
    is_local,
    is_own_server,
    priced_entries,
    served_models,
    unguessed_fields,
    unit_words,
    weight_words,
)


def limitations_section(inputs: ReportInputs) -> Markdown:
    analysis = inputs.analysis
    serving = analysis.serving
    statistics, judged = analysis.lora_statistics, analysis.comparison(analysis.reference.name)
    return render(
        "limitations",
        analysis=analysis,
        chosen=has_choice(analysis),
        judged=judged,
        detectable=judged.planning.here if judged.planning else None,
        in_process=[]
        if serving is None or not serving.converted
        else [row.label for row in analysis.conditions if row.kind in ("base", "tuned")],
        server=serving.server if serving is not None and serving.converted else "",
        embedded=is_embedded(analysis),
        own_server=is_own_server(analysis),
        local=is_local(analysis),
        models=served_models(analysis),
        open_models=weight_words(analysis),
        several=has_several(analysis),
        asked=has_api(analysis),
        priced=priced_entries(analysis),
        replicated=any(row.noise_floor for row in analysis.conditions),
        generated=inputs.corpus.source == "generator",
        perturbed=inputs.robustness is not None and inputs.robustness.taken > 0,
        overlap=inputs.split.masked_sentence_overlap,
        conventions=inputs.corpus.conventions,
        unguessed=unguessed_fields(analysis),
        unit=unit_words(analysis),
        apart=apart(analysis),
        seed_share=statistics.variance_shares.seeds,
        seed_scores=[row.field_f1 for row in statistics.per_seed],
        review=inputs.review,
        watts=inputs.settings.watts,
        constant=constant_fields(analysis),
        max_steps=inputs.settings.train.get("max_steps"),
    )
