"""Ask one API condition about some texts, as its configuration says."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from lora_vs_api.api import keys
from lora_vs_api.api.budget import CostLimits, discounted, usd
from lora_vs_api.api.client import ask_all
from lora_vs_api.api.few_shot import shot_chooser
from lora_vs_api.api.llama_server import serve_gguf
from lora_vs_api.api.local_server import serve
from lora_vs_api.api.oddities import odd_counts
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.servers import key_variable, server_of
from lora_vs_api.api.store import ResponseStore
from lora_vs_api.api.stored_run import ask_stored
from lora_vs_api.api.types import Answer, ApiCondition, ConditionRun, Request
from lora_vs_api.config.sections import (
    EmbeddedServer,
    LlamaCppServer,
    OpenAIServer,
    Params,
    Replicates,
)
from lora_vs_api.errors import UserError
from lora_vs_api.log import say
from lora_vs_api.paths import opponent_file
from lora_vs_api.prices.lookup import ListedPrice, known_prices, price_of
from lora_vs_api.record.fields import Field
from lora_vs_api.record.json_schema import json_schema
from lora_vs_api.record.prompt import messages
from lora_vs_api.record.tokens import token_counter

# ids that a message names at most
SHOWN = 10
# of a request, in and out, by which two prices are compared
USUAL_TOKENS = (500, 100)


def embedded_server(params: Params, name: str) -> AbstractContextManager[str]:
    """A server for the condition's model; its base URL, while the block runs."""
    server, settings, port = params.api.server, params.conditions[name], params.api.limits.port
    if isinstance(server, LlamaCppServer):
        say(f"{name}: starting llama.cpp's server on loopback")
        opponent = next(o for o in params.opponents if opponent_file(o) == settings.weights)
        return serve_gguf(
            settings.weights,
            settings.model,
            sha256=params.opponents[opponent].sha256,
            context=server.context,
            threads=server.threads,
            port=port,
        )
    assert isinstance(server, EmbeddedServer)
    say(f"{name}: starting transformers serve on loopback")
    return serve(
        settings.weights, settings.model, device=server.device, dtype=server.dtype, port=port
    )


def key_of(params: Params, name: str) -> str | None:
    """The API key of condition ``name``, from the environment alone; None for a server that wants none.

    A condition with a server of its own gets that server's key or none, and never the other one.
    """
    variable = key_variable(params, name)
    if variable is None:
        return None
    if not os.environ.get(variable, "").strip():
        own = params.conditions[name].server is not None
        key = keys.own_key(keys.KEY_ENV, name) if own else keys.KEY_ENV
        what = "empty" if variable in os.environ else "not set"
        raise UserError(f"{variable}: {what} in the environment; {key} names it")
    return os.environ[variable]


def limits_of(params: Params, name: str, train: list[dict[str, Any]]) -> CostLimits:
    """Price and budget of the condition; answers are expected to be as long as train's records."""
    count_tokens = token_counter(params.conditions[name].weights)
    records = [count_tokens(json.dumps(row["record"])) for row in train[:100]]
    listed, discount = dearest_price(params, name)
    price, priced_as = listed.price, listed.name
    if params.api.server.mode == "batch":
        price, priced_as = discounted(price, discount), f"{priced_as} less {discount:.0%}"
    return CostLimits(
        price=price,
        price_name=priced_as,
        budget_usd=params.api.limits.budget_usd,
        # without a record to go by, as long as they may be
        expected_output_tokens=sum(records) / len(records)
        if records
        else params.conditions[name].max_output_tokens or params.decoding.max_new_tokens,
        count_tokens=count_tokens,
    )


def dearest_price(params: Params, name: str) -> tuple[ListedPrice, float]:
    """The price that a condition is estimated at, and a batch's discount: of both lists the dearer.

    The one that decides the report may be a publication's, and no budget holds at prices of the past.
    """
    entry, beside = params.priced_as[name], params.prices_beside
    found = [(price_of(entry, params.prices, f"priced_as.{name}"), params.prices.batch_discount)]
    if beside is not None:
        known = known_prices({name: entry}, beside, "prices_beside")
        found += [(listed, beside.batch_discount) for listed in known.values()]
    return max(found, key=lambda each: usd(each[0].price, *USUAL_TOKENS))


def condition_of(params: Params, name: str) -> ApiCondition:
    """How condition ``name`` asks, all settings together."""
    server, settings = server_of(params, name), params.conditions[name]
    own = settings.max_output_tokens
    schema = None
    if settings.output == "json_schema":
        # OpenAI's strict mode wants every key, and others' that are as strict
        hosted = isinstance(server, OpenAIServer)
        schema = json_schema(params.task.record_fields, every_key=hosted)
    found = ApiCondition(
        name=name,
        model=settings.model,
        temperature=settings.temperature,
        reasoning_effort=settings.reasoning_effort,
        max_output_tokens=params.decoding.max_new_tokens if own is None else own,
        endpoint=server.endpoint,
        schema=schema,
        json_object=settings.output == "json_object",
        own_limit=own is not None,
        on_refusal=settings.on_refusal or "fail",
        extra_body=settings.extra_body,
    )
    if isinstance(server, LlamaCppServer):
        return replace(found, grammar=server.grammar, context=server.context)
    if isinstance(server, OpenAIServer):
        role = server.instruction_role or "system"
        return replace(found, token_limit=server.token_limit, instruction_role=role)
    return found


