"""The server that is asked: its address and key."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lora_vs_api.api import keys
from lora_vs_api.errors import UserError


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

    def __post_init__(self) -> None:
        key = self.api_key
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            raise UserError(
                f"{keys.KEY_ENV}: the key holds characters that no API key has; "
                "expected printable ASCII without spaces or line breaks"
            )

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
        return text.replace(self.api_key, "[API key]") if self.api_key else text


def host_of(base_url: str) -> str:
    """Host and port alone, for an address may carry a password."""
    address = urlsplit(base_url)
    return f"{address.hostname}:{address.port}" if address.port else str(address.hostname)


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
