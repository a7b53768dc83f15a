"""One training on the teacher's labels, at the selected configuration: python -m stages.distil 0"""

from __future__ import annotations

from dataclasses import replace

from lora_vs_api.config.sections import Params
from lora_vs_api.curve.steps import final_steps
from lora_vs_api.digests import file_sha256
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.files import read_json, read_jsonl, write_json
from lora_vs_api.model.runtime import machine, resolve_runtime
from lora_vs_api.paths import DISTILLED, TAUGHT, TRAIN, seed_folder
from lora_vs_api.training.run import TrainingTimings, train
from lora_vs_api.training.spec import training_spec


def main(params: Params) -> None:
    seed = int(argument("a seed", "one of training_labels.seeds", str.isdecimal))
    selected = read_json("metrics/select.json")
    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    # as many steps as on gold, where epochs decide and the teacher labelled more or fewer texts
    steps = final_steps(params.train, len(read_jsonl(TRAIN)))
    spec = training_spec(
        params,
        params.train.model_copy(update={"max_steps": steps}),
        r=selected["r"],
        learning_rate=selected["learning_rate"],
        seed=seed,
        runtime=runtime,
    )
    spec = replace(spec, examples_sha256=file_sha256(TAUGHT))
    out, description = seed_folder(DISTILLED, seed), f"taught, seed {seed}"
    run = train(params, spec, runtime, out, description, rows=TAUGHT)
    write_json(f"timings/distil/seed-{seed}.json", TrainingTimings(machine(runtime), run).as_json())


if __name__ == "__main__":
    run_stage(main)
