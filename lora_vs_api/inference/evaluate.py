"""Ask a local model about labelled texts and write down what it answered, used and took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_vs_api.files import new_directory, read_jsonl, write_json, write_jsonl
from lora_vs_api.inference.extractor import Extractor, extractor_of
from lora_vs_api.inference.generate import Generation
from lora_vs_api.model.energy import energy_meter, joules_between
from lora_vs_api.model.runtime import Machine, Runtime, machine
from lora_vs_api.paths import TEST

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from lora_vs_api.config.sections import Params


@dataclass(frozen=True)
class LocalTimings:
    """What a local model took, as ``timings/`` holds it.

    ``latency_seconds`` are those of the texts ``latency_ids``, each asked on its own;
    ``wall_seconds`` those of all texts in batches of ``batch_size``. Joules are the GPU's, by NVML;
    None where nothing measures them.
    """

    latency_ids: list[str]
    latency_seconds: list[float]
    throughput_texts_per_second: float
    batch_size: int
    wall_seconds: float
    batch_joules: float | None
    latency_joules: float | None
    machine: Machine


def answer_texts(
    extractor: Extractor,
    rows: Sequence[dict[str, Any]],
    *,
    description: str,
    predictions: str | Path,
) -> None:
    """Answer every row in batches; predictions.jsonl and usage.jsonl into ``predictions``.

    Raises:
        UserError: the token limit leaves no room for the longest gold record.
    """
    _write_answers(predictions, rows, _answers(extractor, rows, description))


def evaluate_local(
    extractor: Extractor,
    rows: Sequence[dict[str, Any]],
    runtime: Runtime,
    *,
    condition: str,
    latency_rows: int,
    predictions: str | Path,
    timings: str | Path,
) -> None:
    """Answer every row in batches, then the first ``latency_rows`` again one at a time.

    Writes what :func:`answer_texts` writes, and everything that was timed into the file
    ``timings``.
    """
    extractor.check_room(rows)
    meter, texts = energy_meter(runtime.device), [row["text"] for row in rows]
    before, started = meter(), time.perf_counter()
    answers = extractor.answers(texts, f"{condition}: answers")
    wall, batch_joules = time.perf_counter() - started, joules_between(before, meter())
    latencies, latency_joules = extractor.latencies(
        texts[:latency_rows], f"{condition}: latency", meter
    )
    _write_answers(predictions, rows, answers)
    took = LocalTimings(
        latency_ids=[row["id"] for row in rows[:latency_rows]],
        latency_seconds=[round(seconds, 4) for seconds in latencies],
        throughput_texts_per_second=round(len(rows) / wall, 4),
        batch_size=extractor.batch_size,
        wall_seconds=round(wall, 3),
        batch_joules=batch_joules,
        latency_joules=latency_joules,
        machine=machine(runtime),
    )
    write_json(timings, asdict(took))


def _answers(
    extractor: Extractor, rows: Sequence[dict[str, Any]], description: str
) -> list[Generation]:
    extractor.check_room(rows)
    return extractor.answers([row["text"] for row in rows], description)


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


def evaluate_condition(
    params: Params, condition: str, model: PreTrainedModel, runtime: Runtime
) -> None:
    """Answers and timings of ``model``, under the name ``condition``."""
    evaluate_local(
        extractor_of(params, model, constrained=params.decoding.constrained),
        read_jsonl(TEST, params.evaluate.test_rows),
        runtime,
        condition=condition,
        latency_rows=params.evaluate.latency_rows,
        predictions=f"predictions/evaluate/{condition}",
        timings=f"timings/evaluate/{condition}.json",
    )
