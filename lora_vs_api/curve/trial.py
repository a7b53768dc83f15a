"""One training on some of the training texts, asked about the test slice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lora_vs_api.config.sections import Params
from lora_vs_api.curve.steps import final_steps, steps_of, texts_seen
from lora_vs_api.errors import UserError
from lora_vs_api.files import json_text, read_json, read_jsonl, write_json
from lora_vs_api.inference.evaluate import answer_texts
from lora_vs_api.inference.extractor import extractor_of
from lora_vs_api.log import say
from lora_vs_api.model.loading import load_tuned
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.paths import BASE, TEST, TRAIN, curve_answers, curve_order
from lora_vs_api.training.artifacts import loss_curve
from lora_vs_api.training.checkpoints import CheckpointSettings
from lora_vs_api.training.examples import chat_examples
from lora_vs_api.training.spec import training_spec
from lora_vs_api.training.train import TrainingPolicy, train_adapter


def run_curve_trial(params: Params, size: int, seed: int) -> None:
    """Train on the first ``size`` texts of the seed's order, at the selected configuration.

    In all but the number of texts and steps it is trained like a final one. The test slice is asked
    in this process, in batches, as a trial asks the val slice; the adapter is not kept. Writes
    predictions.jsonl, usage.jsonl and training.json into predictions/curve/SIZE-SEED.
    """
    rows, selected = subset(size, seed), read_json("metrics/select.json")
    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    given = len(read_jsonl(TRAIN))
    whole = final_steps(params.train, given)
    steps = steps_of(size, given, params.train, params.learning_curve.steps)
    spec = replace(
        training_spec(
            params,
            params.train.model_copy(update={"max_steps": steps}),
            r=selected["r"],
            learning_rate=selected["learning_rate"],
            seed=seed,
            runtime=runtime,
        ),
        examples_sha256=rows_sha256(rows),
    )
    name, minutes = f"{size} labels, seed {seed}", params.checkpoints.minutes
    say(f"{name}: {spec.in_words()}, steps: {steps}")
    answers = Path(curve_answers(size, seed))
    with TemporaryDirectory(prefix="curve-", ignore_cleanup_errors=True) as scratch:
        adapter = str(Path(scratch, "adapter"))
        train_adapter(
            BASE,
            chat_examples(rows, params.task.instruction, params.task.record_fields),
            spec,
            runtime,
            adapter,
            TrainingPolicy(
                description=f"{name}: training",
                checkpoints=None
                if minutes is None
                else CheckpointSettings(params.checkpoints.folder, minutes),
            ),
        )
        answer_texts(
            extractor_of(
                params,
                load_tuned(BASE, adapter, runtime),
                constrained=params.decoding.constrained,
            ),
            read_jsonl(TEST, params.evaluate.test_rows),
            description=f"{name}: test",
            predictions=answers,
        )
        losses = loss_curve(adapter)
    write_json(
        answers / "training.json",
        {
            "size": size,
            "seed": seed,
            "seen": texts_seen(params.train, size, len(losses)),
            "steps": len(losses),
            "last_loss": losses[-1],
            # beside it what a final training is given, sees and takes
            "given": given,
            "final_seen": texts_seen(params.train, given, whole),
            "final_steps": whole,
        },
    )


def subset(size: int, seed: int) -> list[dict[str, Any]]:
    """The first ``size`` training texts of the seed's order, in that order.

    Raises:
        UserError: there are not so many.
    """
    ids = [line["id"] for line in read_jsonl(curve_order(seed), size)]
    if len(ids) < size:
        raise UserError(
            f"learning_curve.sizes: expected at most the {len(ids)} training texts, found {size}"
        )
    by_id = {row["id"]: row for row in read_jsonl(TRAIN)}
    return [by_id[row_id] for row_id in ids]


def rows_sha256(rows: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256 of rows as a file of them would have it."""
    text = "".join(json_text(row) + "\n" for row in rows)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
