"""How sure one tuned model is of its validation and test answers: python -m stages.confidence 0"""

from __future__ import annotations

import time
from pathlib import Path

from lora_vs_api.confidence.measure import as_rows, measure
from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.files import new_directory, read_jsonl, read_last, write_json, write_jsonl
from lora_vs_api.inference.evaluate import answer_texts
from lora_vs_api.inference.extractor import extractor_of
from lora_vs_api.model.loading import load_tuned
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.paths import (
    BASE,
    ESCALATION,
    ESCALATION_TIMINGS,
    TEST,
    TRAINED,
    VAL,
    seed_folder,
)


def main(params: Params) -> None:
    started = time.perf_counter()
    seed = int(argument("a seed", "one of cascade.seeds", str.isdecimal))
    name = f"lora-seed-{seed}"
    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    model = load_tuned(BASE, seed_folder(TRAINED, seed), runtime)
    extractor = extractor_of(params, model, constrained=params.decoding.constrained)
    val = read_last(VAL, params.cascade.val_rows)
    test = read_jsonl(TEST, params.evaluate.test_rows)
    with new_directory(Path(ESCALATION, name)) as folder:
        answer_texts(extractor, val, description=f"{name}: val", predictions=folder / "val")
        # the test answers are those that were evaluated, whatever engine wrote them
        for rows, answers, what in (
            (val, folder / "val", "val"),
            (test, Path("predictions/evaluate", name), "test"),
        ):
            outputs = [line["output"] for line in read_jsonl(answers / "predictions.jsonl")]
            texts = [row["text"] for row in rows]
            sure = measure(extractor, texts, outputs, f"{name}: confidence on {what}")
            write_jsonl(folder / f"confidence_{what}.jsonl", as_rows(rows, sure))
    write_json(
        f"{ESCALATION_TIMINGS}/{name}.json",
        {"wall_seconds": round(time.perf_counter() - started, 3)},
    )


if __name__ == "__main__":
    run_stage(main)
