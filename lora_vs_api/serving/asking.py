"""Ask the fine-tune behind llama.cpp's or vLLM's server, with the client, prompt and clock of an API condition."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_vs_api.api.client import ask_all
from lora_vs_api.api.llama_server import processors, serve_gguf
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.types import Answer, ApiCondition, Request
from lora_vs_api.config.engines import vllm_version
from lora_vs_api.config.sections import VllmServing
from lora_vs_api.errors import UserError
from lora_vs_api.record.json_schema import json_schema
from lora_vs_api.record.prompt import completion, messages
from lora_vs_api.serving.endpoints import Endpoints, LlamaEndpoints, VllmEndpoints
from lora_vs_api.serving.vllm import serve_merged

if TYPE_CHECKING:
    from lora_vs_api.config.sections import Params
    from lora_vs_api.record.prompt import Message

# what it is called in requests and in the server's answers
NAME = "fine-tune"
LOG = "logs/serve-fine-tune.log"
# of one answer: no network is in between, so one that takes longer does not come
TIMEOUT_SECONDS = 600
MAX_SHOWN = 10  # texts that a message names


@dataclass(frozen=True)
class Answered:
    """Answers in the order of their texts, and the seconds that all of them took."""

    answers: list[Answer]
    wall_seconds: float


def serve_tuned(
    params: Params, model: str | Path, *, version: str | None = None
) -> AbstractContextManager[str]:
    """A server for the fine-tune, fresh and for one block alone; its URL for the client.

    Args:
        model: the file for llama.cpp, or the folder for vLLM.
        version: of vLLM, from who has asked for it; None: it is asked for here.
    """
    if isinstance(params.serving, VllmServing):
        if version is None:
            vllm_version(params.serving, params.runtime.device)
        return serve_merged(params.serving, Path(model), NAME, log=LOG)
    server = params.serving.server
    return serve_gguf(
        model,
        NAME,
        sha256=None,
        context=server.context,
        threads=server.threads,
        log=LOG,
        asked_by="serving.engine=llama_cpp",
        instead="serving=transformers",
    )


def endpoints_of(params: Params, url: str) -> Endpoints:
    """What else can be asked of the server at ``url``."""
    return VllmEndpoints(url) if isinstance(params.serving, VllmServing) else LlamaEndpoints(url)


def threads_of(params: Params) -> int:
    """How many the server computes with."""
    return params.serving.server.threads or processors()


def prompt_of(params: Params, text: str) -> list[Message]:
    """The chat that asks about ``text``: that of every condition."""
    return messages(params.task.instruction, text, params.task.record_fields)


def ask_tuned(
    params: Params,
    url: str,
    rows: Sequence[dict[str, Any]],
    description: str,
    *,
    constrained: bool,
    names: Sequence[str] | None = None,
) -> Answered:
    """Ask about every row, one at a time and in their order, each once.

    Args:
        rows: each with an id of its own and a text.
        description: what the progress is called.
        constrained: it can write only what the record's schema allows.
        names: what the texts are called in messages; None takes the ids.

    Raises:
        UserError: a text is longer than the server's context; nothing was asked then. Or the server
            failed.
    """
    check_texts(params, url, [row["text"] for row in rows], names or [row["id"] for row in rows])
    condition = ApiCondition(
        name=description,
        model=NAME,
        temperature=0,
        reasoning_effort=None,
        max_output_tokens=params.decoding.max_new_tokens,
        endpoint="chat",
        schema=json_schema(params.task.record_fields) if constrained else None,
        grammar="response_format" if isinstance(params.serving, VllmServing) else "compact",
        # the limit is the local models' own, and what they write within it is their answer
        own_limit=True,
        may_be_empty=True,
    )
    requests = [Request(row["id"], prompt_of(params, row["text"])) for row in rows]
    started = time.perf_counter()
    try:
        # a second attempt would find another cache than the first, and its bytes might differ
        answers = ask_all(
            requests, condition, Provider(url), AskPolicy(TIMEOUT_SECONDS, max_attempts=1)
        )
    except UserError as error:
        raise UserError(
            f"the fine-tune behind {endpoints_of(params, url).engine}'s server: {error}"
        ) from None
    return Answered(answers, time.perf_counter() - started)


def check_records(params: Params, url: str, rows: Sequence[dict[str, Any]]) -> None:
    """Make sure that the record of every row fits into the token limit.

    Raises:
        UserError: a perfect answer would be truncated.
    """
    fields, limit = params.task.record_fields, params.decoding.max_new_tokens
    endpoints = endpoints_of(params, url)
    texts = [completion(row["record"], fields) for row in rows]
    # no token is shorter than a byte
    longest = max(
        (len(endpoints.answer_tokens(text)) + 1 for text in texts if len(text.encode()) >= limit),
        default=0,
    )
    if longest > limit:
        raise UserError(
            f"decoding.max_new_tokens: {limit} is too few, the longest record takes {longest} tokens"
        )


def check_texts(params: Params, url: str, texts: Sequence[str], names: Sequence[str]) -> None:
    """Make sure that the server's context holds every text with its answer.

    Raises:
        UserError: a line for each text that is too long, called as ``names`` says.
    """
    context, limit = params.serving.server.context, params.decoding.max_new_tokens
    around = len(prompt_tokens(params, url, "")) if texts else 0
    lines = []
    for text, name in zip(texts, names, strict=True):
        # no token is shorter than a byte: most texts need no counting
        if len(text.encode()) + around + limit <= context:
            continue
        found = len(prompt_tokens(params, url, text))
        if found + limit > context:
            lines.append(
                f"{name}: its prompt of {found:,} tokens and an answer of up to {limit:,} "
                f"(decoding.max_new_tokens) are more than {context:,} (serving.server.context)"
            )
    if lines:
        more = f"\n… and {len(lines) - MAX_SHOWN} more" if len(lines) > MAX_SHOWN else ""
        raise UserError("\n".join(lines[:MAX_SHOWN]) + more)


def prompt_tokens(params: Params, url: str, text: str) -> list[int]:
    """Token ids of the chat about ``text``, as the server makes them."""
    return endpoints_of(params, url).chat_tokens(prompt_of(params, text))
