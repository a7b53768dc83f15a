"""Score every condition, compare, cost, decide the hypothesis: python -m stages.analyze"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from lora_vs_api.analysis.compare import compare, examples, lora_statistics
from lora_vs_api.analysis.condition import (
    MODEL_FREE_LABELS,
    ConditionRuns,
    condition,
    label_of,
    noise_floor,
)
from lora_vs_api.analysis.configuration import config_sha256, shown_digest
from lora_vs_api.analysis.costs import (
    BilledRun,
    api_cost,
    billed,
    economics_of,
    local_cost,
    local_request_costs,
    price_list,
    training_time,
)
from lora_vs_api.analysis.decision import decisions
from lora_vs_api.analysis.distillation import teacher_bill
from lora_vs_api.analysis.footprint import footprint_of
from lora_vs_api.analysis.groups import read_labels, text_groups
from lora_vs_api.analysis.ledger import read_ledger, text_keys, with_setting, write_ledger
from lora_vs_api.analysis.metrics import Hypothesis, Split
from lora_vs_api.analysis.otherwise import OtherPayment, at_other_prices, run_here
from lora_vs_api.analysis.ownership import LocalSide, ownership_of
from lora_vs_api.analysis.results import (
    Analysis,
    Comparison,
    Condition,
    Decision,
    Economics,
    Kind,
    OtherTuning,
    Ownership,
    PaidOtherwise,
    Resampling,
    Selected,
    TrainedOn,
    Tried,
    read_result,
    write_result,
)
from lora_vs_api.analysis.scored_run import Floats, ScoredRun, read_run
from lora_vs_api.analysis.serving import serving_of
from lora_vs_api.analysis.slices import slices_of
from lora_vs_api.analysis.summary import summary
from lora_vs_api.analysis.tables import COLUMNS, answer_table, plot_tables
from lora_vs_api.analysis.verdict import verdict
from lora_vs_api.config.sections import Clauses, Params, Train
from lora_vs_api.entry import run_stage
from lora_vs_api.files import read_jsonl, write_jsonl, write_text
from lora_vs_api.paths import DISTILLED_CONDITION, TAUGHT, TEST, distilled_name
from lora_vs_api.shown import visible
from lora_vs_api.stats.bootstrap import Draws


def main(params: Params) -> None:
    rows, fields = read_jsonl(TEST, params.evaluate.test_rows), params.task.scored_fields
    names = [field.name for field in fields]
    draws, groups = Draws(**params.stats.model_dump()), read_labels(rows, params.task.group_by)
    # first: a ledger that cannot be read stops the node before it has written anything
    ledger = read_ledger()

    runs = read_runs(params, rows)
    lora, baselines = runs[0], runs[1:]
    conditions = [
        condition(item, rows, fields, noise_floor(item.name, rows, fields), draws, groups)
        for item in runs
    ]
    comparisons = compare(lora, baselines, names, draws, groups)
    bills = {
        item.name: billed(item.runs[0], params.priced_as[item.name], params.prices)
        for item in runs
        if item.kind == "api"
    }
    payments = other_payments(params, baselines)
    economics = costs_and_break_even(params, conditions, bills, payments)
    hypothesis = read_result("metrics/hypothesis.json", Hypothesis)
    decide = partial(
        decided_against,
        comparisons,
        lora,
        training_usd=economics.training.total_usd,
        clauses=hypothesis.clauses,
        run_to_run_sd=params.economics.run_to_run_sd,
        draws=draws,
    )
    decided = decide(baselines, bills)
    # against None, where no API condition was asked
    judged = next((row for row in decided if row.baseline == params.baseline), None)
    analysis = Analysis(
        profile=params.profile_name,
        task=params.task_title,
        model=params.model.name,
        config_sha256=config_sha256(params),
        tunings=other_tunings(params),
        api_kind=params.api.server.kind,
        # of all conditions or of none: params.yaml is refused otherwise
        loopback=all(
            (each.server or params.api.server).loopback for each in params.conditions.values()
        ),
        texts=len(rows),
        groups=text_groups(groups, params.split.group_by),
        seeds=tuple(params.seeds),
        selected=read_result("metrics/select.json", Selected),
        baseline=params.baseline,
        statistics=Resampling(**draws._asdict()),
        fields=tuple(names),
        conditions=tuple(conditions),
        lora_statistics=lora_statistics(params.seeds, lora.runs, draws, groups),
        comparisons=comparisons,
        economics=economics,
        ownership=ownership(params, lora, bills, conditions, draws),
        decisions=decided,
        paid_otherwise=tuple(
            PaidOtherwise(way=paid.way, cost=item.cost, decision=row)
            for paid in payments
            for item, row in zip(paid.conditions, decide(paid.conditions, paid.bills), strict=True)
        ),
        verdict=verdict(hypothesis, judged, draws.confidence),
        examples={
            item.name: examples(rows, lora.runs[0], item.runs[0])
            for item in baselines
            if item.kind == "api" or not bills
        },
        serving=serving_of(params.seeds, lora.runs),
        trained_on=trained_on(
            params.train, len(read_jsonl(params.training_labels.rows)), labelled_by(params)
        ),
        tried=Tried(ranks=len(params.sweep.ranks), learning_rates=len(params.sweep.rates_tried)),
        footprint=footprint_of(params.seeds),
        slices=slices_of(params.slices, rows, runs, draws, groups),
    )
    write_result("metrics/analysis.json", analysis)
    write_result("metrics/summary.json", summary(analysis))
    keys, setting = text_keys(row["text"] for row in rows), shown_digest(analysis.config_sha256)
    write_ledger(with_setting(ledger, params.task_title, keys, setting))
    write_jsonl("metrics/answers.jsonl", answer_table(rows, every_run(params, runs), names))
    for name, table in plot_tables(analysis, runs).items():
        frame = pd.DataFrame(table, columns=COLUMNS.get(name))
        write_text(f"plots/{name}.csv", visible(frame.to_csv(index=False)))


def read_runs(params: Params, rows: Sequence[dict[str, Any]]) -> list[ConditionRuns]:
    """Every condition's scored runs: the fine-tune's first, then the base's, then the others'."""
    fields, model = params.task.scored_fields, params.model.name

    def local(name: str, label: str, kind: Kind, files: Sequence[str]) -> ConditionRuns:
        runs = tuple(read_run(file, rows, fields) for file in files)
        cost = local_cost(runs, params.economics)
        used = "none" if kind == "model_free" else model
        return ConditionRuns(name, label, kind, used, shots=0, runs=runs, cost=cost)

    def api(name: str) -> ConditionRuns:
        settings = params.conditions[name]
        run = read_run(name, rows, fields).as_asked_of(params.api.server.kind)
        cost = api_cost(run, params.priced_as[name], params.prices)
        label = label_of(name, settings.model, params.labels)
        return ConditionRuns(
            name, label, "api", settings.model, settings.examples, (run,), cost,
            nearest_shots=settings.nearest_examples,
            written_shots=settings.written_examples,
            instruction=settings.instruction,
            schema_enforced=settings.output == "json_schema",
            json_mode=settings.output == "json_object",
        )  # fmt: skip

    seeds = [f"lora-seed-{seed}" for seed in params.seeds]
    label = f"LoRA {model} ({len(seeds)} seed{'s' * (len(seeds) > 1)})"
    base = "base_zero_shot"
    return [
        local("lora", label, "lora", seeds),
        local(base, f"{model} untuned, zero-shot", "base", [base]),
        *(
            local(name, f"{model}, {params.labels.get(name, name)}", "tuned", [name])
            for name in params.tunings
        ),
        *taught(params, local),
        *(api(name) for name in params.conditions),
        *(
            local(
                name, label_of(name, model, MODEL_FREE_LABELS | params.labels), "model_free", [name]
            )
            for name in params.model_free
        ),
    ]


def every_run(params: Params, runs: Sequence[ConditionRuns]) -> dict[str, ScoredRun]:
    """Each run by its name in metrics/answers.jsonl: of what was trained once a seed, one for each."""
    named: dict[str, ScoredRun] = {}
    for item in runs:
        if item.kind == "lora":
            named |= {f"lora-seed-{seed}": run for seed, run in zip(params.seeds, item.runs)}
        elif item.name == DISTILLED_CONDITION:
            seeds = params.training_labels.seeds
            named |= {distilled_name(seed): run for seed, run in zip(seeds, item.runs)}
        else:
            named[item.name] = item.runs[0]
    return named


def taught(params: Params, local: Callable[..., ConditionRuns]) -> list[ConditionRuns]:
    """The fine-tune on a teacher's labels, where it stands beside the one on gold."""
    labels = params.training_labels
    if not labels.seeds:
        return []
    name, model = str(labels.condition), params.model.name
    teacher = label_of(name, params.conditions[name].model, params.labels)
    label, names = f"LoRA {model} on labels of {teacher}", map(distilled_name, labels.seeds)
    return [local(DISTILLED_CONDITION, label, "tuned", list(names))]


