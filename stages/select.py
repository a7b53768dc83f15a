"""The configuration of the final trainings, the sweeps' winner or a pin: python -m stages.select"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import run_stage
from lora_vs_api.files import read_jsonl, write_json
from lora_vs_api.log import say
from lora_vs_api.paths import VAL
from lora_vs_api.selection.score import score_trial
from lora_vs_api.selection.trials import best_trial, write_trials


def main(params: Params) -> None:
    rows, fields = read_jsonl(VAL, params.sweep.trial.val_rows), params.task.scored_fields
    lr_trials = [score_trial("lr_trial", rate, rows, fields) for rate in params.sweep.rates_tried]
    r, rate = params.lora.r, params.lora.learning_rate
    # without a sweep both are given
    if "best" in (r, rate):
        winner = best_trial(lr_trials)
        r = winner.r if r == "best" else r
        rate = winner.learning_rate if rate == "best" else rate
    rate = float(rate)
    say(f"selected: r={r}, learning rate {rate:g}")
    write_trials("metrics/select_trials.json", lr_trials)

    # only what the final trainings need, so that the same choice stops the rerun here
    write_json("metrics/select.json", {"r": r, "learning_rate": rate})


if __name__ == "__main__":
    run_stage(main)
