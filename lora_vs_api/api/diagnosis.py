"""What went wrong, for the user: something to retry, or the key of params.yaml to change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lora_vs_api.api import keys
from lora_vs_api.api.pacing import retry_after, wait_in
from lora_vs_api.api.types import (
    Answer,
    ApiCondition,
    InstructionRole,
    NoAnswer,
    Reply,
    Request,
    TokenLimit,
)
from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from openai import APIStatusError

# 408 timeout, 409 lock, 429 rate limit; every 5xx besides
RETRYABLE_STATUS = {408, 409, 429}
FILTER_STATUS = (400, 403)
FILTER_CODES = {"content_filter", "content_policy_violation", "invalid_prompt"}
# How servers say that they do not take a text for what it says; none has a code for it in common. Named
# are the text, what became of it, and the filter: a policy alone is in messages about accounts too.
_TEXT = (
    r"\b(?:prompt|input|content|text|message|request|response|output|completion)s?\b[^.;]{0,40}?"
)
_FILTER = (
    r"(?<!['\"`])\b(?:content[ _-]?(?:management|filter|policy|moderation)|responsible ?ai|"
    r"(?:by|our) moderation|(?:safety|moderation) (?:system|filter|reason|polic|guideline|check)|"
    r"usage (?:polic|guideline))"
)
FILTERED = re.compile(
    rf"{_TEXT}\b(?:was|were|is|are|been|got) (?:flagged|filtered)\b|"
    rf"{_TEXT}\b(?:flagged|filtered|blocked|rejected|stopped|violat\w+|trigger\w*)\b[^;]{{0,80}}?{_FILTER}|"
    r"\bflagged_input\b",
    re.I,
)
# Not of this text: whoever asks is shut out, and every text with it. A threat ("may be suspended") is none.
_WHO = (
    r"\b(?:account|organi[sz]ation|key|subscription|resource|project|tenant|workspace|team|"
    r"user(?!\S*\s(?:prompt|input|content|text|message|request)))s?\b(?!')"
)
_SHUT = (
    r"\b(?:suspen(?:ded|sion)|disabled|blocked|banned|deactivated|terminat(?:ed|ion)|restricted|"
    r"revoked|closed|locked)\b"
)
_SURELY = r"(?:(?!\b(?:may|might|could|can|be|being)\b)[^.;]){0,60}?"
SHUT_OUT = re.compile(rf"{_WHO}{_SURELY}{_SHUT}|{_SHUT}\s(?:\w+\s){{0,2}}{_WHO}", re.I)
TOO_LONG = re.compile(
    r"context[ _](length|window|size)|maximum context|(prompt|input|request) (is )?too (long|large)|"
    r"exceeds? the (available |model'?s? )?context|reduce the length|max_model_len|too many input tokens",
    re.I,
)
# of a limit that is rejected: the number, and not the parameter that carries it
LIMIT_TOO_LARGE = re.compile(
    r"max_(completion_|output_)?tokens\W{0,3}( or \W?max_\w+\W?)? (is |must be |should be |cannot be |value )"
    r"(too |at most|less|<|greater|larger|>|below|above|integer)",
    re.I,
)
UNKNOWN_NAME = re.compile(
    r"unsupported|not supported|not support|unrecogni[sz]ed|unknown|unexpected|extra[_ ]|not permitted|"
    r"not allowed|forbidden|deprecated|instead",
    re.I,
)
# in a server's message the first match wins: a word such as "text" or "reasoning" alone blames nothing
IN_WORDS = {
    "temperature": r"\btemperature\b",
    "reasoning": r"\breasoning[_. ]effort\b|['\"`]reasoning['\"`]",
    "max_output_tokens": r"\bmax_output_tokens\b",
    "max_completion_tokens": r"\bmax_completion_tokens\b",
    "max_tokens": r"\bmax_tokens\b",
    "response_format": r"\bresponse_format\b|\bjson[_ ](schema|object|mode)\b|structured outputs?\b",
    "text": r"\btext\.format\b|['\"`]text['\"`]",
    "role": r"\brole\b",
    "store": r"['\"`]store['\"`]",
}


class Rejected(UserError):
    """A request that no retry mends.

    Attributes:
        parameter: which one of it is to blame, of ``keys.PARAMETER_KEYS``, or its endpoint, or the
            name of the limit (token_limit); None where the server does not tell.
        answered: whether there was an answer, which shows that the parameter is not heeded.
    """

    def __init__(
        self, message: str, parameter: str | None = None, *, answered: bool = False
    ) -> None:
        super().__init__(message)
        self.parameter = parameter
        self.answered = answered


def says_filtered(status: object, body: object) -> bool:
    """Whether an error says that a content filter stopped this text.

    In doubt it does not: the condition then stops with the server's words, while a filtered text may
    count as wrong (``on_refusal``), and so may all of them.

    Args:
        status: of HTTP, or as the body of an answer of status 200 has it.
    """
    body = _unwrapped(body)
    # the message alone: a validation error may quote the text that was asked
    message = message_of(body)
    if SHUT_OUT.search(message):
        return False
    if isinstance(body, dict) and str(body.get("code")) in FILTER_CODES:
        return True
    return status in FILTER_STATUS and bool(FILTERED.search(message))


def diagnose(
    error: APIStatusError, request: Request, condition: ApiCondition, base_url: str
) -> NoAnswer | UserError:
    """An HTTP error status as something to retry, or as the key that has to change."""
    status, text = error.status_code, _server_message(error)
    code = _field(error, "code")
    if code == "insufficient_quota" or status == 402:
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
        return Rejected(
            f"{keys.parameter_key('model', condition.name)}: {base_url} does not know the model "
            f"{condition.model!r} (404): {text}",
            "model",
        )
    if status in (404, 405):
        return Rejected(
            f"{keys.BASE_URL}: {base_url} has no {condition.endpoint} endpoint ({status}): {text}; "
            f"expected the address of an OpenAI-compatible API with its /v1 (or another "
            f"{keys.ENDPOINT})",
            "endpoint",
        )
    return _rejection(error, request, condition, f"{base_url} rejects", f"({status}): {text}")


def _rejection(
    error: APIStatusError, request: Request, condition: ApiCondition, rejects: str, why: str
) -> Rejected:
    """What is to blame for a request that is rejected, as far as the server tells."""
    parameter, name = _field(error, "param"), condition.name
    if not LIMIT_TOO_LARGE.search(why) and (
        error.status_code == 413
        or _field(error, "code") == "context_length_exceeded"
        or TOO_LONG.search(why)
    ):
        if condition.context is not None:
            return Rejected(
                f"{keys.CONTEXT}: {condition.context:,} tokens are too few for {request.id} of "
                f"{keys.condition_key(name)} with its examples and its answer {why}; expected more, "
                f"fewer {keys.condition_key(name)}.shots or shorter texts"
            )
        return Rejected(
            f"{keys.condition_key(name)}: {rejects} {request.id} {why}; the text and its examples "
            "are too long for this model: expected fewer shots, shorter texts or another model"
        )
    rejected = rejected_parameter(parameter, why, condition.model)
    if rejected is None:
        return Rejected(f"{keys.condition_key(name)}: {rejects} request {request.id} {why}")
    if rejected in keys.LIMITS and UNKNOWN_NAME.search(why) and not LIMIT_TOO_LARGE.search(why):
        other = other_limit(condition)
        expected = "another endpoint" if other is None else other
        return Rejected(
            f"{keys.TOKEN_LIMIT}: {rejects} {condition.limit_parameter} {why}; expected {expected}",
            "token_limit",
        )
    key, hint = keys.parameter_key(rejected, name), HINTS.get(rejected, "")
    if rejected == "role":
        hint = f"; expected {other_role(condition)}"
    return Rejected(f"{key}: {rejects} it {why}{hint}", rejected)


HINTS = {
    "temperature": "; null sends none",
    "reasoning": "; null sends none",
    "text": "; text sends none",
    "response_format": "; text sends none",
    "store": "; expected chat",
}


def other_limit(condition: ApiCondition) -> TokenLimit | None:
    """The other parameter that can carry the limit at this endpoint."""
    if condition.endpoint != "chat":
        return None
    used = condition.limit_parameter
    return "max_tokens" if used == "max_completion_tokens" else "max_completion_tokens"


def other_role(condition: ApiCondition) -> InstructionRole:
    return "developer" if condition.instruction_role == "system" else "system"


def rejected_parameter(parameter: str, text: str, model: str) -> str | None:
    """Which of ``keys.PARAMETER_KEYS`` a server rejects.

    Args:
        parameter: as the error names it, such as ``reasoning.effort``; empty where it names none,
            and then ``text`` is searched.
        text: the server's message.
        model: the condition's.
    """
    if parameter:
        if re.search(r"\brole\b", parameter):
            return "role"
        return next((name for name in keys.PARAMETER_KEYS if parameter.startswith(name)), None)
    # "model" is in many messages: only its name there means that it is to blame
    if re.search(rf"['\"`]{re.escape(model)}['\"`]|not a valid model", text):
        return "model"
    return next((name for name, form in IN_WORDS.items() if re.search(form, text, re.I)), None)


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


REFUSED, FILTERED_OUT = "refused: ", "stopped by the content filter"


def refusal(reply: Reply) -> str:
    """The reason that a reply without an answer gives."""
    return f"{REFUSED}{short(reply.output)}" if reply.outcome == "refused" else FILTERED_OUT


def unscored(condition: ApiCondition, answers: Mapping[str, Answer]) -> dict[str, str]:
    """Of the answers that are none for the condition, by request id: the reason."""
    return {
        identity: refusal(answer.reply)
        for identity, answer in answers.items()
        if not condition.accepts(answer.reply)
    }


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
    refused = any(why.startswith((REFUSED, FILTERED_OUT)) for why in failures.values())
    hint = f"; {keys.refusal_key(condition.name)}: score_zero counts refused texts as wrong"
    return (
        f"{keys.condition_key(condition.name)}: {len(failures)} of {len(requests)} requests got "
        f"no answer to score{rest}: {'; '.join(parts())}{hint if refused else ''}"
    )


def short(text: str, max_length: int = 300) -> str:
    """``text`` on one line, its end cut off where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= max_length else text[: max_length - 1] + "…"
