"""Ask a paid API: nothing that is in the store is paid for again, nothing above the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lora_vs_api.api.batch import ask_batch
from lora_vs_api.api.budget import Budget, Estimate, TokenPrice, count_input_tokens, estimate
from lora_vs_api.api.client import Answer, ApiCondition, Request, ask_all
from lora_vs_api.api.store import ResponseStore, host_of, request_key, request_text
from lora_vs_api.errors import UserError
from lora_vs_api.log import say


@dataclass(frozen=True)
class Terms:
    """What an answer costs, what may be spent, and how long an answer is expected to be.

    ``count_tokens`` is the tokenizer that the estimate counts input with; ``budget_usd`` None
    sets no limit.
    """

    price: TokenPrice
    budget_usd: float | None
    expected_output_tokens: float
    count_tokens: Callable[[str], int]


def ask_paid(
    requests: Sequence[Request],
    condition: ApiCondition,
    store: ResponseStore,
    terms: Terms,
    *,
    base_url: str,
    mode: str = "live",
    **asking: Any,
) -> tuple[list[Answer], list[bool]]:
    """Answers in the order of the requests, and of each whether it came out of the store.

    A stored answer keeps the latency and the usage of the call that was paid for. New answers
    are stored one by one as they arrive, so that whatever stops this later loses none. Requests
    that are equal in everything are asked once.

    Args:
        mode: ``live``, or ``batch`` for the Batch API.
        asking: the further arguments of :func:`lora_vs_api.api.client.ask_all`, or of
            :func:`lora_vs_api.api.batch.ask_batch`.

    Raises:
        UserError: as ``ask_all``; or the budget does not allow it; or the store cannot be used.
    """
    texts = {request.id: request_text(request, condition, base_url, mode) for request in requests}
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
        # a batch that was submitted already is paid for, though its answers are not here yet
        submitted = {
            text for batch in store.open_batches(host_of(base_url)) for text in batch.texts
        }
        fresh = [r for r in todo if mode == "live" or texts[r.id] not in submitted]
        tokens = {r.id: count_input_tokens(r.messages, terms.count_tokens) for r in fresh}
        _announce(condition, terms, tokens, mode)
        before = len(store)
        try:
            if mode == "batch":
                answers = ask_batch(todo, texts, condition, store, base_url=base_url, **asking)
            else:
                budget = None
                if terms.budget_usd is not None:
                    budget = Budget(
                        terms.budget_usd, terms.price, tokens, condition.max_output_tokens
                    )
                answers = ask_all(
                    todo,
                    condition,
                    base_url=base_url,
                    budget=budget,
                    on_answer=lambda answer: store.put(texts[answer.id], answer),
                    **asking,
                )
        except UserError as error:
            kept = len(store) - before
            raise UserError(
                f"{error} ({kept} new answers are kept in {store.path}; run again to go on)"
            ) from None
        known |= {texts[answer.id]: answer for answer in answers}
    return [replace(known[texts[r.id]], id=r.id) for r in requests], stored


def _announce(condition: ApiCondition, terms: Terms, tokens: Mapping[str, int], mode: str) -> None:
    """Say what the requests of so many input tokens will cost, and stop if that is too much."""
    limit = terms.budget_usd
    cost = estimate(tokens, terms.expected_output_tokens, condition.max_output_tokens, terms.price)
    say(f"{condition.name}: {describe(cost, terms.price)}")
    # a batch is paid for whole: there is no stopping halfway
    needed, how = (
        (cost.most_usd, "that it may cost") if mode == "batch" else (cost.expected_usd, "expected")
    )
    if limit is not None and needed > limit:
        raise UserError(
            f"api.limits.budget_usd: {limit:g} is less than the USD {needed:.4f} {how} for the "
            f"{cost.requests} requests of {condition.name}; nothing was asked or paid"
        )


def describe(cost: Estimate, price: TokenPrice) -> str:
    """The estimate in one line."""
    return (
        f"{cost.requests} requests with about {cost.input_tokens:,} input tokens: about USD "
        f"{cost.expected_usd:.4f}, at most USD {cost.most_usd:.4f} before retries, at the price "
        f"of {price.name}"
    )
