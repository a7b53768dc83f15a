"""Conversations, as fine-tuning services take them, as a text and the record that belongs to it.

``messages`` is OpenAI's form (a list of role and content, calls of functions in ``tool_calls``),
``conversations`` ShareGPT's (from and value), ``contents`` Gemini's (role and parts); people mix these. The
assistant's last turn with a call or JSON is the record, what was said before it the text. A system prompt may
stand beside the turns (Anthropic, Bedrock, Gemini), and question and answer in two lists, ``prompt`` and
``completion`` (TRL), of two answers the ``chosen`` one. Sources:
https://platform.openai.com/docs/guides/supervised-fine-tuning,
https://platform.openai.com/docs/guides/direct-preference-optimization,
https://docs.anthropic.com/en/docs/agents-and-tools/tool-use,
https://github.com/lm-sys/FastChat/blob/main/docs/training.md and
https://huggingface.co/docs/trl/dataset_formats
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lora_vs_api.data.json_values import cell_value, unfenced
from lora_vs_api.data.table import Rows, Table
from lora_vs_api.errors import UserError

# what the column of the turns is called, and the keys of a turn: who, and what was said
COLUMNS = (
    "messages",
    "conversations",
    "conversation",
    "contents",
    "dialog",
    "dialogue",
    "chat",
    "turns",
)
_WHO = ("role", "from", "author", "speaker", "sender", "type")
_SAID = ("content", "value", "parts", "text", "message", "utterance", "sentence")
FORMS = (
    ("role", "content"),
    ("from", "value"),
    *((who, said) for who in _WHO for said in _SAID),
)
# in lower case
ASSISTANT = (
    "assistant",
    "gpt",
    "model",
    "ai",
    "bot",
    "chatgpt",
    "chatbot",
    "function_call",
)
SYSTEM = ("system", "developer")
_TOOLS = ("tool", "function", "observation", "function_response")
# by these a list of turns is known, whatever its column is called
_ROLES = {*ASSISTANT, *SYSTEM, *_TOOLS, "user", "human"}
# beside the turns: what every answer was told
_SYSTEMS = ("system", "systemInstruction", "system_instruction")
# a question's list of turns and that of its answer
_HALVES = ("prompt", "completion")
# of two answers the one that was preferred, and the other
_PREFERRED = {"chosen": "rejected", "preferred_output": "non_preferred_output"}
# what a model thought before it answered
_THOUGHT = re.compile(r"\A\s*<(think|thinking|reasoning)>.*?</\1>\s*", re.DOTALL)
_THOUGHTS = ("thinking", "redacted_thinking", "reasoning")
# a call of a function as Hermes and Qwen write it within what is said
_TOOL_CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)
# an object or a list, also a broken one; "[smiles]" and "[Agent Bob]" begin what is said
_JSON_START = re.compile(r"\s*(?:\{|\[\s*[{\[\]\"\d])")
# system prompt, text, what was answered and the functions that were called
_Parts = tuple[str | None, str, Any, list[dict[str, Any]] | None]
# what becomes of a conversation
TEXT, RECORD, INSTRUCTION = "text", "record", "system"
# and of answers that are one label each: of a record with that one field
LABEL = "label"
# more characters than that are no label
MAX_LABEL = 60


def unrolled(path: str, table: Table, asked: bool = False) -> Table:
    """``table`` with text and record of each conversation in its place, and system prompts where they differ.

    A text of one turn is what was said; one of several has ``role: `` before each. A record is the
    assistant's JSON, or the functions that it called, as {name, arguments}, in a list under ``calls``
    where a row of the file calls several. A table without conversations stays as it is. Where the texts
    are ``asked``, one whose answer the user replied to is all that was said, and has no record.

    Raises:
        UserError: a row that is no such conversation, with its place; or a column that is there already.
    """
    table = _joined(_preferred(table))
    found = _form(table.rows)
    if found is None:
        return table
    key, form = found
    conversations = [_turns(row.get(key)) for _, row in table.rows]
    own = next((name for name in _SYSTEMS if any(row.get(name) for _, row in table.rows)), None)
    parts = [
        _parts(f"{place}: {key}", turns, form, None if own is None else row.get(own), asked)
        for (place, row), turns in zip(table.rows, conversations, strict=True)
    ]
    several = any(calls is not None and len(calls) != 1 for *_, calls in parts)
    answered = any(said is not None or calls is not None for _, _, said, calls in parts)
    answer = LABEL if _are_labels(parts, table.rows) else RECORD
    own_names = {TEXT, INSTRUCTION, *([answer] if answered else [])}
    systems = {system for system, *_ in parts}
    instruction = systems.pop() if len(systems) == 1 else None
    rows: Rows = []
    for (place, row), (system, text, said, calls) in zip(table.rows, parts, strict=True):
        new: dict[str, Any] = {TEXT: text}
        if calls is not None:
            new[RECORD] = {"calls": calls} if several else calls[0]
        elif said is not None:
            new[answer] = said
        if system is not None and instruction is None:
            new[INSTRUCTION] = system
        left_out = (key, own, "tools", "functions")
        kept = {name: value for name, value in row.items() if name not in left_out}
        taken = sorted(kept.keys() & own_names)
        if taken:
            raise UserError(
                f"{place}: expected no column {taken[0]!r} beside {key}, which becomes text and record"
            )
        rows.append((place, {**new, **kept}))
    what = "functions that it calls" if any(calls for *_, calls in parts) else "last answer"
    told = [name for name in ("tools", "functions") if any(row.get(name) for _, row in table.rows)]
    said = f"{key}: what was said is the text"
    role = "record" if answer == RECORD else f"{LABEL}: none is JSON"
    said += f", the assistant's {what} the {role}" * answered
    notes = [*table.notes, said, *_left_out(key, form, conversations, asked)]
    notes += [f"{name}: what the assistant could call, left out" for name in told]
    if instruction is not None and answer == LABEL:
        # it asks for the label alone, and a model that did so would be wrong
        notes.append(f"{key}: the system prompt asks for no record, left out")
        instruction = None
    return Table(rows, notes, conversations=True, instruction=instruction)


def _are_labels(parts: Sequence[_Parts], rows: Rows) -> bool:
    """Whether every answer is a label as it stands, for which no other column has the name."""
    said = [said for _, _, said, calls in parts if said is not None and calls is None]
    return (
        bool(said)
        and all(calls is None for *_, calls in parts)
        and all(isinstance(answer, str) and _is_label(answer) for answer in said)
        and not any(LABEL in row for _, row in rows)
    )


def _is_label(said: str) -> bool:
    """Whether an answer is a word or a few, and not broken JSON."""
    said = said.strip()
    return 0 < len(said) <= MAX_LABEL and "\n" not in said and not _like_json(said)


def _preferred(table: Table) -> Table:
    """``table`` without the answers that were not preferred, where a file has two of each question."""
    names = {name for _, row in table.rows for name in row}
    found = next((pair for pair in _PREFERRED.items() if names.issuperset(pair)), None)
    if found is None:
        return table
    chosen, rejected = found
    rows: Rows = []
    for place, row in table.rows:
        kept = {name: value for name, value in row.items() if name != rejected}
        # both of them the whole conversation, or the answer alone
        turns = _turns(row[chosen]) if chosen in row else None
        form = _speaks(turns)
        if turns and form is not None and len(turns) > 1 and _who(turns, form)[0] not in ASSISTANT:
            kept.pop(_HALVES[0], None)
        rows.append((place, kept))
    return Table(rows, [*table.notes, f"{rejected}: answers that were not preferred, left out"])


def _joined(table: Table) -> Table:
    """``table`` with one list of turns where a question's and its answer's are two."""
    taken = {name for _, row in table.rows for name in row}
    name = next((name for name in COLUMNS if name not in taken), None)
    halves = _two_lists(table.rows) or _HALVES
    spoken = (_speaks(_turns(row.get(halves[0]))) for _, row in table.rows)
    form = next((found for found in spoken if found), None)
    # a column of whole conversations says more than the two halves
    if form is None or name is None or _named_form(table.rows) is not None:
        return table
    if not any(row.get(halves[1]) for _, row in table.rows):
        return table
    rows: Rows = []
    for place, row in table.rows:
        asked, answered = (
            _half(f"{place}: {half}", row.get(half), form, role)
            for half, role in zip(halves, ("user", ASSISTANT[0]), strict=True)
        )
        kept = {column: value for column, value in row.items() if column not in halves}
        rows.append((place, {name: [*asked, *answered], **kept}))
    return Table(rows, table.notes)


def _two_lists(rows: Rows) -> tuple[str, str] | None:
    """Two columns of turns, the last of the one the user's and the first of the other the assistant's."""
    asked = answered = None
    for name, value in rows[0][1].items() if rows else ():
        turns = _turns(value)
        form = _speaks(turns)
        if form is None or not _are_known(turns, form):
            continue
        who = _who(turns, form)
        if who[0] in ASSISTANT:
            answered = answered or name
        elif who[-1] not in ASSISTANT:
            asked = asked or name
    return (asked, answered) if asked and answered else None


def _half(where: str, value: Any, form: tuple[str, str], role: str) -> list[Any]:
    """The turns of a question or an answer, one where it is a text or an object."""
    turns = _turns(value)
    if turns is None or turns == [] or (isinstance(turns, str) and not turns.strip()):
        return []
    if isinstance(turns, list) and _speaks(turns):
        return turns
    if isinstance(turns, Mapping) and turns.get(form[0]) and (form[1] in turns or _called(turns)):
        return [turns]
    if isinstance(value, str | Mapping):
        return [{form[0]: role, form[1]: value}]
    raise UserError(
        f"{where}: expected turns with {form[0]} and {form[1]} or a text, found {value!r:.60}"
    )


def _form(rows: Rows) -> tuple[str, tuple[str, str]] | None:
    """The column that holds conversations, and the keys of a turn; None where there is none."""
    return _named_form(rows) or _other_form(rows)


def _named_form(rows: Rows) -> tuple[str, tuple[str, str]] | None:
    for key in COLUMNS:
        for _, row in rows:
            if form := _speaks(_turns(row.get(key))):
                return key, form
    return None


def _other_form(rows: Rows) -> tuple[str, tuple[str, str]] | None:
    """The first column whose lists are turns of roles that are known, whatever it is called."""
    for key in dict.fromkeys(name for _, row in rows for name in row):
        cells = [cell for _, row in rows if (cell := row.get(key))]
        first = _turns(cells[0]) if cells else None
        form = _speaks(first)
        # of most columns the first cell says that it is none
        if first is None or form is None or not _are_known(first, form):
            continue
        # a history that few rows have is a column like others
        if 2 * len(cells) < len(rows):
            continue
        if all(_speaks(turns) and _are_known(turns, form) for turns in map(_turns, cells)):
            return key, form
    return None


def _turns(value: Any) -> Any:
    """A conversation, also where a cell of a table holds it as JSON or as Python writes it, or an object its messages."""
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            value = cell_value(value)
        except ValueError:
            return value
    if isinstance(value, Mapping) and isinstance(value.get(COLUMNS[0]), list):
        value = value[COLUMNS[0]]
    return [_flat(turn) for turn in value] if isinstance(value, list) else value


def _flat(turn: Any) -> Any:
    """A turn without what LangChain puts around what was said."""
    if isinstance(turn, Mapping) and isinstance(turn.get("data"), Mapping) and "type" in turn:
        return {**turn["data"], "type": turn["type"]}
    return turn


def _speaks(turns: Any) -> tuple[str, str] | None:
    """The keys by which the first turn says who speaks, and what; a list that is merely called messages has none."""
    if not (isinstance(turns, list) and turns and isinstance(turns[0], Mapping)):
        return None
    found = [form for form in FORMS if turns[0].get(form[0])]
    said = next((form for form in found if form[1] in turns[0]), None)
    # a turn that calls a function may say nothing; one of another kind is told by those after it
    others = [turn for turn in turns[1:] if isinstance(turn, Mapping)]
    if said is None and found and not _called(turns[0]):
        return next((form for form in found if any(form[1] in turn for turn in others)), None)
    return said or next(iter(found), None)


def _are_known(turns: Sequence[Any], form: tuple[str, str]) -> bool:
    """Whether all who speak are known, as in no other list of objects."""
    return all(isinstance(turn, Mapping) for turn in turns) and _ROLES.issuperset(_who(turns, form))


def _called(turn: Mapping[str, Any]) -> Any:
    return turn.get("tool_calls") or turn.get("function_call") or _part_calls(turn)


def _said_parts(turn: Mapping[str, Any]) -> list[Any]:
    """Parts of what was said, of which Gemini's may stand without a list."""
    parts = turn.get("parts", turn.get("content"))
    if isinstance(parts, list):
        return parts
    return [parts] if isinstance(parts, Mapping) and "parts" in turn else []


