"""Ask a local model about labelled texts and write down what it answered, used and took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from lora_vs_api.files import new_directory, write_json, write_jsonl
from lora_vs_api.model.constrained import record_grammar
from lora_vs_api.model.energy import energy_meter, joules_between
from lora_vs_api.model.inference import Generation, check_room, generate, measure_latency
from lora_vs_api.model.runtime import Runtime, machine
from lora_vs_api.task.prompt import completion, messages
from lora_vs_api.task.schema import Field
from lora_vs_api.task.scoring import score_output

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def score_on(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, Any]],
    instruction: str,
    fields: tuple[Field, ...],
    *,
    max_new_tokens: int,
    batch_size: int,
    description: str,
    constrained: bool = False,
) -> dict[str, Any]:
    """Mean field F1, valid-JSON and strict rates over ``rows``, each in 0..1, and their number.

    ``constrained`` lets the model write only what the fields' schema allows.
    """
    check_room(tokenizer, [completion(row["record"], fields) for row in rows], max_new_tokens)
    answers = generate(
        model,
        tokenizer,
        [messages(instruction, row["text"], fields) for row in rows],
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        description=description,
        grammar=record_grammar(model, tokenizer, fields) if constrained else None,
    )
    scores = [
        score_output(answer.output, row["record"], fields)
        for answer, row in zip(answers, rows, strict=True)
    ]
    return {
        "texts": len(rows),
        "field_f1": round(fmean(score.field_f1 for score in scores), 6),
        "valid_json": round(fmean(score.valid_json for score in scores), 6),
        "strict": round(fmean(score.strict for score in scores), 6),
    }


def answer_texts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, Any]],
    instruction: str,
    fields: tuple[Field, ...],
    *,
    description: str,
    max_new_tokens: int,
    batch_size: int,
    constrained: bool,
    predictions: str | Path,
) -> None:
    """Answer every row in batches; predictions.jsonl and usage.jsonl into ``predictions``.

    ``constrained`` lets the model write only what the fields' schema allows.

    Raises:
        UserError: ``max_new_tokens`` leaves no room for the longest gold record.
    """
    check_room(tokenizer, [completion(row["record"], fields) for row in rows], max_new_tokens)
    answers = generate(
        model,
        tokenizer,
        [messages(instruction, row["text"], fields) for row in rows],
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        description=description,
        grammar=record_grammar(model, tokenizer, fields) if constrained else None,
    )
    _write_answers(predictions, rows, answers)


def evaluate_local(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, Any]],
    instruction: str,
    fields: tuple[Field, ...],
    runtime: Runtime,
    *,
    condition: str,
    max_new_tokens: int,
    batch_size: int,
    constrained: bool,
    latency_rows: int,
    predictions: str | Path,
    timings: str | Path,
) -> None:
    """Answer every row in batches, then the first ``latency_rows`` again one at a time.

    Writes what :func:`answer_texts` writes, and everything that was timed into the file
    ``timings``.
    """
    check_room(tokenizer, [completion(row["record"], fields) for row in rows], max_new_tokens)
    prompts = [messages(instruction, row["text"], fields) for row in rows]
    grammar = record_grammar(model, tokenizer, fields) if constrained else None
    meter = energy_meter(runtime.device)
    before, started = meter(), time.perf_counter()
    answers = generate(
        model,
        tokenizer,
        prompts,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        description=f"{condition}: answers",
        grammar=grammar,
    )
    wall, batch_joules = time.perf_counter() - started, joules_between(before, meter())
    latencies, latency_joules = measure_latency(
        model,
        tokenizer,
        prompts[:latency_rows],
        max_new_tokens=max_new_tokens,
        description=f"{condition}: latency",
        meter=meter,
        grammar=grammar,
    )
    _write_answers(predictions, rows, answers)
    write_json(
        timings,
        {
            "latency_ids": [row["id"] for row in rows[:latency_rows]],
            "latency_seconds": [round(seconds, 4) for seconds in latencies],
            "throughput_texts_per_second": round(len(rows) / wall, 4),
            "batch_size": batch_size,
            "wall_seconds": round(wall, 3),
            # of the GPU, by NVML; null where nothing measures them
            "batch_joules": batch_joules,
            "latency_joules": latency_joules,
            "machine": machine(runtime),
        },
    )


def _write_answers(
    predictions: str | Path, rows: Sequence[dict[str, Any]], answers: Sequence[Generation]
) -> None:
    with new_directory(predictions) as folder:
        write_jsonl(
            folder / "predictions.jsonl",
            (
                {
                    "id": row["id"],
                    "output": answer.output,
                    "outcome": "truncated" if answer.truncated else "answered",
                }
                for row, answer in zip(rows, answers, strict=True)
            ),
        )
        write_jsonl(
            folder / "usage.jsonl",
            (
                {
                    "id": row["id"],
                    "input_tokens": answer.input_tokens,
                    "output_tokens": answer.output_tokens,
                }
                for row, answer in zip(rows, answers, strict=True)
            ),
        )
