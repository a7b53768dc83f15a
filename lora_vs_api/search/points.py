"""Listed settings, each trained once and scored on the same validation texts.

Where a search looks for a good point, this shows what lies around one that somebody chose: a table
for a profile's fixed settings. It runs in this process and outside of DVC, so that a point takes its
training and its answers and nothing else.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lora_vs_api.config.compose import composed
from lora_vs_api.config.yaml_keys import load_once
from lora_vs_api.errors import UserError
from lora_vs_api.paths import BASE
from lora_vs_api.processor import cpu_name
from lora_vs_api.report.numbers import signed, signed_between
from lora_vs_api.scoring.scores import Score, score_output
from lora_vs_api.search.space import SEARCHED
from lora_vs_api.stats.clusters import Groups, counted_as
from lora_vs_api.stats.paired import difference_interval

if TYPE_CHECKING:
    from lora_vs_api.config.sections import Params
    from lora_vs_api.record.rows import Row

CONFIDENCE = 0.95
# what the files here were made from: a point of other ones would be scored on the wrong texts
MADE_HERE = ("data", "split", "task", "model")


class PointList(BaseModel):
    """A file of conf/points/: ``points`` are overrides in Hydra's grammar, on top of ``base``."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    base: list[str]
    val_rows: Annotated[int, Field(ge=2)]
    points: Annotated[list[list[str]], Field(min_length=1)]


@dataclass(frozen=True)
class Point:
    """``words`` says how it differs from the base; empty for the base itself."""

    words: str
    params: Params
    r: int
    learning_rate: float


@dataclass(frozen=True)
class ScoredPoint:
    """``field_f1`` is by text, each in 0..1; the rates are shares of the texts."""

    words: str
    field_f1: tuple[float, ...]
    exact_match: float
    valid_json: float
    last_loss: float
    seconds: float


@dataclass(frozen=True)
class Trained:
    """A model's answer to each text, and what its training came to."""

    outputs: list[str]
    last_loss: float
    seconds: float


