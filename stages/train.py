"""One final training at the selected configuration: python -m stages.train 0"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.files import read_json, write_json, write_text
from lora_vs_api.model.runtime import machine, resolve_runtime
from lora_vs_api.training.artifacts import loss_curve
from lora_vs_api.training.run import TrainingTimings, train
from lora_vs_api.training.spec import training_spec


def main(params: Params) -> None:
    seed = int(argument("a seed", "one of seeds", str.isdecimal))
    selected = read_json("metrics/select.json")
    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    spec = training_spec(
        params,
        params.train,
        r=selected["r"],
        learning_rate=selected["learning_rate"],
        seed=seed,
        runtime=runtime,
    )
    adapter = f"models/train/seed-{seed}"
    # no trial has one of these seeds: the sweep's winner was chosen and scores too well by chance
    run = train(params, spec, runtime, adapter, f"seed {seed}")
    curve = "".join(f"{step},{loss}\n" for step, loss in enumerate(loss_curve(adapter), start=1))
    write_text(f"plots/train/seed-{seed}.csv", "step,loss\n" + curve)
    write_json(f"timings/train/seed-{seed}.json", TrainingTimings(machine(runtime), run).as_json())


if __name__ == "__main__":
    run_stage(main, needs_engine=True)
