"""What a server's answer says, in the two forms that OpenAI-compatible servers speak.

Read is the plain JSON, since no server can be trusted to keep to a form: an answer is a whole one,
or there is none and a reason. https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lora_vs_api.api.diagnosis import message_of, says_filtered, short
from lora_vs_api.api.pacing import wait_in
from lora_vs_api.api.types import ApiCondition, NoAnswer, Outcome, Reply

NO_USAGE = "the server reports no token usage, which the costs need"
# how servers call the end of an answer, in lower case; any other end is that of a whole answer
CHAT_OUTCOMES: dict[str, Outcome] = {
    "length": "truncated",
    "max_tokens": "truncated",
    "content_filter": "filtered",
    "safety": "filtered",
    "recitation": "filtered",
    "refusal": "refused",
}
BROKEN_OFF = {"error", "abort", "aborted", "cancelled", "canceled", "failed", "network_error"}
REFUSED = "no reason given"

# of an output: tokens of the request and of the output, by the tokenizer at hand
Estimate = Callable[[str], tuple[int, int]]

_SURROGATE = re.compile("[\ud800-\udfff]")


def read_reply(body: Any, condition: ApiCondition, estimate: Estimate | None = None) -> Reply:
    """What the JSON ``body`` of an answer says.

    Args:
        estimate: counts the tokens that the server does not tell.

    Raises:
        NoAnswer: it is none, it failed, it is empty where the condition wants text, or it does not
            tell its usage and there is no ``estimate``.
    """
    chat = condition.endpoint == "chat"
    body = _mapping(_whole(body))
    usage = _mapping(body.get("usage"))
    tokens = _reported(usage, chat)
    if says_filtered(_mapping(body.get("error")).get("code"), body.get("error")):
        return filtered_reply(estimate, tokens[0])
    try:
        # without any answer it is an error status by another name, and not billed
        _raise_error(body.get("error"), billed="choices" in body or "output" in body)
        if chat:
            output, outcome = _read_chat(body)
        else:
            output, outcome = _read_response(body, tokens[1], condition.max_output_tokens)
        if not output.strip() and outcome == "answered" and not condition.may_be_empty:
            raise NoAnswer("empty output")
    except NoAnswer as error:
        if tokens[0] is not None and tokens[1] is not None:
            error.tokens = (tokens[0], _with_hidden(usage, tokens[0], tokens[1]))
        raise
    return _counted(body, usage, tokens, output, outcome, estimate)


def _whole(value: Any) -> Any:
    """``value`` with the replacement character, as decoders put it, for half a character.

    JSON can escape one half of a pair, which no file and no store can hold.
    """
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value


def filtered_reply(estimate: Estimate | None, input_tokens: int | None = None) -> Reply:
    """What stands for the answer to a text that a content filter stopped.

    Some providers bill its input all the same (Azure), so that it is counted.
    """
    estimated = input_tokens is None
    if input_tokens is None:
        input_tokens = 0 if estimate is None else estimate("")[0]
    return Reply("", "filtered", input_tokens, 0, 0, tokens_estimated=estimated)


def _read_response(
    body: dict[str, Any], output_tokens: int | None, max_output_tokens: int
) -> tuple[str, Outcome]:
    """Text and outcome of a response of the Responses API."""
    if body.get("object") != "response":
        raise NoAnswer("the answer is not a response of the Responses API")
    items = body.get("output")
    if isinstance(items, str):
        texts, refusals = [items], []
    else:
        parts = [
            part
            for item in _list(items)
            if _mapping(item).get("type") == "message"
            for part in _parts(item.get("content"))
        ]
        texts = [_text(part) for part in parts if part.get("type") == "output_text"]
        refusals = [
            str(part.get("refusal") or REFUSED) for part in parts if part.get("type") == "refusal"
        ]
    if refusals:
        return " ".join(refusals), "refused"
    status, reason = body.get("status"), _mapping(body.get("incomplete_details")).get("reason")
    outcome: Outcome = "answered"
    if status == "incomplete" and reason == "content_filter":
        outcome = "filtered"
    elif status == "incomplete" and reason == "max_output_tokens":
        outcome = "truncated"
    elif status not in ("completed", None):
        raise NoAnswer(f"status {status}: {short(str(reason))}")
    elif output_tokens is not None and output_tokens >= max_output_tokens:
        outcome = "truncated"  # transformers serve calls every answer completed
    return "".join(texts), outcome


def _read_chat(body: dict[str, Any]) -> tuple[str, Outcome]:
    """Text and outcome of a chat completion."""
    choices = _list(body.get("choices"))
    if not choices:
        raise NoAnswer("the answer is not a chat completion")
    choice = _mapping(choices[0])
    if says_filtered(_mapping(choice.get("error")).get("code"), choice.get("error")):
        return "", "filtered"
    _raise_error(choice.get("error"))
    # Gemini: content_filter: PROHIBITED_CONTENT
    end = str(choice.get("finish_reason") or "stop").lower().partition(":")[0]
    if end in BROKEN_OFF:
        raise NoAnswer(f"finish_reason {end}: the answer broke off")
    message = choice.get("message")
    if not isinstance(message, dict):
        if CHAT_OUTCOMES.get(end) == "filtered":
            return "", "filtered"
        raise NoAnswer("the answer holds no message")
    refusal = message.get("refusal")
    if refusal:
        return str(refusal), "refused"
    output = "".join(
        _text(part)
        for part in _parts(message.get("content"))
        if part.get("type", "text") in ("text", "output_text")
    )
    return output, CHAT_OUTCOMES.get(end, "answered")


def _raise_error(error: Any, billed: bool = True) -> None:
    """Raise what an answer of status 200 says went wrong."""
    if error:
        why = f"error in an answer of status 200: {message_of(error)}"
        # a status of its own is that of an error which HTTP would have told
        raise NoAnswer(why, wait_in(error), billed or _count(_mapping(error).get("code")) is None)


def _parts(content: Any) -> list[dict[str, Any]]:
    """A message's content, which is a list of parts or a string or nothing, as parts."""
    if isinstance(content, str):
        return [{"type": "output_text", "text": content}]
    return [
        {"type": "output_text", "text": part} if isinstance(part, str) else _mapping(part)
        for part in _list(content)
    ]


