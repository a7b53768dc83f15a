"""What went wrong, for the user: something to retry, or the key of params.yaml to change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from lora_vs_api.api import keys
from lora_vs_api.api.connection import proxy_names
from lora_vs_api.api.pacing import rate_limit_pause, retry_after, wait_in
from lora_vs_api.api.provider import names_version
from lora_vs_api.api.server_error import (
    BATCH_ALONE,
    KEY,
    MODEL,
    NO_ROUTE,
    PLAIN_HTTP,
    WALL,
    ServerError,
    headers_in,
    read_error,
    short,
    without_keys,
)
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

# 408 timeout, 409 lock, 424 a generation that failed (TGI), 425 too early, 429 rate limit, 499 cancelled on
# the way (Google, nginx); every 5xx besides
RETRYABLE_STATUS = {408, 409, 424, 425, 429, 499}
TOO_LONG = re.compile(
    r"context[ _](length|window|size)|maximum context|(prompt|input|request) (is )?too (long|large)|"
    r"exceeds? the (available |model'?s? )?context|reduce the length|max_model_len|too many input tokens|"
    # Perplexity, Google and gateways to it, Moonshot, DashScope, Zhipu, xAI, Cloudflare
    r"length of all messages is too long|input token count[^;]{0,30} exceeds|input token limit exceeded|"
    r"request exceeded model token limit|range of input length should be|prompt exceeds max(imum)? length|"
    r"maximum prompt length|max context reached|"
    # what a prompt beyond the context leaves for the answer (vLLM)
    r"max_(completion_|output_)?tokens must be at least \d+, got -\d",
    re.I,
)
# of a limit that is rejected: the number, and not the parameter that carries it
LIMIT_TOO_LARGE = re.compile(
    r"max_(completion_|output_)?tokens\W{0,3}( or \W?max_\w+\W?)? (is |must be |should be |cannot be |value )"
    r"(too |at most|less|<|greater|larger|>|below|above|integer)",
    re.I,
)
# Groq and OpenAI, of one request that is larger than all that a minute allows
OVER_LIMIT = re.compile(r"\bLimit:? ([\d,]+), Requested:? ~?([\d,]+)", re.I)
UNKNOWN_NAME = re.compile(
    r"unsupported|not supported|not support|unrecogni[sz]ed|unknown|unexpected|extra[_ ]|not permitted|"
    r"not allowed|forbidden|deprecated|instead",
    re.I,
)
# in a server's message the first match wins: a word such as "text" or "reasoning" alone blames nothing
IN_WORDS = {
    "temperature": r"\btemperature\b",
    "reasoning": r"\breasoning[_. ]effort\b|['\"`]reasoning['\"`]|\breasoning is mandatory\b|不支持关闭思考",
    "max_output_tokens": r"\bmax_output_tokens\b",
    "max_completion_tokens": r"\bmax_completion_tokens\b",
    "max_tokens": r"\bmax_tokens\b",
    "response_format": r"\bresponse_format\b|\bjson[_ ](schema|object|mode)\b|structured outputs?\b|"
    r"\boutput_(config|format)\b|\binvalid schema\b|\bresponse[ _](json[ _])?schemas?\b|"
    # Bedrock, of a keyword that it does not take
    r"\bfor '\w+' type, propert(y|ies)\b|"
    r"\b(parse|compile|invalid) (the )?grammar\b|\bgrammar (error|is not|could not)\b",
    "text": r"\btext\.format\b|['\"`]text['\"`]",
    "role": r"\broles?\b",
    "store": r"['\"`]store['\"`]",
}
# of a chat template that has turns of users and assistants alone (Gemma, Mistral)
NO_SYSTEM = re.compile(
    r"system role (is )?not supported|roles must alternate|roles are supported, got system", re.I
)


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


def diagnose(
    status: int,
    body: object,
    headers: Mapping[str, str],
    request: Request,
    condition: ApiCondition,
    base_url: str,
) -> NoAnswer | UserError:
    """An error as something to retry, or as the key that has to change.

    Args:
        status: of HTTP, or the one that an answer of status 200 has in its body.
        body: of the error, or its text.
        headers: names in any case, as the HTTP library has them.
    """
    error = read_error(body)
    if status == 402 or (status < 500 and error.is_quota):
        return UserError(
            f"the account's quota at {base_url} is used up ({status}): {error.message}"
        )
    over = OVER_LIMIT.search(error.message)
    if over and int(over[2].replace(",", "")) > int(over[1].replace(",", "")):
        return Rejected(
            f"{keys.condition_key(condition.name)}: {request.id} wants more tokens than the account at {base_url} "
            f"has in a minute, however long one waits ({status}): {error.message}; expected fewer shots, shorter "
            "texts, fewer max_output_tokens or a higher limit"
        )
    if _passes(status, error):
        # llama.cpp, whose requests in flight share one context: alone, this one may fit
        hint = (
            "; expected a longer context there, fewer requests at once (api.ask.concurrency) or shorter texts"
            if TOO_LONG.search(error.message)
            else ""
        )
        reason = f"status {status}: {error.message}{hint}"
        return NoAnswer(reason, asked_wait(headers, body), billed=False)
    if status == 407:
        return UserError(refused_by_proxy(f"{status}: {error.message}"))
    if error.is_place:
        return UserError(
            f"{base_url} serves nobody where this runs ({status}): {error.message}; expected "
            "another provider, or a network elsewhere"
        )
    if error.is_account:
        return UserError(
            f"the account's own settings at {base_url} leave no provider for the model "
            f"{condition.model!r} ({status}): {error.message}; expected other settings there, or "
            f"another {keys.parameter_key('model', condition.name)}"
        )
    found = _of_the_model(status, error, condition, base_url) or _of_the_way(
        status, error, base_url
    )
    if found is not None:
        return found
    if status in (404, 405) and not NO_ROUTE.search(error.message):
        with_version = "" if names_version(base_url) else " with its /v1"
        return Rejected(
            f"{keys.BASE_URL}: {base_url} has no {condition.endpoint} endpoint ({status}): "
            f"{error.message}; expected the address of an OpenAI-compatible API{with_version} (or "
            f"another {keys.ENDPOINT})",
            "endpoint",
        )
    return _rejection(status, error, request, condition, base_url)


def _passes(status: int, error: ServerError) -> bool:
    """Whether another attempt may bring an answer."""
    # llama.cpp says so with status 500, of what a chat template refuses and of what its context does not hold
    lasts = NO_SYSTEM.search(error.message) or error.kind == "exceed_context_size_error"
    # new-api with status 503, of a model that no channel has
    if lasts or (status == 503 and "model_not_found" in error.names):
        return False
    limited = status in (400, 403) and error.is_rate_limit
    return status in RETRYABLE_STATUS or status >= 500 or limited


def asked_wait(headers: Mapping[str, str], body: object) -> float | None:
    """Seconds that an error asks to wait, wherever it says so."""
    # no wait at all, and a limit used up without a moment to come, say nothing of how long: back-off is left to decide
    waits = (retry_after(headers), wait_in(body), rate_limit_pause(headers))
    return next(filter(None, waits), None) or rate_limit_pause(headers_in(body)) or None


def _of_the_model(
    status: int, error: ServerError, condition: ApiCondition, base_url: str
) -> Rejected | None:
    """What is wrong with the model that the condition names; None where it is something else."""
    key, why = keys.parameter_key("model", condition.name), f"({status}): {error.message}"
    if error.is_other_endpoint:
        other = "responses" if condition.endpoint == "chat" else "chat"
        return Rejected(
            f"{keys.ENDPOINT}: {base_url} does not ask the model {condition.model!r} at its "
            f"{condition.endpoint} endpoint {why}; expected {other}, or another {key}",
            "endpoint",
        )
    if BATCH_ALONE.search(error.message):
        return Rejected(
            f"{keys.MODE}: {base_url} asks the model {condition.model!r} in batches alone {why}; expected batch, or "
            f"another {key}",
            "model",
        )
    # elsewhere its words may be of a parameter that it does not take: they are looked at in their turn
    said = status in (401, 403, 404, 410) and bool(MODEL.search(error.message))
    named = status in (404, 410) and _is_named(condition.model, error)
    if not (error.names_model or said or named):
        return None
    if status in (401, 403):
        # which may quote a part of the key
        why = without_keys(why)
        return Rejected(
            f"{key}: {base_url} gives this key no access to the model {condition.model!r} {why}; "
            f"expected a model that the key may ask, or another key ({keys.KEY_ENV})",
            "model",
        )
    return _no_such_model(condition, base_url, why)


def _no_such_model(condition: ApiCondition, base_url: str, why: str) -> Rejected:
    key = keys.parameter_key("model", condition.name)
    return Rejected(f"{key}: {base_url} has no model {condition.model!r} {why}", "model")


def _is_named(model: str, error: ServerError) -> bool:
    """Whether the model's name stands in a reason, and not as a part of a path that is quoted there."""
    return bool(re.search(rf"(?<![\w/]){re.escape(model)}(?![\w/])", error.message))


