"""Look at the data before anything is trained or paid for: data/split → metrics/data_check.json"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from scipy.special import ndtri
from tokenizers import Tokenizer

from lora_vs_api.config.examples import written_examples
from lora_vs_api.config.sections import EmbeddedServer, LlamaCppServer, Params, VllmServing
from lora_vs_api.data.checks import (
    DataCheck,
    check_fields,
    check_lengths,
    check_likeness,
    check_precision,
    conflicts,
    context_warnings,
    few_shot_tokens,
    field_warnings,
    instruction_warnings,
    size_warnings,
    token_warnings,
)
from lora_vs_api.entry import run_stage
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, read_rows, write_json
from lora_vs_api.log import say
from lora_vs_api.model.context import context_length
from lora_vs_api.paths import BASE, TEST, TRAIN, UNLABELLED, VAL
from lora_vs_api.record.prompt import system_prompt
from lora_vs_api.record.rows import Row
from lora_vs_api.record.tokens import token_counter
from lora_vs_api.shown import count


def main(params: Params) -> None:
    config = read_json(f"{BASE}/config.json")
    _check_served_context(params, config)
    splits = {name: read_rows(path) for name, path in
              (("train", TRAIN), ("val", VAL), ("test", TEST))}  # fmt: skip
    fields = params.task.record_fields
    tokenizer = f"{BASE}/tokenizer.json"
    # each text once
    count_tokens = cache(token_counter(tokenizer))
    shown = {
        name: (c.examples, c.nearest_examples)
        for name, c in params.conditions.items()
        if not c.written_examples
    }
    written = {
        name: written_examples(name, c, fields)
        for name, c in params.conditions.items()
        if c.written_examples
    }
    found: DataCheck = {
        "fields": check_fields(splits, fields),
        "conflicts": conflicts(read_rows("data/corpus.jsonl")),
        "likeness": check_likeness(splits, read_rows(UNLABELLED)),
        "lengths": check_lengths(
            splits,
            fields,
            system_prompt(params.task.instruction, fields),
            count_tokens,
            max_new_tokens=params.decoding.max_new_tokens,
            context=context_length(config),
            shots=max((k for k, nearest in shown.values() if not nearest), default=0),
            nearest=max((k for k, nearest in shown.values() if nearest), default=0),
            written=list(written.values()),
        ),
        "precision": check_precision(
            min(params.evaluate.test_rows, len(splits["test"])),
            len(splits["test"]),
            float(ndtri((1 + params.stats.confidence) / 2)),
        ),
        "warnings": [],
    }
    added = Tokenizer.from_file(tokenizer).get_added_tokens_decoder()
    found["warnings"] = [
        *size_warnings(params.evaluate.test_rows, len(splits["test"])),
        *_warnings(found),
        *instruction_warnings(system_prompt(params.task.instruction, fields), fields),
        *(
            said.replace("task.instruction", f"conditions.{name}.instruction")
            for name, condition in params.conditions.items()
            if condition.instruction is not None
            for said in instruction_warnings(system_prompt(condition.instruction, fields), fields)
        ),
        *_contexts(params, splits, found["lengths"]["context"], count_tokens, written),
        *token_warnings(splits, [t.content for t in added.values() if t.special]),
    ]
    for warning in found["warnings"]:
        say(f"data_check: {warning}")
    write_json("metrics/data_check.json", found)


def _check_served_context(params: Params, config: Mapping[str, Any]) -> None:
    """Refuse what vLLM would, which else says so after all trainings; llama.cpp's server takes more than that.

    Raises:
        UserError: its server is to hold more tokens than the base model does.
    """
    held = context_length(config)
    # a rotation that is stretched may hold more than the config's number: that is for vLLM to say
    if held is None or '"factor"' in json.dumps(config):
        return
    if isinstance(params.serving, VllmServing) and params.serving.server.context > held:
        raise UserError(
            f"serving.server.context: expected at most the {held:,} tokens that the base model holds, found "
            f"{params.serving.server.context:,}; vLLM would refuse it after all trainings"
        )


def _warnings(found: DataCheck) -> list[str]:
    said = field_warnings(found["fields"])
    if found["conflicts"]:
        first = " and ".join(found["conflicts"][0])
        texts = count(len(found["conflicts"]), "text occurs", "texts occur")
        said.append(f"{texts} with different records, such as {first}; the first was kept.")
    alike = found["likeness"]
    if alike["test_rows_like_a_train_row"]:
        rows = count(
            alike["test_rows_like_a_train_row"],
            "test row is a near duplicate of a training row: its score says",
            "test rows are near duplicates of training rows: their scores say",
        )
        said.append(f"{rows} little about new texts.")
    return said


def _contexts(
    params: Params,
    splits: Mapping[str, Sequence[Row]],
    base_context: int | None,
    count_tokens: Callable[[str], int],
    written: Mapping[str, Sequence[Mapping[str, Any]]],
) -> list[str]:
    """Warnings of prompts that are too long for a server of the nodes' own; another's limit is not known."""
    server = params.api.server
    if isinstance(server, LlamaCppServer):
        context, key = server.context, "api.server.context"
    elif isinstance(server, EmbeddedServer) and base_context is not None:
        context, key = base_context, "what the base model holds"
    else:
        return []
    task, limit = params.task, params.decoding.max_new_tokens
    drawn = {
        name
        for name, condition in params.conditions.items()
        if not (condition.nearest_examples or condition.written_examples)
    }
    prompts = {
        name: few_shot_tokens(
            splits,
            task.record_fields,
            system_prompt(condition.instruction or task.instruction, task.record_fields),
            count_tokens,
            shots=condition.examples if name in drawn else 0,
            nearest=condition.examples if condition.nearest_examples else 0,
            written=written.get(name, ()),
        )
        for name, condition in params.conditions.items()
    }
    limits = {name: each.max_output_tokens or limit for name, each in params.conditions.items()}
    return context_warnings(
        prompts, limits, context, key, other_tokenizer=isinstance(server, LlamaCppServer)
    )


if __name__ == "__main__":
    run_stage(main)