@dataclass(frozen=True)
class Questions:
    """What a condition asks of some texts: each once in their order, then some of them again."""

    first: list[Request]
    again: list[Request]


def questions(
    params: Params,
    name: str,
    rows: Sequence[dict[str, Any]],
    fields: tuple[Field, ...],
    train: list[dict[str, Any]],
    replicates: Replicates | None = None,
) -> Questions:
    """Condition ``name``'s requests about ``rows``; the arguments are those of :func:`ask_condition`.

    Raises:
        UserError: there are fewer training rows than examples in a prompt.
    """
    settings, task = params.conditions[name], params.task
    shots_for = shot_chooser(name, settings, train, params.api.ask.shots_seed, fields)
    first = [
        Request(
            row["id"],
            messages(
                settings.instruction or task.instruction,
                row["text"],
                fields,
                shots_for(row["text"]),
            ),
        )
        for row in rows
    ]
    # hosted models answer the same question differently, also at temperature 0: ask some again
    again = [
        replace(request, id=f"{request.id}#{number}", replicate=number)
        for number in range(1, replicates.number if replicates else 1)
        for request in first[: replicates.rows if replicates else 0]
    ]
    return Questions(first, again)


def ask_condition(
    params: Params,
    name: str,
    rows: Sequence[dict[str, Any]],
    fields: tuple[Field, ...],
    train: list[dict[str, Any]],
    *,
    replicates: Replicates | None = None,
) -> ConditionRun:
    """Ask condition ``name`` about ``rows``, and the first of them as often as ``replicates`` says.

    Args:
        rows: each with an id and a text.
        train: the training rows, from which few-shot prompts take their examples and by whose
            records the length of an answer is estimated.

    Raises:
        UserError: no key, a budget too small, or an answer that cannot be had; what was answered
            by then is stored.
    """
    server, patience = server_of(params, name), params.api.limits
    asked = questions(params, name, rows, fields, train, replicates)
    requests = [*asked.first, *asked.again]
    condition = condition_of(params, name)
    policy = AskPolicy(
        timeout_seconds=patience.timeout_seconds,
        max_attempts=patience.max_attempts,
        concurrency=params.api.ask.concurrency,
        total_seconds=None if patience.max_minutes is None else patience.max_minutes * 60,
    )
    count_tokens: Callable[[str], int] | None = None
    started = time.perf_counter()
    if not requests:
        answers, stored = [], []
    elif server.kind != "openai":
        with embedded_server(params, name) as url:
            started = time.perf_counter()
            answers = ask_all(requests, condition, Provider(url), policy)
            stored = [False] * len(answers)
    else:
        with keys.named_for(name, own=params.conditions[name].server is not None):
            provider = Provider(server.base_url, key_of(params, name), key_variable(params, name))
            limits = limits_of(params, name, train)
            count_tokens = limits.count_tokens
            started = time.perf_counter()
            with ResponseStore(_given(patience.store, keys.STORE)) as store:
                answers, stored = ask_stored(
                    requests, condition, store, limits, provider, policy, server.mode
                )
    _tell_of_the_unanswered(condition, answers)
    for line in odd_counts(condition, requests, answers, count_tokens):
        say(f"{condition.name}: {line}")
    return ConditionRun(
        answers[: len(asked.first)],
        stored[: len(asked.first)],
        list(zip(asked.again, answers[len(asked.first) :])),
        time.perf_counter() - started,
    )


def _tell_of_the_unanswered(condition: ApiCondition, answers: Sequence[Answer]) -> None:
    """Name the texts that count as wrong since they were refused, or since the limit was too low."""
    for key, why, ids in (
        (
            keys.refusal_key(condition.name),
            "were refused or filtered, and count as wrong",
            [answer.id for answer in answers if not answer.reply.is_scored],
        ),
        (
            keys.parameter_key("max_output_tokens", condition.name),
            f"were cut before they began, at most {condition.max_output_tokens} tokens being asked for, and count as wrong",
            [
                a.id
                for a in answers
                if a.reply.outcome == "truncated" and not a.reply.output.strip()
            ],
        ),
    ):
        if ids:
            named = ", ".join(ids[:SHOWN]) + ("" if len(ids) <= SHOWN else ", …")
            say(f"{condition.name}: {len(ids)} of {len(answers)} answers {why} ({key}): {named}")


def _given(value: str | None, key: str) -> str:
    if value is None:
        raise UserError(f"{key}: needed for a hosted API, found null")
    return value