def _of_the_way(status: int, error: ServerError, base_url: str) -> UserError | None:
    """What is wrong with the key, or with the way to the server; None where it is something else."""
    if status == 401 or (status == 400 and KEY.search(error.message)):
        # which may quote a part of the key
        said = without_keys(error.message)
        return UserError(
            f"{keys.KEY_ENV}: {base_url} rejects the API key, or wants one ({status}): {said}; "
            "expected the name of an environment variable that holds a valid key"
        )
    if PLAIN_HTTP.search(error.message):
        return UserError(
            f"{keys.BASE_URL}: {base_url} speaks https alone ({status}): {error.message}; expected https://"
        )
    if status == 403 and WALL.match(error.message):
        return UserError(
            f"a firewall on the way to {base_url} refuses this (403): {error.message}; expected another "
            "network, or whoever runs the firewall to let it through"
        )
    if status == 403:
        return UserError(
            f"{keys.KEY_ENV}: {base_url} forbids this with that key (403): {error.message}"
        )
    return None


def refused_by_proxy(why: str) -> str:
    """What to say of a proxy that lets nothing through.

    Args:
        why: its status, and what it says.
    """
    names = ", ".join(proxy_names()) or "HTTPS_PROXY"
    return (
        f"{names}: the proxy lets nothing through ({why}); expected its address with a login where it "
        "wants one (http://name:password@proxy.example.org:8080), or another way to the server"
    )


