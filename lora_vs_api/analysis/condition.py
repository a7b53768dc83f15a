"""What one condition scored, said, took and cost, from its runs over the test texts."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from lora_vs_api.analysis.diagnosis import (
    confusion,
    confusion_labels,
    constant_value,
    diagnose_field,
    recover_record,
)
from lora_vs_api.analysis.results import (
    Billing,
    Condition,
    CostPer1K,
    Diagnosis,
    Interval,
    Kind,
    Latency,
    NoiseFloor,
    Outcomes,
    RateIntervals,
    in_flight_words,
)
from lora_vs_api.analysis.scored_run import Floats, ScoredRun
from lora_vs_api.files import read_jsonl
from lora_vs_api.record.fields import Field
from lora_vs_api.scoring.scores import score_output
from lora_vs_api.stats import bootstrap
from lora_vs_api.stats.bootstrap import ROUNDING, Draws
from lora_vs_api.stats.clusters import Groups
from lora_vs_api.stats.mean_squares import mean_squares
from lora_vs_api.stats.rounding import rounded
from lora_vs_api.stats.variance import random_effects_score

# what tables and figures call a predictor of lora_vs_api.model_free, where ``labels`` does not say
MODEL_FREE_LABELS: dict[str, str] = {
    "majority": "majority value of each field",
    "nearest": "nearest training text (TF-IDF)",
    "nearest_copy": "nearest + values copied from the text",
}


@dataclass(frozen=True)
class ConditionRuns:
    """A condition and its runs: the fine-tune and what a teacher taught have one for each seed, others just one."""

    name: str
    label: str
    kind: Kind
    model: str
    shots: int
    runs: tuple[ScoredRun, ...]
    cost: CostPer1K
    nearest_shots: bool = False
    written_shots: bool = False
    instruction: str | None = None
    schema_enforced: bool = False
    json_mode: bool = False


def condition(
    of: ConditionRuns,
    rows: Sequence[Mapping[str, Any]],
    fields: tuple[Field, ...],
    noise: NoiseFloor | None,
    draws: Draws,
    groups: Groups = None,
) -> Condition:
    """The condition's row of the comparison: rates and means over its runs.

    Args:
        of: the condition.
        rows: the test texts with their gold records, in the order of the runs.
        fields: of the record.
        noise: of :func:`noise_floor`.
        draws: of the interval.
        groups: label of each text; texts of one group are counted together.
    """
    return Condition(
        name=of.name,
        label=of.label,
        kind=of.kind,
        model=of.model,
        shots=of.shots,
        nearest_shots=of.nearest_shots,
        written_shots=of.written_shots,
        instruction=of.instruction,
        schema_enforced=of.schema_enforced,
        json_mode=of.json_mode,
        field_f1=_interval(of.runs, lambda run: run.field_f1, draws, groups),
        valid_json=_mean(run.valid_json for run in of.runs),
        schema_valid=_mean(run.schema_valid for run in of.runs),
        exact_match=_mean(run.exact_match for run in of.runs),
        truncated=_mean(run.truncated for run in of.runs),
        rate_intervals=RateIntervals(
            valid_json=_interval(of.runs, lambda run: run.valid_json, draws, groups),
            schema_valid=_interval(of.runs, lambda run: run.schema_valid, draws, groups),
            exact_match=_interval(of.runs, lambda run: run.exact_match, draws, groups),
            truncated=_interval(of.runs, lambda run: run.truncated, draws, groups),
        ),
        outcomes=count_outcomes(of.runs),
        per_field=_per_field(of.runs, fields),
        input_tokens_mean=round(_mean(run.input_tokens for run in of.runs), 2),
        output_tokens_mean=round(_mean(run.output_tokens for run in of.runs), 2),
        latency=_latency(of.runs),
        billing=_billing(of.runs),
        cost_per_1k=of.cost,
        diagnosis=diagnose(of.runs, rows, fields),
        noise_floor=noise,
    )


def label_of(name: str, model: str, labels: Mapping[str, str]) -> str:
    """What a condition is called: its label, with the ``model`` that it asks for ``{model}``."""
    return labels.get(name, name).replace("{model}", model)


def rounded_interval(found: bootstrap.Interval) -> Interval:
    return Interval(
        estimate=round(found.estimate, 6),
        low=round(found.low, 6),
        high=round(found.high, 6),
        confidence=found.confidence,
        method=found.method,
        resamples=found.resamples,
        seed=found.seed,
    )


def _interval(
    runs: Sequence[ScoredRun],
    of: Callable[[ScoredRun], NDArray[Any]],
    draws: Draws,
    groups: Groups,
) -> Interval:
    """Of what each run scored on each text; of several seeds, for another training too."""
    scores = np.stack([of(run).astype(np.float64) for run in runs])
    return rounded_interval(random_effects_score(scores, draws, groups=groups))


def _mean(of_runs: Iterable[NDArray[Any]]) -> float:
    """Mean over the runs of each one's mean over the texts."""
    return round(float(np.mean([values.mean() for values in of_runs])), 6)


