"""Finished runs of several base models, and whether they compare.

Everything is read from what finished runs left behind, and nothing is computed again. A run is an
experiment of DVC, a revision of git or a folder with results in it. Its results count only where
dvc.lock says that they were made with its own settings, and runs compare only where they asked the
same texts in the same way on the same machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

from lora_vs_api.analysis.results import Analysis, Condition
from lora_vs_api.config.fast_yaml import fast_yaml
from lora_vs_api.errors import UserError
from lora_vs_api.paths import GROUPS
from lora_vs_api.search.comparable import is_file, output_digest, shared_settings
from lora_vs_api.search.experiments import (
    PINS,
    Listed,
    chosen,
    expanded,
    file_at,
    flat,
    is_current,
)
from lora_vs_api.search.study import git
from lora_vs_api.stats.clusters import Groups, Labels

# bits of a weight, by which of one base's engines is named first
BITS = {"float32": 32, "bfloat16": 16, "float16": 16, "f16": 16, "q8_0": 8}


@dataclass(frozen=True)
class Source:
    """Where a run's results are: a ``revision`` of git, or a ``folder``."""

    name: str
    revision: str | None = None
    folder: Path | None = None

    def text(self, path: str) -> str | None:
        """The text of a file that git keeps; None where there is none."""
        if self.revision is not None:
            return file_at(self.revision, path)
        try:
            return Path(self.folder or ".", path).read_text(encoding="utf-8")
        except OSError:
            return None

    def cached_text(self, path: str) -> str:
        """The text of a file that DVC keeps.

        Raises:
            UserError: it is not here.
        """
        from dvc.api import read
        from dvc.exceptions import DvcException

        try:
            if self.revision is not None:
                return str(read(path, rev=self.revision))
            return Path(self.folder or ".", path).read_text(encoding="utf-8")
        except (DvcException, OSError):
            raise UserError(
                f"{self.name}: {path} is not in DVC's cache; `dvc fetch` brings it"
            ) from None


@dataclass(frozen=True)
class Base:
    """A finished run. ``scores``: field F1 of each final training on each test text, (seeds, texts).

    ``val_f1`` is that of its sweep's point on ``val_texts`` validation texts, None where no sweep ran.
    ``shared`` are the settings and data that runs must share; ``adapters`` tells whose trainings are
    the same ones.
    """

    name: str
    analysis: Analysis
    val_f1: float | None
    val_texts: int
    texts: tuple[str, ...]
    scores: NDArray[np.float64]
    shared: Mapping[str, Any]
    adapters: tuple[str, ...] = ()

    @property
    def lora(self) -> Condition:
        return self.analysis.lora

    @property
    def precision(self) -> str:
        found = self.analysis.footprint
        if found is not None:
            return found.precision
        return self.analysis.serving.outtype if self.analysis.serving else "precision unknown"

    @property
    def engine(self) -> str:
        """What answered, and with weights of what precision."""
        served = self.analysis.serving
        names = [] if served is None else [*dict.fromkeys(row.engine for row in served.seeds)]
        written = " and ".join(name.replace("_", ".") for name in names) or "transformers"
        return f"{written} {self.precision}"

    @property
    def bits(self) -> int:
        return min(BITS.get(part, 0) for part in self.precision.split(" and "))

    @property
    def memory_gb(self) -> float | None:
        found = self.analysis.footprint
        peak = None if found is None else found.peak_memory_bytes
        return None if peak is None else peak / 1e9

    @property
    def training_seconds(self) -> float | None:
        """Of one final training."""
        found = self.analysis.footprint
        return None if found is None else found.training_seconds

    @property
    def tried(self) -> int | None:
        """Trainings among which its sweep chose, None where no sweep ran; a winner among more is the more
        flattered."""
        found = self.analysis.tried
        if found is None or found.ranks == 0:
            return None
        return found.ranks + found.learning_rates - 1


# by DVC's state of an experiment
WITHOUT_RESULTS = {
    "failed": "{name}: failed; `dvc queue logs {name}` says why",
    "queued": "{name}: waits in the queue; `dvc queue start` runs it",
    "running": "{name}: is still running; `dvc queue status` shows it",
}


def source_of(name: str, experiments: Sequence[Listed]) -> Source:
    """What ``name`` means: an experiment, a folder, or another revision of git.

    Raises:
        UserError: none of them, or an experiment that has no results.
    """
    for row in experiments:
        if row.name == name:
            if row.state != "success":
                raise UserError(WITHOUT_RESULTS.get(row.state, row.state).format(name=name))
            return Source(name, revision=row.revision)
    if Path(name).is_dir():
        return Source(name, folder=Path(name))
    try:
        return Source(name, git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip())
    except UserError:
        raise UserError(
            f"{name}: expected an experiment, a revision of git or a folder with results"
        ) from None


