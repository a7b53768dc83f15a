"""A project whose trial is a line of arithmetic, for searches through the real dvc in seconds."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.imports import ROOT

# the score is a function of the point; what ran is noted outside the copy that an experiment runs in
TRIAL = """
import json, sys, time
from pathlib import Path
import yaml

params = yaml.safe_load(Path("params.yaml").read_text())
(r,), (rate,) = params["sweep"]["ranks"], params["sweep"]["learning_rates"]
with open(sys.argv[1], "a") as ran:
    ran.write(f"{r} {rate}\\n")
time.sleep(float(sys.argv[2]))
trials = [{"sweep": "lr_trial", "r": r, "learning_rate": float(rate), "field_f1": r / 100 + float(rate)}]
Path("trial.json").write_text(json.dumps(trials))
"""
STAGES = """
stages:
  trial:
    cmd: python trial.py {ran} {seconds}
    deps: [trial.py]
    params: [sweep.ranks, sweep.learning_rates]
    outs: [trial.json]
  sweep:
    cmd: mkdir -p metrics && cp trial.json metrics/sweep.json
    deps: [trial.json]
    outs:
    - metrics/sweep.json:
        cache: false
"""
HEADER = """# @package _global_
defaults:
  - override /hydra/sweeper: optuna
  - override /hydra/sweeper/sampler: SAMPLER
  - override /hydra/hydra_logging: disabled
  - override /hydra/job_logging: disabled
hydra:
  mode: MULTIRUN
  output_subdir: null
  sweeper:
    direction: maximize
    n_trials: 4
    n_jobs: 1
    max_failure_rate: 1.0
    params:
"""
SPACE = (
    HEADER.replace("SAMPLER", "grid")
    + """\
      lora.r: choice(2, 4)
      lora.learning_rate: choice(2e-3, 1e-3)
"""
)
POINTS = ["2 1e-3", "2 2e-3", "4 1e-3", "4 2e-3"]
BEST = "r=4, learning_rate=2e-3: val F1 0.0420"


def searchable(folder: Path, seconds: float = 0.0) -> Path:
    """Make of a git and DVC repository one in which `search --space grid` tries four points.

    Gives the file that each run of a point writes a line into.
    """
    ran = folder.parent / f"{folder.name}.ran"
    shutil.copytree(ROOT / "conf", folder / "conf")
    (folder / "conf" / "search" / "grid.yaml").write_text(SPACE)
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copy(ROOT / ".dvc" / "config", folder / ".dvc" / "config")
    (folder / "trial.py").write_text(TRIAL)
    (folder / "dvc.yaml").write_text(STAGES.format(ran=ran, seconds=seconds))
    (folder / ".gitignore").write_text("/logs/\n")
    for command in (
        ["git", "add", "-A"],
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "one"],
    ):
        subprocess.run(command, cwd=folder, check=True)
    return ran
