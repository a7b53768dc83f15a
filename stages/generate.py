"""Write the labelled emails: params ``data`` → data/corpus.jsonl, metrics/corpus.json."""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.files import write_json, write_jsonl
from lora_vs_api.stage import run_stage
from lora_vs_api.task.generator import generate, summarise


def main(params: Params) -> None:
    data = params.data
    rows = generate(data.n, data.seed, data.categories, data.sentiments)
    write_jsonl("data/corpus.jsonl", rows)
    write_json("metrics/corpus.json", summarise(rows))


if __name__ == "__main__":
    run_stage(main)
