"""Score the answers kept here on the texts they answer: see "smol-gpu" in ../README.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lora_vs_api.analysis.compare import compare, lora_statistics
from lora_vs_api.analysis.condition import ConditionRuns, condition
from lora_vs_api.analysis.costs import local_cost
from lora_vs_api.analysis.groups import read_labels
from lora_vs_api.analysis.results import Kind
from lora_vs_api.analysis.scored_run import read_run
from lora_vs_api.config.load import load_params
from lora_vs_api.files import read_jsonl, write_json
from lora_vs_api.paths import TEST
from lora_vs_api.stats.bootstrap import Draws


def main() -> None:
    params = load_params()
    rows = read_jsonl(TEST, params.evaluate.test_rows)
    fields = params.task.scored_fields
    draws, groups = Draws(**params.stats.model_dump()), read_labels(rows, params.task.group_by)

    def runs_of(name: str, kind: Kind, files: list[str]) -> ConditionRuns:
        runs = tuple(read_run(file, rows, fields) for file in files)
        cost = local_cost(runs, params.economics)
        return ConditionRuns(name, name, kind, params.model.name, shots=0, runs=runs, cost=cost)

    tuned = runs_of("lora", "lora", [f"lora-seed-{seed}" for seed in params.seeds])
    others = [runs_of(name, "model_free", [name]) for name in params.model_free]
    found = [condition(item, rows, fields, None, draws, groups) for item in (tuned, *others)]
    scores: dict[str, Any] = {
        "texts": len(rows),
        "situations": len(set(groups or ())),
        "conditions": [
            {
                "name": item.name,
                "field_f1": item.field_f1.model_dump(),
                "exact_match": item.exact_match,
                "per_field": item.per_field,
            }
            for item in found
        ],
        "per_seed": [
            seed.model_dump()
            for seed in lora_statistics(params.seeds, tuned.runs, draws, groups).per_seed
        ],
        "fine_tune_minus": [
            {
                "name": item.baseline,
                "difference": item.difference,
                "low": item.low,
                "high": item.high,
                "p_holm": item.p_holm,
            }
            for item in compare(tuned, others, [field.name for field in fields], draws, groups)
        ],
    }
    write_json(Path(__file__).with_name("scores.json"), scores)


if __name__ == "__main__":
    main()
