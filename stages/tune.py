"""Tune the base another way: python -m stages.tune full"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.files import write_json
from lora_vs_api.model.runtime import machine, resolve_runtime
from lora_vs_api.training.run import TrainingTimings, train
from lora_vs_api.training.spec import tuning_spec


def main(params: Params) -> None:
    name = argument("a tuning", "a key of tunings", lambda name: name in params.tunings)
    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    spec = tuning_spec(params, params.tunings[name], runtime)
    run = train(params, spec, runtime, f"models/tune/{name}", name)
    write_json(f"timings/tune/{name}.json", TrainingTimings(machine(runtime), run).as_json())


if __name__ == "__main__":
    run_stage(main)
