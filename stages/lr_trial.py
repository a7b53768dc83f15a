"""One trial of the learning-rate sweep, at the best rank: python -m stages.lr_trial 2e-4"""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.files import read_json
from lora_vs_api.stage import argument, run_stage
from stages.trials import run_trial


def main(params: Params) -> None:
    rate = argument("a learning rate", "one of sweep.learning_rates")
    run_trial(
        params,
        sweep="lr_trial",
        item=rate,
        r=read_json("metrics/best_rank.json")["r"],
        learning_rate=float(rate),
        # the rate that the rank sweep ran at was trained there
        finished="models/best_rank",
    )


if __name__ == "__main__":
    run_stage(main)
