"""The order in which smaller training sets take the texts: python -m stages.curve_order

Before any training: it says where there are too few texts for the sizes that are asked for.
"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.data.split import labels_of
from lora_vs_api.data.subsets import check_sizes, nested_order
from lora_vs_api.entry import run_stage
from lora_vs_api.files import new_directory, read_rows, write_jsonl
from lora_vs_api.paths import CURVE_ORDERS, TRAIN


def main(params: Params) -> None:
    rows, whole = read_rows(TRAIN), params.split.group_by
    check_sizes(params.learning_curve.sizes, len(rows))
    groups = None
    if whole is not None:
        # what a text belongs to stands in the corpus alone
        columns = {row["id"]: row for row in read_rows("data/corpus.jsonl")}
        groups = labels_of([columns[row["id"]] for row in rows], whole, "split.group_by")
    with new_directory(CURVE_ORDERS) as folder:
        for seed in params.learning_curve.seeds:
            order = nested_order(rows, params.split.stratify_by, groups, seed)
            write_jsonl(folder / f"{seed}.jsonl", ({"id": row["id"]} for row in order))


if __name__ == "__main__":
    run_stage(main)
