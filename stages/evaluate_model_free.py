"""Ask one predictor without a model about the test slice: python -m stages.evaluate_model_free nearest"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_rows
from lora_vs_api.model_free.evaluate import evaluate_predictor
from lora_vs_api.paths import TEST, TRAIN


def main(params: Params) -> None:
    name = argument("a predictor", "one of model_free")
    train = read_rows(TRAIN)
    if not train:
        raise UserError(
            f"model_free: expected [] without gold labels for training, from which {name} learns"
        )
    evaluate_predictor(
        name,
        train,
        read_rows(TEST, params.evaluate.test_rows),
        params.task.record_fields,
        latency_rows=params.evaluate.latency_rows,
        predictions=f"predictions/evaluate/{name}",
        timings=f"timings/evaluate/{name}.json",
    )


if __name__ == "__main__":
    run_stage(main)
