"""Fetch the model file of one opponent and check it: python -m stages.opponent large"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.gguf_files import fetch_gguf
from lora_vs_api.paths import opponent_file, opponent_work


def main(params: Params) -> None:
    name = argument("an opponent", "a key of opponents", lambda name: name in params.opponents)
    fetch_gguf(
        f"opponents.{name}", params.opponents[name], opponent_file(name), opponent_work(name)
    )


if __name__ == "__main__":
    run_stage(main)
