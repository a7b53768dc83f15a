"""One trial of the learning-rate sweep, at the best rank: python -m stages.lr_trial 2e-4"""

from __future__ import annotations

import re

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import IDLE, Idle, argument, run_stage
from lora_vs_api.files import read_json
from lora_vs_api.training.artifacts import loss_curve
from lora_vs_api.training.early_stopping import EarlyStopping
from lora_vs_api.training.trial import leave_out, run_trial

RATE = re.compile(r"[0-9.]+(e-?[0-9]+)?", re.I)


def main(params: Params) -> Idle | None:
    rate, ratio = (
        argument("a learning rate", "one of sweep.learning_rates", RATE.fullmatch),
        params.sweep.early_stopping_ratio,
    )
    # the rate that the rank sweep ran at was trained there
    winner, r = "models/select_rank", read_json("metrics/select_rank.json")["r"]
    if r is None:
        leave_out("lr_trial", rate)
        return IDLE
    run_trial(
        params,
        sweep="lr_trial",
        item=rate,
        r=r,
        learning_rate=float(rate),
        finished=winner,
        early_stopping=None if ratio is None else EarlyStopping(tuple(loss_curve(winner)), ratio),
    )
    return None


if __name__ == "__main__":
    run_stage(main, needs_engine=True)
