"""What the fine-tune, the untuned base and, if asked to, the API conditions make of one text."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lora_vs_api.analysis.results import SERVERS
from lora_vs_api.cli.local_model import adapter_folder, as_evaluated, ask, one_text, served_model
from lora_vs_api.config.load import load_params
from lora_vs_api.config.sections import Params
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl
from lora_vs_api.log import say, show
from lora_vs_api.paths import TRAIN
from lora_vs_api.record.parsing import record_of

MAX_WIDTH = 46  # characters of a cell
NOTHING = object()  # where an answer has no such key, or is no record


def compare_answers(text: str, *, seed: int | None, constrained: bool | None, apis: bool) -> None:
    """Print each condition's record of ``text`` (``-``: standard input), a column each.

    Raises:
        UserError: no text, no adapter, or ``apis`` with an API that is asked in batches.
    """
    params = load_params()
    adapter = adapter_folder(params, seed)
    text = one_text(text, sys.stdin)
    constrained = as_evaluated(params, constrained)
    outputs = {
        f"LoRA {adapter.name}": ask(params, adapter, [text], constrained=constrained),
        "untuned": ask(params, None, [text], constrained=constrained),
    }
    words = {name: answers[0].output for name, answers in outputs.items()}
    if apis:
        words |= _asked(params, text)
    records = {name: record_of(output, params.task.record_fields) for name, output in words.items()}
    lines = [["", "field", *records]]
    for field in params.task.record_fields:
        values = [(record or {}).get(field.name, NOTHING) for record in records.values()]
        for path, cells in _rows(field.name, values):
            lines.append(["≠" if len(set(cells)) > 1 else "", path, *map(_short, cells)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        show("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    for name, record in records.items():
        if record is None:
            show(f"\n{name} wrote no JSON object:\n{words[name]}")
    if served_model(params, adapter) is not None:
        server = SERVERS[params.serving.engine]
        say(f"LoRA {adapter.name} answered behind {server}, as evaluated.")
    if not apis and params.conditions:
        price = ", which may cost money" if params.api.server.kind == "openai" else ""
        say(f"Not asked: {', '.join(params.conditions)}; --apis asks them too{price}.")


def _asked(params: Params, text: str) -> dict[str, str]:
    """Each API condition's answer. What was asked before comes from the store."""
    from lora_vs_api.api.asking import ask_condition

    if not params.conditions:
        raise UserError("--apis: expected an API condition to ask; conditions is empty")
    if params.api.server.mode == "batch":
        raise UserError("--apis: a batch may take a day; expected api.server.mode: live")
    fields, train = params.task.record_fields, read_jsonl(TRAIN)
    rows = [{"id": "text", "text": text}]
    return {
        name: ask_condition(params, name, rows, fields, train).answers[0].reply.output
        for name in params.conditions
    }


def _rows(path: str, values: Sequence[Any]) -> Iterator[tuple[str, list[str]]]:
    """A row for each value that is no object or list, with every condition's, so that none is cut for its place.

    Of empty ones and of values of several kinds the row has the whole, so that no difference goes unseen.
    """
    # what is neither of its kind has no place below it, and is shown beside the whole values
    given = [value for value in values if value is not None and value is not NOTHING]
    objects = [value for value in given if isinstance(value, Mapping)]
    lists = [value for value in given if isinstance(value, list)]
    if any(objects) and len(objects) == len(given):
        for key in dict.fromkeys(key for each in objects for key in each):
            inner = [v.get(key, NOTHING) if isinstance(v, Mapping) else NOTHING for v in values]
            yield from _rows(f"{path}.{key}", inner)
    elif any(lists) and len(lists) == len(given):
        for place in range(max(map(len, lists))):
            inner = [
                v[place] if isinstance(v, list) and place < len(v) else NOTHING for v in values
            ]
            yield from _rows(f"{path}[{place}]", inner)
    else:
        yield path, ["–" if v is NOTHING else json.dumps(v, ensure_ascii=False) for v in values]


def _short(cell: str) -> str:
    return cell if len(cell) <= MAX_WIDTH else cell[: MAX_WIDTH - 1] + "…"
