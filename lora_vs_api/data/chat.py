"""Conversations, as fine-tuning services take them, as a text and the record that belongs to it.

``messages`` is OpenAI's form (a list of role and content, calls of functions in ``tool_calls``),
``conversations`` ShareGPT's (from and value). The assistant's last turn with a call or JSON is the record, what
was said before it the text. Sources: https://platform.openai.com/docs/guides/supervised-fine-tuning and
https://github.com/lm-sys/FastChat/blob/main/docs/training.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lora_vs_api.data.json_values import cell_value
from lora_vs_api.data.table import Rows, Table
from lora_vs_api.errors import UserError

# column → the keys of a turn: who, and what was said
FORMS = {"messages": ("role", "content"), "conversations": ("from", "value")}
ASSISTANT, SYSTEM = ("assistant", "gpt", "model"), ("system", "developer")
# what becomes of a conversation
TEXT, RECORD, INSTRUCTION = "text", "record", "system"


def unrolled(path: str, table: Table) -> Table:
    """``table`` with text and record of each conversation in its place, and system prompts where they differ.

    A text of one turn is what was said; one of several has ``role: `` before each. A record is the
    assistant's JSON, or the functions that it called, as {name, arguments}, in a list under ``calls``
    where a row of the file calls several. A table without conversations stays as it is.

    Raises:
        UserError: a row that is no such conversation, with its place; or a column that is there already.
    """
    key = next(
        (
            key
            for key, (who, _) in FORMS.items()
            if any(_has_role(row.get(key), who) for _, row in table.rows)
        ),
        None,
    )
    if key is None:
        return table
    parts = [_parts(f"{place}: {key}", row.get(key), FORMS[key]) for place, row in table.rows]
    several = any(calls is not None and len(calls) != 1 for *_, calls in parts)
    systems = {system for system, *_ in parts}
    instruction = systems.pop() if len(systems) == 1 else None
    rows: Rows = []
    for (place, row), (system, text, said, calls) in zip(table.rows, parts, strict=True):
        new: dict[str, Any] = {TEXT: text}
        if calls is not None:
            new[RECORD] = {"calls": calls} if several else calls[0]
        elif said is not None:
            new[RECORD] = said
        if system is not None and instruction is None:
            new[INSTRUCTION] = system
        kept = {
            name: value for name, value in row.items() if name not in (key, "tools", "functions")
        }
        taken = sorted(kept.keys() & {TEXT, RECORD, INSTRUCTION})
        if taken:
            raise UserError(
                f"{place}: expected no column {taken[0]!r} beside {key}, which becomes text and record"
            )
        rows.append((place, {**new, **kept}))
    what = "functions that it calls" if any(calls for *_, calls in parts) else "last answer"
    said = f"{key}: what was said is the text, the assistant's {what} the record"
    notes = [*table.notes, said, *_left_out(key, [row.get(key) for _, row in table.rows])]
    return Table(rows, notes, conversations=True, instruction=instruction)


def _left_out(key: str, conversations: Sequence[Any]) -> list[str]:
    """What of the conversations is in neither text nor record."""
    _, said = FORMS[key]
    after = beside = 0
    for turns in conversations:
        place = _answer_place(turns, FORMS[key])
        after += place + 1 < len(turns)
        if place < len(turns):
            beside += bool(_called(turns[place]) and turns[place].get(said))
    notes = []
    if after:
        notes.append(f"{key}: turns after the assistant's answer left out, in {after:,} rows")
    if beside:
        notes.append(
            f"{key}: what the assistant said beside its calls left out, in {beside:,} rows"
        )
    return notes


def _has_role(turns: Any, role: str) -> bool:
    """Whether the first turn says who speaks: a list that is merely called messages has none."""
    return bool(
        isinstance(turns, list) and turns and isinstance(turns[0], Mapping) and turns[0].get(role)
    )


def _parts(
    where: str, turns: Any, form: tuple[str, str]
) -> tuple[str | None, str, Any, list[dict[str, Any]] | None]:
    """System prompt, text, what the assistant answered, and the functions that it called."""
    role_key, said_key = form
    if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns):
        raise UserError(f"{where}: expected a list of turns with {role_key} and {said_key}")
    who = [str(turn.get(role_key)) for turn in turns]
    last = _answer_place(turns, form)
    before = [place for place in range(last) if who[place] not in SYSTEM]
    words = [_words(where, turns[place], said_key) for place in before]
    if not any(text.strip() for text in words):
        raise UserError(f"{where}: expected a turn of the user before the assistant's last one")
    text = (
        words[0]
        if len(words) == 1
        else "\n".join(f"{who[place]}: {said}" for place, said in zip(before, words) if said)
    )
    system = "\n".join(
        _words(where, turns[place], said_key) for place in range(last) if who[place] in SYSTEM
    )
    if last == len(turns):
        return system or None, text, None, None
    answer = turns[last]
    calls = _calls(where, answer)
    said = answer.get(said_key)
    # an answer in parts is one text, as the user's is
    return (
        system or None,
        text,
        _words(where, answer, said_key) if isinstance(said, list) else said,
        calls,
    )


def _answer_place(turns: Sequence[Mapping[str, Any]], form: tuple[str, str]) -> int:
    """Where the assistant's answer stands; the number of turns where nobody has answered yet.

    What is said once a function was called ("Done!") is no answer, nor is a question that the user
    answers: without a call or JSON only a last turn is taken for one, and refused as no JSON where it
    is to be a record.
    """
    role_key, said_key = form
    places = [n for n, turn in enumerate(turns) if str(turn.get(role_key)) in ASSISTANT]
    answers = [n for n in places if _called(turns[n]) or _like_json(turns[n].get(said_key))]
    if answers:
        return answers[-1]
    return places[-1] if places and places[-1] == len(turns) - 1 else len(turns)


def _called(turn: Mapping[str, Any]) -> Any:
    return turn.get("tool_calls") or turn.get("function_call")


def _like_json(said: Any) -> bool:
    """Whether this was meant as an object, so that a broken one is named and not passed over."""
    if isinstance(said, list) and said and isinstance(said[0], Mapping):
        said = said[0].get("text")
    return isinstance(said, Mapping) or (isinstance(said, str) and said.lstrip()[:1] in ("{", "["))


def _words(where: str, turn: Mapping[str, Any], key: str) -> str:
    """What was said in a turn, also in parts, and what it called."""
    said = turn.get(key)
    if isinstance(said, list) and all(
        isinstance(part, Mapping) and "text" in part for part in said
    ):
        said = "\n".join(str(part["text"]) for part in said)
    if said is not None and not isinstance(said, str):
        raise UserError(f"{where}: {key}: expected a text, found {said!r:.60}")
    calls = [json.dumps(call, ensure_ascii=False) for call in _calls(where, turn) or []]
    return "\n".join([*([said] if said else []), *calls])


def _calls(where: str, turn: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The functions that a turn calls with their arguments; None where it calls none."""
    given: Any = turn.get("tool_calls")
    if not given:
        given = [turn["function_call"]] if turn.get("function_call") else None
    if given is None:
        return None
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise UserError(f"{where}: tool_calls: expected a list, found {given!r:.60}")
    return [_call(where, call) for call in given]


def _call(where: str, call: Any) -> dict[str, Any]:
    function = call.get("function", call) if isinstance(call, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(name, str):
        raise UserError(
            f"{where}: tool_calls: expected a function with name and arguments, found {call!r:.60}"
        )
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = cell_value(arguments or "{}")
        except ValueError as error:
            raise UserError(f"{where}: {name}: arguments: {error}") from None
    if not isinstance(arguments, Mapping):
        raise UserError(
            f"{where}: {name}: arguments: expected a JSON object, found {arguments!r:.60}"
        )
    return {"name": name, "arguments": dict(arguments)}
