"""How many labels it takes: python -m stages.learning_curve"""

from __future__ import annotations

from pathlib import Path

from lora_vs_api.analysis.groups import read_labels
from lora_vs_api.analysis.learning_curve import (
    CurveSettings,
    Rival,
    learning_curve,
    read_final,
    read_trained,
    trained_of,
)
from lora_vs_api.analysis.results import LearningCurve, write_result
from lora_vs_api.analysis.scored_run import ScoredRun, read_answers
from lora_vs_api.config.sections import Params
from lora_vs_api.entry import run_stage
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import TEST
from lora_vs_api.stats.bootstrap import Draws


def main(params: Params) -> None:
    found = found_curve(params) if params.learning_curve.sizes else None
    write_result("metrics/learning_curve.json", found)


def found_curve(params: Params) -> LearningCurve | None:
    rows, fields = read_jsonl(TEST, params.evaluate.test_rows), params.task.scored_fields
    settings = params.learning_curve
    whole = read_final(settings.sizes[0], settings.seeds[0])

    def answers(name: str) -> ScoredRun:
        return read_answers(Path("predictions/evaluate", name), rows, fields)

    finals = [answers(f"lora-seed-{seed}") for seed in params.seeds]
    return learning_curve(
        [read_trained(size, settings.seeds, rows, fields) for size in settings.sizes],
        trained_of(whole.seen, params.seeds, whole.steps, finals),
        [
            Rival(name, answers(name).field_f1, labels)
            for name, labels in labels_used(params, whole.given).items()
        ],
        CurveSettings(whole.given, settings.steps.scale, settings.steps.least),
        Draws(**params.stats.model_dump()),
        read_labels(rows, params.task.group_by),
    )


def labels_used(params: Params, given: int) -> dict[str, int]:
    """Every condition that needs no training → the labels that it uses itself: those in its prompt, or
    all ``given`` where it chooses or learns from them."""
    return {
        "base_zero_shot": 0,
        **{
            name: given if condition.nearest_examples else condition.examples
            for name, condition in params.conditions.items()
        },
        **dict.fromkeys(params.model_free, given),
    }


if __name__ == "__main__":
    run_stage(main)
