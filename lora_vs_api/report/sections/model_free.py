"""How the fine-tune stands against what needs no model at all."""

from __future__ import annotations

from collections.abc import Sequence

from lora_vs_api.record.fields import Field
from lora_vs_api.report.inputs import ReportInputs
from lora_vs_api.report.rendering import Markdown, render
from lora_vs_api.report.sections.advice import (
    accuracy_words,
    cheaper_words,
    difference_between,
    subject,
)

HOW = {
    "majority": "each field's commonest value in training, whatever the text",
    "nearest": "the record of the training text that is most like this one (cosine of TF-IDF over "
    "words and pairs of words)",
    "nearest_copy": "that record, with the strings that stand in the text taken from it; which do, "
    "and what they stand between, is counted in the training texts",
}

# of a task with fields that may be empty
OR_FILLED = (
    "; where a field may be empty and mostly is, the commonest value that says something, if the record "
    "then scores better on the training texts"
)


def how(name: str, fields: Sequence[Field]) -> str:
    """What a predictor answers, in words."""
    filled = name == "majority" and any(field.may_be_empty for field in fields)
    return HOW[name] + OR_FILLED * filled


def model_free_section(inputs: ReportInputs) -> Markdown:
    """Empty where no such rival was asked for."""
    analysis = inputs.analysis
    strongest = analysis.strongest_model_free
    if strongest is None:
        return Markdown()
    decision = analysis.decision(strongest.name)
    return render(
        "model_free",
        rivals=[
            (row.label, how(row.name, inputs.settings.fields))
            for row in analysis.conditions
            if row.kind == "model_free"
        ],
        training_texts=inputs.split.train,
        seen=texts_seen(inputs),
        confidence=analysis.statistics.confidence,
        lora=analysis.lora,
        strongest=strongest,
        decision=decision,
        between=difference_between(decision),
        accuracy=accuracy_words(decision, "it"),
        cheaper=cheaper_words(decision),
        subject=subject(decision),
        compare=strongest.latency.compares_with(analysis.lora.latency),
    )


def texts_seen(inputs: ReportInputs) -> int:
    """How many of the training texts one training sees: all of them, unless its steps end before."""
    train = inputs.settings.train
    if train.get("max_steps") is None:
        return inputs.split.train
    keys = ("max_steps", "batch_size", "gradient_accumulation")
    steps, batch, accumulation = (int(str(train.get(key, 1))) for key in keys)
    return min(inputs.split.train, steps * batch * accumulation)
