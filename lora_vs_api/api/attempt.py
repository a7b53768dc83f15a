"""One attempt at one request: a whole answer, something to retry, or the key that has to change."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lora_vs_api.api import keys
from lora_vs_api.api.budget import count_input_tokens
from lora_vs_api.api.connection import not_trusted, proxy_of
from lora_vs_api.api.diagnosis import Rejected, diagnose, refused_by_proxy
from lora_vs_api.api.pacing import rate_limit_pause
from lora_vs_api.api.provider import Provider, names_version
from lora_vs_api.api.replies import Estimate, read_reply, reply_in_error
from lora_vs_api.api.server_error import (
    PAGE,
    body_of,
    first_choice,
    message_of,
    opened,
    says_filtered,
    short,
    status_in,
    status_of_choice,
)
from lora_vs_api.api.types import ApiCondition, NoAnswer, Reply, Request
from lora_vs_api.api.wire import request_body
from lora_vs_api.errors import UserError
from lora_vs_api.record.parsing import part_thinking

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

CountTokens = Callable[[str], int]
# an answer that was cut with so small a part of its limit was not cut by that
EARLY = 0.9
# what failed before a byte of the request was sent cannot have been billed
UNSENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}
# server-sent events: fields and comments, a line each
EVENT = re.compile(r"\s*(?:(?:data|event|id|retry):|: ?\w|:[ \t]*[\r\n])")
# an integer of any length is one
DECODER = json.JSONDecoder(parse_int=float)
EVENT_DATA = re.compile(r"^data:(.*)$", re.M)


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
    provider: Provider,
    timeout_seconds: float,
    count_tokens: CountTokens | None,
) -> Attempt:
    """Ask once; the key is in nothing that comes of it.

    Raises:
        NoAnswer: no answer to score; another attempt may bring one.
        UserError: no further attempt can.
    """
    import openai

    try:
        # the client's own timeout restarts with every byte; a slow drip would never end
        async with asyncio.timeout(timeout_seconds):
            found = await _send(client, request, condition, provider, count_tokens)
    except (TimeoutError, openai.APITimeoutError) as error:
        why = f"no answer within {timeout_seconds:g} s"
        raise NoAnswer(why, billed=_was_sent(error)) from None
    except openai.APIStatusError as error:
        said = _cleaned(error, provider)
        estimate = estimate_of(request, count_tokens)
        reply = reply_in_error(error.status_code, said, condition, estimate)
        if reply is not None:
            return Attempt(reply, rate_limit_pause(error.response.headers), error.response)
        headers, url = error.response.headers, str(client.base_url)
        raise diagnose(error.status_code, said, headers, request, condition, url) from None
    except openai.APIConnectionError as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            # of a redirect that is not followed
            raise cause from None
        if type(cause).__name__ == "ProxyError" and re.match(r"4\d\d\b", str(cause)):
            # that of the tunnel to a server behind https; 5xx may pass
            raise UserError(refused_by_proxy(short(str(cause)))) from None
        untrusted = not_trusted(str(cause), str(client.base_url))
        if untrusted is not None:
            raise UserError(untrusted) from None
        why = f"connection failed: {type(cause).__name__} {cause}".rstrip()
        proxy = proxy_of(str(client.base_url))
        why += f" (through the proxy of {proxy})" if proxy else ""
        raise NoAnswer(why, billed=_was_sent(error)) from None
    # ValueError: half a character, say; RecursionError: nested too deeply to be looked through
    except (openai.APIResponseValidationError, ValueError, RecursionError):
        raise NoAnswer("the answer is not valid JSON") from None
    except openai.APIError as error:
        raise NoAnswer(short(provider.redact(error.message))) from None
    if condition.wants_json and found.reply.outcome == "answered":
        _check_format_is_known(found.reply.output, condition, str(client.base_url))
    if found.reply.outcome == "truncated":
        _check_context_is_not_full(found.reply, condition)
        if not condition.own_limit:
            _check_limit_leaves_room(found.reply, condition)
    return found


def _was_sent(error: BaseException) -> bool:
    return type(error.__cause__).__name__ not in UNSENT


def _cleaned(error: APIStatusError, provider: Provider) -> Any:
    """What the server says, without the key: before any of it is cut."""
    try:
        return provider.cleaned(body_of(error))
    except RecursionError:
        # nested too deeply to be looked through: the message alone
        return provider.redact(error.message)


async def _send(
    client: AsyncOpenAI,
    request: Request,
    condition: ApiCondition,
    provider: Provider,
    count_tokens: CountTokens | None,
) -> Attempt:
    body = request_body(request, condition)
    endpoint = client.chat.completions if condition.endpoint == "chat" else client.responses
    raw = await endpoint.with_raw_response.create(**body)
    # the plain JSON: the client's types would be built from whatever a server sent, unchecked
    answer = _json_of(raw.content, provider, str(client.base_url))
    status = status_in(answer) or status_of_choice(answer)
    if status is not None and not says_filtered(status, answer):
        url = str(client.base_url)
        said = first_choice(answer) or answer
        raise diagnose(status, said, raw.headers, request, condition, url)
    reply = provider.redacted(read_reply(answer, condition, estimate_of(request, count_tokens)))
    return Attempt(reply, rate_limit_pause(raw.headers), raw.http_response)


def _json_of(content: bytes, provider: Provider, base_url: str) -> Any:
    """The JSON of an answer, without the key.

    Raises:
        NoAnswer: it is none; the reason shows how it begins.
        UserError: it is a stream, which was not asked for and would come again.
    """
    try:
        return provider.cleaned(opened(json.loads(content)))
    # ValueError: no JSON, no UTF-8, or a number of more digits than Python reads
    except (ValueError, RecursionError):
        text = provider.redact(content.decode(errors="replace"))
    if EVENT.match(text):
        events = [opened(data) for data in EVENT_DATA.findall(text)]
        for event in events:
            if isinstance(event, dict) and _is_error(event):
                raise NoAnswer(f"error in an answer of status 200: {message_of(event)}")
        raise UserError(
            f"{keys.BASE_URL}: {base_url} streams its answer although it was told not to "
            '("stream": false); expected a server or gateway that heeds it'
        )
    # of a page its title
    said = short(message_of(text), 80)
    begins = f", it begins {said!r}" if text.strip() else ", it is empty"
    # of a gateway's own pages, where the path of its API is missing
    astray = said.startswith(PAGE) or not names_version(base_url)
    where = f"; is {keys.BASE_URL} the address of its API, with /v1?" if astray else ""
    raise NoAnswer(f"the answer is not valid JSON{begins}{where}")


def _is_error(event: dict[str, Any]) -> bool:
    """Whether an event of a stream is an error, which DashScope and others send without ``error`` around it."""
    bare = event.get("code") or event.get("status_code")
    return bool(event.get("error") or (bare and (event.get("message") or event.get("detail"))))


def _check_format_is_known(output: str, condition: ApiCondition, base_url: str) -> None:
    """Stop at the first whole answer that is no JSON: the server does not heed the format.

    One that is JSON several times over is a bad answer of a server that does: a model may begin again
    where its first object ends (OpenAI's, now and then), and the next text is answered well. So is an object
    that ends in the middle although nothing cut it (Novita behind OpenRouter, now and then).

    Raises:
        Rejected: naming the setting.
    """
    answer = part_thinking(output).answer
    try:
        _check_json(output if answer is None else answer)
    except (json.JSONDecodeError, RecursionError):
        what = "JSON Schema" if condition.schema is not None else "JSON format"
        # llama.cpp heeds it at one endpoint alone
        chat = f", or {keys.ENDPOINT}: chat" if condition.endpoint == "responses" else ""
        raise Rejected(
            f"{keys.parameter_key('response_format', condition.name)}: {base_url} ignores the "
            f"{what} that was sent: it answered {short(output, 60)!r}; expected text for this "
            f"server or endpoint{chat}",
            "response_format",
            answered=True,
        ) from None


def _check_json(text: str) -> None:
    """Raise JSONDecodeError, or RecursionError, where ``text`` is neither JSON, whole or half, nor objects one after another."""
    rest = text.strip()
    while True:
        try:
            value, end = DECODER.raw_decode(rest)
        except json.JSONDecodeError as error:
            ended = error.pos == len(rest) or error.msg.startswith("Unterminated string")
            if rest.startswith("{") and ended:
                return
            raise
        rest = rest[end:].lstrip()
        if not rest:
            return
        if not isinstance(value, dict):
            raise json.JSONDecodeError("Extra data", text, end)


def _check_context_is_not_full(reply: Reply, condition: ApiCondition) -> None:
    """Stop where a server has no room for a single token of an answer, which a higher limit does not mend.

    Raises:
        Rejected: it had not.
    """
    early = reply.output_tokens < EARLY * condition.max_output_tokens
    if reply.output or reply.tokens_estimated or not early:
        return
    raise Rejected(
        f"{keys.condition_key(condition.name)}: an answer was cut before it began, after {reply.output_tokens} of the "
        f"{condition.max_output_tokens} tokens that were asked for: with {reply.input_tokens:,} tokens of the request the "
        "server's context is full, or it has a limit of its own; expected a longer context or a higher limit there, fewer "
        "shots or shorter texts",
        answered=True,
    )


def _check_limit_leaves_room(reply: Reply, condition: ApiCondition) -> None:
    """Stop where a limit that was meant for records goes to reasoning, before an answer begins.

    Raises:
        Rejected: naming the setting that leaves the local models' limit as it is.
    """
    # white space is a bad answer where it was told to be no reasoning, or is long enough to have taken the
    # limit: a grammar lets a model write it without end, and no token has less than a character
    if reply.output.strip() or reply.reasoning_tokens == 0:
        return
    if reply.reasoning_tokens is None and len(reply.output) >= condition.max_output_tokens:
        return
    key = keys.parameter_key("max_output_tokens", condition.name)
    raise Rejected(
        f"{key}: reasoning took all {condition.max_output_tokens} tokens of decoding.max_new_tokens "
        "and left none for the answer; expected a higher limit for this condition alone, which "
        "trains nothing again",
        "max_output_tokens",
        answered=True,
    )
