"""The files of the Batch API: one request a line up, one result a line down.

https://platform.openai.com/docs/guides/batch
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal

from lora_vs_api.api.replies import Estimate, filtered_reply, read_reply, unfit_reply
from lora_vs_api.api.server_error import message_of, says_filtered, short
from lora_vs_api.api.types import ApiCondition, Endpoint, NoAnswer, Reply, Request
from lora_vs_api.api.wire import request_body
from lora_vs_api.errors import UserError
from lora_vs_api.shown import visible

PATHS: Final[dict[Endpoint, Literal["/v1/responses", "/v1/chat/completions"]]] = {
    "responses": "/v1/responses",
    "chat": "/v1/chat/completions",
}


class UnreadableResult(UserError):
    """A line of a result file is none; another download may bring it whole."""


def batch_file(requests: Iterable[tuple[str, Request]], condition: ApiCondition) -> bytes:
    """What to upload for requests, each under the key by which its result is known."""
    lines = []
    for key, request in requests:
        body = request_body(request, condition)
        # streaming is not for batches, and not even its absence may be mentioned
        body.pop("stream")
        body |= body.pop("extra_body", {})
        line = {"custom_id": key, "method": "POST", "url": PATHS[condition.endpoint], "body": body}
        lines.append(json.dumps(line))
    return "\n".join(lines).encode() + b"\n"


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
            entry = clean(json.loads(line))
            key, response = entry["custom_id"], entry.get("response") or {}
            if not isinstance(key, str) or not isinstance(response, dict):
                raise TypeError
            found = _result(entry, response, condition, (estimates or {}).get(key))
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


def _result(
    entry: dict[str, Any],
    response: dict[str, Any],
    condition: ApiCondition,
    estimate: Estimate | None,
) -> Reply | str:
    # some servers leave out what stands around an answer, or write its status as a text
    status, body = response.get("status_code"), response.get("body", response)
    holds_one = isinstance(body, dict) and not {"choices", "output"}.isdisjoint(body)
    error = entry.get("error")
    failed = any(error.values()) if isinstance(error, dict) else error
    if status == 200 or (holds_one and not failed and str(status) in ("200", "None")):
        try:
            return read_reply(body, condition, estimate)
        except NoAnswer as error:
            return error.reason
    inner = body.get("error") if isinstance(body, dict) else None
    said = entry.get("error") or inner or body or "no reason given"
    if says_filtered(status, said):
        return filtered_reply(estimate)
    unfit = unfit_reply(said, condition, estimate)
    return unfit or (f"status {status}: " if status is not None else "") + message_of(said)
