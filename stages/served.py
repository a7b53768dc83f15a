"""Make one tuned model what the server of `serving.engine` takes, and check it: python -m stages.served 0"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.conversion.build import build_served
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import SERVED, TRAINED, VAL, seed_folder


def main(params: Params) -> None:
    seed = int(argument("a seed", "one of seeds", str.isdecimal))
    build_served(
        params,
        seed_folder(TRAINED, seed),
        read_jsonl(VAL, params.serving.conversion.check_rows),
        seed_folder(SERVED, seed),
    )


if __name__ == "__main__":
    run_stage(main)
