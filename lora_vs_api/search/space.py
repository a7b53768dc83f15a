"""A search space: what Optuna may choose from, read from conf/search/ and checked before any trial.

A trial's point sets what the pipeline's sweeps would otherwise find out: one rank and one learning
rate, so that exactly one adapter is trained and scored on validation texts.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lora_vs_api.config.compose import compose
from lora_vs_api.config.fast_yaml import fast_yaml
from lora_vs_api.config.load import check_params
from lora_vs_api.errors import UserError

R, RATE = "lora.r", "lora.learning_rate"
# other settings decide on which texts a score is measured, and scores could not be compared
SEARCHED = re.compile(r"(lora|lora\.adapter|train)\.\w+|model")


@dataclass(frozen=True)
class Space:
    """What is searched, and how far.

    ``axes``: setting → its values if it has finitely many, else None. ``jobs`` are tried at a time.
    """

    name: str
    axes: dict[str, tuple[str, ...] | None]
    trials: int
    jobs: int = 1


def read_space(
    name: str, overrides: Sequence[str], trials: int | None = None, conf: str | Path = "conf"
) -> Space:
    """Read conf/search/``name``.yaml and check every value of it against the pipeline's settings.

    Args:
        overrides: what holds for every trial, in Hydra's grammar, such as ``profile=smol-gpu``.
        trials: how many, instead of the file's ``n_trials``.

    Raises:
        UserError: no such file, one that Hydra refuses, a setting that cannot be searched, or a
            value that the pipeline refuses.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    base = fast_yaml(compose(overrides, conf))
    file = Path(conf, "search", f"{name}.yaml")
    if not file.is_file():
        there = ", ".join(sorted(path.stem for path in file.parent.glob("*.yaml")))
        raise UserError(f"--space: expected one of {there or 'conf/search/'}, found {name!r}")
    try:
        with initialize_config_dir(str(Path(conf).resolve()), version_base="1.3"):
            sweeper = hydra_compose(
                "config", [f"+search={name}", *overrides], return_hydra_config=True
            ).hydra.sweeper
            wanted = dict(sweeper.get("params") or {})
            given, trials = trials, int(sweeper.n_trials) if trials is None else trials
            # a sweeper that is told nothing would take two
            told = re.search(r"^\s*n_jobs\s*:", file.read_text(encoding="utf-8"), re.MULTILINE)
            jobs = int(sweeper.n_jobs) if told else 1
            direction, sampler = str(sweeper.direction), sweeper.sampler.get("_target_", "")
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, KeyError, ValueError) as error:
        raise UserError(f"{file}: {' '.join(str(error).split())}") from None
    if direction.rsplit(".", 1)[-1] != "maximize":
        raise UserError(
            f"{file}: hydra.sweeper.direction: expected maximize, as higher F1 is better"
        )
    if trials < 1:
        key = "--trials" if given is not None else f"{file}: hydra.sweeper.n_trials"
        raise UserError(f"{key}: expected an integer ≥ 1, found {trials}")
    if jobs < 1:
        raise UserError(f"{file}: hydra.sweeper.n_jobs: expected an integer ≥ 1, found {jobs}")
    if not wanted:
        raise UserError(
            f"{file}: hydra.sweeper.params: expected settings to search, such as lora.r: choice(8, 16)"
        )
    fixed = {override.partition("=")[0] for override in overrides}
    axes = {key: _axis(key, str(text), base, overrides, conf, file) for key, text in wanted.items()}
    # Hydra's sweeper leaves a setting that the command line fixes out of the search
    axes = {key: values for key, values in axes.items() if key not in fixed}
    if not axes:
        raise UserError(f"{file}: every setting it searches is fixed by {' '.join(overrides)}")
    if sampler.endswith("GridSampler"):
        for key, values in axes.items():
            if values and "null" in values and len(values) > 1:
                raise UserError(
                    f"{file}: hydra.sweeper.params.{key}: a grid has no order for null beside {values[values.index('null') - 1]}; expected "
                    "values without it, or the sampler tpe or random"
                )
        trials = min(trials, math.prod(len(values or (0,)) for values in axes.values()))
    return Space(name, axes, trials, jobs)


