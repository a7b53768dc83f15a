"""Ask one tuned model about the perturbed texts: python -m stages.perturbed_lora 0"""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.files import read_jsonl
from lora_vs_api.model.evaluation import answer_texts
from lora_vs_api.model.loading import load_tuned
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.stage import argument, run_stage
from stages.common import BASE, PERTURBED
from stages.extractors import extractor_of


def main(params: Params) -> None:
    seed = int(argument("a seed", "one of seeds"))
    runtime = resolve_runtime(params.device, params.model.dtype)
    model = load_tuned(BASE, f"models/lora/seed-{seed}", runtime)
    answer_texts(
        extractor_of(params, model, constrained=params.evaluate.constrained),
        read_jsonl(PERTURBED),
        description=f"lora-seed-{seed}: perturbed texts",
        predictions=f"perturbed/lora-seed-{seed}",
    )


if __name__ == "__main__":
    run_stage(main)