def read_base(source: Source) -> Base:
    """What a finished run found.

    Raises:
        UserError: in a line, what is missing or was not made with the run's own settings.
    """
    found = {
        path: source.text(path)
        for path in ("params.yaml", "dvc.yaml", "dvc.lock", "metrics/analysis.json",
                     "metrics/answers.jsonl")
    }  # fmt: skip
    missing = next((path for path, text in found.items() if text is None), None)
    if missing:
        raise UserError(f"{source.name}: has no {missing}; the run did not come to its end")
    texts = {path: text or "" for path, text in found.items()}
    try:
        raw = fast_yaml(texts["params.yaml"])
        lock = (fast_yaml(texts["dvc.lock"]) or {}).get("stages") or {}
        names = expanded(fast_yaml(texts["dvc.yaml"])["stages"], params := flat(raw))
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        raise UserError(
            f"{source.name}: its params.yaml, dvc.yaml or dvc.lock cannot be read"
        ) from None
    if not is_current("analyze", names, lock, params):
        raise UserError(
            f"{source.name}: its results were not made with its settings; `dvc exp run` with them "
            "up to the node analyze makes them"
        )
    try:
        analysis = Analysis.model_validate_json(texts["metrics/analysis.json"])
        asked, scores = _answers(texts["metrics/answers.jsonl"], analysis.seeds)
        trial = _val(source.text("metrics/sweep.json"), names, lock, params)
    except (ValidationError, json.JSONDecodeError, KeyError, ValueError):
        raise UserError(
            f"{source.name}: its metrics/ are of another version of this project; run it again"
        ) from None
    return Base(
        name=source.name,
        analysis=analysis,
        val_f1=None if trial is None else float(trial["field_f1"]),
        val_texts=0 if trial is None else int(trial["texts"]),
        texts=asked,
        scores=scores,
        shared=shared_settings(raw, lock),
        adapters=tuple(
            output_digest(lock, f"train@{seed}", "outs", f"models/train/seed-{seed}")
            for seed in analysis.seeds
        ),
    )


def _answers(text: str, seeds: Sequence[int]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """The test texts and their scores, (seeds, texts); a ValueError where a seed lacks a text."""
    of_seed: dict[str, dict[str, float]] = {f"lora-seed-{seed}": {} for seed in seeds}
    for line in text.splitlines():
        row = json.loads(line)
        if row["condition"] in of_seed:
            of_seed[row["condition"]][row["id"]] = row["field_f1"]
    ids = [tuple(scores) for scores in of_seed.values()]
    if len(set(ids)) != 1 or not ids[0]:
        raise ValueError("not one answer of each seed to each text")
    return ids[0], np.array([list(scores.values()) for scores in of_seed.values()])


def _val(
    text: str | None, names: set[str], lock: Mapping[str, Any], params: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """The sweep's trial whose point the final trainings have, None where it was not run."""
    trials = json.loads(text or "[]")
    if not trials or not is_current("sweep", names, lock, params, PINS):
        return None
    return chosen(trials, params["lora.r"], params["lora.learning_rate"])


def apart(base: Base, first: Base) -> str | None:
    """Why two runs do not compare, in a line that names both; None where they do."""
    for key in sorted({*base.shared, *first.shared}, key=lambda key: (not is_file(key), key)):
        ours, theirs = base.shared.get(key), first.shared.get(key)
        if ours != theirs:
            values = "" if is_file(key) else f" ({ours!r}, and {theirs!r} there)"
            return f"{base.name}: does not compare with {first.name}, whose {key} differs{values}"
    if base.texts != first.texts:
        return f"{base.name}: does not compare with {first.name}, whose test texts differ"
    ours_on, theirs_on = base.analysis.footprint, first.analysis.footprint
    if ours_on and theirs_on and ours_on.machine != theirs_on.machine:
        return (
            f"{base.name}: answered on {ours_on.machine}, {first.name} on {theirs_on.machine}; "
            "their latency and costs do not compare"
        )
    return None


def gather(
    names: Sequence[str], experiments: Sequence[Listed]
) -> tuple[list[Base], list[str], Source | None]:
    """The runs that compare with the first of ``names`` that is finished.

    Returns:
        They, a line for each that does not, and where the first one's results are.
    """
    bases: list[Base] = []
    left_out: list[str] = []
    first: Source | None = None
    for name in dict.fromkeys(names):
        try:
            source = source_of(name, experiments)
            base = read_base(source)
        except UserError as error:
            left_out.append(str(error))
            continue
        reason = apart(base, bases[0]) if bases else None
        if reason:
            left_out.append(reason)
            continue
        first = first or source
        bases.append(base)
    return bases, left_out, first


def groups_of(source: Source, base: Base) -> Groups:
    """The group of each test text, from the data of the run at ``source``; None without groups.

    Raises:
        UserError: the data is not here.
    """
    grouped = base.analysis.groups
    if grouped is None:
        return None
    lines = [json.loads(line) for line in source.cached_text(GROUPS).splitlines()]
    of_text = {line["id"]: line["group"] for line in lines}
    return Labels(grouped.by, tuple(of_text[text] for text in base.texts))
