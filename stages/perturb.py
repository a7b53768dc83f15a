"""Perturb test texts, their records unchanged: data/split/test.jsonl → data/perturb.jsonl, metrics/perturb.json"""

from __future__ import annotations

from collections import Counter

from lora_vs_api.config.sections import Params
from lora_vs_api.data.decisive import vocabulary
from lora_vs_api.data.perturbation import chosen, perturb
from lora_vs_api.entry import run_stage
from lora_vs_api.files import read_rows, write_json, write_jsonl
from lora_vs_api.paths import APPLIED, PERTURBED, TEST, TRAIN


def main(params: Params) -> None:
    settings = params.robustness.texts
    rows = read_rows(TEST, settings.rows)
    # no text, no perturbation: a profile asks none of a task that names its own
    names = chosen(settings.kind, settings.perturbations) if rows else ()
    known = vocabulary(params.task.record_fields, read_rows(TRAIN))
    perturbed = perturb(rows, names, settings.seed, known)
    write_jsonl(PERTURBED, perturbed)
    applied = Counter(row["perturbation"] for row in perturbed)
    write_json(
        APPLIED,
        {"texts": len(rows), "applied": {name: applied[name] for name in names}},
    )


if __name__ == "__main__":
    run_stage(main)
