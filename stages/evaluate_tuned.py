"""Ask a model tuned another way about the test slice: python -m stages.evaluate_tuned full"""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.model.loading import load_tuned
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.stage import argument, run_stage
from stages.asked import evaluate_condition
from stages.common import BASE


def main(params: Params) -> None:
    name = argument("a tuning", "a key of tunings")
    runtime = resolve_runtime(params.device, params.model.dtype)
    evaluate_condition(params, name, load_tuned(BASE, f"models/tuned/{name}", runtime), runtime)


if __name__ == "__main__":
    run_stage(main)
