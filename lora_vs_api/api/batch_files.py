"""The files of the Batch API: one request a line up, one result a line down.

https://platform.openai.com/docs/guides/batch
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lora_vs_api.api.diagnosis import blamed_key
from lora_vs_api.api.replies import Estimate, read_reply, reply_in_error
from lora_vs_api.api.server_error import (
    NO_REASON,
    REASONS,
    as_mapping,
    begins,
    holds_answer,
    opened,
    read_error,
    short,
    unwrapped,
)
from lora_vs_api.api.types import ApiCondition, Endpoint, NoAnswer, Reply, Request
from lora_vs_api.api.wire import request_body
from lora_vs_api.errors import UserError
from lora_vs_api.shown import visible

PATHS: Final[dict[Endpoint, Literal["/v1/responses", "/v1/chat/completions"]]] = {
    "responses": "/v1/responses",
    "chat": "/v1/chat/completions",
}


# of one batch, as OpenAI has them; Groq and Mistral take as many or more. A little less, since who counts in
# other units than these must not reject it
MOST_BYTES, MOST_REQUESTS = 190_000_000, 50_000


class UnreadableResult(UserError):
    """A line of a result file is none; another download may bring it whole."""


@dataclass(frozen=True)
class Part:
    """Requests of one batch, each with the key by which its result is known, and their lines."""

    requests: list[tuple[str, Request]]
    lines: list[bytes]

    @property
    def content(self) -> bytes:
        """What to upload."""
        return b"".join(self.lines)

    def halves(self) -> list[Part]:
        middle = len(self.lines) // 2
        return [
            Part(self.requests[:middle], self.lines[:middle]),
            Part(self.requests[middle:], self.lines[middle:]),
        ]


def parts(
    requests: Iterable[tuple[str, Request]],
    condition: ApiCondition,
    most_bytes: int = MOST_BYTES,
    most_requests: int = MOST_REQUESTS,
) -> Iterator[Part]:
    """As few batches as hold the requests, in their order; a request larger than one is one by itself."""
    part, size = Part([], []), 0
    for key, request in requests:
        line = _line(key, request, condition)
        if part.lines and (size + len(line) > most_bytes or len(part.lines) == most_requests):
            yield part
            part, size = Part([], []), 0
        part.requests.append((key, request))
        part.lines.append(line)
        size += len(line)
    if part.lines:
        yield part


def _line(key: str, request: Request, condition: ApiCondition) -> bytes:
    body = request_body(request, condition)
    # streaming is not for batches, and not even its absence may be mentioned
    body.pop("stream")
    body |= body.pop("extra_body", {})
    line = {"custom_id": key, "method": "POST", "url": PATHS[condition.endpoint], "body": body}
    return json.dumps(line).encode() + b"\n"


def read_results(
    text: str,
    file_id: str,
    condition: ApiCondition,
    estimates: Mapping[str, Estimate] | None = None,
    clean: Callable[[Any], Any] = lambda value: value,
) -> Iterator[tuple[str, Reply | str]]:
    """Of each line of a downloaded file: its key, and the reply or the reason why there is none.

    Args:
        estimates: of a key, what counts the tokens that the provider does not tell.
        clean: takes the API key out of a line's JSON, before any of it is cut or kept.

    Raises:
        UnreadableResult: after all others, naming the first line that is no result.
    """
    unreadable: list[int] = []
    first = ""
    # not splitlines: JSON strings may hold U+2028, which ends no line here
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = clean(_opened(json.loads(line)))
            key = entry["custom_id"]
            if not isinstance(key, str) or not isinstance(entry["response"], dict | str | None):
                raise TypeError
            found = _result(entry, condition, (estimates or {}).get(key))
        # ValueError: no JSON, or a number of more digits than Python reads; RecursionError: too deep
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            first = first or str(clean(line.strip()))
            unreadable.append(number)
        else:
            yield key, found
    if unreadable:
        more = f" (one of {len(unreadable)} such lines)" if len(unreadable) > 1 else ""
        begins = f", it begins {visible(short(first, 200))}" if first else ""
        raise UnreadableResult(
            f"line {unreadable[0]} of the batch's file {file_id} is not a result of the Batch API{more}{begins}"
        )


def _opened(entry: dict[str, Any]) -> dict[str, Any]:
    """A line whose answer and error are no longer texts of JSON, as some servers write them."""
    response = opened(entry.get("response"))
    response = as_mapping(response) or response
    if isinstance(response, dict) and "body" in response:
        response = response | {"body": opened(response["body"])}
    return entry | {"response": response, "error": opened(entry.get("error"))}


def _result(
    entry: dict[str, Any],
    condition: ApiCondition,
    estimate: Estimate | None,
) -> Reply | str:
    # some servers leave out what stands around an answer, or write its status as a text
    response = entry["response"]
    status, body = None, response
    if isinstance(response, dict):
        status, body = response.get("status_code"), response.get("body", response)
    holds_one = holds_answer(body)
    error = entry["error"]
    failed = any(error.values()) if isinstance(error, dict) else error
    if (status == 200 and (holds_one or not failed)) or (
        holds_one and not failed and str(status) in ("200", "None")
    ):
        try:
            return read_reply(body, condition, estimate)
        except NoAnswer as error:
            return error.reason
    told = f"status {status}: " if status is not None else ""
    said = (error if failed else None) or body or _error_beside(entry)
    if not said:
        rest = {name: value for name, value in entry.items() if name != "custom_id" and value}
        return f"{told}{NO_REASON}{begins(rest, 'the line')}"
    reply = reply_in_error(status, said, condition, estimate)
    if reply is not None:
        return reply
    error_said = read_error(said)
    key = blamed_key(status, error_said, condition)
    sets = "" if key is None else f"; {key} sets it"
    return told + error_said.message + sets


def _error_beside(entry: dict[str, Any]) -> dict[str, Any]:
    """The error of a line that has neither an answer nor an error where the Batch API has them, else an empty one.

    It may stand in ``result``, as in Anthropic's own batches, whose whole answers stand there too.
    """
    for found in (opened(entry.get("result")), entry):
        said = as_mapping(unwrapped(found))
        if any(isinstance(said.get(name), str) and said[name] for name in REASONS):
            return said
    return {}
