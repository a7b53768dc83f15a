"""What several stages share: paths of the DAG, the record's fields, the test slice."""

from __future__ import annotations

from typing import Any

from lora_vs_api.config import Params
from lora_vs_api.files import read_jsonl
from lora_vs_api.task.schema import Field, fields_from_config

BASE = "models/base"
TRAIN = "data/splits/train.jsonl"
VAL = "data/splits/val.jsonl"
TEST = "data/splits/test.jsonl"
PERTURBED = "data/perturbed.jsonl"


def record_fields(params: Params) -> tuple[Field, ...]:
    return fields_from_config(params.task.field_specs)


def evaluation_rows(params: Params) -> list[dict[str, Any]]:
    """The first ``evaluate.test_rows`` of the test split, which is shuffled and stratified."""
    return read_jsonl(TEST)[: params.evaluate.test_rows]
