"""Ask one tuned model about the perturbed texts: python -m stages.perturbed_lora 0"""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.files import read_jsonl
from lora_vs_api.model.evaluation import answer_texts
from lora_vs_api.model.loading import load_tokenizer, load_tuned
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.stage import argument, run_stage
from stages.common import BASE, PERTURBED, record_fields


def main(params: Params) -> None:
    seed = int(argument("a seed", "one of seeds"))
    runtime = resolve_runtime(params.device, params.model.dtype)
    answer_texts(
        load_tuned(BASE, f"models/lora/seed-{seed}", runtime),
        load_tokenizer(BASE, params.model.pad_token),
        read_jsonl(PERTURBED),
        params.task.instruction,
        record_fields(params),
        description=f"lora-seed-{seed}: perturbed texts",
        max_new_tokens=params.evaluate.max_new_tokens,
        batch_size=params.evaluate.batch_size,
        constrained=params.evaluate.constrained,
        predictions=f"perturbed/lora-seed-{seed}",
    )


if __name__ == "__main__":
    run_stage(main)
