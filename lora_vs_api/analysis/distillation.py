"""What a teacher's labels cost, how often they differ from gold, and what they taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lora_vs_api.analysis.condition import rounded_interval
from lora_vs_api.analysis.groups import read_labels
from lora_vs_api.analysis.results import Interval
from lora_vs_api.analysis.scored_run import ScoredRun, read_timings
from lora_vs_api.files import read_jsonl
from lora_vs_api.record.fields import Field
from lora_vs_api.scoring.scores import score_output
from lora_vs_api.stats.bayesian import text_interval
from lora_vs_api.stats.bootstrap import Draws


def teacher_bill(folder: str | Path, timings: str | Path) -> ScoredRun:
    """What the teacher's answers to the training texts were billed for; nothing in it is scored."""
    usage = read_jsonl(Path(folder, "usage.jsonl"))
    predictions = read_jsonl(Path(folder, "predictions.jsonl"))
    none = np.zeros(len(usage), dtype=bool)
    return ScoredRun(
        outputs=tuple(line["output"] for line in predictions),
        fields=np.zeros((len(usage), 0)),
        valid_json=none,
        schema_valid=none,
        outcomes=np.array([line["outcome"] for line in predictions]),
        input_tokens=np.array([line["input_tokens"] for line in usage]),
        output_tokens=np.array([line["output_tokens"] for line in usage]),
        timings=read_timings(Path(timings)),
    )


def differences_from_gold(
    gold: Sequence[Mapping[str, Any]],
    predictions: Sequence[Mapping[str, Any]],
    left_out: Sequence[str],
    fields: tuple[Field, ...],
    draws: Draws,
    group_by: str | None,
) -> tuple[int, dict[str, Interval] | None, Interval | None]:
    """How many labelled texts have gold, and the shares on which the teacher differs from it.

    Of the texts that are learnt from alone: what was left out teaches nothing. A value differs where
    its field scores below 1, so the rules of ``task.fields`` count as in every score here.

    Args:
        gold: training rows with gold records.
        predictions: id and output of the teacher's answers to them and to others.
        left_out: ids whose answer was no valid record.
        fields: of the record.
        draws: of the intervals, :func:`lora_vs_api.stats.bayesian.text_interval`.
        group_by: a column whose groups are counted instead of texts, or None.
    """
    outputs, gone = {line["id"]: line["output"] for line in predictions}, set(left_out)
    rows = [row for row in gold if row["id"] not in gone]
    if not rows:
        return 0, None, None
    groups = read_labels(rows, group_by)
    scores = [score_output(outputs[row["id"]], row["record"], fields).fields for row in rows]
    wrong = np.array(scores) < 1

    def share(of: Any) -> Interval:
        return rounded_interval(text_interval(of.astype(float), draws, groups=groups))

    by_field = {field.name: share(column) for field, column in zip(fields, wrong.T, strict=True)}
    return len(rows), by_field, share(wrong.any(axis=1))