def _part_call(part: Any) -> Any:
    """The function that a part calls, in Gemini's, Bedrock's, Anthropic's or Azure's form."""
    if not isinstance(part, Mapping):
        return None
    if part.get("type") in ("tool_use", "tool_call"):
        return part
    return next(
        (part[key] for key in ("functionCall", "function_call", "toolUse") if part.get(key)), None
    )


def _part_calls(turn: Mapping[str, Any]) -> list[Any]:
    """The functions that are called among the parts of a turn, or within what it says."""
    said = turn.get("content", turn.get("value"))
    if isinstance(said, str):
        return [cell_value(call) for call in _TOOL_CALL.findall(said) if _is_json(call)]
    return [call for part in _said_parts(turn) if (call := _part_call(part))]


def _is_json(text: str) -> bool:
    try:
        cell_value(text)
    except ValueError:
        return False
    return True


def _content(turn: Mapping[str, Any], key: str) -> Any:
    """What was said in a turn, without the calls within it and what was thought."""
    said = turn.get(key)
    if isinstance(said, str):
        return _TOOL_CALL.sub("", said).strip() if _part_calls(turn) else said
    parts = _said_parts(turn) if key in ("parts", "content") else []
    return (
        [part for part in parts if not (_part_call(part) or _is_thought(part))] if parts else said
    )


