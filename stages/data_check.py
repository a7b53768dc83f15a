"""Look at the data before anything is trained or paid for: data/split → metrics/data_check.json"""

from __future__ import annotations

from scipy.special import ndtri
from tokenizers import Tokenizer

from lora_vs_api.config.sections import Params
from lora_vs_api.data.checks import (
    DataCheck,
    check_fields,
    check_lengths,
    check_likeness,
    check_precision,
    conflicts,
    field_warnings,
    size_warnings,
    token_warnings,
)
from lora_vs_api.entry import run_stage
from lora_vs_api.files import read_json, read_rows, write_json
from lora_vs_api.log import say
from lora_vs_api.model.context import context_length
from lora_vs_api.paths import BASE, TEST, TRAIN, VAL


def main(params: Params) -> None:
    splits = {name: read_rows(path) for name, path in
              (("train", TRAIN), ("val", VAL), ("test", TEST))}  # fmt: skip
    fields = params.task.record_fields
    tokenizer = Tokenizer.from_file(f"{BASE}/tokenizer.json")
    found: DataCheck = {
        "fields": check_fields(splits, fields),
        "conflicts": conflicts(read_rows("data/corpus.jsonl")),
        "likeness": check_likeness(splits),
        "lengths": check_lengths(
            splits,
            fields,
            params.task.instruction,
            lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids),
            max_new_tokens=params.decoding.max_new_tokens,
            context=context_length(read_json(f"{BASE}/config.json")),
            shots=max(
                (
                    condition.examples * (not condition.nearest_examples)
                    for condition in params.conditions.values()
                ),
                default=0,
            ),
            nearest=max(
                (
                    condition.examples * condition.nearest_examples
                    for condition in params.conditions.values()
                ),
                default=0,
            ),
        ),
        "precision": check_precision(
            min(params.evaluate.test_rows, len(splits["test"])),
            len(splits["test"]),
            float(ndtri((1 + params.stats.confidence) / 2)),
        ),
        "warnings": [],
    }
    added = tokenizer.get_added_tokens_decoder()
    found["warnings"] = [
        *size_warnings(params.evaluate.test_rows, len(splits["test"])),
        *_warnings(found),
        *token_warnings(splits, [t.content for t in added.values() if t.special]),
    ]
    for warning in found["warnings"]:
        say(f"data_check: {warning}")
    write_json("metrics/data_check.json", found)


def _warnings(found: DataCheck) -> list[str]:
    said = field_warnings(found["fields"])
    if found["conflicts"]:
        first = " and ".join(found["conflicts"][0])
        said.append(
            f"{len(found['conflicts']):,} texts occur with different records, such as {first}; the first was "
            "kept."
        )
    alike, lengths = found["likeness"], found["lengths"]
    if alike["test_rows_like_a_train_row"]:
        said.append(
            f"{alike['test_rows_like_a_train_row']:,} test rows are near duplicates of training "
            "rows: their scores say little about new texts."
        )
    context = lengths["context"]
    if context and lengths["few_shot_prompt_tokens"] + lengths["max_new_tokens"] > context:
        said.append(
            f"{lengths['shots']} examples make prompts of up to about "
            f"{lengths['few_shot_prompt_tokens']:,} tokens, more than the base model holds."
        )
    return said


if __name__ == "__main__":
    run_stage(main)
