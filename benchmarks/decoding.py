"""Ways in which transformers decodes on a GPU, beside the pipeline's: where an answer's time goes.

At batch 1 a small model waits for its kernels to be launched, not for memory. What launches them at once
is a CUDA graph: behind a compiled static cache, or in continuous batching. Each way answers the same
emails, once to set itself up and then on the clock; setting up is stated apart. A second model has the
shape of Qwen2.5-1.5B and random weights: it writes nonsense to the limit, at the speed of a real one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from benchmarks.inference import ADAPTER, plain
from benchmarks.timing import Row
from benchmarks.training import composed
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import TEST
from lora_vs_api.record.prompt import messages

EMAILS, ALONE = 96, 6


def run(given: argparse.Namespace) -> list[Row]:
    if given.device != "cuda":
        print("decoding: of a GPU alone; nothing is measured", flush=True)
        return []
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from lora_vs_api.model.loading import load_tokenizer, load_tuned
    from lora_vs_api.model.runtime import resolve_runtime

    params = composed("smol-gpu")
    rows = read_jsonl(TEST)[:EMAILS]
    fields, limit = params.task.record_fields, params.decoding.max_new_tokens
    prompts = [messages(params.task.instruction, row["text"], fields) for row in rows]
    tokenizer = load_tokenizer(given.model, params.runtime.pad_token)
    runtime = resolve_runtime("cuda", "bfloat16")
    found = measured(
        "the fine-tune",
        load_tuned(given.model, given.merged or ADAPTER, runtime),
        tokenizer,
        prompts,
        limit,
    )
    torch.manual_seed(0)
    shape = Qwen2Config(
        vocab_size=151936,
        hidden_size=1536,
        intermediate_size=8960,
        num_hidden_layers=28,
        num_attention_heads=12,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    with torch.device("cuda"):
        random: Any = Qwen2ForCausalLM(shape)
    random = random.to(torch.bfloat16).eval()
    random.generation_config.eos_token_id = tokenizer.eos_token_id
    return found + measured("the shape of Qwen2.5-1.5B", random, tokenizer, prompts[:32], limit)


def measured(what: str, model: Any, tokenizer: Any, prompts: Any, limit: int) -> list[Row]:
    """A row for each way, one email at a time and, where a way has them, in batches."""
    from lora_vs_api.inference.generate import generate

    def ours(some: Any) -> list[str]:
        answers = generate(
            model, tokenizer, some, max_new_tokens=limit, batch_size=32, description=what
        )
        return [answer.output for answer in answers]

    ways: dict[str, tuple[AbstractContextManager[Callable[[Any], list[str]]], bool]] = {
        "plain `generate`": (
            nullcontext(lambda some: plain(model, tokenizer, some, limit, 1)),
            False,
        ),
        "ours": (nullcontext(ours), True),
        "continuous batching": (continuous(model, tokenizer, prompts, limit), True),
        # last: how long it compiles is not known
        "static cache, compiled": (
            nullcontext(lambda some: static(model, tokenizer, some, limit)),
            False,
        ),
    }
    rows, expected = [], ours(prompts)
    for way, (entered, together) in ways.items():
        try:
            with entered as answer:
                found = timed(f"{what}, {way}", answer, together, prompts, expected, tokenizer)
        except (RuntimeError, ValueError, TypeError, ImportError, UserError) as error:
            print(f"{what}, {way}: {type(error).__name__}: {error}"[:2000], flush=True)
            continue
        # at once: a lent card may be gone before the last way is measured
        for row in found:
            print(f"{row.what}: {row.ours:.4g} {row.unit} {dict(row.notes)}", flush=True)
        rows += found
    return rows


def timed(
    what: str, answer: Callable[[Any], list[str]], together: bool, prompts: Any, expected: Any,
    tokenizer: Any,
) -> list[Row]:  # fmt: skip
    started = time.perf_counter()
    # continuous batching makes room for as many as it is first asked
    answer(prompts if together else prompts[:1])
    setting_up = time.perf_counter() - started
    seconds, outputs = [], []
    for prompt in prompts[:ALONE]:
        started = time.perf_counter()
        outputs += answer([prompt])
        seconds.append(time.perf_counter() - started)
    tokens = sum(len(tokenizer(text)["input_ids"]) + 1 for text in outputs)
    notes = {
        "answer tokens/s": round(tokens / sum(seconds)),
        "equal answers": f"{sum(a == b for a, b in zip(outputs, expected))} of {len(outputs)}",
        "seconds to set up": round(setting_up, 2),
    }
    rows = [Row("decoding", f"{what}, one at a time", "s", statistics.median(seconds), notes=notes)]
    if together:
        started = time.perf_counter()
        outputs = answer(prompts)
        took = time.perf_counter() - started
        tokens = sum(len(tokenizer(text)["input_ids"]) + 1 for text in outputs)
        notes = {
            "answer tokens/s": round(tokens / took),
            "equal answers": f"{sum(a == b for a, b in zip(outputs, expected))} of {len(outputs)}",
        }
        rows.append(Row("decoding", f"{what}, all at once", "s", took / len(prompts), notes=notes))
    return rows


def static(model: Any, tokenizer: Any, prompts: Any, limit: int) -> list[str]:
    """What transformers compiles of itself where the cache has a fixed size."""
    import torch

    answers = []
    for prompt in prompts:
        text = tokenizer.apply_chat_template(
            list(prompt), add_generation_prompt=True, tokenize=False
        )
        batch = tokenizer([text], return_tensors="pt", add_special_tokens=False).to(model.device)
        with torch.inference_mode():
            produced = model.generate(
                **batch,
                max_new_tokens=limit,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
                cache_implementation="static",
            )
        answers += tokenizer.batch_decode(
            produced[:, batch["input_ids"].shape[1] :], skip_special_tokens=True
        )
    return answers


@contextmanager
def continuous(
    model: Any, tokenizer: Any, prompts: Any, limit: int
) -> Iterator[Callable[[Any], list[str]]]:
    """transformers' own server loop: pages of keys, CUDA graphs, all requests in flight.

    Started once, with room for ``prompts``, as a server is.
    """
    from transformers import ContinuousBatchingConfig, GenerationConfig
    from transformers.generation.continuous_batching.utils import WorkloadHints

    def encoded(some: Any) -> list[list[int]]:
        return [
            tokenizer(
                tokenizer.apply_chat_template(
                    list(prompt), add_generation_prompt=True, tokenize=False
                ),
                add_special_tokens=False,
            )["input_ids"]
            for prompt in some
        ]

    settings = GenerationConfig(
        max_new_tokens=limit,
        do_sample=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    hints = WorkloadHints(
        max_prompt_length=max(map(len, encoded(prompts))),
        max_generated_length=limit,
        num_requests=len(prompts),
    )
    with model.continuous_batching_context_manager(
        generation_config=settings,
        continuous_batching_config=ContinuousBatchingConfig(
            use_cuda_graph=True, max_memory_percent=0.3, auto_switch_to_flash=False
        ),
        block=True,
        timeout=5,
        workload_hints=hints,
    ) as manager:

        def answers(some: Any) -> list[str]:
            asked = manager.add_requests(inputs=encoded(some), max_new_tokens=limit)
            found: dict[str, str] = {}
            while len(found) < len(asked):
                one = manager.get_result(timeout=10)
                if one is None and not manager.is_running():
                    raise RuntimeError(f"stopped after {len(found)} of {len(asked)} answers")
                if one is not None and one.is_finished():
                    if one.error:
                        raise RuntimeError(one.error)
                    found[one.request_id] = tokenizer.decode(
                        one.generated_tokens, skip_special_tokens=True
                    )
            return [found[name] for name in asked]

        yield answers