def _is_thought(part: Any) -> bool:
    return isinstance(part, Mapping) and (
        part.get("type") in _THOUGHTS or "reasoningContent" in part
    )


def _bare(said: Any) -> Any:
    """An answer without what was thought before it, and without the fence around JSON."""
    return unfenced(_THOUGHT.sub("", said)) if isinstance(said, str) else said


def _who(turns: Sequence[Any], form: tuple[str, str]) -> list[str]:
    return [str(turn.get(form[0])).strip().lower() for turn in turns]


def _left_out(
    key: str, form: tuple[str, str], conversations: Sequence[Any], asked: bool
) -> list[str]:
    """What of the conversations is in neither text nor record, and what is in a text that had an answer."""
    after = beside = replied = 0
    for turns in conversations:
        place = _answer_place(turns, form, asked)
        replied += asked and place != _answer_place(turns, form)
        after += place + 1 < len(turns)
        if place < len(turns):
            beside += bool(_called(turns[place]) and _content(turns[place], form[1]))
    notes = []
    if replied:
        notes.append(
            f"{key}: the user replied to the assistant's answer in {replied:,} rows: the text is all of it"
        )
    if after:
        notes.append(f"{key}: turns after the assistant's answer left out, in {after:,} rows")
    if beside:
        notes.append(
            f"{key}: what the assistant said beside its calls left out, in {beside:,} rows"
        )
    return notes


