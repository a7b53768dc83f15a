"""Ask an OpenAI-compatible API, so that every scored answer is an answer.

The openai client's own retries are off: they happen inside the call and would be counted as
latency. Here a failed attempt is retried within bounds, outside the timed part; what still
fails, is refused or comes back empty ends the node with a list, and is never scored.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import openai
from tqdm import tqdm

from lora_vs_api.errors import UserError
from lora_vs_api.task.prompt import Message

# the longest a server's retry-after is honoured for, and the longest back-off, in seconds
LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class ApiCondition:
    """What is asked of which model: everything besides the messages that decides an answer.

    ``temperature`` and ``reasoning_effort`` are sent only when they are not None: some models
    reject one, some the other. ``endpoint`` is ``responses`` or, for servers without it, ``chat``.
    """

    name: str
    model: str
    temperature: float | None
    reasoning_effort: str | None
    max_output_tokens: int
    endpoint: str = "responses"


@dataclass(frozen=True)
class Request:
    id: str
    messages: Sequence[Message]


@dataclass(frozen=True)
class Answer:
    """One answer. ``latency_seconds`` is that of the attempt that succeeded, alone."""

    id: str
    output: str
    outcome: str
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    latency_seconds: float
    attempts: int


class _Retry(Exception):
    """An attempt that may succeed when made again."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class _Refused(Exception):
    """The model declined; asking again would pay for another refusal."""


def ask_all(
    requests: Sequence[Request],
    condition: ApiCondition,
    *,
    base_url: str,
    api_key: str,
    concurrency: int,
    timeout_seconds: float,
    max_attempts: int,
    first_wait: float = 1.0,
) -> list[Answer]:
    """Ask every request and return the answers in their order.

    Args:
        api_key: sent to ``base_url`` and nowhere else; never part of a message.
        concurrency: requests in flight; latencies are comparable at 1.
        timeout_seconds: bound on one attempt.
        max_attempts: bound on the attempts for one request.
        first_wait: seconds before the second attempt, doubled each time, with jitter.

    Raises:
        UserError: a setting the server rejects (naming the key to change), or a list of the
            requests that had no answer after all attempts.
    """
    return asyncio.run(
        _ask_all(
            requests,
            condition,
            base_url,
            api_key,
            concurrency,
            timeout_seconds,
            max_attempts,
            first_wait,
        )  # fmt: skip
    )


async def _ask_all(
    requests, condition, base_url, api_key, concurrency, timeout_seconds, max_attempts, first_wait
) -> list[Answer]:
    gate = asyncio.Semaphore(concurrency)
    failures: list[str] = []
    jitter = random.Random(0)
    async with openai.AsyncOpenAI(
        base_url=base_url, api_key=api_key, max_retries=0, timeout=timeout_seconds
    ) as client:
        with tqdm(total=len(requests), desc=condition.name, unit="request") as progress:

            async def one(request: Request) -> Answer | None:
                async with gate:
                    try:
                        return await _with_retries(
                            client, request, condition, max_attempts, first_wait, jitter
                        )
                    except (_Retry, _Refused) as error:
                        failures.append(f"{request.id}: {error}")
                        return None
                    finally:
                        progress.update()

            tasks = [asyncio.create_task(one(request)) for request in requests]
            try:
                answers = await asyncio.gather(*tasks)
            except BaseException:
                # a setting is wrong: what is queued would only be rejected too
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                raise
    if failures:
        shown = "; ".join(sorted(failures)[:5])
        more = f" and {len(failures) - 5} more" if len(failures) > 5 else ""
        raise UserError(
            f"{condition.name}: {len(failures)} of {len(requests)} requests have no answer: "
            f"{shown}{more}. Nothing was scored; run again, or raise api.max_attempts or "
            "api.timeout_seconds"
        )
    return [answer for answer in answers if answer is not None]


async def _with_retries(
    client: openai.AsyncOpenAI,
    request: Request,
    condition: ApiCondition,
    max_attempts: int,
    first_wait: float,
    jitter: random.Random,
) -> Answer:
    for attempt in range(1, max_attempts + 1):
        try:
            return await _attempt(client, request, condition, attempt)
        except _Retry as error:
            if attempt == max_attempts:
                plural = "s" if attempt > 1 else ""
                raise _Retry(f"{error} ({attempt} attempt{plural})") from None
            wait = error.wait
            if wait is None:
                wait = first_wait * 2 ** (attempt - 1) * (0.5 + jitter.random())
            await asyncio.sleep(min(wait, LONGEST_WAIT))
    raise AssertionError("max_attempts is at least 1")


