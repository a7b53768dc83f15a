"""Score every condition, compare, cost, decide the hypothesis: python -m stages.analyze"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd

from lora_vs_api.analysis import compare as analysis
from lora_vs_api.analysis import costs
from lora_vs_api.analysis.scored_run import read_condition
from lora_vs_api.analysis.summary import summary
from lora_vs_api.analysis.tables import answer_table, plot_tables
from lora_vs_api.config.sections import Params
from lora_vs_api.entry import run_stage
from lora_vs_api.files import read_json, read_jsonl, write_json, write_jsonl, write_text
from lora_vs_api.paths import TEST
from lora_vs_api.stats.bootstrap import bootstrap_mean, cluster_bootstrap
from lora_vs_api.stats.comparisons import unseen_share


def main(params: Params) -> None:
    rows, fields = read_jsonl(TEST, params.evaluate.test_rows), params.task.record_fields
    names = [field.name for field in fields]
    drawn = params.stats.model_dump()

    lora = [read_condition(f"lora-seed-{s}", rows, fields) for s in params.seeds]
    base = read_condition("base_zero_shot", rows, fields)
    tuned = {name: read_condition(name, rows, fields) for name in params.tunings}
    api = {name: read_condition(name, rows, fields) for name in params.conditions}
    prices = {
        name: costs.api_price(params.priced_as[name], params.prices) for name in params.conditions
    }

    model = params.model.name
    conditions = [
        analysis.condition_row(
            "lora",
            f"LoRA {model} ({len(lora)} seed{'s' * (len(lora) > 1)})",
            "lora",
            lora,
            names,
            cluster_bootstrap(np.stack([p.field_f1 for p in lora]), **drawn),
            costs.local_cost(lora, params.economics),
            model=model,
            shots=0,
            diagnosis=analysis.diagnose(lora, rows, fields),
        ),
        analysis.condition_row(
            "base_zero_shot",
            f"{model} untuned, zero-shot",
            "base",
            [base],
            names,
            bootstrap_mean(base.field_f1, **drawn),
            costs.local_cost([base], params.economics),
            model=model,
            shots=0,
            diagnosis=analysis.diagnose([base], rows, fields),
        ),
        *(
            analysis.condition_row(
                name,
                f"{model}, {params.labels.get(name, name)}",
                "tuned",
                [scored],
                names,
                bootstrap_mean(scored.field_f1, **drawn),
                costs.local_cost([scored], params.economics),
                model=model,
                shots=0,
                diagnosis=analysis.diagnose([scored], rows, fields),
            )
            for name, scored in tuned.items()
        ),
        *(
            analysis.condition_row(
                name,
                params.labels.get(name, name),
                "api",
                [scored],
                names,
                bootstrap_mean(scored.field_f1, **drawn),
                costs.api_cost(scored, params.priced_as[name], params.prices),
                model=params.conditions[name].model,
                shots=params.conditions[name].shots,
                diagnosis=analysis.diagnose([scored], rows, fields),
                noise_floor=analysis.noise_floor(name, rows, fields),
            )
            for name, scored in api.items()
        ),
    ]
    labels = {row["name"]: row["label"] for row in conditions}
    baselines = {"base_zero_shot": base, **tuned, **api}
    comparisons = analysis.compare(
        lora, {name: (labels[name], scored) for name, scored in baselines.items()}, names, **drawn
    )
    economics = costs.economics_of(
        conditions,
        lora,
        {name: (scored, prices[name]) for name, scored in api.items()},
        params.baseline,
        costs.training_time(params.sweep.ranks, params.sweep.learning_rates, params.seeds),
        params.economics,
        **drawn,
    )
    judged = {row["baseline"]: row for row in comparisons}[params.baseline]
    paid = {row["baseline"]: row for row in economics["break_even"]}[params.baseline]
    result = {
        "profile": params.profile_name,
        "task": params.task_title,
        "model": model,
        "tunings": {
            name: {
                "label": params.labels.get(name, name),
                **dict.fromkeys(("r", "plus_ratio", "virtual_tokens")),
                **tuning.model_dump(),
            }
            for name, tuning in params.tunings.items()
        },
        "api_kind": params.api.server.kind,
        "texts": len(rows),
        "unseen_share": round(unseen_share(len(rows), params.stats.confidence), 4),
        "seeds": params.seeds,
        "selected": read_json("metrics/select.json"),
        "baseline": params.baseline,
        "statistics": drawn,
        "fields": names,
        "conditions": conditions,
        "lora": analysis.lora_statistics(params.seeds, lora, **drawn),
        "comparisons": comparisons,
        "economics": {
            "prices": {
                "as_of": params.prices.as_of,
                "source": params.prices.source,
                "conditions": {name: asdict(price) for name, price in prices.items()},
            },
            **economics,
        },
        "verdict": analysis.verdict(
            read_json("metrics/hypothesis.json"),
            judged,
            {**paid, "local_per_1k": economics["local_per_1k"]},
            params.stats.confidence,
        ),
        "examples": {name: analysis.examples(rows, lora[0], api[name]) for name in api},
    }
    write_json("metrics/analysis.json", result)
    write_json("metrics/summary.json", summary(result))
    passes = {f"lora-seed-{s}": scored for s, scored in zip(params.seeds, lora)} | baselines
    write_jsonl("metrics/answers.jsonl", answer_table(rows, passes, names))
    for name, table in plot_tables(result, {"lora": lora, **_single(baselines)}).items():
        write_text(f"plots/{name}.csv", pd.DataFrame(table).to_csv(index=False))


def _single(passes: dict) -> dict:
    return {name: [scored] for name, scored in passes.items()}


if __name__ == "__main__":
    run_stage(main)
