"""Corpus rows as the conversations that a training sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from lora_vs_api.record.fields import Field
from lora_vs_api.record.prompt import Message, completion, messages


class Example(TypedDict):
    """One conversation as TRL takes it: the prompt, and the one turn that is learnt."""

    prompt: list[Message]
    completion: list[Message]


def chat_examples(
    rows: Sequence[dict[str, Any]], instruction: str, fields: Sequence[Field]
) -> list[Example]:
    """Every row's text under the zero-shot prompt, answered with its gold record."""
    return [
        {
            "prompt": messages(instruction, row["text"], fields),
            "completion": [{"role": "assistant", "content": completion(row["record"], fields)}],
        }
        for row in rows
    ]
