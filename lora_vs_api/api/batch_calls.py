"""What is asked of a provider's Batch API: an upload, a batch of it, its list of batches."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from lora_vs_api.api import keys
from lora_vs_api.api.batch_files import PATHS
from lora_vs_api.api.connection import not_trusted
from lora_vs_api.api.diagnosis import asked_wait
from lora_vs_api.api.pacing import MAX_RETRY_AFTER_SECONDS, backoff_seconds
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.server_error import (
    MODEL,
    ServerError,
    begins,
    body_of,
    read_error,
    short,
    without_keys,
)
from lora_vs_api.api.types import ApiCondition
from lora_vs_api.errors import UserError
from lora_vs_api.shown import visible

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI
    from openai.pagination import SyncCursorPage
    from openai.types import Batch, FileObject

# the mark by which a batch is found again at the provider
MARK = "lora_vs_api"

# A batch that is too large for the server, whoever finds it so: at the upload, at the creation, or when the
# file is looked through. Of the tokens that an account may have waiting, OpenAI and Azure tell in the batch.
TOO_LARGE_CODES = {"token_limit_exceeded", "too_many_tasks", "file_too_large", "file_size_exceeded"}
# of LiteLLM, too, which counts what is in the file
ENQUEUED = re.compile(
    r"\benqueued tokens?\b|\bbatch contains \d[^;]{0,40}\bbut only \d\S*(?: \w+)? remaining\b", re.I
)
TOO_LARGE = re.compile(
    r"\btoo many (?:requests|tasks|lines|records) in\b|"
    r"\b(?:file|batch|upload|body)\b[^.;]{0,40}\btoo (?:large|big)\b|"
    r"\b(?:file|batch|size|number|lines|requests)\b[^.;]{0,60}\bexceeds?\b[^.;]{0,30}\b(?:max\w*|limits?|allowed)\b",
    re.I,
)
# An upload that the server still looks through, of which Azure refuses a batch; and how long at most.
UNREADY = {"pending", "running", "notrunning", "not_running", "processing", "queued"}
MOST_UPLOAD_SECONDS = 3600.0
UNREADY_WORDS = re.compile(
    r"\bfile\b[^.;]{0,80}\b(?:(?:pending|running|notrunning|processing)\b['\"]? state|not (?:yet |been )*(?:processed|ready))\b|"
    r"\bmust point to a completed file import\b",
    re.I,
)
# what a 404 says of a file, which is then no address that is not there
NO_FILE = re.compile(r"\bfile\b(?! or directory)", re.I)


class TooLarge(Exception):
    """The server takes no batch of so many requests at once; it may take half of them."""


class NotTaken(UserError):
    """The server does not take an upload; no batch of it is there."""


def says_too_large(status: object, code: object, message: str) -> bool:
    """Whether a server refuses a batch for its size; ``status`` and ``code`` as far as it tells."""
    if status == 413 or code in TOO_LARGE_CODES or ENQUEUED.search(message):
        return True
    # a limit of requests a minute is exceeded too
    return status != 429 and bool(TOO_LARGE.search(message))


def submit(
    client: OpenAI,
    content: bytes,
    condition: ApiCondition,
    token: str,
    provider: Provider,
    policy: AskPolicy,
    pause: Callable[[float], None],
) -> str:
    """Id of the new batch of the requests in ``content``.

    Args:
        pause: waits for so many seconds.

    Raises:
        TooLarge: it is, for this server; nothing of it is left there.
        NotTaken: the server cannot read it, or not in time; nothing of it is left there.
    """
    import openai

    try:
        found = client.files.create(file=(f"{token}.jsonl", content), purpose="batch")
    except openai.APIStatusError as error:
        _check_size(error, provider)
        raise
    uploaded = id_of(found, provider)
    try:
        _wait_until_read(client, found, condition, provider, policy, pause)
    except (openai.OpenAIError, NotTaken):
        delete_file(client, uploaded)
        raise
    try:
        return _create(client, uploaded, condition, token, provider, policy, pause)
    except openai.InternalServerError:
        # there may be a batch of it after all
        raise
    except openai.APIStatusError as error:
        delete_file(client, uploaded)
        _check_size(error, provider)
        raise


def _wait_until_read(
    client: OpenAI,
    uploaded: FileObject,
    condition: ApiCondition,
    provider: Provider,
    policy: AskPolicy,
    pause: Callable[[float], None],
) -> None:
    """Wait until the server has looked through an upload, where it says that it does."""
    import openai

    identity, at = uploaded.id, provider.base_url
    seconds = min(policy.total_seconds or MOST_UPLOAD_SECONDS, MOST_UPLOAD_SECONDS)
    end = time.monotonic() + seconds
    while (status := status_of(uploaded)) in UNREADY:
        if time.monotonic() > end:
            raise NotTaken(
                f"{keys.condition_key(condition.name)}: {at} has not looked through the upload {identity} in "
                f"{seconds:g} s (it is {visible(status)}); nothing was paid: run again to try once more"
            )
        pause(policy.poll_seconds)
        try:
            uploaded = client.files.retrieve(identity)
        except openai.NotFoundError:
            # it has no such address, or will say so of the batch
            return
    if status in ("error", "failed"):
        why = getattr(uploaded, "status_details", None) or "no reason given"
        raise NotTaken(
            f"{keys.condition_key(condition.name)}: {at} cannot read the upload {identity}: {short(str(why))}"
        )


def status_of(found: object) -> str:
    """In lower case, for some servers write it in capitals (Together); empty where there is none."""
    status = getattr(found, "status", None)
    return status.lower() if isinstance(status, str) else ""


def _create(
    client: OpenAI,
    uploaded: str,
    condition: ApiCondition,
    token: str,
    provider: Provider,
    policy: AskPolicy,
    pause: Callable[[float], None],
) -> str:
    """Id of the new batch of an uploaded file."""
    import openai

    # a creation that is retried after a lost reply could be paid twice: find_batch looks first
    create = client.with_options(max_retries=0).batches.create
    for number in range(1, policy.max_attempts + 1):
        try:
            batch = create(
                input_file_id=uploaded,
                endpoint=PATHS[condition.endpoint],
                completion_window="24h",
                metadata={MARK: token},
            )
            return id_of(batch, provider)
        except (
            openai.RateLimitError,
            openai.BadRequestError,
            openai.NotFoundError,
            openai.ConflictError,
        ) as error:
            # one that is refused is not there
            wait = _wait_after(error, number, policy)
            if wait is None:
                raise
            pause(wait)
        except (openai.APIConnectionError, openai.InternalServerError):
            found = find_batch(client, token, provider)
            if found is None:
                raise
            return found
    raise AssertionError("the last attempt returns or raises")


def _wait_after(error: APIStatusError, number: int, policy: AskPolicy) -> float | None:
    """Seconds until another attempt; None where there is none left, or none helps soon."""
    body = body_of(error)
    said = read_error(body)
    wait = asked_wait(error.response.headers, body) or 0.0
    if number == policy.max_attempts or said.is_quota or wait > MAX_RETRY_AFTER_SECONDS:
        return None
    if says_too_large(None, said.code, said.message):
        return None
    passes = error.status_code == 429 or (error.status_code == 400 and said.is_rate_limit)
    if not passes and not _is_unready(error.status_code, said):
        return None
    return wait + backoff_seconds(number, policy.first_wait_seconds, random.uniform(0.5, 1.5))


def _is_unready(status: int, said: ServerError) -> bool:
    """Whether a refused batch may be had when its upload has been looked through, or is known everywhere."""
    return bool(UNREADY_WORDS.search(said.message)) or (
        status == 404 and bool(NO_FILE.search(said.message))
    )


def _check_size(error: APIStatusError, provider: Provider) -> None:
    """Raise TooLarge where that is what an error says."""
    said = read_error(body_of(error))
    if says_too_large(error.status_code, said.code, said.message):
        raise TooLarge(f"({error.status_code}): {provider.redact(said.message)}") from None


def delete_file(client: OpenAI, file_id: str | None) -> None:
    """Delete an upload of ours, whose texts are of no more use there, if the server can."""
    import openai

    if isinstance(file_id, str) and file_id:
        with suppress(openai.OpenAIError, UserError, ValueError, TypeError, RecursionError):
            client.with_options(max_retries=0).files.delete(file_id)


def find_batch(client: OpenAI, token: str, provider: Provider) -> str | None:
    """Id of the batch that carries our mark, among the provider's; None when there is none."""
    for batch in listed(client, 100):
        marks = getattr(batch, "metadata", None)
        if isinstance(marks, dict) and marks.get(MARK) == token:
            return id_of(batch, provider)
    return None


