"""The record that a model's answer holds."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from sys import float_info
from typing import Any, NamedTuple

from lora_vs_api.record.fields import Field, with_nulls
from lora_vs_api.shown import LONE_SURROGATE

# How models mark what they think before they answer. Most of them: Qwen, DeepSeek, SmolLM, Granite,
# GLM, Nemotron (<think>), Magistral ([THINK]), Gemma 4 (<|channel>thought), Cohere, Seed-OSS, Kimi.
_THINKING = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|channel>thought": "<channel|>",
    # without tokens of their own: Granite 3.2 and Apriel
    "Here is my thought process:": "Here is my response:",
    "Here are my reasoning steps:": "[BEGIN FINAL RESPONSE]",
    # OpenAI's harmony: what is not in the final channel is no answer
    "<|channel|>analysis": "<|channel|>final<|message|>",
    "<|channel|>commentary": "<|channel|>final<|message|>",
}
# what may stand around an answer that follows
_AROUND = (
    ("<response>", "</response>"),
    ("<answer>", "</answer>"),
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("", "[END FINAL RESPONSE]"),
)
# harmony's header of an answer, which may say that JSON follows
_FINAL = re.compile(r"<\|channel\|>final\s*(?:<\|constrain\|>\s*\w+\s*)?<\|message\|>")
# by which chats end a turn, and which some servers leave at an answer's end
_STOPS = (
    "</s>", "<eos>", "<end_of_turn>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>",
    "<|return|>", "<|call|>",
)  # fmt: skip
# tokens that a tokenizer calls special and that must not get lost when an answer is decoded
MARKERS = frozenset({*_THINKING, *_THINKING.values(), "<|channel>", "<|channel|>", "<|message|>"})
# a phrase marks something at an answer's beginning alone
_OPENING = re.compile(
    "|".join((r"\A\s*" if mark[0].isalpha() else "") + re.escape(mark) for mark in _THINKING)
)
_CLOSING = re.compile(
    "|".join(re.escape(mark) for mark in dict.fromkeys(_THINKING.values()) if not mark[0].isalpha())
)


class Parted(NamedTuple):
    """What a model thought before it answered, and the answer; None where it never came to one."""

    thinking: str
    answer: str | None


def part_thinking(output: str) -> Parted:
    """Part what a model wrote into its thinking and its answer.

    An output that is a JSON object is an answer as it stands. Thinking stands in the marks of common
    models, which mean nothing within an object; what the prompt has opened has a closing mark alone.
    """
    thinking, rest = "", output
    if _object(rest) is None:
        rest = _without_stops(_FINAL.sub("<|channel|>final<|message|>", rest))
    while _object(rest) is None and (_OPENING.search(rest) or _CLOSING.search(rest)):
        seen = _without_objects(rest)
        opened, closed = _OPENING.search(seen), _CLOSING.search(seen)
        if closed and (opened is None or closed.start() < opened.start()):
            start, inner, stop, end = 0, 0, closed.start(), closed.end()
        elif opened:
            mark = _THINKING[opened.group().strip()]
            start, inner, stop = opened.start(), opened.end(), seen.find(mark, opened.end())
            if stop < 0:
                return Parted(thinking + rest[inner:], None)
            end = stop + len(mark)
        else:
            break
        thinking, rest = thinking + rest[inner:stop], rest[:start] + _unwrapped(rest[end:])
    return Parted(thinking, rest)


def _without_stops(text: str) -> str:
    """``text`` without the tokens at its end that end a turn."""
    while stop := next((stop for stop in _STOPS if text.rstrip().endswith(stop)), None):
        text = text.rstrip().removesuffix(stop)
    return text


def _without_objects(text: str) -> str:
    """``text`` with every whole JSON object in it blotted out, place for place."""
    start = text.find("{")
    while start >= 0:
        try:
            end = DECODER.raw_decode(text, start)[1]
        except (ValueError, RecursionError):
            end = start + 1
        else:
            text = text[:start] + "\0" * (end - start) + text[end:]
        start = text.find("{", end)
    return text


def _unwrapped(answer: str) -> str:
    for opening, closing in _AROUND:
        answer = answer.strip().removeprefix(opening).removesuffix(closing)
    return answer


def parse_record(output: str) -> dict[str, Any] | None:
    """Return the JSON object that the whole answer is (white space around it aside), or None.

    Thinking before the answer is left out, and a token that ends a turn (:func:`part_thinking`); an answer that never came is none.
    Prose or code fences around the object make it invalid: a program that reads the answer
    with ``json.loads`` would fail on it. NaN, Infinity, numbers too large for a float and halves of
    a character (lone surrogates), which Python's reader would let pass, make it invalid too: no
    other program could be handed them.
    """
    answer = part_thinking(output).answer
    return None if answer is None else _object(answer)


def record_of(output: str, fields: Sequence[Field]) -> dict[str, Any] | None:
    """As :func:`parse_record`, with null for every key that the fields let a model leave out."""
    record = parse_record(output)
    return None if record is None else with_nulls(record, fields)


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and is_whole(text, value) else None


def is_whole(text: str, record: dict[str, Any]) -> bool:
    """Whether a record read from ``text`` has no half of a character in a key or a text."""
    # only there where one is written out, or escaped
    if not LONE_SURROGATE.search(text) and "\\ud" not in text.lower():
        return True
    return not LONE_SURROGATE.search(json.dumps(record, ensure_ascii=False))


def finite_number(text: str) -> float:
    """A JSON number with a point or an exponent; ValueError where no float holds it."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"expected a smaller number, found {text:.40}")
    return value


def finite_integer(text: str) -> int:
    """A JSON integer; ValueError for one of more digits than a float holds.

    It would break whatever calculates with it, and Python refuses thousands of digits in words of its own.
    """
    if len(text) > 310 or abs(value := int(text)) > float_info.max:
        raise ValueError(f"expected a smaller number, found {text:.40}")
    return value


# reads what a record may hold; ValueError for the rest, RecursionError where it is nested too deeply
DECODER = json.JSONDecoder(
    parse_float=finite_number, parse_constant=finite_number, parse_int=finite_integer
)
