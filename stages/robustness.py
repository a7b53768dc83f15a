"""What perturbing the texts costs each condition: python -m stages.robustness"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lora_vs_api.analysis.robustness import Slice, robustness, robustness_table
from lora_vs_api.analysis.scored_run import read_answers
from lora_vs_api.config.sections import Params
from lora_vs_api.entry import run_stage
from lora_vs_api.files import read_jsonl, write_json, write_text
from lora_vs_api.paths import PERTURBED, TEST

COLUMNS = ["condition", "perturbation", "field_f1", "drop", "low", "high"]


def main(params: Params) -> None:
    clean, perturbed, fields = (
        read_jsonl(TEST, params.evaluate.test_rows),
        read_jsonl(PERTURBED),
        params.task.record_fields,
    )
    changed = {name: 0 for name in params.robustness.texts.perturbations}
    for row in perturbed:
        changed[row["perturbation"]] += row["changed"]

    def answers(name: str, label: str, kind: str, passes: list[str]) -> Slice:
        return Slice(
            name,
            label,
            kind,
            [read_answers(Path("predictions/evaluate", one), clean, fields) for one in passes],
            [read_answers(Path("predictions/perturbed", one), perturbed, fields) for one in passes],
        )

    found = {}
    if changed:
        tuned = f"LoRA {params.model.name}"
        found = robustness(
            [
                answers("lora", tuned, "lora", [f"lora-seed-{seed}" for seed in params.seeds]),
                *(
                    answers(name, params.labels.get(name, name), "api", [name])
                    for name in params.robustness.conditions
                ),
            ],
            changed,
            len(perturbed) // len(changed),
            **params.stats.model_dump(),
        )
    write_json("metrics/robustness.json", found)
    table = pd.DataFrame(robustness_table(found) if found else [], columns=COLUMNS)
    write_text("plots/robustness.csv", table.to_csv(index=False))


if __name__ == "__main__":
    run_stage(main)
