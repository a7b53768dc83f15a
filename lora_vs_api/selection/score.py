"""A trial's answers to the validation slice, scored.

A trial's node trains and answers; its scores are worked out here. So another score or another rule
of choice trains nothing again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, read_jsonl
from lora_vs_api.record.fields import Field
from lora_vs_api.scoring.scores import score_output
from lora_vs_api.selection.trials import Trial


def score_trial(
    sweep: str, item: str, rows: Sequence[dict[str, Any]], fields: tuple[Field, ...]
) -> Trial:
    """The trial ``item`` of ``sweep`` by its answers to the validation ``rows``.

    Raises:
        UserError: its answers are not those to exactly these texts.
    """
    answers = Path("predictions", sweep, item, "predictions.jsonl")
    lines = read_jsonl(answers)
    if [line["id"] for line in lines] != [row["id"] for row in rows]:
        raise UserError(
            f"{answers}: not one line for each of the {len(rows)} validation texts; run "
            "`dvc repro` to make it again"
        )
    scores = [score_output(line["output"], row["record"], fields) for line, row in zip(lines, rows)]
    return Trial(
        sweep=sweep,
        item=item,
        **read_json(f"metrics/{sweep}/{item}.json"),
        texts=len(rows),
        field_f1=round(fmean(score.field_f1 for score in scores), 6),
        valid_json=round(fmean(score.valid_json for score in scores), 6),
        exact_match=round(fmean(score.exact_match for score in scores), 6),
    )
