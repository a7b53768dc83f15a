"""What a server answers beside chats: its template, its tokens and its probabilities.

llama.cpp's: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
vLLM's: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, ClassVar, Protocol

from lora_vs_api.api.child_server import direct
from lora_vs_api.errors import UserError

TIMEOUT_SECONDS = 600

Chat = Sequence[Mapping[str, str]]


class Unanswerable(UserError):
    """The server is there and says that it cannot do this with the model that it has."""


@dataclass(frozen=True)
class Probe:
    """Tokens that were chosen greedily after a prompt, with their log-probabilities in nats."""

    tokens: list[int]
    logprobs: list[float]


class Endpoints(Protocol):
    """A server at one URL, that for an OpenAI client."""

    engine: ClassVar[str]

    def template_text(self, messages: Chat) -> str | None:
        """The chat as one text, up to where the answer begins; None from a server that tells its tokens alone."""

    def chat_tokens(self, messages: Chat) -> list[int]:
        """Token ids of the chat, up to where the answer begins."""

    def answer_tokens(self, text: str) -> list[int]:
        """Token ids of an answer."""

    def probe(self, prompt: Sequence[int], length: int) -> Probe:
        """The most likely tokens after the token ids ``prompt``, ``length`` at most; nothing is remembered."""


@dataclass(frozen=True)
class LlamaEndpoints:
    """llama.cpp's server."""

    url: str
    engine: ClassVar[str] = "llama.cpp"

    def template_text(self, messages: Chat) -> str:
        """By the template in the model file."""
        return str(self._post("/apply-template", {"messages": list(messages)})["prompt"])

    def chat_tokens(self, messages: Chat) -> list[int]:
        """Of the text above, marks of the chat taken as marks."""
        return self._tokens(self.template_text(messages), prompt=True)

    def answer_tokens(self, text: str) -> list[int]:
        return self._tokens(text, prompt=False)

    def probe(self, prompt: Sequence[int], length: int) -> Probe:
        """As :class:`Endpoints` has it.

        The server leaves out the probabilities of tokens that are part of a character: what comes
        before the first of those is returned.
        """
        body = {
            "prompt": list(prompt),
            "n_predict": length,
            "temperature": 0,
            "n_probs": 1,
            "cache_prompt": False,
            "return_tokens": True,
        }
        found = self._post("/completion", body)
        told = takewhile(
            lambda pair: pair[0] == pair[1]["id"],
            zip(found["tokens"], found.get("completion_probabilities", []), strict=False),
        )
        steps = [step for _, step in told]
        return Probe([step["id"] for step in steps], [step["logprob"] for step in steps])

    def _tokens(self, text: str, *, prompt: bool) -> list[int]:
        body = {"content": text, "add_special": prompt, "parse_special": prompt}
        return list(self._post("/tokenize", body)["tokens"])

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return _post(self.engine, self.url, path, body)


@dataclass(frozen=True)
class VllmEndpoints:
    """vLLM's server."""

    url: str
    engine: ClassVar[str] = "vLLM"

    def template_text(self, messages: Chat) -> None:
        """It gives no text, and its tokens are compared all the same."""

    def chat_tokens(self, messages: Chat) -> list[int]:
        """By the template in the model's folder."""
        body = {"messages": list(messages), "add_generation_prompt": True}
        return list(_post(self.engine, self.url, "/tokenize", body)["tokens"])

    def answer_tokens(self, text: str) -> list[int]:
        body = {"prompt": text, "add_special_tokens": False}
        return list(_post(self.engine, self.url, "/tokenize", body)["tokens"])

    def probe(self, prompt: Sequence[int], length: int) -> Probe:
        body = {
            "prompt": list(prompt),
            "max_tokens": length,
            "temperature": 0,
            "logprobs": 0,
            # else a token is told as its text, which is not always one
            "return_tokens_as_token_ids": True,
        }
        found = _post(self.engine, self.url, "/v1/completions", body)["choices"][0]["logprobs"]
        ids = [int(name.removeprefix("token_id:")) for name in found["tokens"]]
        return Probe(ids, list(found["token_logprobs"]))


def _post(engine: str, url: str, path: str, body: Mapping[str, Any]) -> Any:
    request = urllib.request.Request(
        url.removesuffix("/v1") + path,
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with direct.open(request, timeout=TIMEOUT_SECONDS) as response:
            return json.loads(response.read())
    except urllib.error.HTTPError as error:
        raise Unanswerable(f"{engine}'s server: {path}: {error}") from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise UserError(f"{engine}'s server: {path}: {error}") from None
