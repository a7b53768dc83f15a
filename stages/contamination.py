"""Ask the untuned base for one enum field of a few test texts: python -m stages.contamination"""

from __future__ import annotations

import random

from lora_vs_api.config.sections import Params
from lora_vs_api.data.contamination import (
    classification_prompt,
    contamination_metrics,
    labelled,
    read_label,
)
from lora_vs_api.entry import run_stage
from lora_vs_api.files import read_rows, write_json
from lora_vs_api.inference.generate import generate
from lora_vs_api.model.loading import load_base, load_tokenizer
from lora_vs_api.model.runtime import resolve_runtime
from lora_vs_api.paths import BASE, TEST
from lora_vs_api.record.parsing import part_thinking


def main(params: Params) -> None:
    settings = params.contamination
    if settings.field is None:
        write_json("metrics/contamination.json", {"field": None})
        return
    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    field = next(field for field in params.task.record_fields if field.name == settings.field)
    rows = labelled(read_rows(TEST), field)
    rows = random.Random(settings.seed).sample(rows, min(settings.rows, len(rows)))

    tokenizer = load_tokenizer(BASE, params.runtime.pad_token)
    answers = generate(
        load_base(BASE, runtime),
        tokenizer,
        [classification_prompt(row["text"], field) for row in rows],
        max_new_tokens=16,
        batch_size=params.decoding.batch_size,
        description="contamination check",
    )
    # a model that thinks names several labels before it settles on one
    said = [part_thinking(answer.output).answer for answer in answers]
    labels = [None if words is None else read_label(words, field) for words in said]
    gold = [row["record"][field.name] for row in rows]
    write_json(
        "metrics/contamination.json", contamination_metrics(labels, gold, field, settings.threshold)
    )


if __name__ == "__main__":
    run_stage(main)