def _per_field(runs: Sequence[ScoredRun], fields: tuple[Field, ...]) -> dict[str, float | None]:
    """Each field's score, mean over the runs; None where no text has a value, so in every run."""
    of_runs = zip(*(run.by_field for run in runs))
    return {
        field.name: _mean(found.values for found in scores if found) if all(scores) else None
        for field, scores in zip(fields, of_runs, strict=True)
    }


def count_outcomes(runs: Sequence[ScoredRun]) -> Outcomes:
    """Every request of ``runs`` under one heading.

    A refused or filtered request fails its node, so that those two are 0, unless the condition counts
    it as wrong (``on_refusal: score_zero``).
    """
    outcomes = np.concatenate([run.outcomes for run in runs])
    answered = outcomes == "answered"
    valid = np.concatenate([run.valid_json for run in runs])
    fits = np.concatenate([run.schema_valid for run in runs])
    return Outcomes(
        conforming=int((answered & fits).sum()),
        schema_violating=int((answered & valid & ~fits).sum()),
        invalid_json=int((answered & ~valid).sum()),
        truncated=int((outcomes == "truncated").sum()),
        refused=int((outcomes == "refused").sum()),
        filtered=int((outcomes == "filtered").sum()),
    )


def _latency(runs: Sequence[ScoredRun]) -> Latency:
    seconds = np.concatenate([run.timings.latency_seconds for run in runs])
    known, unknown = _in_flight(runs[0])
    return Latency(
        p50=_quantile(seconds, 0.5),
        p95=_quantile(seconds, 0.95),
        requests=len(seconds),
        in_flight=known,
        in_flight_unknown=unknown,
        how="; ".join(dict.fromkeys(_how_timed(run) for run in runs)),
    )


def _quantile(values: Floats, share: float) -> float | None:
    """None where nothing was timed, as in a batch."""
    if not len(values):
        return None
    found = float(np.quantile(values, share))
    # without a model an answer takes microseconds, which are not 0
    return round(found, 4) if found >= 0.01 else rounded(found, 3)


def _in_flight(run: ScoredRun) -> tuple[tuple[int, int] | None, int]:
    """Fewest and most requests in flight while the run was timed, and of how many it is not known.

    It is kept with each answer: a setting of today says nothing about answers of an earlier call.
    """
    timings = run.timings
    if not len(timings.latency_seconds):
        return None, 0
    if not timings.in_flight:
        return (1, 1), 0
    known = [number for number in timings.in_flight if number is not None]
    ends = (min(known), max(known)) if known else None
    return ends, len(timings.in_flight) - len(known)


def _how_timed(run: ScoredRun) -> str:
    timings = run.timings
    if timings.batch:
        return "asked as a batch, which has no latency"
    place = timings.machine or "over HTTP"
    if timings.over_http:
        place = f"over HTTP to {timings.server}, {place}"
    known, unknown = _in_flight(run)
    said = place
    if known is not None:
        at_once = "one at a time" if known == (1, 1) else f"{in_flight_words(known)} in flight"
        said = f"{at_once}, {place}"
    if unknown:
        said += (
            f"; {unknown} of {len(timings.in_flight)} in earlier calls, with an unknown number in "
            "flight"
        )
    return said


