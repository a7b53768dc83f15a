"""Ask through the Batch API: half the price, answers within a day, no latency.

https://platform.openai.com/docs/guides/batch. What was submitted is noted in the response store
before and after, so that a process that died picks its batch up again instead of paying twice.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from lora_vs_api.api.client import (
    Answer,
    ApiCondition,
    NoAnswer,
    Request,
    check_key,
    failure_message,
    is_loopback,
    read_chat,
    read_response,
    redact,
    request_body,
    short,
)
from lora_vs_api.api.store import OpenBatch, ResponseStore, host_of, request_key
from lora_vs_api.errors import UserError
from lora_vs_api.log import say

if TYPE_CHECKING:
    from openai import OpenAI

ENDPOINTS = {"responses": "/v1/responses", "chat": "/v1/chat/completions"}
ENDED = ("completed", "failed", "expired", "cancelled")
# the mark by which a batch is found again at the provider
MARK = "lora_vs_api"


def ask_batch(
    requests: Sequence[Request],
    texts: Mapping[str, str],
    condition: ApiCondition,
    store: ResponseStore,
    *,
    base_url: str,
    api_key: str | None,
    max_attempts: int,
    timeout_seconds: float,
    total_seconds: float | None,
    poll_seconds: float = 15.0,
) -> list[Answer]:
    """Answers in the order of the requests, each put into ``store`` under its text as it is read.

    A batch in the store that holds any of the requests is waited for first; what it leaves
    unanswered is then submitted.

    Args:
        texts: of each request's id, what :func:`lora_vs_api.api.store.request_text` makes of it.
        max_attempts: of each upload, poll and download; the openai client does the retrying.
        total_seconds: to wait at most; the batch itself goes on at the provider.

    Raises:
        UserError: the batch was rejected, expired or is not ready in time, or naming each
            request without an answer and its reason. It never holds the API key.
    """
    import openai

    check_key(api_key)
    by_key = {request_key(texts[request.id]): request for request in requests}
    end = None if total_seconds is None else time.monotonic() + total_seconds
    answers: dict[str, Answer] = {}
    failures: dict[str, str] = {}
    try:
        with openai.OpenAI(
            base_url=base_url,
            api_key=api_key or "none",
            max_retries=max_attempts - 1,
            timeout=timeout_seconds,
            http_client=openai.DefaultHttpxClient(trust_env=not is_loopback(base_url)),
        ) as client:

            def collect(batch: OpenBatch, batch_id: str) -> None:
                done = _wait(client, condition, batch_id, end, poll_seconds)
                for key, outcome in _results(client, condition, done):
                    request = by_key.get(key)
                    if request is None:
                        continue
                    if isinstance(outcome, str):
                        failures[request.id] = outcome
                        continue
                    answer = Answer(id=request.id, latency_seconds=None, attempts=1, **outcome)
                    if answer.outcome in ("answered", "truncated"):
                        store.put(texts[request.id], answer)
                        answers[request.id] = answer
                    else:
                        failures[request.id] = f"{answer.outcome}: {short(answer.output)}"
                store.end_batch(batch.token)
                if done.status == "failed":
                    errors = done.errors.data if done.errors and done.errors.data else []
                    why = "; ".join(str(error.message) for error in errors[:3]) or "no reason given"
                    raise UserError(
                        f"conditions.{condition.name}: {base_url} rejects batch {batch_id}: "
                        f"{short(why)}"
                    )
                for key in {request_key(text) for text in batch.texts} & by_key.keys():
                    identity = by_key[key].id
                    if identity not in answers and identity not in failures:
                        failures[identity] = f"batch {batch_id} {done.status} without an answer"

            for batch in store.open_batches(host_of(base_url)):
                if not batch.texts & {texts[request.id] for request in requests}:
                    continue
                batch_id = batch.batch_id or _find(client, batch.token)
                if batch_id is None:
                    store.end_batch(batch.token)
                    continue
                say(f"{condition.name}: going on with batch {batch_id}")
                store.submitted_batch(batch.token, batch_id)
                collect(batch, batch_id)
            todo = [r for r in requests if r.id not in answers and r.id not in failures]
            if todo:
                batch = OpenBatch(uuid.uuid4().hex, None, frozenset(texts[r.id] for r in todo))
                store.begin_batch(batch.token, host_of(base_url), sorted(batch.texts))
                batch_id = _submit(client, condition, todo, texts, batch.token)
                store.submitted_batch(batch.token, batch_id)
                say(f"{condition.name}: submitted {len(todo)} requests as batch {batch_id}")
                collect(batch, batch_id)
    except openai.OpenAIError as error:
        raise UserError(redact(_explain(error, condition, base_url), api_key)) from None
    except UserError as error:
        raise UserError(redact(str(error), api_key)) from None
    if failures:
        raise UserError(redact(failure_message(condition, requests, answers, failures), api_key))
    return [answers[request.id] for request in requests]


def _submit(
    client: OpenAI,
    condition: ApiCondition,
    requests: Sequence[Request],
    texts: Mapping[str, str],
    token: str,
) -> str:
    url = ENDPOINTS[condition.endpoint]
    lines = []
    for request in requests:
        body = request_body(request, condition)
        # streaming is not for batches, and not even its absence may be mentioned
        body.pop("stream")
        identity = request_key(texts[request.id])
        lines.append(
            json.dumps({"custom_id": identity, "method": "POST", "url": url, "body": body})
        )
    content = "\n".join(lines).encode() + b"\n"
    uploaded = client.files.create(file=(f"{token}.jsonl", content), purpose="batch")
    # a creation that is retried after a lost reply could be paid twice: _find looks first
    create = client.with_options(max_retries=0).batches.create
    import openai

    try:
        batch = create(
            input_file_id=uploaded.id,
            endpoint=url,
            completion_window="24h",
            metadata={MARK: token},
        )
    except (openai.APIConnectionError, openai.InternalServerError):
        found = _find(client, token)
        if found is None:
            raise
        return found
    return batch.id


def _find(client: OpenAI, token: str) -> str | None:
    """Id of the batch that carries our mark, among the provider's; None when there is none."""
    for batch in client.batches.list(limit=100):
        if (batch.metadata or {}).get(MARK) == token:
            return batch.id
    return None


