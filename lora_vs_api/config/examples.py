"""Examples that somebody wrote by hand for one condition, read and checked.

Here and not where they are asked with: what checks a record must not be what an answer depends on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lora_vs_api.config.sections import Condition, FileShots, WrittenShots
from lora_vs_api.digests import file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl
from lora_vs_api.record.fields import Field, completed
from lora_vs_api.validation.records import violations


def written_examples(
    name: str, condition: Condition, fields: tuple[Field, ...]
) -> list[dict[str, Any]]:
    """The condition's hand-written examples, ``text`` and whole ``record`` each, in their order.

    Raises:
        UserError: one is no record of the fields, or the file is not the one that the config names.
    """
    key, shots = f"conditions.{name}.shots", condition.shots
    if isinstance(shots, FileShots):
        found, place_of = _from_file(shots, key), f"{key}.file"
    else:
        assert isinstance(shots, WrittenShots)
        found, place_of = [each.model_dump() for each in shots.examples], f"{key}.examples"
    examples = []
    for place, row in enumerate(found, 1):
        record = completed(row["record"], fields)
        wrong = violations(record, fields)
        if wrong:
            raise UserError(f"{place_of}: example {place}: {wrong[0]}")
        examples.append({"text": row["text"], "record": record})
    return examples


def _from_file(shots: FileShots, key: str) -> list[dict[str, Any]]:
    """The first ``k`` examples of a file whose digest is the one that the config names."""
    if not Path(shots.file).is_file():
        raise UserError(f"{key}.file: no such file: {shots.file}")
    rows = read_jsonl(shots.file)
    digest = file_sha256(shots.file)
    if digest != shots.sha256:
        raise UserError(
            f"{key}.sha256: {shots.file} has {digest}; expected this digest here, since the file decides "
            f"what is asked; found {shots.sha256}"
        )
    if len(rows) < shots.k:
        raise UserError(
            f"{key}.k: expected at most the {len(rows)} examples of {shots.file}, found {shots.k}"
        )
    for place, row in enumerate(rows[: shots.k], 1):
        if not (
            isinstance(row, dict)
            and isinstance(row.get("text"), str)
            and row["text"]
            and isinstance(row.get("record"), dict)
        ):
            raise UserError(
                f'{key}.file: {shots.file}: line {place}: expected {{"text": …, "record": {{…}}}}'
            )
    return rows[: shots.k]