def _text(part: dict[str, Any]) -> str:
    text = part.get("text")
    return text if isinstance(text, str) else ""


def _reported(usage: dict[str, Any], chat: bool) -> tuple[int | None, int | None]:
    """Input and output tokens as the server lists them."""
    names = ("prompt_tokens", "completion_tokens") if chat else ("input_tokens", "output_tokens")
    return _count(usage.get(names[0])), _count(usage.get(names[1]))


def _with_hidden(usage: dict[str, Any], inputs: int, outputs: int) -> int:
    """Output tokens with what stands in the total alone, as some servers count reasoning."""
    return max(outputs, (_count(usage.get("total_tokens")) or 0) - inputs)


def _counted(
    body: dict[str, Any],
    usage: dict[str, Any],
    tokens: tuple[int | None, int | None],
    output: str,
    outcome: Outcome,
    estimate: Estimate | None,
) -> Reply:
    """The reply with its tokens: those that are listed, else those that ``estimate`` counts."""
    inputs, listed = tokens
    estimated = inputs is None or listed is None
    if inputs is None or listed is None:
        if estimate is None:
            raise NoAnswer(NO_USAGE)
        counted = estimate(output)
        inputs = counted[0] if inputs is None else inputs
        listed = counted[1] if listed is None else listed
    outputs = listed if estimated else _with_hidden(usage, inputs, listed)
    details = [
        _mapping(usage.get(f"{kind}_tokens_details"))
        for kind in ("input", "prompt", "output", "completion")
    ]
    cached = next((n for d in details[:2] if (n := _count(d.get("cached_tokens")))), 0)
    reasoning = next(
        (n for d in details[2:] if (n := _count(d.get("reasoning_tokens"))) is not None), None
    )
    if outputs > listed:
        reasoning = max(reasoning or 0, outputs - listed)
    return Reply(
        output=output,
        outcome=outcome,
        input_tokens=inputs,
        output_tokens=outputs,
        cached_input_tokens=min(cached, inputs),
        response_id=_string(body.get("id")),
        served_model=_string(body.get("model")),
        reasoning_tokens=reasoning,
        tokens_estimated=estimated,
    )


def _count(value: Any) -> int | None:
    """A number of tokens, None for anything that is none."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and value >= 0 else None


def _string(value: Any) -> str:
    return "" if value is None else str(value)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
