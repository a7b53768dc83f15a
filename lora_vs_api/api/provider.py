"""The server that is asked: its address and key."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from lora_vs_api.api import keys
from lora_vs_api.api.types import Reply
from lora_vs_api.config.addresses import is_loopback
from lora_vs_api.errors import UserError

QUOTES = ("'", '"')


class Leaving(Protocol):
    """A request of the HTTP library that is about to leave."""

    @property
    def url(self) -> object: ...

    @property
    def method(self) -> str: ...


@dataclass(frozen=True)
class Provider:
    """An OpenAI-compatible server.

    Attributes:
        base_url: with its ``/v1``.
        api_key: None for a server that wants none; the environment's is not used then.

    Raises:
        UserError: the key cannot be sent. It would turn up in the HTTP library's complaint.
    """

    base_url: str
    # no key in any repr: those end up in logs and tracebacks
    api_key: str | None = field(default=None, repr=False)
    # the variable that holds the key, for what is said of it
    variable: str | None = None

    def __post_init__(self) -> None:
        key = self.api_key
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            raise UserError(
                f"{keys.KEY_ENV}: {self._named_key} holds characters that no API key has; "
                "expected printable ASCII without spaces or line breaks"
            )
        if key is not None and key[:1] in QUOTES and key[-1:] == key[:1]:
            # as `docker run --env-file` and make take them from a file
            raise UserError(
                f"{keys.KEY_ENV}: {self._named_key} stands in quotes, which would be sent with it; expected the key alone"
            )

    @property
    def _named_key(self) -> str:
        return "the key" if self.variable is None else f"the key in {self.variable}"

    @property
    def sent_key(self) -> str:
        """The key for the openai client, which would take OPENAI_API_KEY for None."""
        return self.api_key or "none"

    @property
    def host(self) -> str:
        return host_of(self.base_url)

    @property
    def behind_proxy(self) -> bool:
        """Whether a proxy named by the environment applies: never to a server on loopback."""
        return not is_loopback(self.base_url)

    def redact(self, text: str) -> str:
        """``text`` without the key, wherever a server quoted it."""
        if not self.api_key:
            return text
        # JSON within a text may have its slashes escaped (PHP)
        escaped = self.api_key.replace("/", "\\/")
        return text.replace(self.api_key, "[API key]").replace(escaped, "[API key]")

    def cleaned(self, value: Any) -> Any:
        """The JSON of a server without the key, in names and texts.

        To be called before anything of it is cut: of a key in two halves neither is found again.
        """
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, dict):
            return {self.cleaned(name): self.cleaned(item) for name, item in value.items()}
        return [self.cleaned(item) for item in value] if isinstance(value, list) else value

    def redacted(self, reply: Reply) -> Reply:
        """``reply`` as it may be kept: the key may stand in parts that were put together."""
        return replace(
            reply,
            output=self.redact(reply.output),
            response_id=self.redact(reply.response_id),
            served_model=self.redact(reply.served_model),
        )

    @property
    def http_options(self) -> dict[str, Any]:
        """For the HTTP client, of blocking calls: requests leave for this server alone."""
        return {"trust_env": self.behind_proxy, "event_hooks": {"request": [self._keep_here]}}

    @property
    def async_http_options(self) -> dict[str, Any]:
        """As ``http_options``, for a client that does not block."""

        async def keep_here(request: Leaving) -> None:
            self._keep_here(request)

        return {"trust_env": self.behind_proxy, "event_hooks": {"request": [keep_here]}}

    def _keep_here(self, request: Leaving) -> None:
        """Refuse a redirect to another host, unless it is this one's https, and one that loses the request.

        The HTTP library would follow it with the texts in the request, though without the key; and of 301, 302 and
        303 it makes a request for a page, as browsers do.

        Raises:
            UserError: naming the host.
        """
        here, there = urlsplit(self.base_url), urlsplit(str(request.url))
        same = (there.scheme, self.host) == (here.scheme, host_of(str(request.url)))
        secured = (here.scheme, there.scheme) == ("http", "https")
        if not same and not (secured and there.hostname == here.hostname):
            raise UserError(
                f"{keys.BASE_URL}: {self.base_url} redirects to {there.scheme}://"
                f"{host_of(str(request.url))}, which was sent nothing; expected the address of the "
                "server that answers"
            )
        if request.method == "GET" and there.path.rstrip("/").endswith(_POSTED):
            raise UserError(
                f"{keys.BASE_URL}: {self.base_url} redirects to {there.scheme}://{host_of(str(request.url))}{there.path} "
                "in a way that loses the request (301, 302 or 303); expected an address that answers by itself, such as "
                "that one's"
            )


# what is sent to these is never asked for as a page
_POSTED = ("/chat/completions", "/responses", "/files")


def names_version(base_url: str) -> bool:
    """Whether an address names a version of an API, as ``/v1`` and ``/api/paas/v4`` do."""
    return bool(re.search(r"/v\d", urlsplit(base_url).path))


def host_of(base_url: str) -> str:
    """Host and port alone, for an address may carry a password."""
    address = urlsplit(base_url)
    return f"{address.hostname}:{address.port}" if address.port else str(address.hostname)
