"""What the environment adds to a connection: proxies, certificates and OpenAI's own variables."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from lora_vs_api.api import keys
from lora_vs_api.api.provider import Provider
from lora_vs_api.config.addresses import is_loopback
from lora_vs_api.errors import UserError

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
SCHEMES = ("http", "https", "socks5", "socks5h")
OPENAI_HOST = "api.openai.com"


def check_environment(provider: Provider) -> None:
    """See that what the environment says of proxies and certificates can be used.

    Raises:
        UserError: naming the variable at fault, without a proxy's password.
    """
    if not provider.behind_proxy:
        return  # on loopback none of it applies
    for name, value in _proxies():
        _check_proxy(name, value)
    for name, is_there, kind in (
        ("SSL_CERT_FILE", Path.is_file, "file"),
        ("SSL_CERT_DIR", Path.is_dir, "folder"),
    ):
        path = os.environ.get(name)
        if path and not is_there(Path(path)):
            raise UserError(
                f"{name}: no such {kind}: {path}; expected certificates in PEM, or unset it"
            )
    _try_to_connect()


def _proxies() -> list[tuple[str, str]]:
    """Variables that name a proxy, in either spelling."""
    names = [spelling for name in PROXIES for spelling in (name, name.lower())]
    return [(name, os.environ[name]) for name in names if os.environ.get(name)]


def proxy_names() -> list[str]:
    """The variables that name a proxy."""
    return [name for name, _ in _proxies()]


def not_trusted(why: str, base_url: str) -> str | None:
    """What to say of a connection whose encryption fails, which no retry mends; None for another fault.

    Args:
        why: what the HTTP library says.
    """
    said = " ".join(why.split())
    if "CERTIFICATE_VERIFY_FAILED" in why and is_loopback(base_url):
        return (
            f"{keys.BASE_URL}: the certificate of {base_url} is not trusted: {said}; expected http://, since "
            "variables such as SSL_CERT_FILE count for other machines alone"
        )
    if "CERTIFICATE_VERIFY_FAILED" in why:
        return (
            f"SSL_CERT_FILE: the certificate of {base_url} is not trusted here: {said}; expected a file "
            "with the certificate of whoever signed it, such as a company's own authority"
        )
    if "WRONG_VERSION_NUMBER" in why or "UNKNOWN_PROTOCOL" in why:
        proxy = _proxy_behind_https(base_url)
        if proxy is not None:
            return (
                f"{proxy}: the proxy at https://… does not speak https itself: {said}; expected http:// "
                f"before its address, which carries https too, or {base_url} at another port"
            )
        # elsewhere key and texts would cross a network that anybody reads
        expected = "http:// or another port" if is_loopback(base_url) else "another port"
        return f"{keys.BASE_URL}: {base_url} does not speak https: {said}; expected {expected}"
    return None


def _proxy_behind_https(base_url: str) -> str | None:
    """The variable of the proxy that requests go through, where they go to it by https; else None."""
    name = proxy_of(base_url)
    return name if name and os.environ[name].lower().startswith("https://") else None


def proxy_of(base_url: str) -> str | None:
    """The variable of the proxy that requests go through; None where they go straight to the server."""
    address = urlsplit(base_url)
    if is_loopback(base_url) or proxy_bypass(address.hostname or ""):
        return None
    for name in (f"{address.scheme.upper()}_PROXY", "ALL_PROXY"):
        # as the HTTP library does, the small spelling first
        for spelling in (name.lower(), name):
            if os.environ.get(spelling):
                return spelling
    return None


def _check_proxy(name: str, value: str) -> None:
    form = (
        f"{name}: expected a proxy's address such as http://proxy.example.org:8080, "
        "or unset it for a direct connection"
    )
    # a bare host and port is taken for http
    value = value if "://" in value else f"http://{value}"
    try:
        address = urlsplit(value)
        usable = bool(address.hostname) and (address.port is None or address.port > 0)
    except ValueError:
        raise UserError(f"{form}; found one that is no address") from None
    if not usable or address.scheme not in SCHEMES:
        raise UserError(f"{form}; found {address.scheme or 'nothing'}://…")
    if address.scheme.startswith("socks") and find_spec("socksio") is None:
        raise UserError(
            f"{name}: {address.scheme}:// needs a package that is not installed; "
            "`pip install socksio`, name an http proxy, or unset it"
        )


def _try_to_connect() -> None:
    """Make an HTTP client as for a request: what it cannot use, it says now."""
    from openai import DefaultHttpxClient

    try:
        DefaultHttpxClient(trust_env=True).close()
    except OSError as error:
        # of the certificates: nothing else is opened yet
        name = "SSL_CERT_FILE" if os.environ.get("SSL_CERT_FILE") else "certificates"
        why = " ".join(str(error.strerror or error).split())
        raise UserError(f"{name}: cannot be read as certificates in PEM: {why}") from None
    except Exception as error:
        # the library's own classes have no common base; its text may hold a proxy's password
        names = ", ".join(proxy_names()) or "NO_PROXY"
        raise UserError(
            f"{names}: cannot be used as proxies ({type(error).__name__}); "
            "expected addresses such as http://proxy.example.org:8080"
        ) from None


def own_headers(provider: Provider) -> dict[str, Any]:
    """Headers that keep OpenAI's variables from any other server.

    The openai client adds an organisation, a project and custom headers from the environment to
    every request, whoever it goes to.
    """
    from openai import Omit

    host = urlsplit(provider.base_url).hostname or ""
    if host == OPENAI_HOST or host.endswith(f".{OPENAI_HOST}"):
        return {}
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    custom = [line.partition(":")[0].strip() for line in lines if ":" in line]
    headers: dict[str, Any] = {
        name: Omit() for name in ("OpenAI-Organization", "OpenAI-Project", *custom)
    }
    for name in custom:
        if name.lower() == "authorization":
            headers[name] = f"Bearer {provider.sent_key}"
    return headers
