"""The record that a model's answer holds."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple

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


def _without_objects(text: str) -> str:
    """``text`` with every whole JSON object in it blotted out, place for place."""
    decoder, start = json.JSONDecoder(), text.find("{")
    while start >= 0:
        try:
            end = decoder.raw_decode(text, start)[1]
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

    Thinking before the answer is left out (:func:`part_thinking`); an answer that never came is none.
    Prose or code fences around the object make it invalid: a program that reads the answer
    with ``json.loads`` would fail on it. NaN, Infinity and numbers too large to hold, which
    Python's reader would let pass, make it invalid too.
    """
    answer = part_thinking(output).answer
    return None if answer is None else _object(answer)


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