def _wait(
    client: OpenAI, condition: ApiCondition, batch_id: str, end: float | None, poll_seconds: float
) -> Any:
    with tqdm(desc=f"{condition.name}: batch", unit="text") as bar:
        while True:
            batch = client.batches.retrieve(batch_id)
            if batch.request_counts:
                bar.total = batch.request_counts.total
                bar.update(batch.request_counts.completed - bar.n)
            bar.set_postfix(status=batch.status)
            if batch.status in ENDED:
                return batch
            if end is not None and time.monotonic() + poll_seconds > end:
                raise UserError(
                    f"api.limits.max_minutes: over while batch {batch_id} is {batch.status}; it goes on "
                    "at the provider: run again to wait for it, nothing is paid twice"
                )
            time.sleep(poll_seconds)


def _results(
    client: OpenAI, condition: ApiCondition, batch: Any
) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """Of each line: its custom_id, and the fields of an Answer or the reason why there is none."""
    from openai.types.chat import ChatCompletion
    from openai.types.responses import Response

    for file_id in (batch.output_file_id, batch.error_file_id):
        if not file_id:
            continue
        for number, line in enumerate(client.files.content(file_id).text.splitlines(), start=1):
            try:
                entry = json.loads(line)
                identity, response = entry["custom_id"], entry.get("response") or {}
                body = response.get("body") or {}
            except (json.JSONDecodeError, KeyError, AttributeError):
                raise UserError(
                    f"conditions.{condition.name}: line {number} of the batch's file {file_id} is "
                    "not a result of the Batch API"
                ) from None
            if response.get("status_code") != 200:
                error = entry.get("error") or body.get("error") or body or "no reason given"
                reason = error.get("message", error) if isinstance(error, dict) else error
                yield identity, f"status {response.get('status_code')}: {short(str(reason))}"
                continue
            try:
                if condition.endpoint == "chat":
                    reply = read_chat(ChatCompletion.construct(**body))
                else:
                    reply = read_response(Response.construct(**body), condition)
            except NoAnswer as error:
                yield identity, error.reason
                continue
            if not reply.output.strip() and reply.outcome == "answered":
                yield identity, "empty output"
                continue
            yield (
                identity,
                {
                    "output": reply.output,
                    "outcome": reply.outcome,
                    "input_tokens": reply.input_tokens,
                    "output_tokens": reply.output_tokens,
                    "cached_input_tokens": reply.cached_input_tokens,
                    "response_id": reply.response_id,
                    "served_model": reply.served_model,
                },
            )


def _explain(error: Exception, condition: ApiCondition, base_url: str) -> str:
    status = getattr(error, "status_code", None)
    if status == 401:
        return f"api.limits.key_env: {base_url} rejects the API key (401)"
    if status in (404, 405):
        return f"api.server.mode: {base_url} has no Batch API ({status}); expected live for this server"
    where = f" ({status})" if status else ""
    return f"conditions.{condition.name}: batch at {base_url} failed{where}: {short(str(error))}"