async def _attempt(
    client: openai.AsyncOpenAI, request: Request, condition: ApiCondition, attempt: int
) -> Answer:
    started = time.perf_counter()
    try:
        if condition.endpoint == "responses":
            fields = await _ask_responses(client, request, condition)
        else:
            fields = await _ask_chat(client, request, condition)
    except openai.APITimeoutError:
        raise _Retry("timed out") from None
    except openai.APIConnectionError as error:
        reason = type(error.__cause__).__name__ if error.__cause__ else "no reason given"
        raise _Retry(f"connection failed ({reason})") from None
    except openai.APIStatusError as error:
        raise _explained(error, condition) from None
    except (openai.APIResponseValidationError, ValueError) as error:
        # a body cut off in the middle, or not what the API promises
        raise _Retry(f"unreadable answer ({type(error).__name__})") from None
    seconds = time.perf_counter() - started
    if not fields["output"].strip() and fields["outcome"] == "answered":
        raise _Retry("empty answer")
    return Answer(id=request.id, latency_seconds=seconds, attempts=attempt, **fields)


async def _ask_responses(
    client: openai.AsyncOpenAI, request: Request, condition: ApiCondition
) -> dict[str, Any]:
    response = await client.responses.create(
        model=condition.model,
        input=list(request.messages),
        max_output_tokens=condition.max_output_tokens,
        temperature=openai.omit if condition.temperature is None else condition.temperature,
        reasoning=openai.omit
        if condition.reasoning_effort is None
        else {"effort": condition.reasoning_effort},
        store=False,
        # some servers stream unless told not to
        stream=False,
    )
    for item in response.output:
        for part in getattr(item, "content", None) or []:
            if part.type == "refusal":
                raise _Refused("refused by the model")
    reason = response.incomplete_details.reason if response.incomplete_details else None
    if response.status == "failed" or reason == "content_filter":
        raise _Refused("stopped by the content filter" if reason else "the server failed it")
    usage = response.usage
    if usage is None:
        raise _Retry("answer without token counts")
    details = usage.input_tokens_details
    return {
        "output": response.output_text,
        "outcome": _outcome(reason == "max_output_tokens", usage.output_tokens, condition),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": details.cached_tokens if details else 0,
    }


async def _ask_chat(
    client: openai.AsyncOpenAI, request: Request, condition: ApiCondition
) -> dict[str, Any]:
    response = await client.chat.completions.create(
        model=condition.model,
        messages=list(request.messages),
        max_completion_tokens=condition.max_output_tokens,
        temperature=openai.omit if condition.temperature is None else condition.temperature,
        reasoning_effort=openai.omit
        if condition.reasoning_effort is None
        else condition.reasoning_effort,
        stream=False,
    )
    choice, usage = response.choices[0], response.usage
    if choice.message.refusal or choice.finish_reason == "content_filter":
        raise _Refused("refused by the model")
    if usage is None:
        raise _Retry("answer without token counts")
    details = usage.prompt_tokens_details
    return {
        "output": choice.message.content or "",
        "outcome": _outcome(choice.finish_reason == "length", usage.completion_tokens, condition),
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cached_input_tokens": (details.cached_tokens or 0) if details else 0,
    }


def _outcome(declared: bool, output_tokens: int, condition: ApiCondition) -> str:
    # `transformers serve` calls an answer that ran into the limit completed all the same
    return "truncated" if declared or output_tokens >= condition.max_output_tokens else "answered"


def _explained(error: openai.APIStatusError, condition: ApiCondition) -> Exception:
    """A status turned into a retry, or into an error that names the key to change."""
    key, status = f"conditions.{condition.name}", error.status_code
    if status in (408, 409, 429) or status >= 500:
        body = error.body if isinstance(error.body, dict) else {}
        if body.get("code") == "insufficient_quota":
            return UserError(f"{key}: the account has no quota left; nothing was scored")
        return _Retry(f"HTTP {status}", _retry_after(error))
    if status == 401:
        return UserError(
            f"{key}: the server rejects the key (HTTP 401); set the variable named by api.key_env"
        )
    if status in (403, 404):
        return UserError(
            f"{key}.model: the server gives no access to {condition.model!r} (HTTP {status})"
        )
    message = str((error.body or {}).get("message", "")) if isinstance(error.body, dict) else ""
    for setting in ("temperature", "reasoning"):
        if setting in message.lower():
            name = "reasoning_effort" if setting == "reasoning" else setting
            return UserError(
                f"{key}.{name}: rejected by {condition.model}; set it to null to send none"
            )
    return UserError(
        f"{key}: the server rejects the request (HTTP {status}): {message or 'no reason'}"
    )


def _retry_after(error: openai.APIStatusError) -> float | None:
    """Seconds the server asks to wait, where it says."""
    headers = error.response.headers
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            return max(float(headers[name]) * unit, 0.0)
        except (KeyError, ValueError):
            continue
    return None