def _rejection(
    status: int, error: ServerError, request: Request, condition: ApiCondition, base_url: str
) -> Rejected:
    """What is to blame for a request that is rejected, as far as the server tells."""
    name, rejects, why = condition.name, f"{base_url} rejects", f"({status}): {error.message}"
    if _is_too_long(status, error, condition):
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
    rejected = _blamed(status, error, condition)
    if rejected is None:
        return Rejected(f"{keys.condition_key(name)}: {rejects} request {request.id} {why}")
    if rejected == "model":
        return _no_such_model(condition, base_url, why)
    if rejected in keys.LIMITS and UNKNOWN_NAME.search(why) and not LIMIT_TOO_LARGE.search(why):
        other = other_limit(condition)
        expected = "another endpoint" if other is None else other
        return Rejected(
            f"{keys.TOKEN_LIMIT}: {rejects} {condition.limit_parameter} {why}; expected {expected}",
            "token_limit",
        )
    key, hint = keys.parameter_key(rejected, name), HINTS.get(rejected, "")
    if _takes_the_room(error, condition):
        hint = "; expected fewer, which leave the text its room"
    if rejected == "role":
        # some models take neither system nor developer (o1-mini)
        another = f"{other_role(condition)}, or user where that is refused too"
        hint = f"; expected {'user' if NO_SYSTEM.search(why) else another}"
    return Rejected(f"{key}: {rejects} it {why}{hint}", rejected)


def _is_too_long(status: object, error: ServerError, condition: ApiCondition) -> bool:
    """Whether the text and its examples are too long, rather than a limit that was sent."""
    if LIMIT_TOO_LARGE.search(error.message) or _takes_the_room(error, condition):
        return False
    return (
        status == 413
        or "context_length_exceeded" in error.names
        or bool(TOO_LONG.search(error.message))
    )


