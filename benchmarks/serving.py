"""The fine-tune as it is deployed, behind an HTTP server, against plain ``generate`` of transformers.

Every engine answers the same emails in each round, with one and with several requests in flight, and
plain ``generate``, one email after another, is in every round what all are compared with. One pass
gives the three numbers that a deployment is chosen by: the latency of one request at a time, requests a
second, and what a thousand cost on a rented machine. Texts that differ from plain's are counted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.inference import ADAPTER, plain
from benchmarks.timing import Row
from benchmarks.training import composed
from lora_vs_api.api.client import ask_all
from lora_vs_api.api.llama_server import serve_gguf
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.provider import Provider
from lora_vs_api.api.types import ApiCondition, Request
from lora_vs_api.config.sections import Params
from lora_vs_api.digests import file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import TEST
from lora_vs_api.record.prompt import Message, messages
from lora_vs_api.stats.economics import rented_cost_per_1k

EMAILS = {"cpu": 16, "cuda": 128}
IN_FLIGHT = (1, 4, 8)
CONTEXT = 4096  # tokens of a prompt and its answer
GGUF = "models/served/seed-0/model.gguf"
NAME = "fine-tune"
TIMEOUT_SECONDS = 600.0
# half of plain's seconds for one email at a time
GOAL = 2.0

Prompts = Sequence[Sequence[Message]]


@dataclass(frozen=True)
class Pass:
    """All emails answered once: the texts, the seconds of each, of all, and the joules of all."""

    outputs: list[str]
    latencies: list[float]
    wall: float
    joules: float | None


@dataclass
class Engine:
    """A way to answer ``prompts`` with so many in flight; its passes by that number."""

    name: str
    answer: Callable[[Prompts, int], tuple[list[str], list[float]]]
    passes: dict[int, list[Pass]] = field(default_factory=dict)


def run(given: argparse.Namespace) -> list[Row]:
    from lora_vs_api.model.energy import energy_meter, joules_between
    from lora_vs_api.model.loading import load_tokenizer, load_tuned
    from lora_vs_api.model.runtime import resolve_runtime

    params = composed("laptop" if given.device == "cpu" else "smol-gpu")
    rows = read_jsonl(TEST)[: EMAILS[given.device]]
    prompts = [
        messages(params.task.instruction, r["text"], params.task.record_fields) for r in rows
    ]
    limit = params.decoding.max_new_tokens
    files, urls = _files(given), _urls(given)
    runtime = resolve_runtime(given.device, "auto")
    model = load_tuned(given.model, given.merged or ADAPTER, runtime)
    tokenizer = load_tokenizer(given.model, params.runtime.pad_token)
    dtype = str(runtime.dtype).removeprefix("torch.")

    def generated(asked: Prompts, size: int) -> tuple[list[str], list[float]]:
        outputs: list[str] = []
        latencies: list[float] = []
        for start in range(0, len(asked), size):
            started = time.perf_counter()
            outputs += plain(model, tokenizer, asked[start : start + size], limit, size)
            # who waits for a batch waits for its longest answer
            latencies += [time.perf_counter() - started] * (len(outputs) - len(latencies))
        return outputs, latencies

    meter = energy_meter(given.device)
    with ExitStack() as servers:
        engines = [Engine(f"transformers, plain `generate`, {dtype}", generated)]
        for file in files:
            # each ends with this process, and is idle while another engine answers
            url = servers.enter_context(
                serve_gguf(
                    file,
                    NAME,
                    sha256=file_sha256(file),
                    context=CONTEXT,
                    log=f"logs/benchmark-{file.stem}.log",
                )
            )
            engines.append(Engine(f"llama.cpp, {_called(file)}, one slot", _over(url, NAME, limit)))
        for name, url in urls.items():
            engines.append(Engine(name, _over(url, _served_model(url), limit)))
        for engine in engines:
            engine.answer(prompts[:1], 1)
        rounds = max(1, given.rounds // 2)
        for index in tqdm(range(rounds), desc="serving", unit="round"):
            # who comes first changes from round to round
            turn = index % len(engines)
            for engine in engines[turn:] + engines[:turn]:
                for in_flight in IN_FLIGHT:
                    before, started = meter(), time.perf_counter()
                    outputs, latencies = engine.answer(prompts, in_flight)
                    wall = time.perf_counter() - started
                    joules = joules_between(before, meter())
                    done = Pass(outputs, latencies, wall, joules)
                    engine.passes.setdefault(in_flight, []).append(done)
    return _rows(engines, params, len(prompts))


def _files(given: argparse.Namespace) -> list[Path]:
    files = [Path(name) for name in given.gguf or [GGUF]]
    for file in files:
        if not file.is_file():
            raise UserError(
                f"--gguf: {file}: no such file; expected the fine-tune converted for llama.cpp, as "
                "`dvc repro` leaves it with serving=llama_cpp"
            )
    return files


def _urls(given: argparse.Namespace) -> dict[str, str]:
    found = {}
    for server in given.server or ():
        name, _, url = server.partition("=")
        if not name or not url.startswith(("http://", "https://")):
            raise UserError(
                f"--server: expected NAME=URL such as vllm=http://127.0.0.1:8000/v1, found {server}"
            )
        found[name] = url
    return found


def _called(file: Path) -> str:
    """What tells files of one model apart: their names, or folders where these are alike."""
    return f"{file.parent.name}/{file.name}" if file.stem == "model" else file.stem


def _served_model(url: str) -> str:
    """What a server that was started by hand calls its first model."""
    from openai import OpenAI, OpenAIError

    try:
        with OpenAI(base_url=url, api_key="none", timeout=10) as client:
            return client.models.list().data[0].id
    except (OpenAIError, IndexError) as error:
        raise UserError(f"--server: {url}: no model is served there ({error})") from None


def _over(url: str, model: str, limit: int) -> Callable[[Prompts, int], Any]:
    """Answers over HTTP, by the client and the clock that a condition is asked with."""

    def answer(asked: Prompts, in_flight: int) -> tuple[list[str], list[float]]:
        condition = ApiCondition(
            name="serving",
            model=model,
            temperature=0,
            reasoning_effort=None,
            max_output_tokens=limit,
            endpoint="chat",
            own_limit=True,
        )
        policy = AskPolicy(TIMEOUT_SECONDS, max_attempts=1, concurrency=in_flight, quiet=True)
        requests = [Request(str(place), prompt) for place, prompt in enumerate(asked)]
        answers = ask_all(requests, condition, Provider(url), policy)
        return [a.reply.output for a in answers], [a.latency_seconds or 0.0 for a in answers]

    return answer


def _rows(engines: Sequence[Engine], params: Params, emails: int) -> list[Row]:
    reference = engines[0]
    alone = reference.passes[1]
    rows = [_latency(engine, reference, emails) for engine in engines[1:]]
    usd = params.economics.rented_usd_per_hour
    for engine in engines:
        for in_flight, passes in engine.passes.items():
            if engine is reference and in_flight == 1:
                continue
            rate = emails / statistics.median(one.wall for one in passes)
            notes = {"median s of an answer": f"{_median_latency(passes[-1]):.2f}"}
            if usd is not None:
                notes["a thousand"] = (
                    f"USD {rented_cost_per_1k(1 / rate, usd):.3f} at {usd:g} an hour"
                )
            joules = [one.joules for one in passes if one.joules is not None]
            if joules:
                notes["J an answer"] = f"{statistics.median(joules) / emails:.1f}"
            rows.append(
                Row(
                    "serving",
                    f"{engine.name}, {in_flight} in flight",
                    "requests/s",
                    rate,
                    emails / statistics.median(one.wall for one in alone),
                    f"{reference.name}, one by one",
                    tuple(
                        plain.wall / ours.wall for ours, plain in zip(passes, alone, strict=True)
                    ),
                    notes=notes,
                )
            )
    return rows


def _latency(engine: Engine, reference: Engine, emails: int) -> Row:
    ours, theirs = engine.passes[1], reference.passes[1]
    same = sum(a == b for a, b in zip(ours[-1].outputs, theirs[-1].outputs, strict=True))
    again = all(one.outputs == ours[0].outputs for one in ours)
    return Row(
        "serving",
        f"{engine.name}, one at a time, median of {emails} emails",
        "s",
        statistics.median(map(_median_latency, ours)),
        statistics.median(map(_median_latency, theirs)),
        f"{reference.name}, one by one",
        tuple(
            _median_latency(plain) / _median_latency(one)
            for one, plain in zip(ours, theirs, strict=True)
        ),
        GOAL,
        {
            "equal answers": f"{same} of {emails}",
            "the same in every round": "yes" if again else "no",
        },
    )


def _median_latency(done: Pass) -> float:
    return statistics.median(done.latencies)