def _axis(
    key: str,
    text: str,
    base: Mapping[str, Any],
    overrides: Sequence[str],
    conf: str | Path,
    file: Path,
) -> tuple[str, ...] | None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import IntervalSweep, Transformer
    from hydra.errors import HydraException

    where = f"{file}: {key}"
    if not SEARCHED.fullmatch(key):
        raise UserError(f"{where}: expected a setting of lora or train, or model")
    try:
        override = OverridesParser.create().parse_override(f"{key}={text}")
        finite = override.is_choice_sweep() or override.is_range_sweep()
        values: tuple[str, ...] = ()
        interval = override.value()
        if isinstance(interval, IntervalSweep):
            low, high = interval.start, interval.end
            if low is None or high is None or not low < high:
                raise UserError(f"{where}: expected interval(low, high), found {text}")
            values = (str(low), str(high))
        elif finite:
            values = tuple(str(v) for v in override.sweep_iterator(transformer=Transformer.encode))
    except HydraException as error:
        raise UserError(f"{where}: {' '.join(str(error).split())}") from None
    if not values:
        raise UserError(
            f"{where}: expected choice(…), range(…) or interval(…) of Hydra, found {text}"
        )
    for value in values:
        if key == "model":
            compose([*overrides, f"model={value}"], conf)
            continue
        raw = copy.deepcopy(dict(base))
        *sections, name = key.split(".")
        section = raw
        for part in sections:
            section = section[part]
        section[name] = value.strip("'\"") if key == RATE else yaml.safe_load(_plain(key, value))
        check_params(raw, str(file))
    return values if finite else None


def overrides_of(point: Mapping[str, str], params: Mapping[str, Any]) -> list[str]:
    """``-S`` for a trial at ``point``: one adapter is trained, and scored on validation texts.

    A rank or rate that the point does not name is the pin in ``params``, or where there is none
    the sanity run's. Pinned as well, so that the whole pipeline runs at the experiment's point
    once it is applied.
    """
    r, rate = point.get(R, params["lora"]["r"]), point.get(RATE, params["lora"]["learning_rate"])
    r = params["sanity"]["r"] if r == "best" else r
    rate = rate_text(params["sanity"]["learning_rate"] if rate == "best" else rate)
    return [
        f"sweep.ranks=[{r}]",
        f"sweep.rank_sweep_learning_rate='{rate}'",
        f"sweep.learning_rates=['{rate}']",
        # a profile may train its trials in another way, and the point would then change nothing
        *(f"sweep.trial.{key}={value}" for key, value in point.items() if key.startswith("train.")),
        *pins({**point, R: str(r), RATE: rate}),
    ]


def pins(point: Mapping[str, str]) -> list[str]:
    """The point as the pipeline's own settings, for ``-S``."""
    return [f"{key}='{value}'" if key == RATE else f"{key}={value}" for key, value in point.items()]


def clean_point(suggested: Mapping[str, str]) -> dict[str, str]:
    """What Optuna suggested, numbers rounded to three digits: nobody tells 0.0648 from 0.06481."""
    return {key: _plain(key, value) for key, value in suggested.items()}


def _plain(key: str, value: str) -> str:
    value = value.strip("'\"")
    if key == RATE:
        return rate_text(value)
    if re.fullmatch(r"-?\d+\.\d+([eE][-+]?\d+)?", value):
        short = f"{float(value):.3g}"
        return short if "." in short or "e" in short else f"{short}.0"
    return value


def rate_text(rate: str | float) -> str:
    """A learning rate to three digits as stages name it: 0.002 → 2e-3, 0.00023456 → 2.35e-4.

    Raises:
        UserError: not a number.
    """
    try:
        digits, exponent = f"{float(rate):.2e}".split("e")
    except ValueError:
        raise UserError(f"{RATE}: expected a learning rate such as 2e-4, found {rate!r}") from None
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"


def point_text(point: Mapping[str, str]) -> str:
    """``r=8, learning_rate=2e-3``: the point in a line."""
    return ", ".join(f"{key.rsplit('.', 1)[-1]}={value}" for key, value in point.items())
