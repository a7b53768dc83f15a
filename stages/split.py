"""Divide the corpus: data/corpus.jsonl → data/split/*.jsonl, metrics/split.json.

What a text belongs to goes into a file of its own, data/split/groups.jsonl: what trains or answers
reads the texts alone, and does not rerun when they are grouped otherwise.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from lora_vs_api.config.sections import Params
from lora_vs_api.data.split import (
    assert_disjoint,
    first_of_each_text,
    for_training,
    given_split,
    grouped_split,
    labels_of,
    masked_sentence_overlap,
    stratified_split,
    without_first,
)
from lora_vs_api.digests import file_sha256
from lora_vs_api.entry import run_stage
from lora_vs_api.files import read_rows, write_json, write_jsonl
from lora_vs_api.log import say
from lora_vs_api.paths import GROUPS, TAUGHT, UNLABELLED, UNLABELLED_CORPUS


def main(params: Params) -> None:
    by, shares = params.split.stratify_by, params.split.shares.model_dump()
    corpus = read_rows("data/corpus.jsonl")
    rows, kept = first_of_each_text(corpus), params.split.group_by
    whole = None if kept is None else labels_of(rows, kept, "split.group_by")
    if params.split.column is not None:
        # all rows: the same text in two splits is refused, and not left out of one in silence
        given = labels_of(corpus, params.split.column, "split.column")
        may_be_empty = ("train",) if params.training_labels.rows == TAUGHT else ()
        splits = given_split(corpus, given, by, params.split.seed, may_be_empty)
    elif whole is None:
        splits = stratified_split(rows, shares, by, params.split.seed)
    else:
        splits = grouped_split(rows, whole, shares, by, params.split.seed)
    if whole is not None:
        assert_disjoint(splits, {row["id"]: label for row, label in zip(rows, whole)})
    assert_disjoint(splits)
    splits["test"] = without_first(splits["test"], params.split.set_aside)
    column = params.task.group_by
    groups = None if column is None else labels_of(rows, column, "task.group_by")
    group_of = {} if groups is None else {r["id"]: g for r, g in zip(rows, groups)}
    # apart from what is scored, and not asked twice about one text
    unlabelled = read_rows(UNLABELLED_CORPUS)
    alone = for_training(unlabelled, splits, params.split)
    if column is not None:
        labels = labels_of(unlabelled, column, "task.group_by")
        group_of |= {row["id"]: label for row, label in zip(unlabelled, labels)}
    # a slice by a field has its value in the record
    sliced = {
        row["id"]: {key: row["meta"][key] for key in params.slices if key in row.get("meta", {})}
        for row in rows
    }
    write_jsonl(
        GROUPS,
        [
            {
                "id": row["id"],
                "split": name,
                **({"group": group_of[row["id"]]} if group_of else {}),
                **({"slices": sliced[row["id"]]} if sliced[row["id"]] else {}),
            }
            for name, split in splits.items()
            for row in split
            if group_of or sliced[row["id"]]
        ]
        # trained on as well, with a teacher's labels
        + [
            {"id": row["id"], "split": "train", "group": group_of[row["id"]]}
            for row in alone
            if group_of
        ],
    )
    if groups is not None and len({group_of[row["id"]] for row in splits["test"]}) < 2:
        say(f"split: all test texts are of one {column}: accuracy will stay undecided")
    metrics: dict[str, Any] = {name: len(split) for name, split in splits.items()}
    metrics["set_aside"] = params.split.set_aside
    metrics["repeated_texts_left_out"] = len(corpus) - len(rows)
    if params.split.column is not None:
        metrics["column"] = params.split.column
    if by is not None:
        metrics["categories"] = {
            name: dict(sorted(Counter(str(row["record"].get(by)) for row in split).items()))
            for name, split in splits.items()
        }
    if params.data.source == "generator":
        # what is masked are the generator's own names and products
        metrics["masked_sentence_overlap"] = round(masked_sentence_overlap(splits), 4)
    write_jsonl(UNLABELLED, alone)
    if alone:
        metrics["unlabelled"] = len(alone)
    for name, split in splits.items():
        texts = [{key: value for key, value in row.items() if key != "meta"} for row in split]
        write_jsonl(f"data/split/{name}.jsonl", texts)
    metrics["sha256"] = {name: file_sha256(f"data/split/{name}.jsonl") for name in splits}
    write_json("metrics/split.json", metrics)


if __name__ == "__main__":
    run_stage(main)
