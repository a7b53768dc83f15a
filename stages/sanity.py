"""A short training that has to learn before the sweep may start: python -m stages.sanity"""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

from lora_vs_api.config.sections import Params
from lora_vs_api.digests import file_sha256
from lora_vs_api.entry import run_stage
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl, write_json
from lora_vs_api.inference.extractor import extractor_of
from lora_vs_api.model.loading import load_tuned
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.paths import BASE, VAL
from lora_vs_api.record.parsing import parse_record
from lora_vs_api.training.run import train
from lora_vs_api.training.spec import training_spec


def main(params: Params) -> None:
    settings = params.sanity
    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    spec = training_spec(
        params,
        params.train,
        r=settings.r,
        learning_rate=float(settings.learning_rate),
        seed=settings.seed,
        runtime=runtime,
    )
    # a teacher's labels, where there are any: this is trained before anything else is
    rows = params.training_labels.first_rows
    spec = replace(spec, max_steps=settings.steps, examples_sha256=file_sha256(rows))
    run = train(params, spec, runtime, "models/sanity", "sanity", rows=rows)
    # constrained, any model would write valid JSON
    extractor = extractor_of(params, load_tuned(BASE, "models/sanity", runtime), constrained=False)
    asked = read_jsonl(VAL, settings.rows)
    extractor.check_room(asked)
    answers = extractor.answers([row["text"] for row in asked], "sanity: answers")
    valid_json = fmean(parse_record(answer.output) is not None for answer in answers)
    tail = run.losses[-max(1, len(run.losses) // 10) :]
    ratio = fmean(tail) / run.losses[0]
    loss_fell = ratio <= settings.max_loss_ratio
    json_came = valid_json >= settings.min_valid_json
    write_json(
        "metrics/sanity.json",
        {
            "steps": len(run.losses),
            "first_loss": round(run.losses[0], 4),
            "last_loss": round(fmean(tail), 4),
            "valid_json": round(valid_json, 6),
            "passed": loss_fell and json_came,
        },
    )
    if not loss_fell:
        raise UserError(
            f"sanity gate: the loss went from {run.losses[0]:.3f} to {fmean(tail):.3f}, a ratio of "
            f"{ratio:.2f}; sanity.max_loss_ratio asks for {settings.max_loss_ratio:g} or less. "
            "Nothing after it was run: try another sanity.learning_rate or more sanity.steps"
        )
    if not json_came:
        raise UserError(
            f"sanity gate: {valid_json:.0%} of {settings.rows} val texts got valid JSON "
            f"after {settings.steps} steps; sanity.min_valid_json asks for "
            f"{settings.min_valid_json:.0%}. Nothing after it was run: try more sanity.steps"
        )
    # the sweep waits for this file; the figures above may change without it changing
    write_json("metrics/sanity_gate.json", {"passed": True})


if __name__ == "__main__":
    run_stage(main, needs_engine=True)
