"""Ask a predictor about labelled texts and write down what it answered and took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lora_vs_api.files import new_directory, write_json, write_jsonl
from lora_vs_api.model_free.predictors import learn
from lora_vs_api.processor import cpu_name
from lora_vs_api.record.prompt import completion

if TYPE_CHECKING:
    from lora_vs_api.record.fields import Field
    from lora_vs_api.record.rows import Row

# microseconds: the quickest answer takes some
DIGITS = 7


@dataclass(frozen=True)
class Machine:
    """What a timing was taken on; no number's precision and no torch belong to it."""

    device: str
    name: str
    threads: int


@dataclass(frozen=True)
class PredictorTimings:
    """What a predictor took, as ``timings/`` holds it.

    ``learning_seconds`` are spent once. The rest is as for a local model, one text at a time on one
    thread: ``latency_seconds`` are those of the texts ``latency_ids``, ``wall_seconds`` those of all.
    """

    learning_seconds: float
    latency_ids: list[str]
    latency_seconds: list[float]
    throughput_texts_per_second: float
    batch_size: int
    wall_seconds: float
    machine: Machine


def evaluate_predictor(
    name: str,
    training: Sequence[Row],
    rows: Sequence[Row],
    fields: tuple[Field, ...],
    *,
    latency_rows: int,
    predictions: str | Path,
    timings: str | Path,
) -> None:
    """Learn from ``training``, answer ``rows`` one by one, and the first of them again for latency.

    Writes predictions.jsonl and usage.jsonl, without tokens, into ``predictions`` and everything that
    was timed into the file ``timings``. Of ``rows`` the predictor is handed the texts alone.
    """
    started = time.perf_counter()
    predictor = learn(name, training, fields)
    learnt = time.perf_counter()

    def answer(text: str) -> str:
        return completion(predictor.predict(text), fields)

    outputs = [answer(row["text"]) for row in rows]
    wall = time.perf_counter() - learnt
    latencies = [_seconds(answer, row["text"]) for row in rows[:latency_rows]]
    with new_directory(predictions) as folder:
        write_jsonl(
            folder / "predictions.jsonl",
            (
                {"id": row["id"], "output": output, "outcome": "answered"}
                for row, output in zip(rows, outputs, strict=True)
            ),
        )
        write_jsonl(
            folder / "usage.jsonl",
            ({"id": row["id"], "input_tokens": 0, "output_tokens": 0} for row in rows),
        )
    took = PredictorTimings(
        learning_seconds=round(learnt - started, 3),
        latency_ids=[row["id"] for row in rows[:latency_rows]],
        latency_seconds=[round(seconds, DIGITS) for seconds in latencies],
        throughput_texts_per_second=round(len(rows) / wall, 4),
        batch_size=1,
        wall_seconds=round(wall, DIGITS),
        machine=Machine("cpu", cpu_name(), 1),
    )
    write_json(timings, asdict(took))


def _seconds(answer: Callable[[str], str], text: str) -> float:
    started = time.perf_counter()
    answer(text)
    return time.perf_counter() - started
