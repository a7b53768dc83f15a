"""Ask an OpenAI-compatible API for many answers; each is a real answer or the call fails.

The openai client does the talking. Its own retries are switched off, because they would hide
inside the measured latency; the retries here wait outside of it.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from tqdm import tqdm

from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openai import APIStatusError, AsyncOpenAI

    from lora_vs_api.api.budget import Budget

Outcome = Literal["answered", "truncated", "refused", "filtered"]

# 408 timeout, 409 lock, 429 rate limit; every 5xx besides
RETRYABLE_STATUS = {408, 409, 429}
LONGEST_BACKOFF_SECONDS = 30.0
# a server that wants more patience than this has run out of quota: say so instead of sleeping
LONGEST_RETRY_AFTER_SECONDS = 120.0
# nor is a used-up rate limit, as told by the headers of an answer, waited out for longer
LONGEST_PAUSE_SECONDS = 60.0
# parameters of a request, and the key of ours that sets each; first match wins
PARAMETER_KEYS = {
    "temperature": "conditions.{name}.temperature",
    "reasoning": "conditions.{name}.reasoning_effort",
    "max_output_tokens": "decoding.max_new_tokens",
    "max_completion_tokens": "decoding.max_new_tokens",
    "text": "conditions.{name}.output",
    "response_format": "conditions.{name}.output",
    "model": "conditions.{name}.model",
}


@dataclass(frozen=True)
class ApiCondition:
    """How one condition asks: everything of a request but its messages.

    ``temperature`` and ``reasoning_effort`` are sent only when set, since some models reject
    them; with a ``schema`` the answer is asked for in strict JSON Schema mode. ``name`` is the
    condition's key in ``conditions``, for messages to the user.
    """

    name: str
    model: str
    temperature: float | None
    reasoning_effort: str | None
    max_output_tokens: int
    endpoint: Literal["responses", "chat"] = "responses"
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Request:
    """One question: chat messages (``role``, ``content``) under the id of its text.

    ``replicate`` counts askings of the same question, which are answered independently.
    """

    id: str
    messages: Sequence[Mapping[str, str]]
    replicate: int = 0


@dataclass(frozen=True)
class Answer:
    """One answer as it is scored.

    ``latency_seconds`` is that of the successful attempt alone, None where none was measured (a
    batch); ``attempts`` counts it and the failed ones before it. ``truncated`` means that the token limit cut the answer.
    """

    id: str
    output: str
    outcome: Outcome
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    latency_seconds: float | None
    attempts: int
    response_id: str = ""
    served_model: str = ""


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


def ask_all(
    requests: Sequence[Request],
    condition: ApiCondition,
    *,
    base_url: str,
    api_key: str | None,
    concurrency: int,
    timeout_seconds: float,
    max_attempts: int,
    total_seconds: float | None = None,
    budget: Budget | None = None,
    on_answer: Callable[[Answer], None] | None = None,
    first_wait: float = 1.0,
) -> list[Answer]:
    """Ask every request and return the answers in the order of the requests.

    Rate limits, server errors, lost connections, timeouts and empty output are retried after an
    exponential back-off with jitter, or after what the server asks for. What no retry can mend
    (a rejected key, model or parameter), or a request out of attempts, stops the call: no
    attempt starts any more, those in flight are finished and handed to ``on_answer``. A server
    that names a time to wait, or whose rate-limit headers say that nothing is left, is left alone
    by all requests until then.

    Args:
        base_url: with its ``/v1``.
        api_key: None for a server that wants none; the environment's is not used then.
        concurrency: requests in flight at most; latencies compare only at 1.
        timeout_seconds: for one attempt, from the first byte sent to the last received.
        max_attempts: for one request, the first included.
        total_seconds: after which no attempt starts any more.
        budget: asked for money before every attempt.
        on_answer: called with each answer that is to be scored as soon as it is there.
        first_wait: mean seconds before the second attempt; they double with each further one.

    Raises:
        UserError: naming the key to change, or each request without an answer and its reason.
            It never holds the API key.
    """
    work = _ask_all(
        requests,
        condition,
        base_url=base_url,
        api_key=api_key,
        concurrency=concurrency,
        timeout_seconds=timeout_seconds,
        max_attempts=max_attempts,
        total_seconds=total_seconds,
        budget=budget,
        on_answer=on_answer,
        first_wait=first_wait,
    )
    return asyncio.run(work)


async def _ask_all(
    requests: Sequence[Request],
    condition: ApiCondition,
    *,
    base_url: str,
    api_key: str | None,
    concurrency: int,
    timeout_seconds: float,
    max_attempts: int,
    total_seconds: float | None,
    budget: Budget | None,
    on_answer: Callable[[Answer], None] | None,
    first_wait: float,
) -> list[Answer]:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    check_key(api_key)
    # a proxy named by the environment is for the hosted API, never for a server on loopback
    http_client = DefaultAsyncHttpxClient(trust_env=not is_loopback(base_url))
    answers: dict[str, Answer] = {}
    failures: dict[str, str] = {}
    fatal: list[UserError] = []
    stop = asyncio.Event()
    gate = _Gate(total_seconds)
    pending = iter(requests)

    with tqdm(total=len(requests), desc=condition.name, unit="text") as bar:
        retries = 0

        def on_retry() -> None:
            nonlocal retries
            retries += 1
            bar.set_postfix(retries=retries)

        async def work(client: AsyncOpenAI) -> None:
            for request in pending:
                try:
                    answer = await _ask(
                        client, request, condition, timeout_seconds, max_attempts,
                        first_wait, stop, gate, budget, on_retry,
                    )  # fmt: skip
                    # kept before it counts: an answer that cannot be kept stops the spending
                    if answer and on_answer and answer.outcome in ("answered", "truncated"):
                        on_answer(answer)
                except NoAnswer as error:
                    failures[request.id] = error.reason
                    stop.set()
                except UserError as error:
                    fatal.append(error)
                    stop.set()
                else:
                    if answer is not None:
                        answers[request.id] = answer
                        bar.update()
                if stop.is_set():
                    return

        async with AsyncOpenAI(
            base_url=base_url,
            # the client would take OPENAI_API_KEY for None
            api_key=api_key or "none",
            max_retries=0,
            timeout=timeout_seconds,
            http_client=http_client,
        ) as client:
            await asyncio.gather(*(work(client) for _ in range(min(concurrency, len(requests)))))

    if fatal:
        raise UserError(redact(str(fatal[0]), api_key))
    for answer in answers.values():
        if answer.outcome == "refused":
            failures[answer.id] = f"refused: {short(answer.output)}"
        elif answer.outcome == "filtered":
            failures[answer.id] = "stopped by the content filter"
    if failures:
        raise UserError(redact(failure_message(condition, requests, answers, failures), api_key))
    return [answers[request.id] for request in requests]


class NoAnswer(Exception):
    """An attempt, or all of them, gave no answer, for ``reason``; ``wait`` as the server asked.

    ``billed``: whether the provider may charge for it, as for an answer that was lost on the way.
    """

    def __init__(self, reason: str, wait: float | None = None, billed: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait
        self.billed = billed


@dataclass(frozen=True)
class Reply:
    """What one successful attempt brought."""

    output: str
    outcome: Outcome
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    response_id: str
    served_model: str
    # seconds until the rate limit has room again, where the headers say that none is left
    pause: float | None = None


class _Gate:
    """When the next attempt may start: not before a wait the server asked for, nor past the end."""

    def __init__(self, total_seconds: float | None) -> None:
        self.total_seconds = total_seconds
        self._end = None if total_seconds is None else time.monotonic() + total_seconds
        self._open_at = 0.0

    def close_for(self, seconds: float) -> None:
        self._open_at = max(self._open_at, time.monotonic() + seconds)

    async def passed(self, stop: asyncio.Event) -> bool:
        """Wait to be let through; False when the call was stopped meanwhile.

        Raises:
            NoAnswer: there is no time left.
        """
        while (wait := self._open_at - time.monotonic()) > 0:
            if await _stopped_within(wait, stop):
                return False
        if self._end is not None and time.monotonic() > self._end:
            raise NoAnswer(f"the {self.total_seconds:g} s of api.limits.max_minutes are over")
        return not stop.is_set()


async def _stopped_within(seconds: float, stop: asyncio.Event) -> bool:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def _ask(
    client: AsyncOpenAI,
    request: Request,
    condition: ApiCondition,
    timeout_seconds: float,
    max_attempts: int,
    first_wait: float,
    stop: asyncio.Event,
    gate: _Gate,
    budget: Budget | None,
    on_retry: Callable[[], None],
) -> Answer | None:
    """Attempts until one succeeds; None when the call was stopped before or between them."""
    for attempt in range(1, max_attempts + 1):
        if not await gate.passed(stop):
            return None
        if budget:
            await budget.reserve(request.id, stop)
        started = time.perf_counter()
        try:
            reply = await _attempt(client, request, condition, timeout_seconds)
        except UserError:
            if budget:
                budget.failed(request.id, billed=False)
            raise
        except NoAnswer as error:
            if budget:
                budget.failed(request.id, error.billed)
            if attempt == max_attempts:
                tries = "1 attempt" if attempt == 1 else f"{attempt} attempts"
                raise NoAnswer(f"{error.reason} ({tries})") from None
            if error.wait is not None and error.wait > LONGEST_RETRY_AFTER_SECONDS:
                raise NoAnswer(
                    f"{error.reason} (asked to wait {error.wait:.0f} s, more than the "
                    f"{LONGEST_RETRY_AFTER_SECONDS:.0f} s this waits)"
                ) from None
            on_retry()
            wait = min(first_wait * 2 ** (attempt - 1), LONGEST_BACKOFF_SECONDS)
            # spread, so that requests that failed together do not return together
            wait *= random.uniform(0.5, 1.5)
            if error.wait is not None:
                gate.close_for(error.wait)
                wait = error.wait + min(wait, 1.0) * 0.5
            if await _stopped_within(wait, stop):
                return None
            continue
        latency = time.perf_counter() - started
        if budget:
            budget.answered(request.id, reply.input_tokens, reply.output_tokens)
        if reply.pause:
            gate.close_for(min(reply.pause, LONGEST_PAUSE_SECONDS))
        return Answer(
            id=request.id,
            output=reply.output,
            outcome=reply.outcome,
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            cached_input_tokens=reply.cached_input_tokens,
            latency_seconds=latency,
            attempts=attempt,
            response_id=reply.response_id,
            served_model=reply.served_model,
        )
    raise ValueError(f"max_attempts: expected at least 1, found {max_attempts}")


async def _attempt(
    client: AsyncOpenAI, request: Request, condition: ApiCondition, timeout_seconds: float
) -> Reply:
    import openai

    send = _send_chat if condition.endpoint == "chat" else _send_responses
    try:
        # the client's own timeout restarts with every byte; a slow drip would never end
        async with asyncio.timeout(timeout_seconds):
            reply = await send(client, request, condition)
    except (TimeoutError, openai.APITimeoutError):
        raise NoAnswer(f"no answer within {timeout_seconds:g} s") from None
    except openai.APIStatusError as error:
        raise _diagnose(error, request, condition, str(client.base_url)) from None
    except openai.APIConnectionError as error:
        cause = error.__cause__ or error
        raise NoAnswer(f"connection failed: {type(cause).__name__} {cause}".rstrip()) from None
    except (openai.APIResponseValidationError, json.JSONDecodeError):
        raise NoAnswer("the answer is not valid JSON") from None
    except openai.APIError as error:
        raise NoAnswer(short(error.message)) from None
    if not reply.output.strip() and reply.outcome == "answered":
        raise NoAnswer("empty output")
    return reply


async def _send_responses(client: AsyncOpenAI, request: Request, condition: ApiCondition) -> Reply:
    raw = await client.responses.with_raw_response.create(**request_body(request, condition))
    return replace(read_response(raw.parse(), condition), pause=_pause(raw.headers))


def read_response(response: Any, condition: ApiCondition) -> Reply:
    """What a response of the Responses API says.

    Raises:
        NoAnswer: it is none, it failed, or it does not tell its usage.
    """
    if getattr(response, "object", None) != "response":
        raise NoAnswer("the answer is not a response of the Responses API")
    if response.usage is None:
        raise NoAnswer("the server reports no token usage, which the costs need")
    refusals = [
        part.refusal
        for item in response.output
        if item.type == "message"
        for part in item.content
        if part.type == "refusal"
    ]
    reason = response.incomplete_details.reason if response.incomplete_details else None
    output = response.output_text
    outcome: Outcome = "answered"
    if refusals:
        outcome, output = "refused", " ".join(refusals)
    elif response.status == "incomplete" and reason == "content_filter":
        outcome = "filtered"
    elif response.status == "incomplete" and reason == "max_output_tokens":
        outcome = "truncated"
    elif response.status not in ("completed", None):
        detail = response.error.message if response.error else reason
        raise NoAnswer(f"status {response.status}: {short(str(detail))}")
    elif response.usage.output_tokens >= condition.max_output_tokens:
        # transformers serve calls every answer completed
        outcome = "truncated"
    details = response.usage.input_tokens_details
    return Reply(
        output=output,
        outcome=outcome,
        input_tokens=response.usage.input_tokens,
        output_tokens=response.usage.output_tokens,
        cached_input_tokens=(details.cached_tokens if details else None) or 0,
        response_id=response.id or "",
        served_model=response.model or "",
    )


async def _send_chat(client: AsyncOpenAI, request: Request, condition: ApiCondition) -> Reply:
    body = request_body(request, condition)
    raw = await client.chat.completions.with_raw_response.create(**body)
    return replace(read_chat(raw.parse()), pause=_pause(raw.headers))


def read_chat(response: Any) -> Reply:
    """What a chat completion says; see :func:`read_response`."""
    if not getattr(response, "choices", None):
        raise NoAnswer("the answer is not a chat completion")
    if response.usage is None:
        raise NoAnswer("the server reports no token usage, which the costs need")
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
    return Reply(
        output=output,
        outcome=outcome,
        input_tokens=response.usage.prompt_tokens,
        output_tokens=response.usage.completion_tokens,
        cached_input_tokens=(details.cached_tokens if details else None) or 0,
        response_id=response.id or "",
        served_model=response.model or "",
    )


def _diagnose(
    error: APIStatusError, request: Request, condition: ApiCondition, base_url: str
) -> NoAnswer | UserError:
    """An HTTP error status as something to retry, or as the key that has to change."""
    status, text = error.status_code, _server_message(error)
    body = error.body if isinstance(error.body, dict) else {}
    if body.get("code") == "insufficient_quota":
        return UserError(f"the account's quota at {base_url} is used up ({status}): {text}")
    if status in RETRYABLE_STATUS or status >= 500:
        wait = _retry_after(error.response.headers)
        return NoAnswer(f"status {status}: {text}", wait, billed=False)
    if status == 401:
        # without the server's text, which may quote the key
        return UserError(
            f"api.limits.key_env: {base_url} rejects the API key (401); "
            "expected the environment variable it names to hold a valid key"
        )
    if status == 403:
        return UserError(f"api.limits.key_env: {base_url} forbids this with that key (403): {text}")
    names_model = body.get("code") == "model_not_found" or condition.model in text
    if status == 404 and not names_model:
        return UserError(
            f"api.server.base_url: {base_url} has no {condition.endpoint} endpoint (404): {text}; expected "
            "the address of an OpenAI-compatible API with its /v1 (or another api.server.endpoint)"
        )
    if status == 404:
        return UserError(
            f"conditions.{condition.name}.model: {base_url} does not know the model "
            f"{condition.model!r} (404): {text}"
        )
    parameter = str(body.get("param") or "")
    rejected = next((name for name in PARAMETER_KEYS if parameter.startswith(name)), None)
    if rejected is None and not parameter:
        rejected = next((name for name in PARAMETER_KEYS if name in text.lower()), None)
        if rejected is None or rejected == "model":
            # "model" is in many messages: only its name there means that it is to blame
            rejected = "model" if f"'{condition.model}'" in text else None
    if rejected is None:
        return UserError(
            f"conditions.{condition.name}: {base_url} rejects request {request.id} "
            f"({status}): {text}"
        )
    key = PARAMETER_KEYS[rejected].format(name=condition.name)
    hint = "; null sends none" if rejected in ("temperature", "reasoning") else ""
    return UserError(f"{key}: {base_url} rejects it ({status}): {text}{hint}")


def _server_message(error: APIStatusError) -> str:
    """What the server says is wrong; APIs differ in where they say it."""
    body = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body.get("error") or body
    return short(str(body or error.message))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from ``retry-after-ms``, or ``retry-after`` as seconds or as a date (RFC 9110)."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            return max(0.0, float(value) / unit)
        except ValueError:
            pass
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            continue
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    return None


def _pause(headers: Mapping[str, str]) -> float | None:
    """Seconds to leave the server alone, where ``x-ratelimit-remaining-*`` says 0; else None.

    Resets are written like ``6m0s``, ``1.5s`` or ``20ms``
    (https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers).
    """
    pauses = []
    for what in ("requests", "tokens"):
        if headers.get(f"x-ratelimit-remaining-{what}", "").strip() == "0":
            reset = headers.get(f"x-ratelimit-reset-{what}", "")
            parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", reset)
            unit = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
            pauses.append(sum(float(number) * unit[name] for number, name in parts))
    return max(pauses, default=None)


def failure_message(
    condition: ApiCondition,
    requests: Sequence[Request],
    answers: Mapping[str, Answer],
    failures: Mapping[str, str],
    shown: int = 10,
) -> str:
    def parts() -> Iterator[str]:
        order = [request.id for request in requests if request.id in failures]
        for identity in order[:shown]:
            yield f"{identity}: {failures[identity]}"
        if len(order) > shown:
            yield f"and {len(order) - shown} more"

    asked = len(answers.keys() | failures.keys())
    rest = f", {len(requests) - asked} not asked to the end" if asked < len(requests) else ""
    return (
        f"conditions.{condition.name}: {len(failures)} of {len(requests)} requests got no answer "
        f"to score{rest}: {'; '.join(parts())}"
    )


def check_key(api_key: str | None) -> None:
    """A key that cannot be sent would turn up in the HTTP library's complaint about it."""
    if api_key is not None and not (
        api_key.isascii() and api_key.isprintable() and " " not in api_key
    ):
        raise UserError(
            "api.limits.key_env: the key holds characters that no API key has; "
            "expected printable ASCII without spaces or line breaks"
        )


def redact(text: str, api_key: str | None) -> str:
    return text.replace(api_key, "[API key]") if api_key else text


def short(text: str, length: int = 300) -> str:
    """``text`` on one line, its end cut off where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
