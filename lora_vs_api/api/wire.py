"""Requests in the two forms that OpenAI-compatible servers speak; `replies.py` reads the answers.

The Responses API and chat completions: https://platform.openai.com/docs/api-reference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lora_vs_api.api.types import ApiCondition, Request


def request_body(request: Request, condition: ApiCondition) -> dict[str, Any]:
    """What is sent, in full: the arguments of the openai client's call.

    It sends what stands in ``extra_body`` beside the others.
    """
    body = _own_body(request, condition)
    if condition.extra_body:
        body["extra_body"] = {**body.get("extra_body", {}), **condition.extra_body}
    return body


def _own_body(request: Request, condition: ApiCondition) -> dict[str, Any]:
    messages = _turns(request, condition)
    schema = None
    if condition.schema is not None:
        schema = {"name": "record", "schema": condition.schema, "strict": True}
    # transformers serve streams unless told otherwise
    body: dict[str, Any] = {"model": condition.model, "stream": False}
    if condition.temperature is not None:
        body["temperature"] = condition.temperature
    if condition.endpoint == "chat":
        body |= {"messages": messages, condition.limit_parameter: condition.max_output_tokens}
        if condition.reasoning_effort is not None:
            body["reasoning_effort"] = condition.reasoning_effort
        if condition.schema is not None and condition.grammar == "compact":
            body["extra_body"] = {"grammar": compact_grammar(condition.schema)}
        elif schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif condition.json_object:
            body["response_format"] = {"type": "json_object"}
        return body
    # the system turn as a message, not as `instructions`: it is the prompt of the others
    body |= {"input": messages, condition.limit_parameter: condition.max_output_tokens}
    # nobody asked the customers whether the provider may keep their emails
    body["store"] = False
    if condition.reasoning_effort is not None:
        body["reasoning"] = {"effort": condition.reasoning_effort}
    if schema is not None:
        body["text"] = {"format": {"type": "json_schema", **schema}}
    elif condition.json_object:
        body["text"] = {"format": {"type": "json_object"}}
    return body


def _turns(request: Request, condition: ApiCondition) -> list[dict[str, str]]:
    """The request's messages, the instruction in the role that the server has for it."""
    turns = [dict(message) for message in request.messages]
    role = condition.instruction_role
    if role == "user" and [turn["role"] for turn in turns[:2]] == ["system", "user"]:
        # as a chat template without a system role has it
        first = f"{turns[0]['content']}\n\n{turns[1]['content']}"
        return [{"role": "user", "content": first}, *turns[2:]]
    return [turn | {"role": role} if turn["role"] == "system" else turn for turn in turns]


def compact_grammar(schema: Mapping[str, Any]) -> str:
    """A JSON Schema as a grammar of llguidance, for llama.cpp's server.

    Unlike `response_format` it leaves no choice of blanks: a record takes 18 % fewer tokens so. What
    it allows is the layout of the training examples, which is that of `json.dumps`.
    https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md
    """
    layout = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    return "%llguidance {}\nstart: %json " + json.dumps({**schema, "x-guidance": layout})
