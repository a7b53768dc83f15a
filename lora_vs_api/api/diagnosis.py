"""What went wrong, for the user: something to retry, or the key of params.yaml to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lora_vs_api.api import keys
from lora_vs_api.api.pacing import retry_after, wait_in
from lora_vs_api.api.types import Answer, ApiCondition, NoAnswer, Request
from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from openai import APIStatusError

# 408 timeout, 409 lock, 429 rate limit; every 5xx besides
RETRYABLE_STATUS = {408, 409, 429}


def diagnose(
    error: APIStatusError, request: Request, condition: ApiCondition, base_url: str
) -> NoAnswer | UserError:
    """An HTTP error status as something to retry, or as the key that has to change."""
    status, text = error.status_code, _server_message(error)
    code, parameter = _field(error, "code"), _field(error, "param")
    if code == "insufficient_quota":
        return UserError(f"the account's quota at {base_url} is used up ({status}): {text}")
    if status in RETRYABLE_STATUS or status >= 500:
        wait = retry_after(error.response.headers)
        if wait is None:
            wait = wait_in(error.body)
        return NoAnswer(f"status {status}: {text}", wait, billed=False)
    if status == 401:
        # without the server's text, which may quote the key
        return UserError(
            f"{keys.KEY_ENV}: {base_url} rejects the API key (401); "
            "expected the environment variable it names to hold a valid key"
        )
    if status == 403:
        return UserError(f"{keys.KEY_ENV}: {base_url} forbids this with that key (403): {text}")
    if status == 404 and (code == "model_not_found" or condition.model in text):
        return UserError(
            f"{keys.parameter_key('model', condition.name)}: {base_url} does not know the model "
            f"{condition.model!r} (404): {text}"
        )
    if status == 404:
        return UserError(
            f"{keys.BASE_URL}: {base_url} has no {condition.endpoint} endpoint (404): {text}; "
            f"expected the address of an OpenAI-compatible API with its /v1 (or another "
            f"{keys.ENDPOINT})"
        )
    rejected = rejected_parameter(parameter, text, condition.model)
    if rejected is None:
        return UserError(
            f"{keys.condition_key(condition.name)}: {base_url} rejects request {request.id} "
            f"({status}): {text}"
        )
    key = keys.parameter_key(rejected, condition.name)
    hint = "; null sends none" if rejected in ("temperature", "reasoning") else ""
    return UserError(f"{key}: {base_url} rejects it ({status}): {text}{hint}")


def rejected_parameter(parameter: str, text: str, model: str) -> str | None:
    """Which of ``keys.PARAMETER_KEYS`` a server rejects.

    Args:
        parameter: as the error names it, such as ``reasoning.effort``; empty where it names none,
            and then ``text`` is searched.
        text: the server's message.
        model: the condition's.
    """
    if parameter:
        return next((name for name in keys.PARAMETER_KEYS if parameter.startswith(name)), None)
    rejected = next((name for name in keys.PARAMETER_KEYS if name in text.lower()), None)
    if rejected is None or rejected == "model":
        # "model" is in many messages: only its name there means that it is to blame
        return "model" if f"'{model}'" in text else None
    return rejected


def _field(error: APIStatusError, name: str) -> str:
    body = _unwrapped(error.body)
    return str(body.get(name) or "") if isinstance(body, dict) else ""


def _server_message(error: APIStatusError) -> str:
    return message_of(error.body or error.message)


def message_of(body: object) -> str:
    """What an error's body says is wrong, on one line; APIs differ in where they say it."""
    body = _unwrapped(body)
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body.get("error") or body
    return short(str(body))


def _unwrapped(body: object) -> object:
    """The error itself: Gemini sends a list of one, in which it stands under ``error``."""
    if isinstance(body, list) and body and isinstance(body[0], dict):
        body = body[0].get("error") or body[0]
    return body


def unscored(answers: Mapping[str, Answer]) -> dict[str, str]:
    """Of the answers that are none, by request id: the reason."""
    reasons = {}
    for identity, answer in answers.items():
        if answer.reply.outcome == "refused":
            reasons[identity] = f"refused: {short(answer.reply.output)}"
        elif answer.reply.outcome == "filtered":
            reasons[identity] = "stopped by the content filter"
    return reasons


def failure_message(
    condition: ApiCondition,
    requests: Sequence[Request],
    answers: Mapping[str, Answer],
    failures: Mapping[str, str],
    shown: int = 10,
) -> str:
    """One line with the first ``shown`` requests that have no answer to score, and why.

    Args:
        answers: by request id, those that are no answer to score included.
        failures: reason by request id.
    """

    def parts() -> Iterator[str]:
        order = [request.id for request in requests if request.id in failures]
        for identity in order[:shown]:
            yield f"{identity}: {failures[identity]}"
        if len(order) > shown:
            yield f"and {len(order) - shown} more"

    asked = len(answers.keys() | failures.keys())
    rest = f", {len(requests) - asked} not asked to the end" if asked < len(requests) else ""
    return (
        f"{keys.condition_key(condition.name)}: {len(failures)} of {len(requests)} requests got "
        f"no answer to score{rest}: {'; '.join(parts())}"
    )


def short(text: str, max_length: int = 300) -> str:
    """``text`` on one line, its end cut off where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= max_length else text[: max_length - 1] + "…"
