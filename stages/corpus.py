"""The labelled texts, generated or read: params ``data`` → data/corpus.jsonl, metrics/corpus.json."""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.files import write_json, write_jsonl
from lora_vs_api.stage import run_stage
from lora_vs_api.task.generator import generate, summarise
from lora_vs_api.task.schema import fields_from_config
from lora_vs_api.task.source import describe, read_source


def main(params: Params) -> None:
    data = params.data
    if data.source == "generator":
        rows = generate(data.n, data.seed, data.categories, data.sentiments)
        summary = {"source": "generator", **summarise(rows)}
    else:
        fields = fields_from_config(params.task.field_specs)
        rows = read_source(data.path, fields, data.text, data.record, data.id)
        summary = describe(rows, data.path, fields)
    write_jsonl("data/corpus.jsonl", rows)
    write_json("metrics/corpus.json", summary)


if __name__ == "__main__":
    run_stage(main)
