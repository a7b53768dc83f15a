"""What perturbing the texts costs each condition: python -m stages.robustness"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lora_vs_api.analysis.condition import label_of
from lora_vs_api.analysis.groups import read_labels
from lora_vs_api.analysis.results import Kind, write_result
from lora_vs_api.analysis.robustness import (
    CleanAndPerturbed,
    RobustnessRow,
    robustness,
    robustness_table,
)
from lora_vs_api.analysis.scored_run import read_answers
from lora_vs_api.analysis.slots import condition_slots
from lora_vs_api.config.sections import Params
from lora_vs_api.entry import run_stage
from lora_vs_api.files import read_json, read_jsonl, write_text
from lora_vs_api.paths import APPLIED, PERTURBED, TEST
from lora_vs_api.stats.bootstrap import Draws

COLUMNS = list(RobustnessRow.__annotations__)


def main(params: Params) -> None:
    clean, perturbed, fields = (
        read_jsonl(TEST, params.evaluate.test_rows),
        read_jsonl(PERTURBED),
        params.task.scored_fields,
    )
    summary = read_json(APPLIED)
    place = {row["id"]: index for index, row in enumerate(clean)}
    applied: dict[str, list[int]] = {name: [] for name in summary["applied"]}
    for row in perturbed:
        applied[row["perturbation"]].append(place[row["of"]])

    def answers(name: str, label: str, kind: Kind, runs: Sequence[str]) -> CleanAndPerturbed:
        return CleanAndPerturbed(
            name,
            label,
            kind,
            [read_answers(Path("predictions/evaluate", run), clean, fields) for run in runs],
            [read_answers(Path("predictions/perturbed", run), perturbed, fields) for run in runs],
        )

    found = None
    if applied:
        lora = f"LoRA {params.model.name}"
        found = robustness(
            [
                answers("lora", lora, "lora", [f"lora-seed-{seed}" for seed in params.seeds]),
                *(
                    answers(
                        name,
                        label_of(name, params.conditions[name].model, params.labels),
                        "api",
                        [name],
                    )
                    for name in params.robustness.conditions
                ),
            ],
            applied,
            summary["texts"],
            Draws(**params.stats.model_dump()),
            read_labels(clean, params.task.group_by),
        )
    write_result("metrics/robustness.json", found)
    # an API's look depends on the APIs alone
    slots = condition_slots([("lora", "lora"), *((name, "api") for name in params.conditions)])
    table = pd.DataFrame(robustness_table(found, slots) if found else [], columns=COLUMNS)
    write_text("plots/robustness.csv", table.to_csv(index=False))


if __name__ == "__main__":
    run_stage(main)
