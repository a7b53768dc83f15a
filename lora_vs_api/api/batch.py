"""Ask through the Batch API: half the price, answers within a day, no latency.

https://platform.openai.com/docs/guides/batch. What was submitted is noted in the response store
before and after, so that a process that died picks its batch up again instead of paying twice.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from lora_vs_api.api import keys
from lora_vs_api.api.attempt import CountTokens, estimate_of
from lora_vs_api.api.batch_calls import (
    NotTaken,
    TooLarge,
    delete_file,
    explained,
    find_batch,
    listed,
    plain,
    says_too_large,
    status_of,
    submit,
)
from lora_vs_api.api.batch_files import Part, UnreadableResult, parts, read_results
from lora_vs_api.api.connection import check_environment, own_headers
from lora_vs_api.api.diagnosis import failure_message, refusal
from lora_vs_api.api.doubles import Doubles
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.server_error import begins, body_of, message_of, short
from lora_vs_api.api.store import OpenBatch, ResponseStore, request_key
from lora_vs_api.api.types import Answer, ApiCondition, Losses, Reply, Request
from lora_vs_api.errors import UserError
from lora_vs_api.log import say
from lora_vs_api.shown import visible

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import Batch

ENDED = (
    "completed",
    "failed",
    "expired",
    "cancelled",
    "canceled",
    "succeeded",
    "finished",
    "ended",
    "done",
    "error",
)
# downloads of results in one run, while they are fewer than the batch says are there
DOWNLOADS = 4
# what a server says of a batch or a file that it will never give again
GONE = (400, 403, 404, 410)


def ask_batch(
    requests: Sequence[Request],
    texts: Mapping[str, str],
    condition: ApiCondition,
    store: ResponseStore,
    provider: Provider,
    policy: AskPolicy,
    count_tokens: CountTokens | None = None,
) -> list[Answer]:
    """Answers in the order of the requests, each put into ``store`` under its text as it is read.

    A batch in the store that holds any of the requests is waited for first; what it leaves
    unanswered is then submitted. The openai client does the retrying. A request that has failed in
    ``policy.max_attempts`` batches, over all runs, is not submitted again but named. Results that
    are fewer than the batch says are fetched again, by later runs too, and not paid again.

    Args:
        texts: of each request's id, what :func:`lora_vs_api.api.store.request_text` makes of it.
        count_tokens: counts what the provider does not.

    Raises:
        UserError: the batch was rejected, expired, is not ready in time or cannot be read, or
            naming each request without an answer and its reason. It never holds the API key.
    """
    check_environment(provider)
    with _explained(condition, provider), _client(provider, policy) as client:
        asking = _BatchAsking(
            client, condition, store, provider, policy, requests, texts, count_tokens
        )
        asking.resume()
        asking.submit_rest()
    if asking.failures:
        message = failure_message(condition, requests, asking.answers, asking.failures)
        raise UserError(provider.redact(message))
    return [asking.answers[request.id] for request in requests]


def check_batch_api(condition: ApiCondition, provider: Provider, policy: AskPolicy) -> None:
    """See that the server has a Batch API; nothing is submitted.

    Raises:
        UserError: it has none, or does not say.
    """
    check_environment(provider)
    with _explained(condition, provider), _client(provider, policy) as client:
        listed(client, 1)


def _client(provider: Provider, policy: AskPolicy) -> OpenAI:
    import openai

    return openai.OpenAI(
        base_url=provider.base_url,
        default_headers=own_headers(provider),
        api_key=provider.sent_key,
        max_retries=policy.max_attempts - 1,
        timeout=policy.timeout_seconds,
        http_client=openai.DefaultHttpxClient(**provider.http_options),
    )


@contextmanager
def _explained(condition: ApiCondition, provider: Provider) -> Iterator[None]:
    """Whatever goes wrong with the Batch API, in one line without the key."""
    import openai

    try:
        yield
    except openai.OpenAIError as error:
        raise UserError(explained(error, condition, provider)) from None
    except UserError as error:
        raise UserError(provider.redact(str(error))) from None
    # an answer that is no JSON, or none that can be read
    except (ValueError, RecursionError):
        key = keys.condition_key(condition.name)
        raise UserError(
            f"{key}: batch at {provider.base_url} failed: its answer is not valid JSON"
        ) from None


@dataclass
class _BatchAsking:
    """One call's batches and what they brought; ``failures`` are reasons by request id."""

    client: OpenAI
    condition: ApiCondition
    store: ResponseStore
    provider: Provider
    policy: AskPolicy
    requests: Sequence[Request]
    texts: Mapping[str, str]
    count_tokens: CountTokens | None
    answers: dict[str, Answer] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    doubles: Doubles = field(default_factory=Doubles)

    def __post_init__(self) -> None:
        seconds = self.policy.total_seconds
        self._end = None if seconds is None else time.monotonic() + seconds
        self._key = keys.condition_key(self.condition.name)
        self._by_key = {request_key(self.texts[request.id]): request for request in self.requests}

    def resume(self) -> None:
        """Collect the batches of earlier processes that hold any of the requests."""
        wanted = {self.texts[request.id] for request in self.requests}
        for batch in self.store.open_batches(self.provider.host):
            if not batch.texts & wanted:
                continue
            batch_id = batch.batch_id or find_batch(self.client, batch.token, self.provider)
            if batch_id is None:
                self.store.end_batch(batch.token)
                continue
            say(f"{self.condition.name}: going on with batch {batch_id}")
            self.store.submitted_batch(batch.token, batch_id)
            # one that was too large is submitted with the rest, in two halves
            with suppress(TooLarge):
                self._collect(batch, batch_id)

    def submit_rest(self) -> None:
        """Submit the requests that have neither answer nor failure yet, and collect them.

        One batch after the other: a part that the server finds too large is asked in two halves.
        """
        rest = [request for request in self.requests if not self._is_settled(request)]
        keyed = [(request_key(self.texts[request.id]), request) for request in rest]
        waiting = deque(parts(keyed, self.condition))
        while waiting:
            part = waiting.popleft()
            try:
                self._submit(part)
            except TooLarge as error:
                if len(part.requests) == 1:
                    raise UserError(
                        f"{self._key}: {self.provider.base_url} rejects a batch of one "
                        f"request {error}"
                    ) from None
                say(
                    f"{self.condition.name}: a batch of {len(part.requests)} requests is too large for the server, "
                    f"asked in two halves {error}"
                )
                waiting.extendleft(reversed(part.halves()))

    def _submit(self, part: Part) -> None:
        """Submit a part of the requests and collect its answers.

        Raises:
            TooLarge: it is, for this server; nothing of it was asked.
        """
        import openai

        texts = frozenset(self.texts[request.id] for _, request in part.requests)
        batch = OpenBatch(uuid.uuid4().hex, None, texts)
        self.store.begin_batch(batch.token, self.provider.host, sorted(batch.texts))
        try:
            batch_id = submit(
                self.client,
                part.content,
                self.condition,
                batch.token,
                self.provider,
                self.policy,
                self._pause,
            )
        except (TooLarge, NotTaken, openai.APIStatusError) as error:
            # of an error of the server's own there may be a batch after all; of any other there is none
            if not isinstance(error, openai.InternalServerError):
                self.store.end_batch(batch.token)
            raise
        self.store.submitted_batch(batch.token, batch_id)
        say(f"{self.condition.name}: submitted {len(part.requests)} requests as batch {batch_id}")
        self._collect(batch, batch_id)

    def _is_settled(self, request: Request) -> bool:
        """Whether it has an answer, or failed in this run, or too often in others."""
        if request.id in self.answers or request.id in self.failures:
            return True
        past = self.store.failure(self.texts[request.id])
        if past is None or past.attempts < self.policy.max_attempts:
            return False
        self.failures[request.id] = (
            f"failed in {past.attempts} batches, not submitted again ({keys.MAX_ATTEMPTS} allows "
            f"so many); the last time: {past.reason}"
        )
        return True

    def _collect(self, batch: OpenBatch, batch_id: str) -> None:
        """Wait for a batch and take its results.

        Raises:
            TooLarge: that is why the provider rejects it.
            UserError: the provider rejects it, or there is no time left, or its results cannot be
                had whole.
        """
        found = self._bring(batch, batch_id)
        if found.too_large:
            self.store.end_batch(batch.token)
            delete_file(self.client, found.input_file)
            raise TooLarge(f"(batch {batch_id}): {short(found.rejected or '')}")
        tries = self._times_owed(batch, found.owed) if found.owed else 0
        if 0 < tries < self.policy.max_attempts:
            raise UserError(
                f"{self._key}: {found.owed}; run again to fetch it "
                f"once more, nothing is paid twice (try {tries} of {self.policy.max_attempts}, {keys.MAX_ATTEMPTS}; "
                "after the last its texts are asked anew)"
            )
        for key in {request_key(text) for text in batch.texts} & self._by_key.keys():
            identity = self._by_key[key].id
            if identity not in self.answers:
                why = found.owed or f"batch {batch_id} {found.status} without an answer"
                reason = self.failures.setdefault(identity, why)
                if found.rejected is None:
                    self.store.failed(self.texts[identity], self.provider.redact(reason))
        self.store.end_batch(batch.token)
        delete_file(self.client, found.input_file)
        if found.rejected is not None:
            raise UserError(
                f"{self._key}: {self.provider.base_url} rejects "
                f"batch {batch_id}: {short(found.rejected)}"
            )

    def _bring(self, batch: OpenBatch, batch_id: str) -> _Ended:
        """Wait for a batch and take its results."""
        import openai

        try:
            done = self._wait(batch_id)
            owed = self._take_all(done, {request_key(text) for text in batch.texts})
        except openai.APIStatusError as error:
            if error.status_code not in GONE:
                raise
            # deleted, or too old, or it belongs to the account of another key
            reason = self.provider.redact(message_of(body_of(error)))
            lost = f"batch {batch_id} or its results are not known at {self.provider.base_url}"
            return _Ended("lost", f"{lost} ({error.status_code}: {short(reason)})")
        status, upload = status_of(done), getattr(done, "input_file_id", None)
        if status not in ("failed", "error"):
            return _Ended(status, owed, upload)
        errors = _errors(done)
        said = [self.provider.redact(str(getattr(error, "message", error))) for error in errors[:3]]
        codes = [getattr(error, "code", None) for error in errors]
        too_large = any(says_too_large(None, *error) for error in zip(codes, said))
        return _Ended(status, owed, upload, "; ".join(said) or "no reason given", too_large)

    def _times_owed(self, batch: OpenBatch, owed: str) -> int:
        """In how many runs the results were not whole, this one included."""
        self.store.failed(batch.token, self.provider.redact(owed))
        past = self.store.failure(batch.token)
        return 1 if past is None else past.attempts

    def _take_all(self, done: Batch, wanted: set[str]) -> str | None:
        """Take the results of a batch, again while some are lacking; which answers do in the end.

        An answer that is lost is made up for by no error of another request: it would be paid again. An
        error that is lost costs nothing, so after some downloads its request has just no answer.
        """
        answers, errors = _counts(done)
        owed: str | None = None
        for number in range(1, DOWNLOADS + 1):
            if number > 1:
                self._pause(self.policy.poll_seconds)
                # which of its files there are may be told later than its end
                done = self.client.batches.retrieve(done.id)
            answered, unread = self._take(done.output_file_id)
            failed, _ = self._take(done.error_file_id)
            owed = None
            if wanted <= answered | failed:
                # some servers count a request that failed among the completed
                break
            if len(answered) < answers or (unread and not answers):
                owed = unread or (
                    f"batch {done.id} says {answers} results and sends {len(answered)}, in "
                    f"{number} downloads"
                )
            # some servers write both into one file
            elif len(answered | failed) >= answers + errors:
                break
        return owed

    def _take(self, file_id: str | None) -> tuple[set[str], str | None]:
        """Store the answers of a result file, and note the failures.

        Returns:
            The keys of all its results, and what of it cannot be read.
        """
        if not file_id:
            return set(), None
        text = self.client.files.content(file_id).text
        estimates = {
            key: estimate
            for key, request in self._by_key.items()
            if (estimate := estimate_of(request, self.count_tokens))
        }
        taken = set()
        clean = self.provider.cleaned
        try:
            for key, result in read_results(text, file_id, self.condition, estimates, clean):
                taken.add(key)
                request = self._by_key.get(key)
                # of two results under one id the first counts, as in the store
                if request is not None and request.id not in self.answers:
                    self._settle(request, result)
        except UnreadableResult as error:
            return taken, str(error)
        return taken, None

    def _settle(self, request: Request, result: Reply | str) -> None:
        """Keep an answer, or note why there is none; one that two texts got is neither's."""
        if isinstance(result, str):
            self.failures[request.id] = result
            return
        reply = self.provider.redacted(result)
        if not self.condition.accepts(reply):
            self.failures[request.id] = refusal(reply)
        elif self._is_double(request, reply):
            earlier = self.doubles.taken_back(reply)
            for refused in (request, earlier):
                if refused is not None:
                    self.failures[refused.id] = self.doubles.reason(reply)
            if earlier is not None and earlier.id in self.answers:
                del self.answers[earlier.id]
                self.store.discard(self.texts[earlier.id])
        else:
            answer = Answer(request.id, reply, None, attempts=1, losses=Losses())
            self.store.put(self.texts[request.id], answer)
            self.answers[request.id] = answer
            self.failures.pop(request.id, None)

    def _is_double(self, request: Request, reply: Reply) -> bool:
        """Whether another text has the reply, by this run or by an earlier one."""
        kept = self.store.is_anothers(self.texts[request.id], reply)
        if kept is None:
            self.doubles.meaningless = True
        return self.doubles.is_double(request, reply, bool(kept))

    def _wait(self, batch_id: str) -> Batch:
        seconds, silent = self.policy.poll_seconds, 0
        self.store.renew(self.policy.claim_seconds)
        with tqdm(desc=f"{self.condition.name}: batch", unit="text") as bar:
            while True:
                batch = self.client.batches.retrieve(batch_id)
                status = self.provider.redact(status_of(batch))
                silent = 0 if status else silent + 1
                if silent >= self.policy.max_attempts:
                    raise UserError(
                        f"{self._key}: {self.provider.base_url} says no status of "
                        f"batch {batch_id}{begins(plain(batch, self.provider), 'its answer')}; run again to ask once more, "
                        "nothing is paid twice"
                    )
                bar.total = _count(batch, "total") or None
                bar.update(_count(batch, "completed") - bar.n)
                bar.set_postfix(status=visible(status))
                if status in ENDED or _holds_all(batch):
                    return batch
                if self._end is not None and time.monotonic() + seconds > self._end:
                    raise UserError(
                        f"{keys.MAX_MINUTES}: over while batch {batch_id} is {status or 'of no status'}; it "
                        "goes on at the provider: run again to wait for it, nothing is paid twice"
                    )
                self._pause(seconds)

    def _pause(self, seconds: float) -> None:
        """Wait, during which the claims hold and another process may have the store."""
        self.store.renew(self.policy.claim_seconds + seconds)
        with self.store.lent():
            time.sleep(seconds)


