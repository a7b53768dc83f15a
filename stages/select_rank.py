"""The rank sweep's winner, at which the rate sweep runs: python -m stages.select_rank"""

from __future__ import annotations

from lora_vs_api.config import Params
from lora_vs_api.files import write_json
from lora_vs_api.model.selection import best_trial, copy_adapter, read_trials
from lora_vs_api.stage import run_stage, say


def main(params: Params) -> None:
    winner = best_trial(read_trials("rank_trial", params.sweep.ranks))
    say(f"best rank: {winner['r']} (val field F1 {winner['field_f1']:.4f})")
    # nothing but the choice: another score for the same winner must not rerun the rate sweep
    write_json("metrics/best_rank.json", {"r": winner["r"]})
    copy_adapter(f"models/rank_trial/{winner['item']}", "models/best_rank")


if __name__ == "__main__":
    run_stage(main)
