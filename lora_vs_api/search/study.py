"""The search itself: Hydra's Optuna sweeper chooses points, DVC runs each as an experiment.

A trial is `dvc exp run --temp` of the node `sweep`: DVC works in a copy of the project, so that
neither params.yaml nor any result of the workspace changes, and its run cache answers for what was
trained before. The study is kept in memory by the one process that asks and tells, also where trials run
elsewhere (Optuna 2.10, which the sweeper needs, has no storage that several processes may share without a
database server, and cannot open its databases with SQLAlchemy 2.1). A search that is started again
asks for the same points with the same seed, and gets finished ones from the run cache.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any
from unittest.mock import patch

from lora_vs_api.config.compose import compose
from lora_vs_api.config.fast_yaml import fast_yaml
from lora_vs_api.errors import UserError
from lora_vs_api.orchestrate.pipeline import environment_of, problem_line
from lora_vs_api.search.space import Space, clean_point, overrides_of
from lora_vs_api.tied import run_tied

TARGET = "sweep"  # the node that holds the validation scores; nothing after it is run
MAX_FAILURES = 3  # failures without a single success that end a search: something is wrong with all


@dataclass(frozen=True)
class Trial:
    """One point of the space, tried.

    ``score``: mean field F1 on validation texts over ``seeds``; None when it failed, for the reason
    in ``problem``. ``repeats`` is the number of an earlier trial at the same point.
    """

    number: int
    point: dict[str, str]
    experiments: tuple[str, ...] = ()
    score: float | None = None
    problem: str | None = None
    repeats: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class _Begun:
    """A trial that is to run: its number and its experiment's name follow from the order of asking.

    ``result`` is its own; where ``repeats``, that of an earlier one at the same point.
    """

    number: int
    point: dict[str, str]
    experiment: str
    result: Future[Trial]
    repeats: bool


class _Stopped(BaseException):
    """Past Hydra, which reports every Exception of a trial in its own way."""


def _past_hydra(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def called(given: Any) -> Any:
        try:
            return call(given)
        except Exception as error:
            raise _Stopped from error

    return called


def run_search(
    space: Space,
    overrides: Sequence[str],
    seeds: Sequence[int],
    name: str,
    logs: Path,
    tell: Callable[[Trial], None],
    conf: str | Path = "conf",
    *,
    jobs: int = 1,
    run: Callable[[str, Sequence[str], Path], float] | None = None,
) -> list[Trial]:
    """Try ``space.trials`` points, each with every seed of ``seeds``; ``tell`` hears of each.

    Args:
        jobs: so many are asked for at once and tried side by side; the next ones when all of them have ended.
        run: in place of :func:`run_experiment`, in a thread where ``jobs`` is above 1.

    Raises:
        UserError: the sweeper is not installed, DVC cannot run here, or no trial succeeded.
    """
    if (
        find_spec("hydra_plugins") is None
        or find_spec("hydra_plugins.hydra_optuna_sweeper") is None
    ):
        raise UserError(
            "search needs hydra-optuna-sweeper: pip install 'hydra-optuna-sweeper>=1.3,<2'"
        )
    import hydra
    import optuna
    from hydra.core.plugins import Plugins

    from lora_vs_api.search.launcher import launcher_with

    params = fast_yaml(compose(overrides, conf))
    number = next_number(name)
    trials: list[Trial] = []
    known: dict[tuple[tuple[str, str], ...], Future[Trial]] = {}
    taking, begun = threading.Lock(), 0

    def begin(asked: Sequence[str]) -> _Begun:
        nonlocal begun
        given = dict(part.split("=", 1) for part in asked if "=" in part)
        point = clean_point({key: given[key] for key in space.axes})
        begun += 1
        key = tuple(point.items())
        repeats, result = key in known, known.setdefault(key, Future())
        return _Begun(begun, point, f"{name}-{number + len(known) - 1}", result, repeats)

    def objective(one: _Begun) -> float | None:
        if one.repeats:
            # it may still be tried, beside this one
            trial = one.result.result()
            trial = replace(trial, number=one.number, repeats=trial.number, seconds=0.0)
        else:
            try:
                trial = _try(one)
                one.result.set_result(trial)
            except BaseException as error:
                one.result.set_exception(error)
                raise
        with taking:
            trials.append(trial)
            tell(trial)
            # those that run beside failures may succeed, and are waited for
            if (
                len(trials) == begun
                and not any(trial.score is not None for trial in trials)
                and (
                    sum(trial.repeats is None for trial in trials) >= MAX_FAILURES
                    or len(trials) == space.trials
                )
            ):
                raise _Stopped
        return trial.score

    def _try(one: _Begun) -> Trial:
        place, point = one.number, one.point
        started, scores, names = time.monotonic(), [], []
        for seed in seeds:
            names.append(one.experiment if len(seeds) == 1 else f"{one.experiment}-seed-{seed}")
            settings = [*overrides, *overrides_of(point, params), f"sweep.trial.seed={seed}"]
            try:
                scores.append(
                    (run or run_experiment)(names[-1], settings, logs / f"{names[-1]}.log")
                )
            except UserError as error:
                return Trial(place, point, tuple(names), None, str(error))
        return Trial(
            place, point, tuple(names), fmean(scores), None, None, time.monotonic() - started
        )

    arguments = [f"+search={space.name}", f"hydra.sweeper.n_trials={space.trials}",
                 f"hydra.sweeper.n_jobs={jobs}",
                 f"hydra.sweep.dir={logs}", "hydra.sweep.subdir=.", *overrides]  # fmt: skip
    app = hydra.main(
        version_base="1.3", config_path=str(Path(conf).resolve()), config_name="config"
    )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logs.mkdir(parents=True, exist_ok=True)
    # Hydra's one public entry reads the command line, and ends the process unless told otherwise
    with (
        patch.object(sys, "argv", ["search", *arguments]),
        patch.dict(os.environ, HYDRA_FULL_ERROR="1"),
        patch.object(Plugins, "instantiate_launcher", launcher_with(_past_hydra(begin))),
        # the sweeper counts trials itself; a grid that is all asked for would end a search at its next failure
        patch.object(optuna.Study, "stop", lambda study: None),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            app(_past_hydra(objective))()
        except _Stopped as stopped:
            if stopped.__cause__:
                raise stopped.__cause__ from None
            first = min(trials, key=lambda trial: trial.number)
            raise UserError(f"no trial succeeded; the first: {first.problem}") from None
        except Exception as error:
            # a sampler that lacks a package of its own, for one
            message = " ".join(str(error).split())
            raise UserError(f"conf/search/{space.name}.yaml: hydra.sweeper: {message}") from None
    return trials


def experiment_command(name: str, settings: Sequence[str]) -> list[str]:
    """The module and its arguments that run the node `sweep` with ``settings`` as the experiment ``name``."""
    flags = [flag for setting in settings for flag in ("-S", setting)]
    return ["dvc", "exp", "run", "--temp", "--name", name, *flags, TARGET]


def run_experiment(name: str, settings: Sequence[str], log: Path) -> float:
    """Run the node `sweep` with ``settings`` as the experiment ``name``; the validation F1.

    Raises:
        UserError: what went wrong, in a line, with the log that holds all of it.
    """
    module, *arguments = experiment_command(name, settings)
    with log.open("wb") as stream:
        code = run_tied(
            module, arguments, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            env=environment_of(), check=False,
        ).returncode  # fmt: skip
    if code:
        raise UserError(problem_line(log.read_text(encoding="utf-8", errors="replace"), log))
    return score_of(name, log)


def score_of(name: str, log: Path) -> float:
    """The validation F1 of an experiment that has been run.

    Raises:
        UserError: DVC has none of that name.
    """
    ref = next((ref for ref in experiment_refs() if ref.endswith(f"/{name}")), None)
    if ref is None:
        raise UserError(f"{name}: DVC ran it and kept no experiment (all it said: {log})")
    return lr_score(json.loads(git("show", f"{ref}:./metrics/sweep.json")))


def lr_score(trials: Sequence[Mapping[str, Any]]) -> float:
    """Field F1 of the one learning-rate trial; the rank trial beside it is the same training."""
    (trial,) = [trial for trial in trials if trial["sweep"] == "lr_trial"]
    return float(trial["field_f1"])


def best_of(trials: Sequence[Trial]) -> Trial:
    """The highest score, of equal ones the earliest."""
    return max(
        (t for t in trials if t.score is not None), key=lambda t: (t.score or 0.0, -t.number)
    )


def next_number(name: str) -> int:
    """One more than the highest number that an experiment called ``name``-number has."""
    pattern = re.compile(rf"/{re.escape(name)}-(\d+)(-seed-\d+)?$")
    found = [int(match.group(1)) for ref in experiment_refs() if (match := pattern.search(ref))]
    return max(found, default=0) + 1


def experiment_refs() -> list[str]:
    return git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()


def check_tracked(path: str | None) -> None:
    """A copy of the project has what git or DVC keeps, and no other file.

    Raises:
        UserError: ``path`` is of this project and neither of the two keeps it.
    """
    commands = None if path is None else way_into_copies(path)
    if commands:
        raise UserError(
            f"data.path: {path}: neither in git nor, by a .dvc file in git, in DVC, so a copy of the project does "
            f"not have it: `{commands}`, or `git add` it if its texts may be in git"
        )


def way_into_copies(path: str) -> str | None:
    """The commands after which copies of the project have ``path``; None where nothing is to be done.

    Raises:
        UserError: no repository here, or ``path`` is outside of it.
    """
    # what has an absolute path is found from a copy as well
    if Path(path).is_absolute():
        return None
    files = [
        file for part in (path, *Path(path).parents) if (file := Path(f"{part}.dvc")).is_file()
    ]
    # DVC takes into a copy what git knows: a .dvc file that was not added is not there
    if any(git("ls-files", "--", str(file)) for file in files):
        return None
    if not git("ls-files", "--others", "--", path):
        return None
    # git adds its own file beside, in which DVC notes what git is to leave alone
    target = files[0] if files else Path(f"{path.rstrip('/')}.dvc")
    added = shlex.join(["git", "add", str(target), str(target.parent / ".gitignore")])
    return added if files else f"{shlex.join(['dvc', 'add', path])} && {added}"


def git(*arguments: str) -> str:
    """What git says.

    Raises:
        UserError: git fails, such as outside a repository.
    """
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        message = done.stderr.strip().splitlines() or ["git failed"]
        raise UserError(f"git {arguments[0]}: {message[0].removeprefix('fatal: ')}")
    return done.stdout
