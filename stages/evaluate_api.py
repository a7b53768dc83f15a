"""Ask one API condition about the test slice: python -m stages.evaluate_api embedded_zero_shot"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lora_vs_api.api.client import ApiCondition, Request, ask_all
from lora_vs_api.api.local_server import serve
from lora_vs_api.api.results import write_answers
from lora_vs_api.config import Params
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl
from lora_vs_api.stage import argument, run_stage, say
from lora_vs_api.task.prompt import messages
from stages.common import BASE, TRAIN, evaluation_rows, record_fields


@contextmanager
def server(params: Params, name: str) -> Iterator[tuple[str, str]]:
    """Base URL and key of the API: a hosted one's, or those of a server that lives as long as this."""
    api = params.api
    if api.kind == "embedded":
        from lora_vs_api.model.loading import resolve_runtime

        runtime = resolve_runtime(params.device, params.model.dtype)
        dtype = str(runtime.dtype).removeprefix("torch.")
        say(f"{name}: starting transformers serve on loopback")
        with serve(
            BASE, params.conditions[name].model, device=params.device, dtype=dtype, port=api.port
        ) as url:
            yield url, "none-needed"
        return
    key = os.environ.get(api.key_env, "")
    if not key:
        raise UserError(f"{api.key_env}: not set in the environment; api.kind={api.kind} needs it")
    yield api.base_url, key


def main(params: Params) -> None:
    name = argument("a condition", "a key of conditions")
    api, condition, fields = params.api, params.conditions[name], record_fields(params)
    # examples come from train alone, the same ones for every email
    shots = random.Random(params.evaluate.shots_seed).sample(read_jsonl(TRAIN), condition.shots)
    requests = [
        Request(row["id"], messages(params.task.instruction, row["text"], fields, shots))
        for row in evaluation_rows(params)
    ]
    with server(params, name) as (base_url, key):
        started = time.perf_counter()
        answers = ask_all(
            requests,
            ApiCondition(
                name=name,
                model=condition.model,
                temperature=condition.temperature,
                reasoning_effort=condition.reasoning_effort,
                max_output_tokens=params.evaluate.max_new_tokens,
                endpoint=api.endpoint,
            ),
            base_url=base_url,
            api_key=key,
            concurrency=api.concurrency,
            timeout_seconds=api.timeout_seconds,
            max_attempts=api.max_attempts,
        )
        wall = time.perf_counter() - started
    write_answers(
        answers,
        wall,
        api.concurrency,
        predictions=f"predictions/{name}",
        timings=f"timings/evaluate/{name}.json",
    )


if __name__ == "__main__":
    run_stage(main)