@dataclass(frozen=True)
class _Ended:
    """How a batch ended.

    Attributes:
        owed: which answers it owes still.
        input_file: id of what was uploaded for it.
        rejected: why the provider would not have it.
        too_large: whether it would have a smaller one.
    """

    status: str
    owed: str | None
    input_file: str | None = None
    rejected: str | None = None
    too_large: bool = False


def _holds_all(batch: Batch) -> bool:
    """Whether a batch has its results, whatever the server calls that."""
    total = _count(batch, "total")
    return bool(getattr(batch, "output_file_id", None)) and 0 < total == sum(_counts(batch))


def _errors(batch: Batch) -> list[Any]:
    """Why a batch was rejected; some servers give texts."""
    errors = getattr(batch, "errors", None)
    found = getattr(errors, "data", None) or errors or []
    return list(found) if isinstance(found, list | tuple) else [found]


def _counts(batch: Batch) -> tuple[int, int]:
    """How many answers and how many errors a batch says to have."""
    total, completed, failed = (_count(batch, name) for name in ("total", "completed", "failed"))
    # some servers count the failed among the completed
    return (min(completed, max(total - failed, 0)) if total else completed), failed


def _count(batch: Batch, name: str) -> int:
    """One of a batch's counts; 0 where it says none."""
    value = getattr(getattr(batch, "request_counts", None), name, None)
    return value if isinstance(value, int) and value > 0 else 0
