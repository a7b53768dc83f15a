"""Ask the model that the teacher taught about the test slice: python -m stages.evaluate_distil 0"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.inference.evaluate import evaluate_condition
from lora_vs_api.model.loading import load_tuned
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.paths import BASE, DISTILLED, distilled_name, seed_folder


def main(params: Params) -> None:
    seed = int(argument("a seed", "one of training_labels.seeds", str.isdecimal))
    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    model = load_tuned(BASE, seed_folder(DISTILLED, seed), runtime)
    evaluate_condition(params, distilled_name(seed), model, runtime)


if __name__ == "__main__":
    run_stage(main)
