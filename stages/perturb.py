"""Perturb test texts, their records unchanged: data/split/test.jsonl → data/perturb.jsonl"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.data.perturbation import perturb
from lora_vs_api.entry import run_stage
from lora_vs_api.files import read_rows, write_jsonl
from lora_vs_api.paths import PERTURBED, TEST


def main(params: Params) -> None:
    settings = params.robustness.texts
    rows = read_rows(TEST, settings.rows)
    write_jsonl(PERTURBED, perturb(rows, settings.perturbations, settings.seed))


if __name__ == "__main__":
    run_stage(main)