def _billing(runs: Sequence[ScoredRun]) -> Billing | None:
    """What was billed beside the answers' tokens; None where there is nothing to tell."""
    known = [run.timings.billing for run in runs if run.timings.billing is not None]
    found = Billing(
        lost_attempts=sum(int(billing.lost.sum()) for billing in known),
        reasoning_tokens=sum(int(billing.reasoning.sum()) for billing in known),
        estimated=sum(int(billing.estimated.sum()) for billing in known),
        unknown=sum(int(billing.unknown.sum()) for billing in known),
    )
    return found if any(found.model_dump().values()) else None


def diagnose(
    runs: Sequence[ScoredRun], rows: Sequence[Mapping[str, Any]], fields: tuple[Field, ...]
) -> Diagnosis:
    """What kinds of failure the scores of a condition count, over all its runs together."""
    gold = [row["record"] for row in rows] * len(runs)
    records = [record for run in runs for record in run.records]
    outputs = [output for run in runs for output in run.outputs]
    scores = np.concatenate([run.field_f1 for run in runs])
    forgiven: Counter[str] = Counter()
    recovered = 0
    for index, (output, record) in enumerate(zip(outputs, records)):
        found = recover_record(output) if record is None else None
        if found is None:
            continue
        recovered += 1
        forgiven.update(found.forgiven)
        scores[index] = score_output(json.dumps(found.record), gold[index], fields).field_f1
    return Diagnosis(
        answers=len(outputs),
        invalid=sum(record is None for record in records),
        recoverable=recovered,
        forgiven=dict(sorted(forgiven.items())),
        field_f1_recovered=round(float(scores.mean()), 6),
        fields={field.name: diagnose_field(field, records, gold) for field in fields},
        confusion={
            field.name: confusion(field, records, gold)
            for field in fields
            if confusion_labels(field)
        },
        constant={
            field.name: value
            for field in fields
            if (value := constant_value(field, records, gold)) is not None
        },
    )


def noise_floor(
    name: str, rows: Sequence[Mapping[str, Any]], fields: tuple[Field, ...], root: str | Path = "."
) -> NoiseFloor | None:
    """How far a condition's answers to one question differ when it is asked again.

    ``sd`` is the standard deviation, over replicates, of the mean field F1 of the repeated texts. An
    interval over texts asked once has the noise of each answer in it. It would miss what moves all
    answers of a run together, so the replicates are tested for that: the F test of the two-way table,
    replicates against their interaction with texts.

    Returns:
        None where no text was asked more than once.
    """
    folder = Path(root, "predictions", "evaluate", name)
    if not (folder / "replicates.jsonl").exists():
        return None
    answers: dict[str, list[str]] = {}
    first = {row["id"]: row["output"] for row in read_jsonl(folder / "predictions.jsonl")}
    for line in read_jsonl(folder / "replicates.jsonl"):
        answers.setdefault(line["id"], [first[line["id"]]]).append(line["output"])
    records = {row["id"]: row["record"] for row in rows}
    scores = np.array(
        [
            [score_output(output, records[identity], fields).field_f1 for output in outputs]
            for identity, outputs in answers.items()
        ]
    )
    means = scores.mean(axis=0)
    alone, p_of_runs = whole_runs(scores.T)
    return NoiseFloor(
        texts=len(answers),
        replicates=scores.shape[1],
        same_answer=round(float(np.mean([len(set(said)) == 1 for said in answers.values()])), 4),
        same_score=round(float((np.ptp(scores, axis=1) == 0).mean()), 4),
        field_f1_low=round(float(means.min()), 6),
        field_f1_high=round(float(means.max()), 6),
        sd=round(float(means.std(ddof=1)), 6),
        sd_if_independent=round(alone, 6),
        p_of_runs=None if p_of_runs is None else rounded(p_of_runs),
    )


def whole_runs(scores: Floats) -> tuple[float, float | None]:
    """The sd that the means of replicates (k, n_texts) would have if every answer varied for itself,
    and the p-value that they differ by no more; None for a single text."""
    replicates, texts = scores.shape
    alone = math.sqrt(float(scores.var(axis=0, ddof=1).mean()) / texts)
    if texts < 2:
        return alone, None
    squares = mean_squares(scores)
    if squares.interaction <= ROUNDING**2:
        return alone, float(squares.seeds <= ROUNDING**2)
    freedom = (replicates - 1, (replicates - 1) * (texts - 1))
    return alone, float(fdtrc(*freedom, squares.seeds / squares.interaction))
