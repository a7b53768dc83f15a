"""Ask the teacher about the training texts: python -m stages.teacher large_few_shot_5"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lora_vs_api.api.asking import ask_condition
from lora_vs_api.api.results import write_answers
from lora_vs_api.config.sections import Condition, Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import TEACHER, TEACHER_TIMINGS, TRAIN, UNLABELLED


def main(params: Params) -> None:
    gold = read_jsonl(TRAIN)
    if not gold:
        check_nobody_needs_gold(params.model_free, params.conditions)
    run = ask_condition(
        params,
        argument(
            "a condition", "training_labels.condition", lambda name: name in params.conditions
        ),
        [*gold, *read_jsonl(UNLABELLED)],
        params.task.record_fields,
        gold,
    )
    write_answers(run, mode=params.api.server.mode, predictions=TEACHER, timings=TEACHER_TIMINGS)


def check_nobody_needs_gold(predictors: Sequence[str], conditions: Mapping[str, Condition]) -> None:
    """Before the teacher is paid: who learns from gold records, or shows them, cannot without any.

    Raises:
        UserError: naming all of them.
    """
    shown = [
        f"conditions.{name}.shots: 0 instead of {each.examples}, or examples by hand"
        for name, each in conditions.items()
        if each.examples and not each.written_examples
    ]
    wanted = [
        *(["model_free: [] instead of " + ", ".join(predictors)] if predictors else []),
        *shown,
    ]
    if wanted:
        raise UserError(
            f"{TRAIN} has no gold record to learn from or to show; expected {'; '.join(wanted)}"
        )


if __name__ == "__main__":
    run_stage(main)
