"""Ask an API that costs money: nothing that is stored is paid again, nothing above the budget."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from lora_vs_api.api import keys
from lora_vs_api.api.batch import ask_batch
from lora_vs_api.api.budget import Budget, CostLimits, count_input_tokens, describe, estimate
from lora_vs_api.api.client import Keeper, ask_all
from lora_vs_api.api.diagnosis import failure_message, unscored
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.store import ResponseStore, request_key, request_text
from lora_vs_api.api.types import Answer, ApiCondition, Mode, Request
from lora_vs_api.errors import UserError
from lora_vs_api.log import say

# on disk: of a row beside its texts, of a token at most, and of SQLite's journal
ROW_BYTES, BYTES_A_TOKEN, JOURNAL_BYTES = 2_000, 8, 8 * 2**20


def ask_stored(
    requests: Sequence[Request],
    condition: ApiCondition,
    store: ResponseStore,
    limits: CostLimits,
    provider: Provider,
    policy: AskPolicy,
    mode: Mode = "live",
) -> tuple[list[Answer], list[bool]]:
    """Answers in the order of the requests, and of each whether it came out of the store.

    A stored answer keeps the latency and the usage of the call that was paid for. New answers
    are stored one by one as they arrive, so that whatever stops this later loses none. Requests
    that are equal in everything are asked once; what another run on the store is asking is waited
    for. What is returned is what the store holds.

    Args:
        mode: ``batch`` for the Batch API.

    Raises:
        UserError: as :func:`lora_vs_api.api.client.ask_all` and
            :func:`lora_vs_api.api.batch.ask_batch`; or the budget does not allow it; or the store
            cannot be used.
    """
    texts = {
        request.id: request_text(request, condition, provider.base_url, mode)
        for request in requests
    }
    first_of = {text: identity for identity, text in reversed(texts.items())}
    todo = [
        request
        for request in requests
        if first_of[texts[request.id]] == request.id and not _is_kept(store, texts[request.id])
    ]
    missing = {texts[request.id] for request in todo}
    kept = sum(text not in missing for text in texts.values())
    if kept:
        say(f"{condition.name}: {kept} of {len(requests)} answers are stored already")
    asked: set[str] = set()
    if todo:
        run = _NewAnswers(todo, texts, condition, store, limits, provider, policy, mode)
        asked = run.ask()
    answers = []
    for request in requests:
        answer = store.get(request_key(texts[request.id]), request.id)
        if answer is None:
            raise UserError(f"{keys.STORE}: {store.path} has lost answers; was it replaced?")
        answers.append(answer)
    # an earlier run may have kept what this one does not score
    answered = {answer.id: answer for answer in answers}
    failures = unscored(condition, answered)
    if failures:
        raise UserError(failure_message(condition, requests, answered, failures))
    return answers, [texts[request.id] not in asked for request in requests]


def _is_kept(store: ResponseStore, text: str) -> bool:
    return store.get(request_key(text), "") is not None


@dataclass
class _NewAnswers:
    """Requests that the store does not hold, to be asked within the limits."""

    todo: Sequence[Request]
    texts: Mapping[str, str]
    condition: ApiCondition
    store: ResponseStore
    limits: CostLimits
    provider: Provider
    policy: AskPolicy
    mode: Mode

    def ask(self) -> set[str]:
        """Ask, or wait for another run to have asked; the texts that were asked here."""
        tokens = self._announced_tokens()
        limit, price = self.limits.budget_usd, self.limits.price
        self._budget = None
        if limit is not None:
            self._budget = Budget(limit, price, tokens, self.condition.max_output_tokens)
        # before anything is paid: what cannot be kept would be paid for again and again
        self.store.make_room(*self._bytes())
        seconds = self.policy.total_seconds
        self._end = None if seconds is None else time.monotonic() + seconds
        before, asked, left = len(self.store), set[str](), list(self.todo)
        try:
            while left:
                asked |= {self.texts[answer.id] for answer in self._ask_free(left)}
                left = self._left_for_us(left)
        except UserError as error:
            # then another has it, and what is kept cannot be counted
            if self.store.is_lent:
                raise
            kept = len(self.store) - before
            raise UserError(
                f"{error} ({kept} new answers are kept in {self.store.path}; another run goes on from there)"
            ) from None
        finally:
            # on a full disk it cannot; the claims end with their time, or with this process
            with suppress(UserError):
                self.store.release()
        return asked

    def _bytes(self) -> tuple[int, int]:
        """What the answers will take of the disk, and those that are in flight at once at most."""
        sizes = [len(self._text(request).encode()) + ROW_BYTES for request in self.todo]
        output = BYTES_A_TOKEN * self.limits.expected_output_tokens
        longest = max(sizes) + BYTES_A_TOKEN * self.condition.max_output_tokens
        # the answers of a batch are fetched again: one of them is in flight
        at_once = 1 if self.mode == "batch" else self.policy.concurrency
        in_flight = JOURNAL_BYTES // 4 + at_once * longest
        return int(sum(sizes) + output * len(sizes)) + JOURNAL_BYTES, in_flight

    def _keep(self, answer: Answer) -> None:
        kept = replace(answer, reply=self.provider.redacted(answer.reply))
        self.store.put(self.texts[answer.id], kept)

    def _text(self, request: Request) -> str:
        return self.texts[request.id]

    def _claim(self, request: Request) -> bool:
        return self.store.claim(self._text(request), self.policy.claim_seconds)

    def _announced_tokens(self) -> dict[str, int]:
        """Input tokens of the requests that are yet to be paid, whose cost is said and checked."""
        # a batch that is known to be submitted is paid for, though its answers are not here yet
        batches = self.store.open_batches(self.provider.host) if self.mode == "batch" else []
        submitted = {text for batch in batches if batch.batch_id for text in batch.texts}
        count = self.limits.count_tokens
        tokens = {
            request.id: count_input_tokens(request.messages, count)
            for request in self.todo
            if self._text(request) not in submitted
        }
        _announce(self.condition, self.limits, tokens, self.mode)
        return tokens

    def _ask_free(self, requests: Sequence[Request]) -> list[Answer]:
        """Ask those of the requests that no other run is asking."""
        count = self.limits.count_tokens
        if self.mode == "batch":
            free = [request for request in requests if self._claim(request)]
            if not free:
                return []
            return ask_batch(
                free, self.texts, self.condition, self.store, self.provider, self.policy, count
            )
        return ask_all(
            requests,
            self.condition,
            self.provider,
            self.policy,
            budget=self._budget,
            keeper=Keeper(
                claim=self._claim,
                keep=self._keep,
                take_back=lambda request: self.store.discard(self._text(request)),
                is_anothers=lambda request, reply: self.store.is_anothers(
                    self._text(request), reply
                ),
            ),
            count_tokens=count,
        )

    def _not_answered(self, requests: Sequence[Request]) -> list[Request]:
        return [request for request in requests if not _is_kept(self.store, self._text(request))]

    def _left_for_us(self, requests: Sequence[Request]) -> list[Request]:
        """What other runs leave unanswered of the requests, as soon as one is free to be asked.

        Raises:
            UserError: there is no time left to wait for them.
        """
        left, said = self._not_answered(requests), False
        while left and not any(self._claim(request) for request in left):
            if self._end is not None and time.monotonic() > self._end:
                raise UserError(
                    f"{keys.MAX_MINUTES}: over while another run on {self.store.path} is asking "
                    f"{len(left)} of the texts"
                )
            if not said:
                say(f"{self.condition.name}: waiting for {len(left)} texts that another run asks")
                said = True
            time.sleep(self.policy.wait_seconds)
            left = self._not_answered(left)
        return left


def _announce(
    condition: ApiCondition, limits: CostLimits, tokens: Mapping[str, int], mode: Mode
) -> None:
    """Say what the requests of so many input tokens will cost, and stop if that is too much."""
    budget_usd = limits.budget_usd
    cost = estimate(
        tokens, limits.expected_output_tokens, condition.max_output_tokens, limits.price
    )
    say(f"{condition.name}: {describe(cost, limits.price_name)}")
    # a batch is paid for whole: there is no stopping halfway
    needed, how = (
        (cost.max_usd, "that it may cost") if mode == "batch" else (cost.expected_usd, "expected")
    )
    if budget_usd is not None and needed > budget_usd:
        raise UserError(
            f"{keys.BUDGET}: {budget_usd:g} is less than the USD {needed:.4f} {how} for the "
            f"{cost.requests} requests of {condition.name}; nothing was asked or paid"
        )
