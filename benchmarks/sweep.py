"""The sweep's distinct trials and the final seeds, against plain TRL one after another.

What the pipeline trains is what its DAG trains: a trial or seed whose configuration was trained
already is taken over. The reference trains all of them, as a script without a DAG does.
"""

from __future__ import annotations

import argparse

from benchmarks.timing import Row, compared
from benchmarks.training import STEPS, composed, train_ours, train_plain
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import TRAIN


def run(given: argparse.Namespace) -> list[Row]:
    from lora_vs_api.model.runtime import resolve_runtime

    params = composed("laptop" if given.device == "cpu" else "smol-gpu")
    runtime = resolve_runtime(given.device, "auto")
    rows = read_jsonl(TRAIN)
    trials = len(params.sweep.ranks) + len(params.sweep.learning_rates)
    seeds = len(params.seeds)
    # the best rank's trial is one of the rates, where its rate is among them
    again = float(params.sweep.rank_sweep_learning_rate) in map(float, params.sweep.learning_rates)
    distinct = trials - again + seeds
    steps = STEPS[given.device]
    mine = [train_ours(given.model, params, rows, runtime, steps) for _ in range(2)]
    plain = [train_plain(given.model, params, rows, runtime, steps, None) for _ in range(2)]
    ours = [distinct * run["seconds"] for run in mine]
    theirs = [(trials + seeds) * run["seconds"] for run in plain]
    return [
        compared(
            "sweep",
            f"{trials} trials and {seeds} seeds, {distinct} of them distinct, {steps} steps each",
            "sweeps/h",
            3600,
            (ours, theirs),
            "every one with SFTTrainer, TRL's defaults",
            1.5 if given.device == "cpu" else 4.0,
            how="each side's single trainings, times how many it needs",
        )
    ]
