"""Ask the untuned base about the test slice, zero-shot: python -m stages.evaluate_base"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import run_stage
from lora_vs_api.inference.evaluate import evaluate_condition
from lora_vs_api.model.loading import load_base
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.paths import BASE


def main(params: Params) -> None:
    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    evaluate_condition(params, "base_zero_shot", load_base(BASE, runtime), runtime)


if __name__ == "__main__":
    run_stage(main)
