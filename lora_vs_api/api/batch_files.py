"""The files of the Batch API: one request a line up, one result a line down.

https://platform.openai.com/docs/guides/batch
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

from lora_vs_api.api.diagnosis import says_filtered, short
from lora_vs_api.api.replies import Estimate, filtered_reply, read_reply, unfit_reply
from lora_vs_api.api.types import ApiCondition, Endpoint, NoAnswer, Reply, Request
from lora_vs_api.api.wire import request_body
from lora_vs_api.errors import UserError

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
        line = {"custom_id": key, "method": "POST", "url": PATHS[condition.endpoint], "body": body}
        lines.append(json.dumps(line))
    return "\n".join(lines).encode() + b"\n"


def read_results(
    text: str,
    file_id: str,
    condition: ApiCondition,
    estimates: Mapping[str, Estimate] | None = None,
) -> Iterator[tuple[str, Reply | str]]:
    """Of each line of a downloaded file: its key, and the reply or the reason why there is none.

    Args:
        estimates: of a key, what counts the tokens that the provider does not tell.

    Raises:
        UnreadableResult: naming the first line that is no result.
    """
    # not splitlines: JSON strings may hold U+2028, which ends no line here
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            key, response = entry["custom_id"], entry.get("response") or {}
            body = response.get("body") or {}
            if not isinstance(key, str):
                raise TypeError
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise UnreadableResult(
                f"line {number} of the batch's file {file_id} is not a result of the Batch API"
            ) from None
        if response.get("status_code") != 200:
            error = entry.get("error") or body.get("error") or body or "no reason given"
            if says_filtered(response.get("status_code"), error):
                yield key, filtered_reply((estimates or {}).get(key))
                continue
            unfit = unfit_reply(error, condition, (estimates or {}).get(key))
            if unfit is not None:
                yield key, unfit
                continue
            reason = error.get("message", error) if isinstance(error, dict) else error
            yield key, f"status {response.get('status_code')}: {short(str(reason))}"
            continue
        try:
            yield key, read_reply(body, condition, (estimates or {}).get(key))
        except NoAnswer as error:
            yield key, error.reason
