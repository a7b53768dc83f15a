"""Ask an OpenAI-compatible API for many answers; each is a real answer or the call fails.

The openai client does the talking. Its own retries are switched off, because they would hide
inside the measured latency; the retries here wait outside of it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tqdm import tqdm

from lora_vs_api.api.attempt import Attempt, CountTokens, attempt
from lora_vs_api.api.connection import check_environment, own_headers
from lora_vs_api.api.diagnosis import Rejected, failure_message, unscored
from lora_vs_api.api.doubles import Doubles
from lora_vs_api.api.losses import Lost
from lora_vs_api.api.pacing import (
    MAX_PAUSE_SECONDS,
    MAX_RETRY_AFTER_SECONDS,
    Gate,
    backoff_seconds,
    stopped_within,
)
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.types import Answer, ApiCondition, NoAnswer, Reply, Request
from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from lora_vs_api.api.budget import Budget


@dataclass(frozen=True)
class Keeper:
    """Who keeps the answers of a call and knows of other calls.

    Attributes:
        claim: called before every attempt; False leaves the request to whoever asks it already.
        keep: called with each answer that is to be scored as soon as it is there.
        take_back: called with the request of an answer that turned out to be another's.
        is_anothers: whether an answer was kept for another text by an earlier call; None where
            the server's ids tell nothing.
    """

    claim: Callable[[Request], bool]
    keep: Callable[[Answer], None]
    take_back: Callable[[Request], None]
    is_anothers: Callable[[Request, Reply], bool | None] = lambda request, reply: False


def ask_all(
    requests: Sequence[Request],
    condition: ApiCondition,
    provider: Provider,
    policy: AskPolicy,
    *,
    budget: Budget | None = None,
    keeper: Keeper | None = None,
    count_tokens: CountTokens | None = None,
) -> list[Answer]:
    """Ask every request and return the answers in the order of the requests.

    Rate limits, server errors, lost connections, timeouts and empty output are retried after an
    exponential back-off with jitter, or after what the server asks for. What no retry can mend
    (a rejected key, model or parameter), or a request out of attempts, stops the call: no
    attempt starts any more, those in flight are finished and handed to the keeper. A server
    that names a time to wait, or whose rate-limit headers say that nothing is left, is left alone
    by all requests until then. One answer to two texts is taken from both, and both are asked again.

    Args:
        budget: asked for money before every attempt.
        keeper: what it leaves to others is not among the answers.
        count_tokens: counts what a server does not; without it such an answer is none.

    Raises:
        UserError: naming the key to change, or each request without an answer and its reason.
            It never holds the API key.
    """
    asking = _Asking(condition, provider, policy, budget, keeper, count_tokens, deque(requests))
    check_environment(provider)
    return asyncio.run(_ask_all(requests, asking, provider))


async def _ask_all(
    requests: Sequence[Request], asking: _Asking, provider: Provider
) -> list[Answer]:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    condition, policy = asking.condition, asking.policy
    with tqdm(total=len(requests), desc=condition.name, unit="text", disable=policy.quiet) as bar:
        async with AsyncOpenAI(
            base_url=provider.base_url,
            default_headers=own_headers(provider),
            api_key=provider.sent_key,
            max_retries=0,
            timeout=policy.timeout_seconds,
            http_client=DefaultAsyncHttpxClient(**provider.async_http_options),
        ) as client:
            workers = range(min(policy.concurrency, len(requests)))
            await asyncio.gather(*(asking.work(client, bar, len(workers)) for _ in workers))

    if asking.fatal:
        raise _redacted(asking.fatal[0], provider)
    failures = asking.failures | unscored(condition, asking.answers)
    if failures:
        message = failure_message(condition, requests, asking.answers, failures)
        raise UserError(provider.redact(message))
    return [asking.answers[request.id] for request in requests if request.id in asking.answers]


def _redacted(error: UserError, provider: Provider) -> UserError:
    message = provider.redact(str(error))
    if isinstance(error, Rejected):
        return Rejected(message, error.parameter, answered=error.answered)
    return UserError(message)


@dataclass
class _Asking:
    """What the workers of one call share; each takes the next request when it is done with one.

    ``failures`` are reasons by request id; ``fatal`` is what no retry mends. ``lost`` counts by
    request id the attempts that may be billed and brought nothing.
    """

    condition: ApiCondition
    provider: Provider
    policy: AskPolicy
    budget: Budget | None
    keeper: Keeper | None
    count_tokens: CountTokens | None
    pending: deque[Request]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    doubles: Doubles = field(default_factory=Doubles)
    answers: dict[str, Answer] = field(default_factory=dict)
    lost: dict[str, Lost] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    fatal: list[UserError] = field(default_factory=list)
    retries: int = 0

    def __post_init__(self) -> None:
        self.gate = Gate(self.policy.total_seconds)

    async def work(self, client: AsyncOpenAI, bar: tqdm, workers: int) -> None:
        """Ask one request after the other, until there is none or the call is stopped."""
        while self.pending and not self.stop.is_set():
            request = self.pending.popleft()
            try:
                answer = await self._ask(client, bar, workers, request)
                # kept before it counts: an answer that cannot be kept stops the spending
                if answer and self.keeper and self.condition.accepts(answer.reply):
                    self.keeper.keep(answer)
            except NoAnswer as error:
                self.failures[request.id] = error.reason
                self.stop.set()
            except UserError as error:
                self.fatal.append(error)
                self.stop.set()
            else:
                if answer is not None:
                    self.answers[request.id] = answer
                    bar.update()

    async def _ask(
        self, client: AsyncOpenAI, bar: tqdm, workers: int, request: Request
    ) -> Answer | None:
        """Attempts until one succeeds; None when the call was stopped or another asks it."""
        lost = self.lost.setdefault(request.id, Lost())
        for number in range(1, self.policy.max_attempts + 1):
            if not await self.gate.passed(self.stop):
                return None
            if self.keeper and not self.keeper.claim(request):
                return None
            if self.budget:
                await self.budget.reserve(request.id, self.stop)
            started = time.perf_counter()
            try:
                found = await attempt(
                    client,
                    request,
                    self.condition,
                    self.provider,
                    self.policy.timeout_seconds,
                    self.count_tokens,
                )
                latency = time.perf_counter() - started
                await self._refuse_double(request, found, bar)
            except UserError:
                if self.budget:
                    self.budget.failed(request.id, billed=False)
                raise
            except NoAnswer as error:
                lost.add(error)
                if self.budget:
                    self.budget.failed(request.id, error.billed)
                wait = self._wait_after(error, number)
                bar.set_postfix(retries=self.retries)
                if await stopped_within(wait, self.stop):
                    return None
                continue
            reply = found.reply
            if self.budget:
                self.budget.answered(request.id, reply.input_tokens, reply.output_tokens)
            if found.pause:
                self.gate.close_for(min(found.pause, MAX_PAUSE_SECONDS))
            return Answer(request.id, reply, latency, number, workers, lost.beside(reply))
        raise AssertionError("the last attempt returns or raises")

    async def _refuse_double(self, request: Request, found: Attempt, bar: tqdm) -> None:
        """Refuse an answer that was given to another text too, and take it from that one.

        Which of the two it belongs to cannot be told. The connection may be out of step: it is
        closed.

        Raises:
            NoAnswer: it was.
        """
        reply = found.reply
        kept = self.keeper.is_anothers(request, reply) if self.keeper else False
        if kept is None:
            self.doubles.meaningless = True
        if not self.doubles.is_double(request, reply, bool(kept)):
            return
        # of another call, which may have used it, nothing is taken back
        earlier = self.doubles.taken_back(reply)
        await found.drop_connection()
        refused = NoAnswer(
            self.doubles.reason(reply), tokens=(reply.input_tokens, reply.output_tokens)
        )
        if earlier is not None and earlier.id in self.answers:
            del self.answers[earlier.id]
            self.lost[earlier.id].add(refused)
            if self.keeper:
                self.keeper.take_back(earlier)
            self.pending.append(earlier)
            bar.update(-1)
        raise refused

    def _wait_after(self, error: NoAnswer, number: int) -> float:
        """Seconds until the attempt after the failed one; the gate is closed as the server asked.

        Raises:
            NoAnswer: there is no attempt left, or the server asks for too long a wait.
        """
        if number == self.policy.max_attempts:
            tries = "1 attempt" if number == 1 else f"{number} attempts"
            asked = f"; asked to wait {error.wait:.0f} s" if (error.wait or 0.0) >= 1 else ""
            raise NoAnswer(f"{error.reason}{asked} ({tries})") from None
        if error.wait is not None and error.wait > MAX_RETRY_AFTER_SECONDS:
            raise NoAnswer(
                f"{error.reason} (asked to wait {error.wait:.0f} s, more than the "
                f"{MAX_RETRY_AFTER_SECONDS:.0f} s this waits)"
            ) from None
        self.retries += 1
        wait = backoff_seconds(number, self.policy.first_wait_seconds, random.uniform(0.5, 1.5))
        if error.wait is None:
            return wait
        self.gate.close_for(error.wait)
        # a server that asks for a moment again and again must not use up the attempts in a few seconds
        return max(wait, error.wait + min(wait, 1.0) * 0.5)
