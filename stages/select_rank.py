"""The rank sweep's winner, at which the rate sweep runs: python -m stages.select_rank"""

from __future__ import annotations

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import run_stage
from lora_vs_api.files import new_directory, read_jsonl, write_json
from lora_vs_api.log import say
from lora_vs_api.paths import VAL
from lora_vs_api.selection.score import score_trial
from lora_vs_api.selection.trials import best_trial, copy_adapter, write_trials


def main(params: Params) -> None:
    rows, fields = read_jsonl(VAL, params.sweep.trial.val_rows), params.task.scored_fields
    trials = [score_trial("rank_trial", str(r), rows, fields) for r in params.sweep.ranks]
    if not trials:
        # no sweep: the rank is given, and no learning rate is tried at it
        write_trials("metrics/select_rank_trials.json", [])
        write_json("metrics/select_rank.json", {"r": None})
        with new_directory("models/select_rank"):
            pass
        return
    winner = best_trial(trials)
    say(f"best rank: {winner.r} (val field F1 {winner.field_f1:.4f})")
    write_trials("metrics/select_rank_trials.json", trials)
    # nothing but the choice: another score for the same winner must not rerun the rate sweep
    write_json("metrics/select_rank.json", {"r": winner.r})
    copy_adapter(winner.adapter, "models/select_rank")


if __name__ == "__main__":
    run_stage(main)
