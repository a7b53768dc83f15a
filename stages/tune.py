"""Tune the base another way: python -m stages.tune full"""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.files import read_jsonl, write_json
from lora_vs_api.model.runtime import machine, resolve_runtime
from lora_vs_api.model.training import train_adapter
from lora_vs_api.stage import argument, run_stage, say
from stages.common import BASE, TRAIN, record_fields
from stages.specs import checkpoint_settings, tuning_spec


def main(params: Params) -> None:
    name = argument("a tuning", "a key of tunings")
    runtime = resolve_runtime(params.device, params.model.dtype)
    spec = tuning_spec(params, params.tunings[name], runtime)
    say(f"{name}: {spec.method} at learning rate {spec.learning_rate:g}")
    run = train_adapter(
        BASE,
        read_jsonl(TRAIN),
        params.task.instruction,
        record_fields(params),
        spec,
        runtime,
        f"models/tuned/{name}",
        description=f"{name}: training",
        checkpoints=checkpoint_settings(params),
    )
    write_json(f"timings/tune/{name}.json", {"machine": machine(runtime), **run.timing()})


if __name__ == "__main__":
    run_stage(main)
