"""Ask one API condition about the perturbed texts: python -m stages.perturbed_api small_zero_shot_schema"""

from __future__ import annotations

from lora_vs_api.api.asking import ask_condition
from lora_vs_api.api.results import write_answers
from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import PERTURBED, TRAIN


def main(params: Params) -> None:
    name = argument(
        "a condition", "one of robustness.conditions", lambda name: name in params.conditions
    )
    run = ask_condition(
        params,
        name,
        read_jsonl(PERTURBED),
        params.task.record_fields,
        read_jsonl(TRAIN),
    )
    write_answers(
        run,
        mode=params.api.server.mode,
        predictions=f"predictions/perturbed/{name}",
        timings=f"timings/perturbed/{name}.json",
    )


if __name__ == "__main__":
    run_stage(main)
