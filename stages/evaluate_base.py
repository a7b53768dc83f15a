"""Ask the untuned base about the test slice, zero-shot: python -m stages.evaluate_base"""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.model.evaluation import evaluate_local
from lora_vs_api.model.loading import load_base, load_tokenizer
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.stage import run_stage
from stages.common import BASE, evaluation_rows, record_fields


def main(params: Params) -> None:
    runtime = resolve_runtime(params.device, params.model.dtype)
    evaluate_local(
        load_base(BASE, runtime),
        load_tokenizer(BASE, params.model.pad_token),
        evaluation_rows(params),
        params.task.instruction,
        record_fields(params),
        runtime,
        condition="base_zero_shot",
        max_new_tokens=params.evaluate.max_new_tokens,
        batch_size=params.evaluate.batch_size,
        constrained=params.evaluate.constrained,
        latency_rows=params.evaluate.latency_rows,
        predictions="predictions/base_zero_shot",
        timings="timings/evaluate/base_zero_shot.json",
    )


if __name__ == "__main__":
    run_stage(main)
