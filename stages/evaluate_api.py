"""Ask one API condition about the test slice: python -m stages.evaluate_api large_few_shot_5"""

from __future__ import annotations

from lora_vs_api.api.asking import ask_condition
from lora_vs_api.api.results import write_answers
from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import TEST, TRAIN


def main(params: Params) -> None:
    name = argument("a condition", "a key of conditions", lambda name: name in params.conditions)
    run = ask_condition(
        params,
        name,
        read_jsonl(TEST, params.evaluate.test_rows),
        params.task.record_fields,
        read_jsonl(TRAIN),
        replicates=params.api.replicates,
    )
    write_answers(
        run,
        mode=params.api.server.mode,
        predictions=f"predictions/evaluate/{name}",
        timings=f"timings/evaluate/{name}.json",
    )


if __name__ == "__main__":
    run_stage(main)
