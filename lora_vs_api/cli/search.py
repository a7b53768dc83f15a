"""Search settings of the fine-tune with Optuna, each trial an experiment of DVC.

What is searched is a file of conf/search/. A trial trains one adapter and scores it on validation
texts, in a copy of the project: the workspace stays as it is, and no trial sees the test split.
"""

from __future__ import annotations

import re
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_vs_api.errors import UserError
from lora_vs_api.log import say

if TYPE_CHECKING:
    from lora_vs_api.orchestrate.executors import Executor
    from lora_vs_api.orchestrate.slurm_options import Option
    from lora_vs_api.search.elsewhere import Asked

LOGS = Path("logs/search")


@dataclass(frozen=True)
class Where:
    """Where trials run, and how many at a time; see :class:`lora_vs_api.cli.run.RunOptions`.

    ``jobs``: None takes the ``n_jobs`` of the space.
    """

    jobs: int | None = None
    on: str = "local"
    slurm: Sequence[str] = ()
    gpus: int | None = None


def search_settings(
    overrides: Sequence[str],
    space_name: str,
    number: int | None,
    seeds_text: str | None,
    name: str,
    where: Where = Where(),
) -> None:
    """Search conf/search/``space_name``.yaml, tell each trial, and print how to run the best point.

    Args:
        overrides: what holds for every trial, in Hydra's grammar.
        number: trials; None takes the file's ``n_trials``.
        seeds_text: trainings of each point, such as ``100,101``; None takes sweep.trial.seed.
        name: experiments are called name-1, name-2 and so on.
        where: trials run on this machine unless it says otherwise.

    Raises:
        UserError: a wrong argument or space, no sweeper installed, or no trial that succeeded.
    """
    from lora_vs_api.cli.run import mend
    from lora_vs_api.config.compose import compose
    from lora_vs_api.config.fast_yaml import fast_yaml
    from lora_vs_api.search.space import pins, point_text, read_space
    from lora_vs_api.search.study import Trial, best_of, check_tracked, run_search

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise UserError(
            f"--name: expected letters, digits, - and _, a letter first, found {name!r}"
        )
    if where.jobs is not None and where.jobs < 1:
        raise UserError(f"--jobs: expected an integer ≥ 1, found {where.jobs}")
    if where.gpus is not None and where.gpus < 0:
        raise UserError(f"--gpus: expected an integer ≥ 0, found {where.gpus}")
    mend()
    space = read_space(space_name, overrides, number)
    jobs = space.jobs if where.jobs is None else where.jobs
    params = fast_yaml(compose(overrides))
    check_tracked(params["data"].get("path"))
    seeds = (
        [params["sweep"]["trial"]["seed"]]
        if seeds_text is None
        else _seeds(seeds_text, params["seeds"])
    )
    each = "one training" if len(seeds) == 1 else f"{len(seeds)} trainings"
    logs = LOGS / name
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

    with _executed(where, jobs, params, logs) as run:
        trials = run_search(space, overrides, seeds, name, logs, tell, jobs=jobs, run=run)
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
    settings = [*overrides, *pins(best.point)]
    print("dvc exp run " + " ".join(f"-S {_quoted(setting)}" for setting in settings))
    say(f"All trials: lora-vs-api experiments --figure {LOGS}/{name}.svg")


@contextmanager
def _executed(
    where: Where, jobs: int, params: dict[str, Any], logs: Path
) -> Iterator[Callable[[str, Sequence[str], Path], float] | None]:
    """What runs an experiment; None: this process, one after the other.

    Raises:
        UserError: a wrong option, an executor that is not there, or another run in this folder.
    """
    from lora_vs_api.cli.run import RunOptions, alone, options_of

    options = options_of(RunOptions([], jobs, where.gpus, where.on, where.slurm))
    if where.on == "local" and jobs == 1:
        _wait_for_earlier(Path.cwd(), where.on)
        yield None
        return
    from lora_vs_api.config.sections.analysis import NodeResources
    from lora_vs_api.orchestrate.executors import resources_of
    from lora_vs_api.search.elsewhere import KIND, Asked, through

    root = Path.cwd()
    needs = params["nodes"].get(KIND, params["nodes"]["default"])
    device = params["runtime"]["device"]
    asked = Asked(resources_of(NodeResources.model_validate(needs), device))
    with alone(root, where.on):
        _wait_for_earlier(root, where.on)
        executor = _executor(where, jobs, root, logs, asked, options)
        try:
            yield through(executor, asked, jobs)
        except BaseException:
            executor.stop()
            raise
        finally:
            executor.close()


def _executor(
    where: Where,
    jobs: int,
    root: Path,
    logs: Path,
    asked: Asked,
    options: Mapping[str, Option],
) -> Executor:
    from lora_vs_api.cli.run import cards_here, say_who_waits
    from lora_vs_api.orchestrate.executors import LocalExecutor
    from lora_vs_api.search.elsewhere import KIND

    commands, nobody = asked.commands, frozenset[str]()
    if where.on == "local":
        cards = cards_here(where.gpus)
        if asked.each.gpus == 1:
            say_who_waits(Counter({KIND: jobs}), jobs, len(cards))
        return LocalExecutor(root, logs, jobs, cards, nobody, commands=commands, needs=asked.needs)
    if where.on == "ray":
        from lora_vs_api.orchestrate.ray_cluster import RayExecutor

        return RayExecutor(root, logs, jobs, asked.needs, nobody, commands=commands)
    from lora_vs_api.orchestrate.slurm import SlurmExecutor

    return SlurmExecutor(root, logs, jobs, asked.needs, nobody, options, commands=commands)


def _wait_for_earlier(root: Path, on: str) -> None:
    """Until jobs of Slurm that an earlier head left have ended: their points then come from the run cache.

    Raises:
        UserError: there are some, and this search is to be elsewhere.
    """
    from lora_vs_api.cli.run import living_jobs_of

    told: set[str] = set()
    while living := living_jobs_of(root, on):
        for job in living.values():
            if job.name not in told:
                told.add(job.name)
                say(f"{job.address}: job {job.job_id} of an earlier run is waited for")
        time.sleep(5.0)


def _seeds(text: str, final: Sequence[int]) -> list[int]:
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise UserError(f"--seeds: expected integers such as 100,101, found {text!r}")
    seeds = [int(part) for part in text.split(",")]
    if len(set(seeds)) != len(seeds):
        raise UserError(f"--seeds: expected no seed twice, found {text!r}")
    shared = [seed for seed in seeds if seed in final]
    if shared:
        raise UserError(
            f"--seeds: expected none of the final seeds {list(final)}, found {shared[0]}; what is "
            "chosen here scores too well by chance"
        )
    return seeds


def _quoted(setting: str) -> str:
    """For a shell; shlex makes of the quotes that keep a rate a string a hard thing to read."""
    readable = re.fullmatch(r"[\w.]+='[\w.+-]+'", setting)
    return f'"{setting}"' if readable else shlex.quote(setting)
