"""Search settings of the fine-tune with Optuna, each trial an experiment of DVC.

What is searched is a file of conf/search/. A trial trains one adapter and scores it on validation
texts, in a copy of the project: the workspace stays as it is, and no trial sees the test split.
"""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

from lora_vs_api.errors import UserError
from lora_vs_api.log import say

HELP = "search settings of the fine-tune with Optuna, each trial a DVC experiment"
LOGS = Path("logs/search")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "overrides", nargs="*", help="what holds for every trial, as for dvc exp run -S"
    )
    parser.add_argument(
        "--space", default="default", help="a file of conf/search/ (default: default)"
    )
    parser.add_argument("--trials", type=int, help="how many (default: n_trials of that file)")
    parser.add_argument(
        "--seeds",
        help="trainings of each point, such as 0,1,2: the score is their mean (default: sweep.trial.seed)",
    )
    parser.add_argument(
        "--name", default="search", help="experiments are called NAME-1, NAME-2 and so on"
    )


def run(given: argparse.Namespace) -> None:
    import yaml

    from lora_vs_api.config.compose import compose
    from lora_vs_api.search.space import pins, point_text, read_space
    from lora_vs_api.search.study import Trial, best_of, run_search

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", given.name):
        raise UserError(
            f"--name: expected letters, digits, - and _, a letter first, found {given.name!r}"
        )
    space = read_space(given.space, given.overrides, given.trials)
    params = yaml.safe_load(compose(given.overrides))
    seeds = [params["sweep"]["trial"]["seed"]] if given.seeds is None else _seeds(given.seeds)
    each = "one training" if len(seeds) == 1 else f"{len(seeds)} trainings"
    logs = LOGS / given.name
    say(
        f"{space.trials} trials of {each} each over {', '.join(space.axes)}; "
        f"scored on {params['sweep']['trial']['val_rows']} validation texts; what DVC says is in {logs}/"
    )
    so_far: list[Trial] = []

    def tell(trial: Trial) -> None:
        so_far.append(trial)
        what = f"[{trial.number}/{space.trials}] {point_text(trial.point)}: "
        if trial.problem is not None:
            what += f"failed: {trial.problem}"
        else:
            took = f"as trial {trial.repeats}" if trial.repeats else f"{trial.seconds:.0f} s"
            best = best_of(so_far)
            what += f"val F1 {trial.score:.4f} ({took}); best {best.score:.4f}, trial {best.number}"
        say(what)

    trials = run_search(space, given.overrides, seeds, given.name, logs, tell)
    best = best_of(trials)
    failed = sum(trial.score is None for trial in trials)
    say(
        f"best of {len(trials) - failed} trials"
        + (f" ({failed} more failed)" if failed else "")
        + f": {point_text(best.point)}: val F1 {best.score:.4f} ({', '.join(best.experiments)})"
    )
    say(
        "The best of many scores on few texts is a flattering one; the test split has not been used."
    )
    say("The whole pipeline at it, test texts and all:")
    settings = [*given.overrides, *pins(best.point)]
    print("dvc exp run " + " ".join(f"-S {_quoted(setting)}" for setting in settings))
    say(f"All trials: python -m lora_vs_api experiments --figure {LOGS}/{given.name}.svg")


def _seeds(text: str) -> list[int]:
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise UserError(f"--seeds: expected integers such as 0,1,2, found {text!r}")
    seeds = [int(part) for part in text.split(",")]
    if len(set(seeds)) != len(seeds):
        raise UserError(f"--seeds: expected no seed twice, found {text!r}")
    return seeds


def _quoted(setting: str) -> str:
    """For a shell; shlex makes of the quotes that keep a rate a string a hard thing to read."""
    readable = re.fullmatch(r"[\w.]+='[\w.+-]+'", setting)
    return f'"{setting}"' if readable else shlex.quote(setting)
