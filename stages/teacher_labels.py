"""The teacher's answers as training records: python -m stages.teacher_labels large_few_shot_5"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.data.taught import taught
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.files import read_jsonl, write_json, write_jsonl
from lora_vs_api.log import say
from lora_vs_api.paths import TAUGHT, TEACHER, TEACHER_LABELS, TRAIN, UNLABELLED


def main(params: Params) -> None:
    teacher = argument("a condition", "training_labels.condition")
    found = taught(
        [*read_jsonl(TRAIN), *read_jsonl(UNLABELLED)],
        read_jsonl(f"{TEACHER}/predictions.jsonl"),
        params.task.record_fields,
        teacher,
        params.training_labels.max_left_out,
    )
    if found.left_out:
        say(f"teacher_labels: {found.in_words(teacher)}")
    write_jsonl(TAUGHT, found.rows)
    write_json(
        TEACHER_LABELS,
        {
            "teacher": teacher,
            "asked": found.asked,
            "labelled": len(found.rows),
            "left_out": found.left_out,
        },
    )


if __name__ == "__main__":
    run_stage(main)
