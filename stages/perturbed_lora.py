"""Ask one tuned model about the perturbed texts: python -m stages.perturbed_lora 0"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.files import read_jsonl
from lora_vs_api.inference.evaluate import answer_texts
from lora_vs_api.inference.extractor import extractor_of
from lora_vs_api.model.loading import load_tuned
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.paths import BASE, PERTURBED


def main(params: Params) -> None:
    seed = int(argument("a seed", "one of seeds"))
    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    model = load_tuned(BASE, f"models/train/seed-{seed}", runtime)
    answer_texts(
        extractor_of(params, model, constrained=params.decoding.constrained),
        read_jsonl(PERTURBED),
        description=f"lora-seed-{seed}: perturbed texts",
        predictions=f"predictions/perturbed/lora-seed-{seed}",
    )


if __name__ == "__main__":
    run_stage(main)
