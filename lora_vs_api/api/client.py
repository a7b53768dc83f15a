"""Ask an OpenAI-compatible API for many answers; each is a real answer or the call fails.

The openai client does the talking. Its own retries are switched off, because they would hide
inside the measured latency; the retries here wait outside of it.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tqdm import tqdm

from lora_vs_api.api.diagnosis import diagnose, failure_message, short
from lora_vs_api.api.pacing import (
    MAX_PAUSE_SECONDS,
    MAX_RETRY_AFTER_SECONDS,
    Gate,
    backoff_seconds,
    rate_limit_pause,
    stopped_within,
)
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.types import Answer, ApiCondition, NoAnswer, Reply, Request
from lora_vs_api.api.wire import read_chat, read_response, request_body
from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from lora_vs_api.api.budget import Budget


def ask_all(
    requests: Sequence[Request],
    condition: ApiCondition,
    provider: Provider,
    policy: AskPolicy,
    *,
    budget: Budget | None = None,
    on_answer: Callable[[Answer], None] | None = None,
) -> list[Answer]:
    """Ask every request and return the answers in the order of the requests.

    Rate limits, server errors, lost connections, timeouts and empty output are retried after an
    exponential back-off with jitter, or after what the server asks for. What no retry can mend
    (a rejected key, model or parameter), or a request out of attempts, stops the call: no
    attempt starts any more, those in flight are finished and handed to ``on_answer``. A server
    that names a time to wait, or whose rate-limit headers say that nothing is left, is left alone
    by all requests until then.

    Args:
        budget: asked for money before every attempt.
        on_answer: called with each answer that is to be scored as soon as it is there.

    Raises:
        UserError: naming the key to change, or each request without an answer and its reason.
            It never holds the API key.
    """
    return asyncio.run(_ask_all(requests, condition, provider, policy, budget, on_answer))


async def _ask_all(
    requests: Sequence[Request],
    condition: ApiCondition,
    provider: Provider,
    policy: AskPolicy,
    budget: Budget | None,
    on_answer: Callable[[Answer], None] | None,
) -> list[Answer]:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    gate = Gate(policy.total_seconds)
    pending = iter(requests)
    with tqdm(total=len(requests), desc=condition.name, unit="text") as bar:
        async with AsyncOpenAI(
            base_url=provider.base_url,
            api_key=provider.sent_key,
            max_retries=0,
            timeout=policy.timeout_seconds,
            http_client=DefaultAsyncHttpxClient(trust_env=provider.behind_proxy),
        ) as client:
            asking = _Asking(client, condition, policy, budget, on_answer, gate, bar)
            workers = min(policy.concurrency, len(requests))
            await asyncio.gather(*(asking.work(pending) for _ in range(workers)))

    if asking.fatal:
        raise UserError(provider.redact(str(asking.fatal[0])))
    failures = asking.failures | _unscored(asking.answers)
    if failures:
        message = failure_message(condition, requests, asking.answers, failures)
        raise UserError(provider.redact(message))
    return [asking.answers[request.id] for request in requests]


def _unscored(answers: Mapping[str, Answer]) -> dict[str, str]:
    """Of the answers that are none, by request id: the reason."""
    reasons = {}
    for identity, answer in answers.items():
        if answer.reply.outcome == "refused":
            reasons[identity] = f"refused: {short(answer.reply.output)}"
        elif answer.reply.outcome == "filtered":
            reasons[identity] = "stopped by the content filter"
    return reasons


@dataclass
class _Asking:
    """What the workers of one call share; each takes the next request when it is done with one.

    ``failures`` are reasons by request id; ``fatal`` is what no retry mends.
    """

    client: AsyncOpenAI
    condition: ApiCondition
    policy: AskPolicy
    budget: Budget | None
    on_answer: Callable[[Answer], None] | None
    gate: Gate
    bar: tqdm
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    answers: dict[str, Answer] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    fatal: list[UserError] = field(default_factory=list)
    retries: int = 0

    async def work(self, pending: Iterator[Request]) -> None:
        """Ask one request after the other, until there is none or the call is stopped."""
        for request in pending:
            try:
                answer = await self._ask(request)
                # kept before it counts: an answer that cannot be kept stops the spending
                if answer and self.on_answer and answer.reply.is_scored:
                    self.on_answer(answer)
            except NoAnswer as error:
                self.failures[request.id] = error.reason
                self.stop.set()
            except UserError as error:
                self.fatal.append(error)
                self.stop.set()
            else:
                if answer is not None:
                    self.answers[request.id] = answer
                    self.bar.update()
            if self.stop.is_set():
                return

    async def _ask(self, request: Request) -> Answer | None:
        """Attempts until one succeeds; None when the call was stopped before or between them."""
        for attempt in range(1, self.policy.max_attempts + 1):
            if not await self.gate.passed(self.stop):
                return None
            if self.budget:
                await self.budget.reserve(request.id, self.stop)
            started = time.perf_counter()
            try:
                reply, pause = await self._attempt(request)
            except UserError:
                if self.budget:
                    self.budget.failed(request.id, billed=False)
                raise
            except NoAnswer as error:
                if self.budget:
                    self.budget.failed(request.id, error.billed)
                if await stopped_within(self._wait_after(error, attempt), self.stop):
                    return None
                continue
            latency = time.perf_counter() - started
            if self.budget:
                self.budget.answered(request.id, reply.input_tokens, reply.output_tokens)
            if pause:
                self.gate.close_for(min(pause, MAX_PAUSE_SECONDS))
            return Answer(request.id, reply, latency, attempt)
        raise AssertionError("the last attempt returns or raises")

    def _wait_after(self, error: NoAnswer, attempt: int) -> float:
        """Seconds until the attempt after the failed one; the gate is closed as the server asked.

        Raises:
            NoAnswer: there is no attempt left, or the server asks for too long a wait.
        """
        if attempt == self.policy.max_attempts:
            tries = "1 attempt" if attempt == 1 else f"{attempt} attempts"
            raise NoAnswer(f"{error.reason} ({tries})") from None
        if error.wait is not None and error.wait > MAX_RETRY_AFTER_SECONDS:
            raise NoAnswer(
                f"{error.reason} (asked to wait {error.wait:.0f} s, more than the "
                f"{MAX_RETRY_AFTER_SECONDS:.0f} s this waits)"
            ) from None
        self.retries += 1
        self.bar.set_postfix(retries=self.retries)
        wait = backoff_seconds(attempt, self.policy.first_wait_seconds, random.uniform(0.5, 1.5))
        if error.wait is None:
            return wait
        self.gate.close_for(error.wait)
        return error.wait + min(wait, 1.0) * 0.5

    async def _attempt(self, request: Request) -> tuple[Reply, float | None]:
        """One attempt's reply, and the seconds to leave the server alone after it."""
        import openai

        timeout = self.policy.timeout_seconds
        try:
            # the client's own timeout restarts with every byte; a slow drip would never end
            async with asyncio.timeout(timeout):
                return await _send(self.client, request, self.condition)
        except (TimeoutError, openai.APITimeoutError):
            raise NoAnswer(f"no answer within {timeout:g} s") from None
        except openai.APIStatusError as error:
            base_url = str(self.client.base_url)
            raise diagnose(error, request, self.condition, base_url) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise NoAnswer(f"connection failed: {type(cause).__name__} {cause}".rstrip()) from None
        except (openai.APIResponseValidationError, json.JSONDecodeError):
            raise NoAnswer("the answer is not valid JSON") from None
        except openai.APIError as error:
            raise NoAnswer(short(error.message)) from None


async def _send(
    client: AsyncOpenAI, request: Request, condition: ApiCondition
) -> tuple[Reply, float | None]:
    body = request_body(request, condition)
    if condition.endpoint == "chat":
        chat = await client.chat.completions.with_raw_response.create(**body)
        return read_chat(chat.parse()), rate_limit_pause(chat.headers)
    response = await client.responses.with_raw_response.create(**body)
    return read_response(response.parse(), condition), rate_limit_pause(response.headers)
