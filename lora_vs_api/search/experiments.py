"""DVC's experiments as rows: the settings that differ, validation F1, and test F1 where it is known.

An experiment's commit holds every result of the project, also those that it did not make: a search
runs no test, so metrics/summary.json there is its parent's. A result counts only where dvc.lock says
that everything it rests on was run with the experiment's own settings.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lora_vs_api.config.fast_yaml import fast_yaml
from lora_vs_api.errors import UserError
from lora_vs_api.search.study import git

# what a validation score says about its own point: shown instead of the settings it came from
DERIVED = ("sweep.ranks", "sweep.rank_sweep_learning_rate", "sweep.learning_rates",
           "lora.r", "lora.learning_rate")  # fmt: skip
# what conf/ fills in from another setting that is shown
COPIED = ("api.server.device", "api.server.dtype")
# `select` reads them beside the trials' scores, which they do not touch
PINS = ("lora.r", "lora.learning_rate")
SCORE = "val F1"
FILES = ("dvc.yaml", "dvc.lock", "params.yaml", "metrics/sweep.json", "metrics/summary.json",
         "plots/conditions.csv")  # fmt: skip


@dataclass(frozen=True)
class Experiment:
    """``settings``: dotted key → value. A score is None where the experiment did not make it."""

    name: str
    settings: dict[str, Any]
    val_f1: float | None = None
    test_f1: float | None = None
    usd_per_1k: float | None = None


@dataclass(frozen=True)
class Listed:
    """What DVC knows of an experiment: ``state`` is success, or why there is no commit of results
    (failed, queued, running)."""

    name: str
    revision: str
    state: str


def read_experiments(prefix: str = "", *, all_commits: bool = False) -> list[Experiment]:
    """The experiments that `dvc exp show` knows, whose name starts with ``prefix``.

    Raises:
        UserError: DVC or git refuses.
    """
    return [
        experiment_of(row.name, {path: file_at(row.revision, path) for path in FILES})
        for row in list_experiments(prefix, all_commits=all_commits)
        if row.state == "success"
    ]


def list_experiments(prefix: str = "", *, all_commits: bool = False) -> list[Listed]:
    """As :func:`read_experiments`, those that failed or did not end too, and none is read."""
    command = [sys.executable, "-m", "dvc", "exp", "show", "--json", *(["-A"] * all_commits)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        raise UserError((said or ["dvc exp show failed"])[0].removeprefix("ERROR: "))
    found = {}
    for commit in json.loads(done.stdout):
        for shown in commit.get("experiments") or ():
            name, revision = shown["name"], shown["revs"][0]["rev"]
            state = (shown.get("executor") or {}).get("state", "success")
            # one that failed keeps its name when it is run again
            if name and name.startswith(prefix) and (name not in found or state == "success"):
                found[name] = Listed(name, revision, state)
    # a natural order: search-2 before search-10
    return [found[name] for name in sorted(found, key=_natural)]


def file_at(revision: str, path: str) -> str | None:
    """A file of git's at a revision; None where it has none of that name."""
    try:
        return git("show", f"{revision}:./{path}")
    except UserError:
        return None


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def experiment_of(name: str, files: Mapping[str, str | None]) -> Experiment:
    """An experiment from the files of its commit (``FILES``; None is one that is not there)."""
    raw = fast_yaml(files["params.yaml"] or "{}")
    params = flat(raw)
    lock = (fast_yaml(files["dvc.lock"] or "{}") or {}).get("stages", {})
    names = expanded(fast_yaml(files["dvc.yaml"] or "{}").get("stages", {}), params)
    settings = {key: value for key, value in params.items() if key not in (*DERIVED, *COPIED)}
    val_f1 = test_f1 = cost = None
    trials = json.loads(files["metrics/sweep.json"] or "[]")
    if trials and is_current("sweep", names, lock, params, PINS):
        trial = chosen(trials, params["lora.r"], params["lora.learning_rate"])
        if trial is not None:
            settings |= {"r": trial["r"], "learning_rate": trial["learning_rate"]}
            val_f1 = trial["field_f1"]
    if files["metrics/summary.json"] and is_current("analyze", names, lock, params):
        summary = json.loads(files["metrics/summary.json"])
        test_f1 = summary["lora"]["field_f1"]
        settings |= {"r": summary["r"], "learning_rate": summary["learning_rate"]}
        costs = pd.read_csv(
            io.StringIO(files["plots/conditions.csv"] or "condition,cost_per_1k_usd\n")
        )
        tuned = costs.loc[costs["condition"] == "lora", "cost_per_1k_usd"].tolist()
        cost = float(tuned[0]) if tuned else None
    return Experiment(name, settings, val_f1, test_f1, cost)


