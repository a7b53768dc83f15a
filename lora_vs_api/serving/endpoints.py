"""What llama.cpp's server answers beside chats: its template, its tokens and its probabilities.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from lora_vs_api.api.child_server import direct
from lora_vs_api.errors import UserError

TIMEOUT_SECONDS = 600


class Unanswerable(UserError):
    """The server is there and says that it cannot do this with the model that it has."""


@dataclass(frozen=True)
class Probe:
    """Tokens that were chosen greedily after a prompt, with their log-probabilities in nats."""

    tokens: list[int]
    logprobs: list[float]


def rendered(url: str, messages: Sequence[Mapping[str, str]]) -> str:
    """The chat as one text, up to where the answer begins, by the template in the model file."""
    return str(_post(url, "/apply-template", {"messages": list(messages)})["prompt"])


def tokens(url: str, text: str, *, prompt: bool) -> list[int]:
    """Token ids of ``text``; of a ``prompt`` as the server takes one, marks of the chat as marks."""
    body = {"content": text, "add_special": prompt, "parse_special": prompt}
    return list(_post(url, "/tokenize", body)["tokens"])


def probe(url: str, prompt: Sequence[int], length: int) -> Probe:
    """The most likely tokens after the token ids ``prompt``, ``length`` at most; nothing is remembered.

    The server leaves out the probabilities of tokens that are part of a character: what comes before
    the first of those is returned.
    """
    body = {
        "prompt": list(prompt),
        "n_predict": length,
        "temperature": 0,
        "n_probs": 1,
        "cache_prompt": False,
        "return_tokens": True,
    }
    found = _post(url, "/completion", body)
    told = takewhile(
        lambda pair: pair[0] == pair[1]["id"],
        zip(found["tokens"], found.get("completion_probabilities", []), strict=False),
    )
    steps = [step for _, step in told]
    return Probe([step["id"] for step in steps], [step["logprob"] for step in steps])


def _post(url: str, path: str, body: Mapping[str, Any]) -> Any:
    """``url`` is the one for an OpenAI client."""
    request = urllib.request.Request(
        url.removesuffix("/v1") + path,
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with direct.open(request, timeout=TIMEOUT_SECONDS) as response:
            return json.loads(response.read())
    except urllib.error.HTTPError as error:
        raise Unanswerable(f"llama.cpp's server: {path}: {error}") from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise UserError(f"llama.cpp's server: {path}: {error}") from None
