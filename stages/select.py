"""The configuration of the final trainings, the sweeps' winner or a pin: python -m stages.select"""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.files import write_json
from lora_vs_api.model.selection import best_trial, copy_adapter, read_trials
from lora_vs_api.stage import run_stage, say


def main(params: Params) -> None:
    rank_trials = read_trials("rank_trial", params.sweep.ranks)
    lr_trials = read_trials("lr_trial", params.sweep.learning_rates)
    winner = best_trial(lr_trials)
    r = winner["r"] if params.lora.r == "best" else params.lora.r
    rate = params.lora.learning_rate
    rate = winner["learning_rate"] if rate == "best" else float(rate)
    say(f"selected: r={r}, learning rate {rate:g}")

    # only what the final trainings need, so that the same choice stops the rerun here
    write_json("metrics/selected.json", {"r": r, "learning_rate": rate})
    # a finished trial at this very point is the final training of its seed: take it along
    same = [t for t in [*lr_trials, *rank_trials] if (t["r"], t["learning_rate"]) == (r, rate)]
    copy_adapter(
        f"models/{same[0]['sweep']}/{same[0]['item']}" if same else None, "models/selected"
    )


if __name__ == "__main__":
    run_stage(main)
