"""Divide the corpus: data/corpus.jsonl → data/split/*.jsonl, metrics/split.json."""

from __future__ import annotations

from collections import Counter
from typing import Any

from lora_vs_api.config.sections import Params
from lora_vs_api.data.split import (
    assert_disjoint,
    first_of_each_text,
    masked_sentence_overlap,
    stratified_split,
    without_first,
)
from lora_vs_api.digests import file_sha256
from lora_vs_api.entry import run_stage
from lora_vs_api.files import read_rows, write_json, write_jsonl


def main(params: Params) -> None:
    by = params.split.stratify_by
    corpus = read_rows("data/corpus.jsonl")
    rows = first_of_each_text(corpus)
    splits = stratified_split(rows, params.split.shares.model_dump(), by, params.split.seed)
    assert_disjoint(splits)
    splits["test"] = without_first(splits["test"], params.split.set_aside)
    metrics: dict[str, Any] = {name: len(split) for name, split in splits.items()}
    metrics["set_aside"] = params.split.set_aside
    metrics["repeated_texts_left_out"] = len(corpus) - len(rows)
    if by is not None:
        metrics["categories"] = {
            name: dict(sorted(Counter(str(row["record"].get(by)) for row in split).items()))
            for name, split in splits.items()
        }
    if params.data.source == "generator":
        # what is masked are the generator's own names and products
        metrics["masked_sentence_overlap"] = round(masked_sentence_overlap(splits), 4)
    for name, split in splits.items():
        write_jsonl(f"data/split/{name}.jsonl", split)
    metrics["sha256"] = {name: file_sha256(f"data/split/{name}.jsonl") for name in splits}
    write_json("metrics/split.json", metrics)


if __name__ == "__main__":
    run_stage(main)