def chosen(
    trials: Sequence[Mapping[str, Any]], r: int | str, rate: float | str
) -> Mapping[str, Any] | None:
    """The trial of the sweep whose point the final trainings take; None when a pin is elsewhere."""
    rates = [trial for trial in trials if trial["sweep"] == "lr_trial"]
    if not rates:
        return None
    best = min(rates, key=lambda t: (-t["field_f1"], t["r"], t["learning_rate"]))
    point = (
        best["r"] if r == "best" else r,
        best["learning_rate"] if rate == "best" else float(rate),
    )
    same = [t for t in [*rates, *trials] if (t["r"], t["learning_rate"]) == point]
    return same[0] if same else None


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys; lists stay whole."""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            found |= flat(inner, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = inner
    return found


def expanded(stages: Mapping[str, Any], params: Mapping[str, Any]) -> set[str]:
    """The nodes' addresses, those of a matrix or foreach over a setting one by one."""
    names = set()
    for stage, body in stages.items():
        over = body.get("foreach") or next(iter(body.get("matrix", {}).values()), None)
        if over is None:
            names.add(stage)
            continue
        key = str(over).removeprefix("${").removesuffix("}")
        items = params.get(key)
        if not isinstance(items, list):
            start = f"{key}."
            items = {k[len(start) :].split(".")[0] for k in params if k.startswith(start)}
        names |= {f"{stage}@{item}" for item in items}
    return names


def is_current(
    target: str,
    names: set[str],
    lock: Mapping[str, Any],
    params: Mapping[str, Any],
    apart_from: Collection[str] = (),
) -> bool:
    """Whether ``target`` and all it rests on were run with ``params``, says dvc.lock.

    Keys ``apart_from`` may differ: they have no part in what is asked about.
    """
    outs = {
        out["path"]: (name, out.get("md5"))
        for name in names & set(lock)
        for out in lock[name].get("outs", ())
    }
    todo, seen = [target], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in lock:
            return False
        recorded = lock[name].get("params", {}).get("params.yaml", {})
        # a section is recorded under its own key, nested
        for key, value in flat(recorded).items():
            if key not in apart_from and (key not in params or params[key] != value):
                return False
        for dep in lock[name].get("deps", ()):
            path = dep["path"]
            if path in outs and outs[path][1] != dep.get("md5"):
                return False
            todo += [
                maker
                for made, (maker, _) in outs.items()
                if made == path or made.startswith(f"{path}/") or path.startswith(f"{made}/")
            ]
    # a node without an entry makes nothing that could be found above: those of a matrix may be new
    needed = {name.split("@")[0] for name in seen}
    return all(name in lock for name in names if name.split("@")[0] in needed)


def table(experiments: Sequence[Experiment]) -> pd.DataFrame:
    """A row per experiment, best validation F1 first, those without a score last.

    Columns: experiment, the settings that differ between rows, val F1, and test F1 and USD per
    1,000 texts where any row has one.
    """
    keys = sorted({key for e in experiments for key in e.settings}, key=_order)
    columns = [
        key
        for key in keys
        if len({json.dumps(e.settings.get(key), sort_keys=True) for e in experiments}) > 1
    ]
    rows = [
        {
            "experiment": e.name,
            **{key: e.settings.get(key) for key in columns},
            SCORE: e.val_f1,
            "test F1": e.test_f1,
            "USD per 1K": e.usd_per_1k,
        }
        for e in sorted(
            experiments, key=lambda e: (e.val_f1 is None, -(e.val_f1 or 0), _natural(e.name))
        )
    ]
    # dtype object: an integer beside a missing value stays an integer
    frame = pd.DataFrame(
        rows, columns=["experiment", *columns, SCORE, "test F1", "USD per 1K"], dtype=object
    )
    empty = [c for c in ("test F1", "USD per 1K") if frame[c].isna().all()]
    return frame.drop(columns=empty)


def _order(key: str) -> tuple[int, str]:
    """Rank and rate first, then the fine-tune's settings, then the rest."""
    first = ("r", "learning_rate")
    if key in first:
        return first.index(key), key
    return (2 if key.startswith("lora.") else 3 if key.startswith("train.") else 4), key