def read_points(name: str, here: Params, conf: str | Path = "conf") -> tuple[list[Point], int]:
    """The points of conf/points/``name``.yaml, composed and checked, and how many texts score them.

    Args:
        here: the configuration that the files of this folder were made with.

    Raises:
        UserError: no such file, or a point that cannot be tried here.
    """
    file = Path(conf, "points", f"{name}.yaml")
    if not file.is_file():
        there = ", ".join(sorted(path.stem for path in file.parent.glob("*.yaml")))
        raise UserError(f"points: expected one of {there or file.parent}, found {name!r}")
    try:
        listed = PointList.model_validate(load_once(file.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False)[0]
            key = f": {'.'.join(map(str, first['loc']))}" if first["loc"] else ""
            raise UserError(f"{file}{key}: {first['msg']}") from None
        raise UserError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
    return [_point(overrides, listed.base, here, file, conf) for overrides in listed.points], (
        listed.val_rows
    )


def _point(
    overrides: Sequence[str], base: Sequence[str], here: Params, file: Path, conf: str | Path
) -> Point:
    for override in overrides:
        if not SEARCHED.fullmatch(override.partition("=")[0]):
            raise UserError(f"{file}: expected settings of lora or train, found {override}")
    _, params = composed([*base, *overrides], conf)
    other = next((key for key in MADE_HERE if getattr(params, key) != getattr(here, key)), None)
    if other:
        raise UserError(
            f"{file}: its {other} is not that of params.yaml, from which data/ and models/ were made; "
            "run `dvc repro` with that first"
        )
    if params.lora.r == "best" or params.lora.learning_rate == "best":
        raise UserError(
            f"{file}: base: expected lora.r and lora.learning_rate as numbers, found best"
        )
    return Point(", ".join(overrides), params, params.lora.r, float(params.lora.learning_rate))


def train_and_ask(point: Point, rows: Sequence[Row]) -> Trained:
    """Train at the point and answer the texts; what was trained is thrown away."""
    # not at the top: they wait for torch
    from lora_vs_api.inference.extractor import extractor_of
    from lora_vs_api.model.loading import load_tuned
    from lora_vs_api.model.runtime import resolve_runtime
    from lora_vs_api.training.run import train
    from lora_vs_api.training.spec import training_spec

    params, seed = point.params, point.params.sweep.trial.seed
    once = params.checkpoints.model_copy(update={"minutes": None})
    params = params.model_copy(update={"checkpoints": once})
    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    spec = training_spec(
        params,
        params.train,
        r=point.r,
        learning_rate=point.learning_rate,
        seed=seed,
        runtime=runtime,
    )
    with tempfile.TemporaryDirectory() as folder:
        out, name = f"{folder}/adapter", point.words or "as it is"
        started = time.monotonic()
        run = train(params, spec, runtime, out, name)
        seconds = time.monotonic() - started
        model = load_tuned(BASE, out, runtime)
        extractor = extractor_of(params, model, constrained=params.decoding.constrained)
        extractor.check_texts([row["text"] for row in rows], [row["id"] for row in rows])
        answers = extractor.answers([row["text"] for row in rows], f"{name}: val")
    return Trained([answer.output for answer in answers], run.losses[-1], seconds)


def score_points(
    points: Sequence[Point],
    rows: Sequence[Row],
    tell: Callable[[list[ScoredPoint]], None],
    ask: Callable[[Point, Sequence[Row]], Trained] = train_and_ask,
) -> list[ScoredPoint]:
    """Each point in its turn; ``tell`` hears of all so far after each, so that none is lost."""
    scored: list[ScoredPoint] = []
    for point in points:
        fields, found = point.params.task.scored_fields, ask(point, rows)
        scores = [
            score_output(output, row["record"], fields)
            for output, row in zip(found.outputs, rows, strict=True)
        ]
        scored.append(_scored(point.words, scores, found))
        tell(scored)
    return scored


def _scored(words: str, scores: Sequence[Score], found: Trained) -> ScoredPoint:
    return ScoredPoint(
        words=words,
        field_f1=tuple(score.field_f1 for score in scores),
        exact_match=fmean(score.exact_match for score in scores),
        valid_json=fmean(score.valid_json for score in scores),
        last_loss=found.last_loss,
        seconds=found.seconds,
    )


def table(scored: Sequence[ScoredPoint], command: str, first: Point, groups: Groups = None) -> str:
    """The points as a page of Markdown, each with its difference from the first.

    ``groups``: label of each text; texts of one group are counted together.
    """
    base, n, train = scored[0], len(scored[0].field_f1), first.params.train
    dropout = first.params.lora.adapter.dropout
    lines = [
        f"# {first.params.profile_name}: settings around those that it fixes",
        "",
        f"`{command}`",
        "",
        f"{first.params.model.name} at rank {first.r} and learning rate {first.learning_rate:g}, one "
        f"training each with seed {first.params.sweep.trial.seed}, scored on the first {n} validation "
        f"texts; no test text is read. As it is: dropout {dropout:g}, batches of "
        f"{train.batch_size * train.gradient_accumulation}, "
        f"{f'{train.max_steps} steps' if train.max_steps else f'{train.epochs} epochs'}. Trained on {cpu_name()}.",
        "",
        f"| setting | val field F1 | minus the first ({CONFIDENCE:.0%} interval over {counted_as(groups)}) | exact "
        "match | valid JSON | last loss | seconds of training |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for point in scored:
        apart = "–"
        if point is not base:
            differences = [ours - theirs for ours, theirs in zip(point.field_f1, base.field_f1)]
            ends = difference_interval(differences, CONFIDENCE, groups=groups)
            apart = f"{signed(fmean(differences))} ({signed_between(ends)})"
        name = f"`{point.words}`" if point.words else "as it is"
        lines.append(
            f"| {name} | {fmean(point.field_f1):.3f} | {apart} | {point.exact_match:.1%} | "
            f"{point.valid_json:.1%} | {point.last_loss:.3f} | {point.seconds:.0f} |"
        )
    lines += [
        "",
        "The intervals are for these trainings on new texts; another seed of the same setting would "
        "differ too, by how much is not measured here.",
    ]
    return "\n".join(lines) + "\n"
