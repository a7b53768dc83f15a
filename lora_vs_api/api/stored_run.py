"""Ask an API that costs money: nothing that is stored is paid again, nothing above the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lora_vs_api.api import keys
from lora_vs_api.api.batch import ask_batch
from lora_vs_api.api.budget import Budget, CostLimits, count_input_tokens, describe, estimate
from lora_vs_api.api.client import ask_all
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.store import ResponseStore, request_key, request_text
from lora_vs_api.api.types import Answer, ApiCondition, Mode, Request
from lora_vs_api.errors import UserError
from lora_vs_api.log import say


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
    that are equal in everything are asked once.

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
    known: dict[str, Answer] = {}
    for text, identity in first_of.items():
        kept = store.get(request_key(text), identity)
        if kept is not None:
            known[text] = kept
    stored = [texts[request.id] in known for request in requests]
    todo = [r for r in requests if first_of[texts[r.id]] == r.id and texts[r.id] not in known]

    if any(stored):
        say(f"{condition.name}: {sum(stored)} of {len(requests)} answers are stored already")
    if todo:
        answers = _ask_new(todo, texts, condition, store, limits, provider, policy, mode)
        known |= {texts[answer.id]: answer for answer in answers}
    return [replace(known[texts[r.id]], id=r.id) for r in requests], stored


def _ask_new(
    requests: Sequence[Request],
    texts: Mapping[str, str],
    condition: ApiCondition,
    store: ResponseStore,
    limits: CostLimits,
    provider: Provider,
    policy: AskPolicy,
    mode: Mode,
) -> list[Answer]:
    """Ask what the store does not hold, within the limits, and store each answer."""
    # a batch that was submitted already is paid for, though its answers are not here yet
    submitted = {text for batch in store.open_batches(provider.host) for text in batch.texts}
    unpaid = [r for r in requests if mode == "live" or texts[r.id] not in submitted]
    tokens = {r.id: count_input_tokens(r.messages, limits.count_tokens) for r in unpaid}
    _announce(condition, limits, tokens, mode)
    before = len(store)
    try:
        if mode == "batch":
            return ask_batch(requests, texts, condition, store, provider, policy)
        budget = None
        if limits.budget_usd is not None:
            budget = Budget(limits.budget_usd, limits.price, tokens, condition.max_output_tokens)
        return ask_all(
            requests,
            condition,
            provider,
            policy,
            budget=budget,
            on_answer=lambda answer: store.put(texts[answer.id], answer),
        )
    except UserError as error:
        kept = len(store) - before
        raise UserError(
            f"{error} ({kept} new answers are kept in {store.path}; run again to go on)"
        ) from None


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
