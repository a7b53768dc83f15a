"""How the conditions were made and scored, and what it takes to make them again."""

from __future__ import annotations

from collections.abc import Iterator

from lora_vs_api.analysis.results import Condition
from lora_vs_api.config.sections import Adapter
from lora_vs_api.record.fields import Field
from lora_vs_api.record.prompt import system_prompt
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections.facts import (
    has_choice,
    has_several,
    is_embedded,
    is_local,
    is_own_server,
    served_models,
    weight_words,
)
from lora_vs_api.scoring.kinds import score_of

VARIANTS = {
    "lora": "LoRA",
    "rslora": "rsLoRA",
    "dora": "DoRA",
    "pissa": "LoRA from PiSSA's start",
    "qlora": "QLoRA (on the base's weights in 4 bits)",
}
# shown on lines of their own
COUNTED = ("batch_size", "gradient_accumulation")


def method_section(inputs: ReportInputs) -> Markdown:
    settings = inputs.settings
    batch = 1
    for key in COUNTED:
        batch *= int(str(settings.train.get(key, 1)))
    conditions = inputs.analysis.conditions
    few_shot = [row for row in conditions if row.shots]
    serving = inputs.analysis.serving
    converted = [] if serving is None else serving.converted
    return render(
        "method",
        converted=converted,
        server=serving.server if serving is not None and converted else "",
        outtype="" if serving is None else serving.outtype.upper(),
        same=sum(row.same for row in converted),
        checked=sum(row.texts for row in converted),
        probed=sum(row.probed for row in converted),
        difference=max((row.difference or 0.0 for row in converted), default=0.0),
        marks=sorted({mark for row in converted for mark in row.read_otherwise}),
        refused=[] if serving is None else serving.refused,
        chosen=has_choice(inputs.analysis),
        tried=inputs.analysis.tried is None or inputs.analysis.tried.ranks > 0,
        analysis=inputs.analysis,
        settings=settings,
        sanity=inputs.sanity,
        source=named(inputs, "source", "package", "version", "repo", "revision", "path", "license"),
        variant=variant(settings.lora),
        modules=modules(settings.lora),
        fields=[(field.name, type_words(field), score_words(field)) for field in settings.fields],
        optional=[field.name for field in settings.fields if field.may_be_empty],
        required=[field.name for field in settings.fields if not field.may_be_empty],
        weighted=[field for field in settings.fields if field.weight != 1],
        slot_weights=[pair for field in settings.fields for pair in _slot_weights(field)],
        cut_at=settings.train.get("max_length")
        if settings.train.get("too_long") == "cut"
        else None,
        batch=batch,
        train={
            key: {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
            for key, value in settings.train.items()
            if value is not None and key not in COUNTED and key != "too_long"
        },
        embedded=is_embedded(inputs.analysis),
        own_server=is_own_server(inputs.analysis),
        local=is_local(inputs.analysis),
        models=served_models(inputs.analysis),
        open_models=weight_words(inputs.analysis),
        several=has_several(inputs.analysis),
        fixed=[r.label for r in few_shot if not (r.nearest_shots or r.written_shots)],
        written=[row.label for row in few_shot if row.written_shots],
        own=[
            (row.label, system_prompt(row.instruction, settings.fields))
            for row in conditions
            if row.instruction is not None
        ],
        nearest=[row.label for row in few_shot if row.nearest_shots],
        enforced=[row for row in conditions if row.schema_enforced],
        json_mode=[row.label for row in conditions if row.json_mode],
        plain=any(_in_plain_text(row, settings.constrained) for row in conditions),
    )


def _in_plain_text(row: Condition, constrained: bool) -> bool:
    """Whether nothing but the prompt says what form the condition's answers have."""
    if row.kind == "api":
        return not (row.schema_enforced or row.json_mode)
    return row.kind != "model_free" and not constrained


def reproducibility_section(inputs: ReportInputs) -> Markdown:
    return render(
        "reproducibility",
        analysis=inputs.analysis,
        model=named(inputs, "name", "package", "version", "repo", "revision"),
        sha256=named(inputs, "sha256").get("sha256"),
        installation=inputs.installation,
        digests=inputs.digests,
    )


def named(inputs: ReportInputs, *keys: str) -> dict[str, str]:
    """Those of the base model's keys that are set."""
    model = inputs.settings.model
    return {key: str(model[key]) for key in keys if model.get(key)}


def variant(lora: Adapter) -> str:
    ratio = lora.plus_ratio
    plus = "" if ratio is None else f" (LoRA+: B learns at {ratio:g} times A's rate)"
    return VARIANTS[lora.variant] + plus


def modules(lora: Adapter) -> str:
    if isinstance(lora.target_modules, str):
        return "all linear layers but the output's"
    return ", ".join(lora.target_modules)


def type_words(field: Field) -> str:
    words = field.type
    if field.values:
        words = f"{words}: {', '.join(field.values)}"
    elif field.minimum is not None and field.maximum is not None:
        words = f"{words} {field.minimum} to {field.maximum}"
    elif field.fields:
        words = f"{words} with {', '.join(inner.name for inner in field.fields)}"
    elif field.items is not None:
        words = f"{words}, each {type_words(field.items)}"
    if field.omitted:
        return words + ", or left out"
    return words + (", or null" if field.optional else "")


def score_words(field: Field) -> str:
    return {
        "exact": "exact match",
        "normalised": "match but for case, punctuation and articles",
        "token_f1": "F1 of the words",
        "tolerance": f"match within {field.tolerance}",
        "set_f1": "F1 of the set",
        "slot_f1": "F1 of the slots",
    }[score_of(field)]


def _slot_weights(field: Field) -> Iterator[tuple[str, float]]:
    """Path and weight of each field within an object that does not count once there."""
    for inner in field.fields:
        if inner.weight != 1:
            yield f"{field.name}.{inner.name}", inner.weight
        yield from ((f"{field.name}.{path}", weight) for path, weight in _slot_weights(inner))