def _takes_the_room(error: ServerError, condition: ApiCondition) -> bool:
    """Whether of the tokens that are too many in all, as the server counts them, the answer's limit is the greater part."""
    if not TOO_LONG.search(error.message):
        return False
    told = {int(digits.replace(",", "")) for digits in re.findall(r"\b\d[\d,]*\b", error.message)}
    limit = condition.max_output_tokens
    return limit in told and any(limit + prompt in told for prompt in told if 0 < prompt < limit)


def _blamed(status: object, error: ServerError, condition: ApiCondition) -> str | None:
    """Which of ``keys.PARAMETER_KEYS`` an error blames; None where the server does not tell."""
    if _takes_the_room(error, condition):
        return "max_output_tokens"
    return _own_extra(error, condition) or rejected_parameter(
        error.parameter, f"({status}): {error.blames}", condition.model
    )


def blamed_key(status: object, error: ServerError, condition: ApiCondition) -> str | None:
    """The key that sets what a batch's line of status 4xx was rejected for; None where the server does not tell.

    Args:
        status: as the line has it, which may be a text, or missing.
    """
    code = int(text) if (text := str(status)).isdecimal() else 400
    if _passes(code, error) or error.is_quota or _is_too_long(code, error, condition):
        return None
    said = "model" if error.names_model else _blamed(code, error, condition)
    return None if said is None else keys.parameter_key(said, condition.name)


def _own_extra(error: ServerError, condition: ApiCondition) -> str | None:
    """Whether an error names one of the parameters that the condition sends of its own."""
    named = f"{error.parameter} {error.message}"
    own = (rf"(?<!\w){re.escape(key)}(?!\w)" for key in condition.extra_body or ())
    return "extra_body" if any(re.search(form, named) for form in own) else None


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
    # OpenAI's JSON mode blames the input, which lacks the word
    if re.search(r"\bcontain the word\W+json\b", text, re.I):
        return "response_format"
    if parameter:
        if re.search(r"\brole\b", parameter):
            return "role"
        # where it is a path in the request's body (FastAPI)
        parameter = re.sub(r"^body\W+", "", parameter)
        return next((name for name in keys.PARAMETER_KEYS if parameter.startswith(name)), None)
    # a parameter that the model does not take stands before the model, which is named with it
    found = next((name for name, form in IN_WORDS.items() if re.search(form, text, re.I)), None)
    if found is not None:
        return found
    # "model" is in many messages: only its name there, or what became of it, means that it is to blame
    named = re.search(rf"['\"`]{re.escape(model)}['\"`]", text)
    return "model" if named or MODEL.search(text) else None


REFUSED, FILTERED_OUT = "refused: ", "stopped by the content filter"


def refusal(reply: Reply) -> str:
    """The reason that a reply without an answer gives."""
    if reply.outcome == "refused":
        return f"{REFUSED}{short(reply.output) or 'no reason given'}"
    return FILTERED_OUT


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
    together: int = 3,
) -> str:
    """One line with the requests that have no answer to score, and why.

    Args:
        answers: by request id, those that are no answer to score included.
        failures: reason by request id.
        shown: how many reasons are told.
        together: how many requests are named of those with one reason.
    """

    def parts() -> Iterator[str]:
        of_reason: dict[str, list[str]] = {}
        for request in requests:
            if request.id in failures:
                of_reason.setdefault(failures[request.id], []).append(request.id)
        for reason, ids in list(of_reason.items())[:shown]:
            more = f" and {len(ids) - together} more" if len(ids) > together else ""
            yield f"{', '.join(ids[:together])}{more}: {reason}"
        if left := sum(map(len, list(of_reason.values())[shown:])):
            yield f"and {left} more"

    asked = len(answers.keys() | failures.keys())
    rest = f", {len(requests) - asked} not asked to the end" if asked < len(requests) else ""
    refused = any(why.startswith((REFUSED, FILTERED_OUT)) for why in failures.values())
    hint = f"; {keys.refusal_key(condition.name)}: score_zero counts refused texts as wrong"
    return (
        f"{keys.condition_key(condition.name)}: {len(failures)} of {len(requests)} requests got "
        f"no answer to score{rest}: {'; '.join(parts())}{hint if refused else ''}"
    )
