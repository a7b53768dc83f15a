"""Ask one API condition about the validation texts of the cascade: python -m stages.evaluate_val small_nearest_3"""

from __future__ import annotations

from lora_vs_api.api.asking import ask_condition
from lora_vs_api.api.results import write_answers
from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.files import read_jsonl, read_last
from lora_vs_api.paths import ESCALATION, ESCALATION_TIMINGS, TRAIN, VAL


def main(params: Params) -> None:
    name = argument(
        "a condition", "one of cascade.conditions", lambda name: name in params.conditions
    )
    run = ask_condition(
        params,
        name,
        read_last(VAL, params.cascade.val_rows),
        params.task.record_fields,
        read_jsonl(TRAIN),
    )
    write_answers(
        run,
        mode=params.api.server.mode,
        predictions=f"{ESCALATION}/{name}",
        timings=f"{ESCALATION_TIMINGS}/{name}.json",
    )


if __name__ == "__main__":
    run_stage(main)
