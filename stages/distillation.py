"""What the teacher's labels cost, how good they are and what they taught: python -m stages.distillation NAME"""

from __future__ import annotations

from pathlib import Path

from lora_vs_api.analysis.compare import compare
from lora_vs_api.analysis.condition import ConditionRuns
from lora_vs_api.analysis.costs import (
    billed_as_asked,
    local_cost,
    local_request_costs,
    training_time,
)
from lora_vs_api.analysis.decision import decisions
from lora_vs_api.analysis.distillation import differences_from_gold, teacher_bill
from lora_vs_api.analysis.distillation_results import Distillation, TeacherLabels
from lora_vs_api.analysis.groups import read_labels
from lora_vs_api.analysis.metrics import Hypothesis, Split
from lora_vs_api.analysis.ownership import LocalSide, ownership_of
from lora_vs_api.analysis.results import read_analysis, read_result, write_result
from lora_vs_api.analysis.scored_run import read_run
from lora_vs_api.config.sections import Params
from lora_vs_api.entry import argument, run_stage
from lora_vs_api.files import read_jsonl
from lora_vs_api.paths import (
    DISTILLED_CONDITION,
    TEACHER,
    TEACHER_LABELS,
    TEACHER_TIMINGS,
    TEST,
    TRAIN,
    distilled_name,
)
from lora_vs_api.stats.bootstrap import Draws


def main(params: Params) -> None:
    name, labels = argument("a condition", "training_labels.condition"), params.training_labels
    analysis, draws = read_analysis(), Draws(**params.stats.model_dump())
    rows, fields = read_jsonl(TEST, params.evaluate.test_rows), params.task.scored_fields
    beside = bool(labels.seeds)
    runs = tuple(
        read_run(distilled_name(seed) if beside else f"lora-seed-{seed}", rows, fields)
        for seed in analysis.seeds
    )
    pupil = ConditionRuns(
        DISTILLED_CONDITION if beside else "lora",
        "the pupil",
        "lora",
        analysis.model,
        shots=0,
        runs=runs,
        cost=local_cost(runs, params.economics),
    )
    asked = billed_as_asked(read_run(name, rows, fields), name, analysis)
    row = analysis.condition(name)
    teacher = ConditionRuns(
        name, row.label, "api", row.model, row.shots, (asked.run,), row.cost_per_1k
    )
    bill = teacher_bill(TEACHER, TEACHER_TIMINGS)
    usd = float(billed_as_asked(bill, name, analysis).request_costs().sum())
    owned = ownership_of(
        LocalSide(
            runs,
            training_time(
                params.sweep.ranks,
                params.sweep.rates_tried,
                analysis.seeds,
                final=Path(labels.timings).name,
            ),
            read_result("metrics/split.json", Split).val,
            usd,
        ),
        {name: asked},
        {name: row.label},
        name,
        params.economics,
        draws,
    )
    (decision,) = decisions(
        compare(
            pupil,
            [teacher],
            [field.name for field in fields],
            draws,
            read_labels(rows, params.task.group_by),
        ),
        local_request_costs(runs, pupil.cost),
        {name: asked.request_costs()},
        # engineers, machine and the labels: what is paid before the first answer
        owned.inputs.build_usd,
        read_result("metrics/hypothesis.json", Hypothesis).clauses,
        len(runs),
        draws,
        params.economics.run_to_run_sd,
    )
    taught = read_result(TEACHER_LABELS, TeacherLabels)
    with_gold, by_field, anywhere = differences_from_gold(
        read_jsonl(TRAIN),
        read_jsonl(f"{TEACHER}/predictions.jsonl"),
        taught.left_out,
        fields,
        draws,
        params.task.group_by,
    )
    found = Distillation(
        labels=taught,
        label=row.label,
        priced_as=str(row.cost_per_1k.priced_as),
        usd=usd,
        with_gold=with_gold,
        differs=by_field,
        differs_anywhere=anywhere,
        beside_gold=beside,
        against_teacher=decision,
        ownership=owned,
    )
    write_result("metrics/distillation.json", found)


if __name__ == "__main__":
    run_stage(main)
