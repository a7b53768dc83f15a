"""API answers as node outputs: what was said and billed, apart from what was timed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lora_vs_api.api.types import Answer, ConditionRun, Reply, Request
from lora_vs_api.files import new_directory, write_json, write_jsonl


def _scored(reply: Reply) -> str:
    """The output to score: of a text that was refused or filtered none, whatever had been said."""
    return reply.output if reply.is_scored else ""


def write_predictions(
    answers: Sequence[Answer],
    predictions: str | Path,
    replicates: Sequence[tuple[Request, Answer]] = (),
) -> None:
    """Write predictions.jsonl and usage.jsonl into ``predictions``; replicates where there are any."""
    with new_directory(predictions) as folder:
        write_jsonl(
            folder / "predictions.jsonl",
            ({"id": a.id, "output": _scored(a.reply), "outcome": a.reply.outcome} for a in answers),
        )
        write_jsonl(
            folder / "usage.jsonl",
            (
                {
                    "id": a.id,
                    "input_tokens": a.reply.input_tokens,
                    "output_tokens": a.reply.output_tokens,
                }
                for a in answers
            ),
        )
        if replicates:
            write_jsonl(
                folder / "replicates.jsonl",
                (
                    {
                        "id": request.id.removesuffix(f"#{request.replicate}"),
                        "replicate": request.replicate,
                        "output": _scored(answer.reply),
                    }
                    for request, answer in replicates
                ),
            )


def write_answers(
    run: ConditionRun, *, mode: str, predictions: str | Path, timings: str | Path
) -> None:
    """Write predictions.jsonl and usage.jsonl into ``predictions``, everything timed to ``timings``.

    ``latency_concurrency`` has the number in flight of each latency, null where it is not known.
    Lists that count by answer hold null where an answer was stored by a version that did not count.
    Where an earlier call paid for some answers their latency is that call's, and no throughput
    is known. Replicates are for replicates.jsonl; nothing is scored from them but the noise.
    """
    answers = run.answers
    timed = [a for a in answers if a.latency_seconds is not None]
    losses = [a.losses for a in answers]
    write_predictions(answers, predictions, run.replicates)
    write_json(
        timings,
        {
            "latency_ids": [a.id for a in timed],
            "latency_seconds": [round(a.latency_seconds or 0.0, 4) for a in timed],
            "latency_concurrency": [a.concurrency for a in timed],
            "throughput_texts_per_second": None
            if mode == "batch" or any(run.stored)
            else round((len(answers) + len(run.replicates)) / run.wall_seconds, 4),
            "mode": mode,
            # the provider's prompt cache comes and goes with time, so it is no part of usage
            "cached_input_tokens": [a.reply.cached_input_tokens for a in answers],
            "attempts": [a.attempts for a in answers],
            "reasoning_tokens": [a.reply.reasoning_tokens for a in answers],
            "tokens_estimated": [a.reply.tokens_estimated for a in answers],
            "lost_attempts": [None if lost is None else lost.attempts for lost in losses],
            "lost_input_tokens": [None if lost is None else lost.input_tokens for lost in losses],
            "lost_output_tokens": [None if lost is None else lost.output_tokens for lost in losses],
            "stored": run.stored,
            "response_ids": [a.reply.response_id for a in answers],
            "served_models": sorted({a.reply.served_model for a in answers}),
            "wall_seconds": round(run.wall_seconds, 3),
        },
    )