def listed(client: OpenAI, limit: int) -> SyncCursorPage[Batch]:
    """The provider's batches, of which a page is fetched now."""
    try:
        found = client.batches.list(limit=limit)
    except (AttributeError, TypeError):
        # of the client itself, where it is sent something else
        found = None
    if found is None or not isinstance(found.data, list):
        raise UserError(_no_batches(str(client.base_url), "its answer is no list of batches"))
    return found


def id_of(found: object, provider: Provider) -> str:
    """The id of an upload or a batch, as a server has sent it."""
    identity = getattr(found, "id", None)
    if not isinstance(identity, str) or not identity:
        raise UserError(
            f"{keys.MODE}: the server's answer is none of the Batch API: it has no id{begins(plain(found, provider), 'its answer')}; "
            "expected live for a server that has none"
        )
    return identity


def plain(found: object, provider: Provider) -> Any:
    """What the client has read, as JSON without the key."""
    dump = getattr(found, "model_dump", None)
    return provider.cleaned(dump(mode="json", exclude_none=True, warnings=False) if dump else found)


def explained(error: Exception, condition: ApiCondition, provider: Provider) -> str:
    base_url, cause = provider.base_url, error.__cause__
    if isinstance(cause, UserError):
        # of a redirect that is not followed
        return provider.redact(str(cause))
    said = provider.redact(str(error))
    if cause is not None:
        # the client says no more than that the connection failed
        said = f"{said} {type(cause).__name__}: {provider.redact(str(cause))}"
        untrusted = not_trusted(said, base_url)
        if untrusted is not None:
            return untrusted
    status = getattr(error, "status_code", None)
    if status is not None:
        said = provider.redact(read_error(body_of(cast(Any, error))).message)
    if status == 404 and MODEL.search(said):
        key = keys.parameter_key("model", condition.name)
        return f"{key}: {base_url} has no model {condition.model!r} for batches (404): {said}"
    if status == 401:
        return f"{keys.KEY_ENV}: {base_url} rejects the API key, or wants one (401): {without_keys(said)}"
    if status in (405, 501) or (status == 404 and not NO_FILE.search(said)):
        return _no_batches(base_url, str(status))
    where = f" ({status})" if status else ""
    key = keys.condition_key(condition.name)
    return f"{key}: batch at {base_url} failed{where}: {short(said)}"


def _no_batches(base_url: str, why: str) -> str:
    return f"{keys.MODE}: {base_url} has no Batch API ({why}); expected live for this server"
