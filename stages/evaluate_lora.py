"""Ask one tuned model about the test slice: python -m stages.evaluate_lora 0"""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.model.evaluation import evaluate_local
from lora_vs_api.model.loading import load_tokenizer, load_tuned
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.stage import argument, run_stage
from stages.common import BASE, evaluation_rows, record_fields


def main(params: Params) -> None:
    seed = int(argument("a seed", "one of seeds"))
    runtime = resolve_runtime(params.device, params.model.dtype)
    condition = f"lora-seed-{seed}"
    evaluate_local(
        load_tuned(BASE, f"models/lora/seed-{seed}", runtime),
        load_tokenizer(BASE, params.model.pad_token),
        evaluation_rows(params),
        params.task.instruction,
        record_fields(params),
        runtime,
        condition=condition,
        max_new_tokens=params.evaluate.max_new_tokens,
        batch_size=params.evaluate.batch_size,
        constrained=params.evaluate.constrained,
        latency_rows=params.evaluate.latency_rows,
        predictions=f"predictions/{condition}",
        timings=f"timings/evaluate/{condition}.json",
    )


if __name__ == "__main__":
    run_stage(main)
