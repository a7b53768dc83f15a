"""One pass of a condition over the test slice: its answers, their scores, what it used and took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, read_jsonl
from lora_vs_api.record.fields import Field
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.scoring.scores import score_output


@dataclass(frozen=True)
class Scored:
    """One pass over the test slice. Arrays run over its n texts; ``fields`` is (n, fields)."""

    outputs: tuple[str, ...]
    fields: np.ndarray
    valid_json: np.ndarray
    schema_valid: np.ndarray
    outcomes: np.ndarray
    input_tokens: np.ndarray
    output_tokens: np.ndarray
    timings: dict[str, Any]

    @property
    def field_f1(self) -> np.ndarray:
        return self.fields.mean(axis=1)

    @property
    def truncated(self) -> np.ndarray:
        return self.outcomes == "truncated"

    @property
    def cached_tokens(self) -> np.ndarray:
        """Input tokens that the provider billed as cached; local passes have none."""
        cached = self.timings.get("cached_input_tokens")
        return np.zeros_like(self.input_tokens) if cached is None else np.array(cached)

    @property
    def records(self) -> list[dict[str, Any] | None]:
        """The record of each answer, None where it is no valid JSON object."""
        return [parse_record(output) for output in self.outputs]

    @property
    def strict(self) -> np.ndarray:
        return (self.fields == 1.0).all(axis=1)


def read_condition(
    name: str, rows: Sequence[dict[str, Any]], fields: tuple[Field, ...], root: str | Path = "."
) -> Scored:
    """Read and score what one condition answered to the test ``rows``, with its timings.

    Raises:
        UserError: the answers are not those of exactly these texts, in this order.
    """
    timings = read_json(Path(root, "timings", "evaluate", f"{name}.json"))
    return replace(
        read_answers(Path(root, "predictions", "evaluate", name), rows, fields), timings=timings
    )


def read_answers(folder: Path, rows: Sequence[dict[str, Any]], fields: tuple[Field, ...]) -> Scored:
    """Read and score the answers in ``folder`` to ``rows``; see :func:`read_condition`."""
    predictions, usage = (
        read_jsonl(folder / "predictions.jsonl"),
        read_jsonl(folder / "usage.jsonl"),
    )
    ids = [row["id"] for row in rows]
    for file, lines in (("predictions", predictions), ("usage", usage)):
        if [line["id"] for line in lines] != ids:
            raise UserError(
                f"{folder}/{file}.jsonl: not one line for each of the {len(ids)} test texts in "
                "their order; run `dvc repro` to make it again"
            )
    scores = [
        score_output(prediction["output"], row["record"], fields)
        for prediction, row in zip(predictions, rows)
    ]
    return Scored(
        outputs=tuple(prediction["output"] for prediction in predictions),
        fields=np.array([score.fields for score in scores]),
        valid_json=np.array([score.valid_json for score in scores]),
        schema_valid=np.array([score.schema_valid for score in scores]),
        outcomes=np.array([prediction["outcome"] for prediction in predictions]),
        input_tokens=np.array([line["input_tokens"] for line in usage]),
        output_tokens=np.array([line["output_tokens"] for line in usage]),
        timings={},
    )
