"""Ask one API condition about some texts, as its configuration says."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from lora_vs_api.api.budget import TokenPrice
from lora_vs_api.api.client import Answer, ApiCondition, Request, ask_all
from lora_vs_api.api.local_server import serve
from lora_vs_api.api.paid import Terms, ask_paid
from lora_vs_api.api.store import ResponseStore
from lora_vs_api.config.sections import EmbeddedServer, Params, Replicates
from lora_vs_api.errors import UserError
from lora_vs_api.log import say
from lora_vs_api.record.fields import Field
from lora_vs_api.record.json_schema import json_schema
from lora_vs_api.record.prompt import messages


@dataclass(frozen=True)
class Asked:
    """The answers to some texts, in their order, and which of them an earlier call had paid for.

    ``again`` are the replicates of some requests with their answers.
    """

    answers: list[Answer]
    stored: list[bool]
    again: list[tuple[Request, Answer]]
    wall_seconds: float


@contextmanager
def embedded_server(params: Params, name: str) -> Iterator[str]:
    """Base URL of a server that lives as long as this."""
    say(f"{name}: starting transformers serve on loopback")
    model = params.conditions[name].model
    server = params.api.server
    assert isinstance(server, EmbeddedServer)
    with serve(
        server.weights,
        model,
        device=server.device,
        dtype=server.dtype,
        port=params.api.limits.port,
    ) as url:
        yield url


def key_of(params: Params) -> str | None:
    """The API key, from the environment alone; None for a server that wants none."""
    name = params.api.limits.key_env
    if name is None:
        return None
    if not os.environ.get(name):
        raise UserError(f"{name}: not set in the environment; api.limits.key_env names it")
    return os.environ[name]


def terms_of(params: Params, name: str, train: list[dict[str, Any]]) -> Terms:
    """Price and budget of the condition; answers are expected to be as long as train's records."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(params.api.server.weights)

    def count_tokens(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    records = [count_tokens(json.dumps(row["record"])) for row in train[:100]]
    priced_as = params.priced_as[name]
    listed = params.prices.models[priced_as]
    price = TokenPrice(priced_as, listed.input, listed.output)
    return Terms(
        price=price.less(params.prices.batch_discount)
        if params.api.server.mode == "batch"
        else price,
        budget_usd=params.api.limits.budget_usd,
        expected_output_tokens=sum(records) / len(records),
        count_tokens=count_tokens,
    )


def ask_condition(
    params: Params,
    name: str,
    rows: Sequence[dict[str, Any]],
    fields: tuple[Field, ...],
    train: list[dict[str, Any]],
    *,
    replicates: Replicates | None = None,
) -> Asked:
    """Ask condition ``name`` about ``rows``, and the first of them as often as ``replicates`` says.

    Args:
        rows: each with an id and a text.
        train: the training rows, from which few-shot prompts take their examples and by whose
            records the length of an answer is estimated.

    Raises:
        UserError: no key, a budget too small, or an answer that cannot be had; what was answered
            by then is stored.
    """
    server, limits, settings = params.api.server, params.api.limits, params.conditions[name]
    # examples come from train alone, the same ones for every text
    shots = random.Random(params.api.ask.shots_seed).sample(train, settings.shots)
    requests = [
        Request(row["id"], messages(params.task.instruction, row["text"], fields, shots))
        for row in rows
    ]
    # hosted models answer the same question differently, also at temperature 0: ask some again
    again = [
        replace(request, id=f"{request.id}#{number}", replicate=number)
        for number in range(1, replicates.number if replicates else 1)
        for request in requests[: replicates.rows if replicates else 0]
    ]
    condition = ApiCondition(
        name=name,
        model=settings.model,
        temperature=settings.temperature,
        reasoning_effort=settings.reasoning_effort,
        max_output_tokens=params.decoding.max_new_tokens,
        endpoint=server.endpoint,
        schema=json_schema(fields) if settings.output == "json_schema" else None,
    )
    asking = {
        "timeout_seconds": limits.timeout_seconds,
        "max_attempts": limits.max_attempts,
        "total_seconds": None if limits.max_minutes is None else limits.max_minutes * 60,
    }
    if server.mode == "live":
        asking["concurrency"] = params.api.ask.concurrency
    started = time.perf_counter()
    if not requests:
        answers, stored = [], []
    elif server.kind == "embedded":
        with embedded_server(params, name) as url:
            started = time.perf_counter()
            answers = ask_all(requests + again, condition, base_url=url, api_key=None, **asking)
            stored = [False] * len(answers)
    else:
        key, terms = key_of(params), terms_of(params, name, train)
        started = time.perf_counter()
        with ResponseStore(limits.store) as store:
            answers, stored = ask_paid(
                requests + again,
                condition,
                store,
                terms,
                base_url=server.base_url,
                api_key=key,
                mode=server.mode,
                **asking,
            )
    return Asked(
        answers[: len(requests)],
        stored[: len(requests)],
        list(zip(again, answers[len(requests) :])),
        time.perf_counter() - started,
    )
