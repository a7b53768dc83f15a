"""Ask a model tuned another way about the test slice: python -m stages.evaluate_tuned full"""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.model.evaluation import evaluate_local
from lora_vs_api.model.loading import load_tokenizer, load_tuned
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.stage import argument, run_stage
from stages.common import BASE, evaluation_rows, record_fields


def main(params: Params) -> None:
    name = argument("a tuning", "a key of tunings")
    runtime = resolve_runtime(params.device, params.model.dtype)
    evaluate_local(
        load_tuned(BASE, f"models/tuned/{name}", runtime),
        load_tokenizer(BASE, params.model.pad_token),
        evaluation_rows(params),
        params.task.instruction,
        record_fields(params),
        runtime,
        condition=name,
        max_new_tokens=params.evaluate.max_new_tokens,
        batch_size=params.evaluate.batch_size,
        constrained=params.evaluate.constrained,
        latency_rows=params.evaluate.latency_rows,
        predictions=f"predictions/{name}",
        timings=f"timings/evaluate/{name}.json",
    )


if __name__ == "__main__":
    run_stage(main)
