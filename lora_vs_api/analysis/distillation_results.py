"""What is found about a teacher's labels, as types: metrics/teacher_labels.json and distillation.json."""

from __future__ import annotations

from pathlib import Path

from lora_vs_api.analysis.results import Decision, Interval, Ownership, Result, read_result


class TeacherLabels(Result):
    """metrics/teacher_labels.json: ``left_out`` are the ids of texts whose answer is no valid record."""

    teacher: str
    asked: int
    labelled: int
    left_out: tuple[str, ...]


class Distillation(Result):
    """metrics/distillation.json.

    ``usd`` is what labelling all ``labels.asked`` texts was billed. ``differs``: field → share of the
    labelled texts with a gold record on which the teacher's value scores below 1; ``differs_anywhere``
    counts texts; both are None where no text has gold (``with_gold``). ``against_teacher`` is what may
    be said of the pupil against the teacher, its costs with the labels; ``ownership`` is the pupil's,
    where gold labels are those of the validation texts alone. ``beside_gold``: a fine-tune on gold
    labels stands beside the pupil; else the pupil is the fine-tune of this run.
    """

    labels: TeacherLabels
    label: str
    priced_as: str
    usd: float
    with_gold: int
    differs: dict[str, Interval] | None
    differs_anywhere: Interval | None
    beside_gold: bool
    against_teacher: Decision
    ownership: Ownership


def read_distillation(path: str | Path) -> Distillation | None:
    """None where ``path`` is not the node's file: no teacher was asked. Errors as ``read_result``."""
    return read_result(path, Distillation) if Path(path).suffix == ".json" else None
