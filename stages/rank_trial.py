"""One trial of the rank sweep: python -m stages.rank_trial 16"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.training.trial import run_trial


def main(params: Params) -> None:
    rank = argument("a rank", "one of sweep.ranks", str.isdecimal)
    run_trial(
        params,
        sweep="rank_trial",
        item=rank,
        r=int(rank),
        learning_rate=float(params.sweep.rank_sweep_learning_rate),
    )


if __name__ == "__main__":
    run_stage(main, needs_engine=True)
