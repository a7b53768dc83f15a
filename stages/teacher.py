"""Ask the teacher about the training texts: python -m stages.teacher large_few_shot_5"""

from __future__ import annotations

from lora_vs_api.api.asking import ask_condition
from lora_vs_api.api.results import write_answers
from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import TEACHER, TEACHER_TIMINGS, TRAIN, UNLABELLED


def main(params: Params) -> None:
    gold = read_jsonl(TRAIN)
    run = ask_condition(
        params,
        argument("a condition", "training_labels.condition"),
        [*gold, *read_jsonl(UNLABELLED)],
        params.task.record_fields,
        gold,
    )
    write_answers(run, mode=params.api.server.mode, predictions=TEACHER, timings=TEACHER_TIMINGS)


if __name__ == "__main__":
    run_stage(main)
