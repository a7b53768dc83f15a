"""Make test texts less tidy, their records unchanged: data/splits/test.jsonl → data/perturbed.jsonl"""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.files import read_jsonl, write_jsonl
from lora_vs_api.stage import run_stage
from lora_vs_api.task.perturbation import perturb
from stages.common import PERTURBED, TEST


def main(params: Params) -> None:
    settings = params.robustness
    rows = read_jsonl(TEST)[: settings.rows]
    write_jsonl(PERTURBED, perturb(rows, settings.perturbations, settings.seed))


if __name__ == "__main__":
    run_stage(main)