def costs_and_break_even(
    params: Params,
    conditions: Sequence[Condition],
    bills: Mapping[str, BilledRun],
    payments: Sequence[OtherPayment],
) -> Economics:
    return economics_of(
        conditions,
        bills,
        price_list({name: params.priced_as[name] for name in bills}, params.prices),
        params.baseline,
        training_time(params.sweep.ranks, params.sweep.rates_tried, params.seeds),
        params.economics,
        next((paid.prices for paid in payments if paid.prices), None),
    )


def other_payments(params: Params, baselines: Sequence[ConditionRuns]) -> list[OtherPayment]:
    """The ways of paying for the API conditions' answers that decide nothing."""
    asked = [item for item in baselines if item.kind == "api"]
    beside, found = params.prices_beside, []
    if beside is not None and beside != params.prices:
        found.append(at_other_prices(asked, params.priced_as, beside))
    if params.api.server.kind != "openai":
        found.append(run_here(asked, params.economics))
    return [paid for paid in found if paid.conditions]


def ownership(
    params: Params,
    lora: ConditionRuns,
    bills: Mapping[str, BilledRun],
    conditions: Sequence[Condition],
    draws: Draws,
) -> Ownership:
    split = read_result("metrics/split.json", Split)
    trained = training_time(params.sweep.ranks, params.sweep.rates_tried, params.seeds)
    return ownership_of(
        # beside the fine-tune on gold, what an API condition labelled is in metrics/distillation.json
        LocalSide(
            lora.runs,
            trained,
            split.val + (0 if params.training_labels.rows == TAUGHT else split.train),
            teacher_usd(params),
        ),
        bills,
        {row.name: row.label for row in conditions},
        params.baseline,
        params.economics,
        draws,
    )


