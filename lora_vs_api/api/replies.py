"""What a server's answer says, in the two forms that OpenAI-compatible servers speak.

Read is the plain JSON, since no server can be trusted to keep to a form: an answer is a whole one,
or there is none and a reason. https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from lora_vs_api.api.pacing import wait_in
from lora_vs_api.api.server_error import (
    as_list,
    as_mapping,
    begins,
    first_choice,
    holds_answer,
    message_of,
    own_form,
    says_filtered,
    short,
    unwrapped,
)
from lora_vs_api.api.types import ApiCondition, NoAnswer, Outcome, Reply
from lora_vs_api.shown import LONE_SURROGATE

NO_USAGE = "the server reports no token usage, which the costs need"
# How servers call the end of an answer, by words in the name, which is in lower case; the first that matches
# counts, and any other end is that of a whole answer. DeepSeek has insufficient_system_resource, Mistral
# model_length, Anthropic model_context_window_exceeded, Gemini safety, recitation, spii and more, GLM sensitive.
BROKEN_OFF = re.compile(
    r"error|abort|cancel|fail|insufficient|time_?out|time_?limit|overload|interrupt|unavailable|rate_?limit"
)
ENDS: tuple[tuple[Outcome, re.Pattern[str]], ...] = (
    ("filtered", re.compile(r"filter|safety|recitation|sensitive|prohibit|block|spii|guardrail|moderat")),
    ("truncated", re.compile(r"length|tokens|limit|context|truncat")),
    ("refused", re.compile(r"refus")),
)  # fmt: skip
# How many tokens came from a cache, where that does not stand among the details: DeepSeek, Moonshot, and Anthropic
# behind a gateway (LiteLLM), whose input tokens hold them
CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
REFUSED = "no reason given"
# Groq's code of an error: what the model wrote is not of the format that was asked for
UNFIT = "json_validate_failed"

# the end of a message that is no answer yet: the model waits for what a tool says
CALL_ENDS = {"tool_calls", "tool_call", "tool_use", "function_call"}
CALL_ITEMS = ("function_call", "custom_tool_call", "mcp_approval_request")
CALLED = "the model calls a tool, although none was offered, instead of answering"

# no text has so many: a count beyond it is none, and no file could hold any number
MOST_TOKENS = 10**9

# of an output: tokens of the request and of the output, by the tokenizer at hand
Estimate = Callable[[str], tuple[int, int]]


def read_reply(body: Any, condition: ApiCondition, estimate: Estimate | None = None) -> Reply:
    """What the JSON ``body`` of an answer says.

    Args:
        estimate: counts the tokens that the server does not tell.

    Raises:
        NoAnswer: it is none, it failed, it is empty where the condition wants text, or it does not
            tell its usage and there is no ``estimate``.
    """
    chat = condition.endpoint == "chat"
    found = _whole(body)
    body = as_mapping(found)
    if found and not body:
        kind = "chat completion" if chat else "response of the Responses API"
        raise NoAnswer(f"the answer is not a {kind}{begins(found)}")
    usage = as_mapping(body.get("usage"))
    tokens = _reported(usage, chat)
    if says_filtered(as_mapping(body.get("error")).get("code"), body.get("error")):
        return filtered_reply(estimate, tokens[0])
    try:
        # without any answer it is an error status by another name, and not billed
        error = body.get("error")
        # a mark beside the reason says less than that
        _raise_error(
            error if isinstance(error, dict | list) or not error else body,
            billed=holds_answer(body),
        )
        if chat:
            output, outcome = _read_chat(body)
        else:
            output, outcome = _read_response(body)
        # transformers serve calls every answer completed, and some chat servers say nothing of its end
        is_full = tokens[1] is not None and tokens[1] >= condition.max_output_tokens
        if is_full and outcome == "answered" and (not chat or not _says_end(body)):
            outcome = "truncated"
        if not output.strip() and outcome == "answered" and not condition.may_be_empty:
            raise NoAnswer(f"empty output{_elsewhere(body)}")
    except NoAnswer as error:
        # no request has 0 tokens
        if tokens[0] and tokens[1] is not None:
            error.tokens = (tokens[0], _with_hidden(usage, tokens[0], tokens[1]))
        raise
    return _counted(body, usage, tokens, output, outcome, estimate)


def _whole(value: Any) -> Any:
    """``value`` with the replacement character, as decoders put it, for half a character.

    JSON can escape one half of a pair, which no file and no store can hold.
    """
    if isinstance(value, str):
        return LONE_SURROGATE.sub("\ufffd", value)
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


def reply_in_error(
    status: object, body: Any, condition: ApiCondition, estimate: Estimate | None
) -> Reply | None:
    """The reply that the body of an error holds: of a text that a filter stopped, or in no format that was asked for; else None.

    Args:
        status: of HTTP, or as a line of a batch has it.
    """
    if says_filtered(status, body):
        return filtered_reply(estimate)
    return _unfit_reply(body, condition, estimate) or _stopped_reply(body, condition, estimate)


def _stopped_reply(body: Any, condition: ApiCondition, estimate: Estimate | None) -> Reply | None:
    """What stands for an answer that a filter stopped and that comes with the status of an error (Azure's Foundry); else None."""
    if not holds_answer(body) or body.get("error"):
        return None
    try:
        reply = read_reply(body, condition, estimate)
    except NoAnswer:
        return None
    return None if reply.is_scored else reply


def _unfit_reply(body: Any, condition: ApiCondition, estimate: Estimate | None) -> Reply | None:
    """The answer that an error of a server holds, since it is not in the format that was asked for.

    It is the model's answer, and wrong unless it is a record all the same: asked again at temperature 0 it
    would come again. None for any other error, and where the server does not tell what was written.
    """
    error = as_mapping(unwrapped(body))
    written = error.get("failed_generation")
    if not condition.wants_json or error.get("code") != UNFIT or not isinstance(written, str):
        return None
    if not written.strip() or estimate is None:
        return None
    written = _whole(written)
    inputs, outputs = estimate(written)
    return Reply(written, "answered", inputs, outputs, 0, tokens_estimated=True)


def _elsewhere(body: dict[str, Any]) -> str:
    """Where else than in its content a message has text, or how it ended, in words; empty where nothing tells."""
    choice = first_choice(body)
    message = as_mapping(choice.get("message"))
    found = [(name, message.get(name)) for name in ("reasoning_content", "reasoning")]
    # of the Responses API: an item of its own, of parts or a summary of them
    for item in map(as_mapping, as_list(body.get("output"))):
        if item.get("type") == "reasoning":
            parts = [*_parts(item.get("content")), *_parts(item.get("summary"))]
            found.append(("an item of reasoning", "".join(map(_text, parts))))
    for name, text in found:
        if isinstance(text, str) and text.strip():
            return (
                f", and {len(text):,} characters in {name}, {short(text, 60)!r}: does the server's "
                "reasoning parser take answers for thinking?"
            )
    end = _end(choice.get("finish_reason"))
    return "" if end in ("", "stop") else f" (finish_reason {short(end, 60)})"


def _outcome(end: str) -> Outcome:
    """What an answer with that end is, in lower case."""
    return next((outcome for outcome, form in ENDS if form.search(end)), "answered")


def _says_end(body: dict[str, Any]) -> bool:
    """Whether a chat completion says how its answer ended."""
    return bool(_end(first_choice(body).get("finish_reason")))


def _end(value: Any) -> str:
    """How an answer ended, in lower case; of SGLang's objects the type, of other objects the reason."""
    said = as_mapping(value)
    value = (said.get("type") or said.get("reason")) if said else value
    return str(value).lower() if value and not isinstance(value, dict | list) else ""


def _read_response(body: dict[str, Any]) -> tuple[str, Outcome]:
    """Text and outcome of a response of the Responses API."""
    if body.get("object") != "response":
        _raise_bare(body)
        raise NoAnswer(f"the answer is not a response of the Responses API{begins(body)}")
    items = body.get("output")
    if isinstance(items, dict) and items and not items.get("type"):
        raise NoAnswer(f"the answer's output is no list of items{begins(items)}")
    if isinstance(items, str):
        texts, refusals = [items], []
    else:
        parts = [part for message in _messages(items) for part in message]
        texts = [_text(part) for part in parts if part.get("type") == "output_text"]
        refusals = [
            str(part.get("refusal") or REFUSED) for part in parts if part.get("type") == "refusal"
        ]
    if refusals:
        return " ".join(refusals), "refused"
    # text may follow the calls that a server has run itself
    kinds = [item.get("type") for item in map(as_mapping, as_list(items))]
    kinds = [kind for kind in kinds if kind == "message" or kind in CALL_ITEMS]
    if kinds and kinds[-1] != "message":
        raise NoAnswer(CALLED)
    status, end = _end(body.get("status")), _end(body.get("incomplete_details"))
    outcome: Outcome = "answered"
    if status == "incomplete" and not BROKEN_OFF.search(end) and _outcome(end) != "answered":
        outcome = _outcome(end)
    elif status not in ("completed", ""):
        raise NoAnswer(f"status {status}: {short(end) or REFUSED}")
    return "".join(texts), outcome


def _messages(items: Any) -> list[list[dict[str, Any]]]:
    """The parts of every message of a response that is the answer, each message once.

    OpenAI's Responses API, and gateways to it, now and then list a message twice. What a model says on its
    way to an answer is of the phase ``commentary``.
    """
    messages = [item for item in map(as_mapping, as_list(items)) if item.get("type") == "message"]
    final = [message for message in messages if message.get("phase") != "commentary"]
    found: list[list[dict[str, Any]]] = []
    for message in final or messages:
        parts = _parts(message.get("content"))
        if parts not in found:
            found.append(parts)
    return found


def _read_chat(body: dict[str, Any]) -> tuple[str, Outcome]:
    """Text and outcome of a chat completion."""
    if not as_list(body.get("choices")):
        return _read_no_choice(body)
    choice = first_choice(body)
    if says_filtered(as_mapping(choice.get("error")).get("code"), choice.get("error")):
        return "", "filtered"
    _raise_error(choice.get("error"))
    # Gemini: content_filter: PROHIBITED_CONTENT
    end = (_end(choice.get("finish_reason")) or "stop").partition(":")[0]
    own = _end(choice.get("native_finish_reason"))
    if not BROKEN_OFF.search(end) and _outcome(end) == "answered" and own:
        # what the provider behind OpenRouter says; the gateway may call it a whole answer
        end = own
    if BROKEN_OFF.search(end):
        why = as_mapping(choice.get("finish_reason")).get("message")
        told = f" ({short(str(why), 200)})" if why else ""
        raise NoAnswer(f"finish_reason {short(end, 60)}: the answer broke off{told}")
    message = as_mapping(choice.get("message"))
    if not message and choice.get("message") != {}:
        if _outcome(end) == "filtered":
            return "", "filtered"
        raise NoAnswer(f"the answer holds no message{begins(choice, 'its choice')}")
    refusal = message.get("refusal")
    if refusal:
        return str(refusal), "refused"
    if end in CALL_ENDS and (message.get("tool_calls") or message.get("function_call")):
        raise NoAnswer(f"finish_reason {end}: {CALLED}")
    output = "".join(
        _text(part)
        for part in _parts(message.get("content"))
        if part.get("type", "text") in ("text", "output_text")
    )
    return output, _outcome(end)


def _read_no_choice(body: dict[str, Any]) -> tuple[str, Outcome]:
    """What is left to say of an answer without any choice; Azure sends one for a prompt that its filter stopped."""
    if says_filtered(body.get("code"), body) or _stopped(body):
        return "", "filtered"
    if "choices" in body and not own_form(body):
        raise NoAnswer(f"the answer holds no choice{begins(body)}")
    _raise_bare(body)
    raise NoAnswer(f"the answer is not a chat completion{begins(body)}")


def _raise_bare(body: dict[str, Any]) -> None:
    """Raise an error that stands where an answer should, without ``error`` around it."""
    # a number of success is no error's (200, and 0), and what stands beside it tells more than its message
    code = body.get("code")
    if (
        (code is not None and str(code) not in ("0", "200"))
        or isinstance(body.get("detail"), str)
        or own_form(body)
    ):
        _raise_error(body, billed=False)


def _stopped(body: dict[str, Any]) -> bool:
    """Whether one of the categories of Azure's ``prompt_filter_results`` is marked as filtered."""
    return any(
        as_mapping(category).get("filtered") is True
        for result in as_list(body.get("prompt_filter_results"))
        for category in as_mapping(as_mapping(result).get("content_filter_results")).values()
    )


def _raise_error(error: Any, billed: bool = True) -> None:
    """Raise what an answer of status 200 says went wrong."""
    if error:
        why = f"error in an answer of status 200: {message_of(error)}"
        # a status of its own is that of an error which HTTP would have told
        raise NoAnswer(why, wait_in(error), billed or _count(as_mapping(error).get("code")) is None)


def _parts(content: Any) -> list[dict[str, Any]]:
    """A message's content, which is a list of parts or a string or nothing, as parts.

    Where JSON was asked for, some gateways send the object or number itself (Cloudflare): it is written out.
    """
    if isinstance(content, str):
        return [{"type": "output_text", "text": content}]
    if (
        isinstance(content, dict)
        and content.get("type") in ("text", "output_text")
        and "text" in content
    ):
        return [content]
    if isinstance(content, dict | int | float):
        return [{"type": "output_text", "text": json.dumps(content, ensure_ascii=False)}]
    return [
        {"type": "output_text", "text": part} if isinstance(part, str) else as_mapping(part)
        for part in as_list(content)
    ]


def _text(part: dict[str, Any]) -> str:
    text = part.get("text")
    if isinstance(text, dict):
        # of the Assistants API, with its annotations
        text = text.get("value")
    return text if isinstance(text, str) else ""


def _reported(usage: dict[str, Any], chat: bool) -> tuple[int | None, int | None]:
    """Input and output tokens as the server lists them; gateways take the names of either endpoint."""
    names = (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens"))
    own, others = names if chat else reversed(names)
    # a 0 may stand under the names of the other endpoint
    inputs, outputs = (
        _count(usage.get(name)) or _count(usage.get(other)) or _count(usage.get(name))
        for name, other in zip(own, others, strict=True)
    )
    return inputs, outputs


def _with_hidden(usage: dict[str, Any], inputs: int, outputs: int) -> int:
    """Output tokens with the reasoning that some servers count in the total alone, or beside the output."""
    total = _count(usage.get("total_tokens"))
    if total:
        return max(outputs, total - inputs)
    reasoning = _reasoning(usage) or 0
    # more than there is output: not among it, then
    return outputs + reasoning if reasoning > outputs else outputs


def _reasoning(usage: dict[str, Any]) -> int | None:
    details = (as_mapping(usage.get(f"{kind}_tokens_details")) for kind in ("output", "completion"))
    return next((n for d in details if (n := _count(d.get("reasoning_tokens"))) is not None), None)


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
    # no request has 0 tokens, nor an answer: Ollama tells none of a prompt that it has in its cache
    inputs = inputs or None
    listed = None if listed == 0 and output.strip() else listed
    estimated = inputs is None or listed is None
    if inputs is None or listed is None:
        if estimate is None:
            raise NoAnswer(NO_USAGE)
        counted = estimate(output)
        inputs = counted[0] if inputs is None else inputs
        listed = counted[1] if listed is None else listed
    outputs = listed if estimated else _with_hidden(usage, inputs, listed)
    details = [as_mapping(usage.get(f"{kind}_tokens_details")) for kind in ("input", "prompt")]
    cached = next((n for d in details if (n := _count(d.get("cached_tokens")))), 0)
    if not cached:
        cached = next((n for name in CACHED if (n := _count(usage.get(name)))), 0)
    reasoning = _reasoning(usage)
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
    """A number of tokens, None for anything that is none; JSON has 20.0 for 20, too."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value < MOST_TOKENS else None


def _string(value: Any) -> str:
    return "" if value is None else str(value)
