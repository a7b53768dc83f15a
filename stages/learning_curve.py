"""How many labels it takes: python -m stages.learning_curve"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lora_vs_api.analysis.groups import read_labels
from lora_vs_api.analysis.learning_curve import (
    RIVALS,
    CurveSettings,
    learning_curve,
    read_final,
    read_trained,
    trained_of,
)
from lora_vs_api.analysis.results import LearningCurve, read_analysis, write_result
from lora_vs_api.analysis.scored_run import ScoredRun, read_answers
from lora_vs_api.config.sections import Params
from lora_vs_api.entry import run_stage
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import TEST


def main(params: Params) -> None:
    found = found_curve(params) if params.learning_curve.sizes else None
    write_result("metrics/learning_curve.json", found)


def found_curve(params: Params) -> LearningCurve | None:
    rows, fields = read_jsonl(TEST, params.evaluate.test_rows), params.task.record_fields
    settings, analysis = params.learning_curve, read_analysis()
    whole = read_final(settings.sizes[0], settings.seeds[0])

    def answers(names: Sequence[str]) -> list[ScoredRun]:
        return [read_answers(Path("predictions/evaluate", name), rows, fields) for name in names]

    seeds = [f"lora-seed-{seed}" for seed in analysis.seeds]
    return learning_curve(
        [read_trained(size, settings.seeds, rows, fields) for size in settings.sizes],
        trained_of(whole.seen, analysis.seeds, whole.steps, answers(seeds)),
        {
            row.name: answers([row.name])[0].field_f1
            for row in analysis.conditions
            if row.kind in RIVALS
        },
        analysis,
        CurveSettings(
            given=whole.given,
            scale=settings.steps.scale,
            least=settings.steps.least,
            served=bool(analysis.serving and analysis.serving.converted),
        ),
        read_labels(rows, params.task.group_by),
    )


if __name__ == "__main__":
    run_stage(main)
