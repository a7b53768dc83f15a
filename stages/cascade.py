"""Choose on val when the fine-tune hands a text on, and judge it on test: python -m stages.cascade"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lora_vs_api.analysis.cascade import Local, Other, Target, cascade_of, read_confidences
from lora_vs_api.analysis.cascade_results import PERSON, Cascade, CascadeRule
from lora_vs_api.analysis.costs import billed_as_asked
from lora_vs_api.analysis.groups import read_labels
from lora_vs_api.analysis.results import Analysis, Condition, read_analysis, write_result
from lora_vs_api.analysis.scored_run import Floats, ScoredRun, read_answers, read_run, read_timings
from lora_vs_api.config.sections import Params
from lora_vs_api.entry import run_stage
from lora_vs_api.files import read_jsonl, read_last
from lora_vs_api.log import say
from lora_vs_api.paths import ESCALATION, ESCALATION_TIMINGS, TEST, VAL
from lora_vs_api.stats.bootstrap import Draws

Rows = Sequence[dict[str, Any]]


def main(params: Params) -> None:
    found: Cascade | None = None
    rule: CascadeRule | None = None
    if params.cascade.seeds:
        found, rule = judged(params)
    write_result("metrics/cascade.json", found)
    write_result("metrics/cascade_rule.json", rule)


def judged(params: Params) -> tuple[Cascade, CascadeRule | None]:
    val, test = (
        read_last(VAL, params.cascade.val_rows),
        read_jsonl(TEST, params.evaluate.test_rows),
    )
    if len(val) < params.cascade.val_rows:
        say(
            f"cascade.val_rows: {VAL} has {len(val)} texts, fewer than {params.cascade.val_rows}: all are taken"
        )
    analysis = read_analysis()
    return cascade_of(
        local_answers(params, val, "val", analysis.lora),
        local_answers(params, test, "test", analysis.lora),
        targets(params, val, test, analysis),
        [field.name for field in params.task.scored_fields],
        params.cascade,
        Draws(**params.stats.model_dump()),
        read_labels(test, params.task.group_by),
    )


def local_answers(params: Params, rows: Rows, what: str, lora: Condition) -> Local:
    """What every seed answered to ``rows``, and how sure it is."""
    fields = params.task.scored_fields
    names = [field.name for field in fields]
    runs, sure = [], []
    for seed in params.cascade.seeds:
        name = f"lora-seed-{seed}"
        folder = Path(ESCALATION, name)
        path = folder / f"confidence_{what}.jsonl"
        runs.append(
            read_answers(folder / "val", rows, fields)
            if what == "val"
            else read_run(name, rows, fields)
        )
        sure.append(read_confidences(read_jsonl(path), rows, names, str(path)))
    return Local(
        field_f1=np.stack([run.field_f1 for run in runs]),
        exact=np.stack([run.exact_match for run in runs]),
        sure=np.stack([text for text, _ in sure]),
        fields=np.stack([run.fields for run in runs]),
        sure_fields=np.stack([by_field for _, by_field in sure]),
        usd=np.full(len(rows), lora.cost_per_1k.usd / 1000),
        seconds=local_seconds(runs, len(rows)),
    )


def local_seconds(runs: Sequence[ScoredRun], texts: int) -> Floats:
    """Seconds of each text under each seed, (seeds, texts); nan of those that were not timed."""
    found = np.full((len(runs), texts), np.nan)
    # a run times the first of the texts
    for row, run in zip(found, runs, strict=True):
        timed = run.timings.latency_seconds
        row[: timed.size] = timed
    return found


def targets(params: Params, val: Rows, test: Rows, analysis: Analysis) -> list[Target]:
    """Every API condition, those that were asked about val among them, and the person."""
    fields, asked = params.task.scored_fields, params.cascade.asked

    def other(run: ScoredRun, name: str) -> Other:
        return api_answers(run, name, analysis)

    found = [
        Target(
            row.name,
            row.label,
            other(asked_on_val(row.name, val, params), row.name) if row.name in asked else None,
            other(read_run(row.name, test, fields), row.name),
        )
        for row in analysis.conditions
        if row.kind == "api"
    ]
    person = params.cascade.person
    if person is not None:
        both = (Other.of_person(len(rows), person) for rows in (val, test))
        found.append(Target(PERSON, "a person", *both))
    return found


def asked_on_val(name: str, rows: Rows, params: Params) -> ScoredRun:
    """What a condition answered to the validation ``rows``, with what decides what it was billed: whether
    as a batch, from a cache, and after how many attempts."""
    answers = read_answers(Path(ESCALATION, name), rows, params.task.scored_fields)
    return replace(answers, timings=read_timings(Path(ESCALATION_TIMINGS, f"{name}.json")))


def api_answers(run: ScoredRun, name: str, analysis: Analysis) -> Other:
    """Scores, what each answer was billed and how long it took, where each was timed."""
    timed = run.timings.latency_seconds
    rows = {row.name: row.latency for row in analysis.conditions}
    # times with other numbers in flight are not to be added
    comparable = rows[name].compares_with(analysis.lora.latency)
    return Other(
        field_f1=run.field_f1,
        exact=run.exact_match,
        usd=billed_as_asked(run, name, analysis).request_costs(),
        seconds=timed if comparable and timed.size == len(run.outputs) else None,
    )


if __name__ == "__main__":
    run_stage(main)