def _parts(where: str, turns: Any, form: tuple[str, str], own: Any, asked: bool) -> _Parts:
    """System prompt, text, what the assistant answered, and the functions that it called."""
    role_key, said_key = form
    if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns):
        raise UserError(f"{where}: expected a list of turns with {role_key} and {said_key}")
    who = _who(turns, form)
    last = _answer_place(turns, form, asked)
    before = [place for place in range(last) if not _is_prompt(who, place)]
    words = [_words(where, turns[place], said_key) for place in before]
    if not any(text.strip() for text in words):
        raise UserError(f"{where}: expected a turn of the user before the assistant's last one")
    text = (
        words[0]
        if len(words) == 1
        else "\n".join(f"{who[place]}: {said}" for place, said in zip(before, words) if said)
    )
    told = [
        _words(where, turns[place], said_key) for place in range(last) if _is_prompt(who, place)
    ]
    system = "\n".join([*([_said(where, own)] if own else []), *told])
    if last == len(turns):
        return system or None, text, None, None
    answer = turns[last]
    calls = _calls(where, answer)
    said = _content(answer, said_key)
    # an answer in parts is one text, as the user's is
    said = _words(where, answer, said_key) if isinstance(said, list) else said
    return system or None, text, _bare(said), calls


def _is_prompt(who: Sequence[str], place: int) -> bool:
    """Whether a turn is a system prompt; where no assistant speaks, the system may be the other party of a dialogue."""
    if who[place] not in SYSTEM:
        return False
    return any(role in ASSISTANT for role in who) or all(role in SYSTEM for role in who[:place])


