"""Answers to the test slice: the pipeline's generation against plain ``generate``.

One by one is what a first script does; batched as it comes is what a second one does. Answers
are compared text by text: with float32 every one has to be equal, with bfloat16 a batch of
another shape rounds otherwise, and what that changes is counted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from benchmarks.timing import Row, compared, seconds, side_by_side
from benchmarks.training import composed
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import TEST
from lora_vs_api.record.prompt import messages

EMAILS = {"cpu": 32, "cuda": 96}
# by the plain loop, one at a time, so many of them; the rest is taken to be like these
LOOPED = {"cpu": 32, "cuda": 24}
MAX_TIMED = {"cpu": 24, "cuda": 8}
DTYPES = {"cpu": ("bfloat16", "float32"), "cuda": ("bfloat16",)}
ADAPTER = "models/train/seed-0"


def run(given: argparse.Namespace) -> list[Row]:
    from lora_vs_api.inference.generate import generate
    from lora_vs_api.model.loading import load_tokenizer, load_tuned
    from lora_vs_api.model.runtime import resolve_runtime

    adapter = given.merged or ADAPTER
    params = composed("laptop" if given.device == "cpu" else "smol-gpu")
    fields, batch = params.task.record_fields, params.decoding.batch_size
    rows = read_jsonl(TEST)[: EMAILS[given.device]]
    prompts = [messages(params.task.instruction, row["text"], fields) for row in rows]
    limit = params.decoding.max_new_tokens
    result = []
    for dtype in DTYPES[given.device]:
        runtime = resolve_runtime(given.device, dtype)
        model = load_tuned(given.model, adapter, runtime)
        tokenizer = load_tokenizer(given.model, params.runtime.pad_token)

        asked = {"max_new_tokens": limit, "batch_size": batch, "description": "ours"}
        ways = {
            "a loop of `generate`, one by one": (1, 6.0 if given.device == "cpu" else 40.0),
            f"`generate` in batches of {batch} as they come": (batch, None),
        }
        plain(model, tokenizer, prompts[:1], limit, 1)
        for against, (size, goal) in ways.items():
            if dtype == "float32" and size > 1:
                continue
            mine, theirs = [], []
            for _ in range(1 if size == 1 else max(1, given.rounds // 2)):
                started = time.perf_counter()
                outputs = [a.output for a in generate(model, tokenizer, prompts, **asked)]
                mine.append(time.perf_counter() - started)
                started = time.perf_counter()
                asked_too = prompts[: LOOPED[given.device]] if size == 1 else prompts
                expected = plain(model, tokenizer, asked_too, limit, size)
                share = len(asked_too) / len(prompts)
                theirs.append((time.perf_counter() - started) / share)
            equal = sum(a == b for a, b in zip(outputs, expected))
            tokens = sum(len(tokenizer(text)["input_ids"]) + 1 for text in outputs)
            result.append(
                compared(
                    "inference",
                    f"{dtype}, {len(prompts)} emails, batches of {batch}, adapter merged",
                    "emails/s",
                    len(prompts),
                    (mine, theirs),
                    against,
                    goal,
                    **{
                        "answer tokens/s, ours": round(tokens / min(mine)),
                        "equal answers": f"{equal} of {len(expected)}",
                    },
                )
            )
        timed = prompts[: min(params.evaluate.latency_rows, MAX_TIMED[given.device])]
        result.append(latency(given, dtype, model, tokenizer, timed, limit))
        if dtype == "bfloat16":
            result.append(constrained(given, model, tokenizer, prompts, fields, asked))
    return result


def latency(
    given: argparse.Namespace, dtype: str, model: Any, tokenizer: Any, prompts: Any, limit: int
) -> Row:
    """Median seconds of one prompt at a time, as `evaluate` measures it, against plain `generate`.

    Both from text to text, and both ask the first prompt once before the clock counts.
    """
    from lora_vs_api.inference.generate import generate, measure_latency
    from lora_vs_api.model.energy import energy_meter

    meter = energy_meter(given.device)

    def ours() -> float:
        taken, _ = measure_latency(
            model, tokenizer, prompts, max_new_tokens=limit, description="latency", meter=meter
        )
        return statistics.median(taken)

    def theirs() -> float:
        plain(model, tokenizer, prompts[:1], limit, 1)
        # the answer comes back as text, so a GPU is done when it does
        return statistics.median(
            seconds(lambda p=prompt: plain(model, tokenizer, [p], limit, 1)) for prompt in prompts
        )

    mine, plains = [], []
    for index in range(max(1, given.rounds // 2)):
        if index % 2 == 0:
            mine.append(ours())
        plains.append(theirs())
        if index % 2:
            mine.append(ours())
    answers = generate(
        model, tokenizer, prompts, max_new_tokens=limit, batch_size=1, description="answers"
    )
    expected = plain(model, tokenizer, prompts, limit, 1)
    equal = sum(answer.output == text for answer, text in zip(answers, expected))
    return Row(
        "inference",
        f"{dtype}, one at a time, median of {len(prompts)} emails",
        "s",
        statistics.median(mine),
        statistics.median(plains),
        "plain `generate`, one at a time",
        tuple(theirs / mine for mine, theirs in zip(mine, plains)),
        # half of the reference's seconds
        2.0 if given.device == "cuda" else None,
        {"equal answers": f"{equal} of {len(prompts)}"},
    )


def constrained(
    given: argparse.Namespace, model: Any, tokenizer: Any, prompts: Any, fields: Any, asked: Any
) -> Row:
    """The pipeline's own generation with and without the schema's grammar."""
    from lora_vs_api.inference.constrained import record_grammar
    from lora_vs_api.inference.generate import generate
    from lora_vs_api.record.parsing import parse_record

    started = time.perf_counter()
    grammar = record_grammar(model, tokenizer, fields)
    building = time.perf_counter() - started

    def answers(with_grammar: bool) -> list[str]:
        chosen = grammar if with_grammar else None
        found = generate(model, tokenizer, prompts, **asked, grammar=chosen)
        return [answer.output for answer in found]

    bound, free = answers(True), answers(False)
    times = side_by_side(
        lambda: answers(True),
        lambda: answers(False),
        max(1, given.rounds // 2),
        "constrained",
        warm_up=False,
    )
    return compared(
        "inference",
        f"bfloat16, {len(prompts)} emails, constrained to the schema",
        "emails/s",
        len(prompts),
        times,
        "the same without constraint",
        **{
            "valid JSON, constrained and not": f"{valid(bound, parse_record)} and "
            f"{valid(free, parse_record)} of {len(prompts)}",
            "equal answers": f"{sum(a == b for a, b in zip(bound, free))} of {len(prompts)}",
            "seconds to build the grammar, not in the ratio": round(building, 2),
        },
    )


def valid(outputs: list[str], parse: Any) -> int:
    return sum(parse(output) is not None for output in outputs)


def plain(model: Any, tokenizer: Any, prompts: Any, limit: int, size: int) -> list[str]:
    """`generate` as its documentation shows it, greedy, in batches of ``size``."""
    import torch

    tokenizer.padding_side = "left"
    answers = []
    for start in range(0, len(prompts), size):
        texts = [
            tokenizer.apply_chat_template(list(prompt), add_generation_prompt=True, tokenize=False)
            for prompt in prompts[start : start + size]
        ]
        batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        batch = batch.to(model.device)
        with torch.inference_mode():
            produced = model.generate(
                **batch, max_new_tokens=limit, do_sample=False, pad_token_id=tokenizer.pad_token_id
            )
        answers += tokenizer.batch_decode(
            produced[:, batch["input_ids"].shape[1] :], skip_special_tokens=True
        )
    return answers
