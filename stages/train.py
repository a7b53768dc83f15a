"""One final training at the selected configuration: python -m stages.train 0"""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.files import read_json, read_jsonl, write_json, write_text
from lora_vs_api.model.runtime import machine, resolve_runtime
from lora_vs_api.model.training import loss_curve, reuse_adapter, train_adapter
from lora_vs_api.stage import argument, run_stage, say
from stages.common import BASE, TRAIN, record_fields
from stages.specs import checkpoint_settings, training_spec


def main(params: Params) -> None:
    seed = int(argument("a seed", "one of seeds"))
    selected = read_json("metrics/selected.json")
    runtime = resolve_runtime(params.device, params.model.dtype)
    spec = training_spec(
        params, r=selected["r"], learning_rate=selected["learning_rate"], seed=seed, runtime=runtime
    )
    adapter = f"models/lora/seed-{seed}"
    timing = {"reused": True, "machine": machine(runtime)}
    if reuse_adapter("models/selected", spec, adapter):
        say(f"seed {seed}: its trial is this training, not trained again")
    else:
        say(f"seed {seed}: training at r={spec.r}, learning rate {spec.learning_rate:g}")
        run = train_adapter(
            BASE,
            read_jsonl(TRAIN),
            params.task.instruction,
            record_fields(params),
            spec,
            runtime,
            adapter,
            description=f"seed {seed}: training",
            checkpoints=checkpoint_settings(params),
        )
        timing |= {"reused": False, **run.timing()}
    curve = "".join(f"{step},{loss}\n" for step, loss in enumerate(loss_curve(adapter), start=1))
    write_text(f"plots/loss/seed-{seed}.csv", "step,loss\n" + curve)
    write_json(f"timings/train/seed-{seed}.json", timing)


if __name__ == "__main__":
    run_stage(main)
