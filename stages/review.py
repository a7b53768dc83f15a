"""Draw the review sample and count a person's verdicts on it.

data/corpus.jsonl, data/review/verdicts.csv → data/review/sample.jsonl, metrics/review.json
"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.data.review import join_verdicts, review_sample
from lora_vs_api.entry import run_stage
from lora_vs_api.files import read_rows, write_json, write_jsonl


def main(params: Params) -> None:
    rows = read_rows("data/corpus.jsonl")
    sample = review_sample(rows, min(params.review.sample, len(rows)), params.review.seed)
    counts = join_verdicts(sample, "data/review/verdicts.csv")
    write_jsonl("data/review/sample.jsonl", sample)
    write_json("metrics/review.json", counts)


if __name__ == "__main__":
    run_stage(main)