def decided_against(
    comparisons: Sequence[Comparison],
    lora: ConditionRuns,
    baselines: Sequence[ConditionRuns],
    bills: Mapping[str, BilledRun],
    training_usd: float,
    clauses: Clauses,
    run_to_run_sd: float,
    draws: Draws,
) -> tuple[Decision, ...]:
    """What may be said against each of ``baselines``; what has no bill ran here and was timed."""
    names = [item.name for item in baselines]
    return decisions(
        [row for row in comparisons if row.baseline in names],
        local_request_costs(lora.runs, lora.cost),
        {item.name: request_costs(item, bills) for item in baselines},
        training_usd,
        clauses,
        len(lora.runs),
        draws,
        run_to_run_sd,
        timed=[item.name for item in baselines if item.name not in bills],
    )


def request_costs(item: ConditionRuns, bills: Mapping[str, BilledRun]) -> Floats:
    """US dollars of each measured answer: billed where it was an API's, else by its time."""
    if item.name in bills:
        return bills[item.name].request_costs()
    return local_request_costs(item.runs, item.cost)


def labelled_by(params: Params) -> str | None:
    """The API condition from whose labels alone the fine-tune learnt; None where they are gold."""
    name = params.training_labels.condition
    if params.training_labels.rows != TAUGHT or name is None:
        return None
    return label_of(name, params.conditions[name].model, params.labels)


def teacher_usd(params: Params) -> float:
    """What an API condition was billed for the labels that the fine-tune learnt from, in US dollars."""
    labels = params.training_labels
    if labels.rows != TAUGHT:
        return 0.0
    bill = teacher_bill(labels.bill, labels.bill_timings).as_asked_of(params.api.server.kind)
    priced_as = params.priced_as[str(labels.condition)]
    return float(billed(bill, priced_as, params.prices).request_costs().sum())


def trained_on(train: Train, given: int, labelled_by: str | None = None) -> TrainedOn:
    """How many of ``given`` texts one training sees: all, unless its steps end before."""
    most = train.most_texts
    seen = given if most is None else min(given, most)
    return TrainedOn(seen=seen, given=given, labelled_by=labelled_by)


def other_tunings(params: Params) -> dict[str, OtherTuning]:
    return {
        name: OtherTuning(
            label=params.labels.get(name, name),
            method=tuning.method,
            learning_rate=tuning.learning_rate,
            seed=tuning.seed,
            # a method has one of the two, or none
            r=getattr(tuning, "r", None),
            virtual_tokens=getattr(tuning, "virtual_tokens", None),
        )
        for name, tuning in params.tunings.items()
    }


if __name__ == "__main__":
    run_stage(main)
