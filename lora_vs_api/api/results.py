"""API answers as node outputs: what was said and billed, apart from what was timed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lora_vs_api.files import new_directory, write_json, write_jsonl

if TYPE_CHECKING:
    from lora_vs_api.api.asking import Asked


def write_answers(
    asked: Asked, *, mode: str, concurrency: int, predictions: str | Path, timings: str | Path
) -> None:
    """Write predictions.jsonl and usage.jsonl into ``predictions``, everything timed to ``timings``.

    Where an earlier call paid for some answers their latency is that call's, and no throughput
    is known. Replicates are for replicates.jsonl; nothing is scored from them but the noise.
    """
    answers = asked.answers
    with new_directory(predictions) as folder:
        write_jsonl(
            folder / "predictions.jsonl",
            ({"id": a.id, "output": a.output, "outcome": a.outcome} for a in answers),
        )
        write_jsonl(
            folder / "usage.jsonl",
            (
                {"id": a.id, "input_tokens": a.input_tokens, "output_tokens": a.output_tokens}
                for a in answers
            ),
        )
        if asked.again:
            write_jsonl(
                folder / "replicates.jsonl",
                (
                    {
                        "id": request.id.removesuffix(f"#{request.replicate}"),
                        "replicate": request.replicate,
                        "output": answer.output,
                    }
                    for request, answer in asked.again
                ),
            )
    write_json(
        timings,
        {
            "latency_ids": [a.id for a in answers if a.latency_seconds is not None],
            "latency_seconds": [
                round(a.latency_seconds, 4) for a in answers if a.latency_seconds is not None
            ],
            "throughput_texts_per_second": None
            if mode == "batch" or any(asked.stored)
            else round((len(answers) + len(asked.again)) / asked.wall_seconds, 4),
            "mode": mode,
            "concurrency": concurrency,
            # the provider's prompt cache comes and goes with time, so it is no part of usage
            "cached_input_tokens": [a.cached_input_tokens for a in answers],
            "attempts": [a.attempts for a in answers],
            "stored": asked.stored,
            "response_ids": [a.response_id for a in answers],
            "served_models": sorted({a.served_model for a in answers}),
            "wall_seconds": round(asked.wall_seconds, 3),
        },
    )
