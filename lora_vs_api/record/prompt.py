"""The one prompt every condition gets, and the completion training teaches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lora_vs_api.record.fields import Field, ordered

Message = dict[str, str]


def completion(record: dict[str, Any], fields: Sequence[Field]) -> str:
    """The record as the compact one-line JSON the model is to answer with."""
    whole = {field.name: ordered(record[field.name], field) for field in fields}
    return json.dumps(whole, ensure_ascii=False)


def messages(
    instruction: str,
    text: str,
    fields: Sequence[Field],
    shots: Sequence[dict[str, Any]] = (),
) -> list[Message]:
    """Chat messages for one text: the instruction, then ``shots`` as answered turns, then it.

    ``shots`` are corpus rows (``text`` and ``record``); zero of them gives the zero-shot prompt.
    """
    turns = [{"role": "system", "content": instruction}]
    for shot in shots:
        turns.append({"role": "user", "content": shot["text"]})
        turns.append({"role": "assistant", "content": completion(shot["record"], fields)})
    return [*turns, {"role": "user", "content": text}]
