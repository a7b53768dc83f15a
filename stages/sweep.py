"""The sweep's table and figure: python -m stages.sweep

Beside ``select``, so that a trial that does not win reruns nothing of the report.
"""

from __future__ import annotations

import pandas as pd

from lora_vs_api.config.sections import Params
from lora_vs_api.entry import run_stage
from lora_vs_api.figures.sweep import write_sweep_figure
from lora_vs_api.files import new_directory, write_text
from lora_vs_api.report.sections.sweep import sweep_markdown
from lora_vs_api.report.stamp import stamp_of
from lora_vs_api.selection.trials import best_trial, read_trials, write_trials


def main(params: Params) -> None:
    ranks = read_trials("metrics/select_rank_trials.json")
    rates = read_trials("metrics/select_trials.json")
    with new_directory("report/figures-sweep") as folder:
        if rates:
            write_sweep_figure(folder, ranks, rates, params.plots)
        else:
            # git keeps no empty folder: in a clone DVC would find it deleted
            write_text(folder / "none.txt", "No sweep was run, so there is no figure of one.\n")
    write_trials("metrics/sweep.json", ranks + rates)
    trials = [("rank", trial) for trial in ranks] + [("learning rate", trial) for trial in rates]
    columns = ("r", "learning_rate", "seed", "field_f1")
    rows = [
        {"sweep": name, **{key: getattr(trial, key) for key in columns}} for name, trial in trials
    ]
    write_text(
        "plots/sweep.csv", pd.DataFrame(rows, columns=["sweep", *columns]).to_csv(index=False)
    )
    stamp = stamp_of(params.profile_name)
    winner = best_trial(rates) if rates else None
    text = sweep_markdown(ranks, rates, winner, stamp, task=params.task_title)
    write_text("report/sweep.md", text)


if __name__ == "__main__":
    run_stage(main)
