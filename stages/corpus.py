"""The labelled texts, generated or read: params ``data`` → data/corpus.jsonl, metrics/corpus.json."""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.data.generator import generate_corpus, summarise
from lora_vs_api.data.source import describe, read_source
from lora_vs_api.entry import run_stage
from lora_vs_api.files import write_json, write_jsonl
from lora_vs_api.paths import UNLABELLED_CORPUS
from lora_vs_api.record.rows import Row


def main(params: Params) -> None:
    data = params.data
    unlabelled: list[Row] = []
    if data.source == "generator":
        rows = generate_corpus(data.n, data.seed, data.categories, data.sentiments)
        summary = {"source": "generator", **summarise(rows)}
    else:
        fields = params.task.record_fields
        groups = {
            "task.group_by": params.task.group_by,
            "split.group_by": params.split.group_by,
            "split.column": params.split.column,
        }
        rows = read_source(
            data.path,
            fields,
            data.text,
            data.record,
            data.id,
            groups,
            data.encoding,
            data.drop or (),
            slices=[name for name in params.slices if name not in params.task.fields],
            unlabelled=unlabelled if params.training_labels.source == "api" else None,
        )
        summary = describe(rows, data.path, fields)
    write_jsonl("data/corpus.jsonl", rows)
    write_jsonl(UNLABELLED_CORPUS, unlabelled)
    write_json("metrics/corpus.json", summary)


if __name__ == "__main__":
    run_stage(main)
