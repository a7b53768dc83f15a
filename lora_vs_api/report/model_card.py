"""The model card of a published adapter, every number of it from metrics/analysis.json.

Format: https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

from dataclasses import dataclass

from lora_vs_api.analysis.order import ranked
from lora_vs_api.analysis.results import Analysis, SeedScore
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections.advice import accuracy_words, difference_between
from lora_vs_api.report.sections.facts import (
    has_api,
    has_several,
    is_embedded,
    is_local,
    is_own_server,
    stamp,
    unit_words,
    weight_words,
)


@dataclass(frozen=True)
class Published:
    """What is published: one seed's adapter, and where its base model is found.

    ``base_model`` is a Hub id or a path; ``weights`` says in words which weights it was trained on.
    """

    name: str
    seed: int
    base_model: str
    weights: str
    license: str | None
    instruction: str
    max_new_tokens: int
    adapter_sha256: str
    commit: str | None
    synthetic: bool


def model_card(analysis: Analysis, what: Published) -> str:
    """README.md of the adapter's folder: metadata, scores with intervals, limits, use."""
    analysis = ranked(analysis)
    own = next(row for row in analysis.lora_statistics.per_seed if row.seed == what.seed)
    card = render(
        "model_card",
        metadata=Markdown(_metadata(analysis, what, own)),
        what=what,
        stamp=stamp(analysis),
        analysis=analysis,
        unit=unit_words(analysis),
        own=own,
        lora=analysis.lora,
        others=[row for row in analysis.conditions if row.kind != "lora"],
        fields=sorted(
            ((n, v) for n, v in analysis.lora.per_field.items() if v is not None),
            key=lambda item: -item[1],
        ),
        decided=[
            (decision, difference_between(decision), accuracy_words(decision))
            for decision in analysis.decisions
        ],
        embedded=is_embedded(analysis),
        asked=has_api(analysis),
        own_server=is_own_server(analysis),
        local=is_local(analysis),
        several=has_several(analysis),
        open_models=weight_words(analysis),
        # a literal of Python, inside a code block
        instruction=Markdown(repr(what.instruction)),
    )
    return card + "\n"


def _metadata(analysis: Analysis, what: Published, own: SeedScore) -> str:
    """The card's front matter as YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type="synthetic" if what.synthetic else "private",
            dataset_name=f"{analysis.task} ({analysis.texts} test texts)",
            metric_type=kind,
            metric_name=name,
            metric_value=value,
        )
        for kind, name, value in (
            ("f1", "mean field F1", own.field_f1),
            ("accuracy", "exact match", own.exact_match),
            ("accuracy", "valid JSON", own.valid_json),
        )
    ]
    return str(
        ModelCardData(
            base_model=what.base_model,
            library_name="peft",
            pipeline_tag="text-generation",
            license=what.license,
            tags=["lora", "information-extraction", "lora-vs-api"],
            model_name=what.name,
            eval_results=results,
        ).to_yaml()
    ).strip()
