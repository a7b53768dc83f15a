"""Requests and replies in the two forms that OpenAI-compatible servers speak.

The Responses API and chat completions: https://platform.openai.com/docs/api-reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_vs_api.api.diagnosis import short
from lora_vs_api.api.types import ApiCondition, NoAnswer, Outcome, Reply, Request

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion
    from openai.types.responses import Response

NO_USAGE = "the server reports no token usage, which the costs need"


def request_body(request: Request, condition: ApiCondition) -> dict[str, Any]:
    """What is sent, in full: the arguments of the openai client's call."""
    messages = [dict(message) for message in request.messages]
    schema = None
    if condition.schema is not None:
        schema = {"name": "record", "schema": condition.schema, "strict": True}
    # transformers serve streams unless told otherwise
    body: dict[str, Any] = {"model": condition.model, "stream": False}
    if condition.temperature is not None:
        body["temperature"] = condition.temperature
    if condition.endpoint == "chat":
        body |= {"messages": messages, "max_completion_tokens": condition.max_output_tokens}
        if condition.reasoning_effort is not None:
            body["reasoning_effort"] = condition.reasoning_effort
        if schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body
    # the system turn as a message, not as `instructions`: it is the prompt of the others
    body |= {"input": messages, "max_output_tokens": condition.max_output_tokens}
    # nobody asked the customers whether the provider may keep their emails
    body["store"] = False
    if condition.reasoning_effort is not None:
        body["reasoning"] = {"effort": condition.reasoning_effort}
    if schema is not None:
        body["text"] = {"format": {"type": "json_schema", **schema}}
    return body


def read_response(response: Response, condition: ApiCondition) -> Reply:
    """What a response of the Responses API says.

    The openai client checks no types, so ``response`` may be anything that a server sent.

    Raises:
        NoAnswer: it is none, it failed, it is empty, or it does not tell its usage.
    """
    if getattr(response, "object", None) != "response":
        raise NoAnswer("the answer is not a response of the Responses API")
    if response.usage is None:
        raise NoAnswer(NO_USAGE)
    refusals = [
        part.refusal
        for item in response.output
        if item.type == "message"
        for part in item.content
        if part.type == "refusal"
    ]
    outcome: Outcome = "refused"
    if not refusals:
        outcome = _response_outcome(response, condition.max_output_tokens)
    details = response.usage.input_tokens_details
    return _not_empty(
        Reply(
            output=" ".join(refusals) if refusals else response.output_text,
            outcome=outcome,
            input_tokens=response.usage.input_tokens,
            output_tokens=response.usage.output_tokens,
            cached_input_tokens=(details.cached_tokens if details else None) or 0,
            response_id=response.id or "",
            served_model=response.model or "",
        )
    )


def _response_outcome(response: Response, max_output_tokens: int) -> Outcome:
    """Outcome of a response without a refusal.

    Raises:
        NoAnswer: its status is neither completed nor an end that has a name here.
    """
    reason = response.incomplete_details.reason if response.incomplete_details else None
    if response.status == "incomplete" and reason == "content_filter":
        return "filtered"
    if response.status == "incomplete" and reason == "max_output_tokens":
        return "truncated"
    if response.status not in ("completed", None):
        detail = response.error.message if response.error else reason
        raise NoAnswer(f"status {response.status}: {short(str(detail))}")
    # transformers serve calls every answer completed
    cut = response.usage is not None and response.usage.output_tokens >= max_output_tokens
    return "truncated" if cut else "answered"


def read_chat(response: ChatCompletion) -> Reply:
    """What a chat completion says; see :func:`read_response`."""
    if not getattr(response, "choices", None):
        raise NoAnswer("the answer is not a chat completion")
    if response.usage is None:
        raise NoAnswer(NO_USAGE)
    choice = response.choices[0]
    output = choice.message.content or ""
    outcome: Outcome = "answered"
    if choice.message.refusal:
        outcome, output = "refused", choice.message.refusal
    elif choice.finish_reason == "content_filter":
        outcome = "filtered"
    elif choice.finish_reason == "length":
        outcome = "truncated"
    details = response.usage.prompt_tokens_details
    return _not_empty(
        Reply(
            output=output,
            outcome=outcome,
            input_tokens=response.usage.prompt_tokens,
            output_tokens=response.usage.completion_tokens,
            cached_input_tokens=(details.cached_tokens if details else None) or 0,
            response_id=response.id or "",
            served_model=response.model or "",
        )
    )


def _not_empty(reply: Reply) -> Reply:
    if not reply.output.strip() and reply.outcome == "answered":
        raise NoAnswer("empty output")
    return reply
