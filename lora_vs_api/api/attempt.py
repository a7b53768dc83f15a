"""One attempt at one request: a whole answer, something to retry, or the key that has to change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lora_vs_api.api import keys
from lora_vs_api.api.budget import count_input_tokens
from lora_vs_api.api.diagnosis import diagnose, short
from lora_vs_api.api.pacing import rate_limit_pause
from lora_vs_api.api.replies import Estimate, read_reply
from lora_vs_api.api.types import ApiCondition, NoAnswer, Reply, Request
from lora_vs_api.api.wire import request_body
from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CountTokens = Callable[[str], int]
# what failed before a byte of the request was sent cannot have been billed
UNSENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}


@dataclass(frozen=True)
class Attempt:
    """A reply, the seconds to leave the server alone after it, and the HTTP response it came in."""

    reply: Reply
    pause: float | None
    response: Any

    async def drop_connection(self) -> None:
        """Let no other request use the connection: its answers are out of order."""
        stream = self.response.extensions.get("network_stream")
        if stream is not None:
            await stream.aclose()


def estimate_of(request: Request, count_tokens: CountTokens | None) -> Estimate | None:
    """What counts the tokens of an answer to ``request`` where the server does not."""
    if count_tokens is None:
        return None
    return lambda output: (count_input_tokens(request.messages, count_tokens), count_tokens(output))


async def attempt(
    client: AsyncOpenAI,
    request: Request,
    condition: ApiCondition,
    timeout_seconds: float,
    count_tokens: CountTokens | None,
) -> Attempt:
    """Ask once.

    Raises:
        NoAnswer: no answer to score; another attempt may bring one.
        UserError: no further attempt can.
    """
    import openai

    try:
        # the client's own timeout restarts with every byte; a slow drip would never end
        async with asyncio.timeout(timeout_seconds):
            found = await _send(client, request, condition, count_tokens)
    except (TimeoutError, openai.APITimeoutError) as error:
        why = f"no answer within {timeout_seconds:g} s"
        raise NoAnswer(why, billed=_was_sent(error)) from None
    except openai.APIStatusError as error:
        raise diagnose(error, request, condition, str(client.base_url)) from None
    except openai.APIConnectionError as error:
        cause = error.__cause__ or error
        why = f"connection failed: {type(cause).__name__} {cause}".rstrip()
        raise NoAnswer(why, billed=_was_sent(error)) from None
    # ValueError: no JSON, no UTF-8, or a number of more digits than Python reads
    except (openai.APIResponseValidationError, ValueError, RecursionError):
        raise NoAnswer("the answer is not valid JSON") from None
    except openai.APIError as error:
        raise NoAnswer(short(error.message)) from None
    if condition.schema is not None and found.reply.outcome == "answered":
        _check_schema_is_known(found.reply.output, condition, str(client.base_url))
    return found


def _was_sent(error: BaseException) -> bool:
    return type(error.__cause__).__name__ not in UNSENT


async def _send(
    client: AsyncOpenAI,
    request: Request,
    condition: ApiCondition,
    count_tokens: CountTokens | None,
) -> Attempt:
    body = request_body(request, condition)
    endpoint = client.chat.completions if condition.endpoint == "chat" else client.responses
    raw = await endpoint.with_raw_response.create(**body)
    # the plain JSON: the client's types would be built from whatever a server sent, unchecked
    reply = read_reply(json.loads(raw.content), condition, estimate_of(request, count_tokens))
    return Attempt(reply, rate_limit_pause(raw.headers), raw.http_response)


def _check_schema_is_known(output: str, condition: ApiCondition, base_url: str) -> None:
    """Stop at the first whole answer that is no JSON: the server does not heed the schema.

    Raises:
        UserError: naming the setting.
    """
    try:
        json.loads(output)
    except (json.JSONDecodeError, RecursionError):
        raise UserError(
            f"{keys.parameter_key('response_format', condition.name)}: {base_url} ignores the JSON "
            f"Schema that was sent: it answered {short(output, 60)!r}; expected text for this "
            "server or endpoint"
        ) from None