def _answer_place(
    turns: Sequence[Mapping[str, Any]], form: tuple[str, str], asked: bool = False
) -> int:
    """Where the assistant's answer stands; the number of turns where nobody has answered yet.

    What is said once a function was called ("Done!") is no answer, nor is a question that the user
    answers: without a call or JSON only a last turn is taken for one, and refused as no JSON where it
    is to be a record. An answer that the user replied to is outdated where the text is to be ``asked``.
    """
    who = _who(turns, form)
    places = [place for place, role in enumerate(who) if role in ASSISTANT]
    # what OpenAI's files say is not to be learnt
    places = [n for n in places if turns[n].get("weight") != 0]
    answers = [n for n in places if _called(turns[n]) or _like_json(_content(turns[n], form[1]))]
    if answers:
        users = (role not in (*ASSISTANT, *SYSTEM, *_TOOLS) for role in who[answers[-1] + 1 :])
        if asked and any(users):
            return len(turns)
        return answers[-1]
    return places[-1] if places and places[-1] == len(turns) - 1 else len(turns)


def _like_json(said: Any) -> bool:
    """Whether this was meant as an object, so that a broken one is named and not passed over."""
    if isinstance(said, list) and said and isinstance(said[0], Mapping):
        said = said[0].get("text")
    said = _bare(said)
    return isinstance(said, Mapping) or (isinstance(said, str) and bool(_JSON_START.match(said)))


def _said(where: str, own: Any) -> str:
    """A system prompt that stands beside the turns: a text, its parts, or an object of these."""
    if isinstance(own, Mapping):
        own = own.get("parts", own.get("content"))
    if isinstance(own, Mapping) and isinstance(own.get("text"), str):
        own = own["text"]
    return _words(where, {"system": own}, "system")


def _words(where: str, turn: Mapping[str, Any], key: str) -> str:
    """What was said in a turn, also in parts, and what it called."""
    said = _content(turn, key)
    if isinstance(said, list) and all(isinstance(part, Mapping) for part in said):
        said = "\n".join(_part_words(where, key, part) for part in said)
    if isinstance(said, Mapping):
        said = json.dumps(said, ensure_ascii=False)
    if said is not None and not isinstance(said, str):
        raise UserError(f"{where}: {key}: expected a text, found {said!r:.60}")
    calls = [json.dumps(call, ensure_ascii=False) for call in _calls(where, turn) or []]
    return "\n".join([*([said] if said else []), *calls])


def _part_words(where: str, key: str, part: Mapping[str, Any]) -> str:
    """A part's text, or what a function has returned as JSON."""
    if isinstance(part.get("text"), str):
        return str(part["text"])
    if part.get("type") == "tool_result":
        return json.dumps(part.get("content", part.get("tool_result")), ensure_ascii=False)
    for name in ("functionResponse", "toolResult"):
        if name in part:
            return json.dumps(part[name], ensure_ascii=False)
    raise UserError(
        f"{where}: {key}: expected texts alone, found a part with {' and '.join(part) or 'nothing'}: {dict(part)!r:.60}"
    )


def _calls(where: str, turn: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The functions that a turn calls with their arguments; None where it calls none."""
    given: Any = turn.get("tool_calls")
    if not given:
        given = [turn["function_call"]] if turn.get("function_call") else _part_calls(turn) or None
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
    arguments = function.get("arguments", function.get("args", function.get("input", {})))
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
