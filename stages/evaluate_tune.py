"""Ask a model tuned another way about the test slice: python -m stages.evaluate_tune full"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.inference.evaluate import evaluate_condition
from lora_vs_api.model.loading import load_tuned
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.paths import BASE


def main(params: Params) -> None:
    name = argument("a tuning", "a key of tunings")
    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    evaluate_condition(params, name, load_tuned(BASE, f"models/tune/{name}", runtime), runtime)


if __name__ == "__main__":
    run_stage(main)
