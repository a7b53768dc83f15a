"""The one prompt every condition gets, and the completion training teaches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from lora_vs_api.record.fields import Field, written

Message = dict[str, str]


def completion(record: dict[str, Any], fields: Sequence[Field]) -> str:
    """The record as the compact one-line JSON the model is to answer with."""
    return json.dumps(written(record, fields), ensure_ascii=False)


def system_prompt(instruction: str, fields: Sequence[Field]) -> str:
    """The instruction, then a line for each field that has a description, those within others too.

    Without descriptions it is the instruction itself. A field within an object is called ``address.street``,
    one of a list's objects ``items[].price``. A last line names the keys that are left out where they
    have no value, if there are any.
    """
    lines = [instruction, *_described(fields, "")]
    omitted = list(_omitted(fields, ""))
    if omitted:
        lines.append(f"Leave out a key that has no value: {', '.join(omitted)}.")
    return "\n".join(lines)


def _omitted(fields: Sequence[Field], prefix: str) -> Iterator[str]:
    for field in fields:
        path = f"{prefix}{field.name}"
        if field.omitted:
            yield path
        if field.items is not None:
            yield from _omitted(field.items.fields, f"{path}[].")
        yield from _omitted(field.fields, f"{path}.")


def _described(fields: Sequence[Field], prefix: str) -> Iterator[str]:
    for field in fields:
        path = f"{prefix}{field.name}"
        if field.description:
            yield f"- {path}: {field.description}"
        if field.items is not None:
            if field.items.description:
                yield f"- {path}[]: {field.items.description}"
            yield from _described(field.items.fields, f"{path}[].")
        yield from _described(field.fields, f"{path}.")


def messages(
    instruction: str,
    text: str,
    fields: Sequence[Field],
    shots: Sequence[dict[str, Any]] = (),
) -> list[Message]:
    """Chat messages for one text: the system prompt, then ``shots`` as answered turns, then it.

    ``shots`` are corpus rows (``text`` and ``record``); zero of them gives the zero-shot prompt.
    """
    turns = [{"role": "system", "content": system_prompt(instruction, fields)}]
    for shot in shots:
        turns.append({"role": "user", "content": shot["text"]})
        turns.append({"role": "assistant", "content": completion(shot["record"], fields)})
    return [*turns, {"role": "user", "content": text}]
