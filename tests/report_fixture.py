"""A small analysis of made-up numbers, for the tests of the report, its figures and its page."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar
from unittest import mock

import numpy as np
import pandas as pd

from lora_vs_api.analysis import learning_curve as curves
from lora_vs_api.analysis import metrics, results
from lora_vs_api.analysis.condition import MODEL_FREE_LABELS
from lora_vs_api.analysis.decision import decide
from lora_vs_api.analysis.distillation_results import Distillation, TeacherLabels
from lora_vs_api.analysis.ledger import OtherSettings
from lora_vs_api.analysis.verdict import verdict
from lora_vs_api.config.sections import Adapter, Ownership, Plots, Price
from lora_vs_api.figures import report as figures
from lora_vs_api.record.fields import Field
from lora_vs_api.report.inputs import ReportInputs, Settings
from lora_vs_api.report.provenance import Installation
from lora_vs_api.stats.bootstrap import Draws
from lora_vs_api.stats.ownership import (
    Answers,
    Machine,
    People,
    Plan,
    cheaper_from,
    local_totals,
    machines,
    totals,
)
from tests.cascade_fixture import cascade

# no field of the built-in task: the report must not know any
FIELDS = ["vendor", "total_amount", "line_items"]
APIS = ("api_zero_shot", "api_few_shot_5")
# everything at 0: the published model
OWNERSHIP = Ownership(
    horizon_months=36, discount_per_year=0, api_price_trend_per_year=0, machine="own",
    purchase_usd=0, machine_is_shared=True, idle_watts=30, peak_to_mean=1, api_engineer_days=0,
    upkeep_days_per_month=0, api_upkeep_days_per_month=0, retrain_every_months=None,
    retrain_engineer_days=0, usd_per_label=0, minutes_per_label=0, usd_per_wrong_record=0,
)  # fmt: skip
PLOTS = Plots(palette="colorblind", lora_color="#0072B2", dpi=60)

HYPOTHESIS = metrics.Hypothesis.model_validate(
    {
        "id": "H1",
        "statement": "A small tuned model does at least as well and pays back.",
        "sha256": "ab" * 32,
        "clauses": {
            "accuracy": {"margin": 0.02},
            "cost": {"max_ratio": 1.0},
            "break_even": {"max_inferences": 100_000},
        },
    }
)

Model = TypeVar("Model", bound=results.Result)


def changed(model: Model, **changes: Any) -> Model:
    """A copy with other values at places such as ``conditions__2__label``, checked as when read."""
    content: Any = model.model_dump(mode="json")
    for path, value in changes.items():
        part, places = content, [int(p) if p.isdigit() else p for p in path.split("__")]
        for place in places[:-1]:
            part = part[place]
        part[places[-1]] = value
    return type(model).model_validate(content)


def interval(estimate: float, half: float = 0.04, **other: Any) -> results.Interval:
    values: dict[str, Any] = {
        "estimate": estimate,
        "low": round(estimate - half, 6),
        "high": round(estimate + half, 6),
        "confidence": 0.95,
        "method": "percentile bootstrap",
        "resamples": 10000,
        "seed": 0,
    }
    return results.Interval(**values | other)


def condition(
    name: str,
    label: str,
    kind: results.Kind,
    f1: float,
    usd: float,
    batched: float | None = None,
) -> results.Condition:
    return results.Condition(
        name=name,
        label=label,
        kind=kind,
        model="Tiny-7M",
        shots=5 if "few" in name else 0,
        field_f1=interval(f1),
        valid_json=round(0.5 + f1 / 2, 6),
        schema_valid=round(0.4 + f1 / 2, 6),
        exact_match=round(f1 / 7, 6),
        truncated=0.015625,
        rate_intervals=results.RateIntervals(
            valid_json=interval(round(0.5 + f1 / 2, 6)),
            schema_valid=interval(round(0.4 + f1 / 2, 6)),
            exact_match=interval(round(f1 / 7, 6), 0.0101),
            truncated=interval(0.015625, 0.0102),
        ),
        outcomes=results.Outcomes(
            conforming=55, schema_violating=3, invalid_json=5, truncated=1, refused=0, filtered=0
        ),
        per_field=dict(zip(FIELDS, (f1, round(f1 / 2, 6), round(f1 / 3, 6)))),
        input_tokens_mean=231.25,
        output_tokens_mean=61.5,
        diagnosis=diagnosis(f1),
        latency=results.Latency(
            p50=1.3421, p95=1.8642, requests=24, in_flight=(1, 1), how="one at a time, over HTTP"
        ),
        cost_per_1k=results.CostPer1K(
            usd=usd,
            batched_usd=batched,
            how="electricity: mean seconds × 65 W (configured) × $0.15/kWh × 1.5"
            if kind != "api"
            else "measured tokens at the price of gpt-x (a list, 2026-05)",
            energy=None if kind == "api" else "configured",
            priced_as="gpt-x" if kind == "api" else None,
        ),
    )


def diagnosis(f1: float) -> results.Diagnosis:
    return results.Diagnosis(
        answers=64,
        invalid=6,
        recoverable=2,
        forgiven={"code fence": 1, "trailing comma": 1},
        field_f1_recovered=round(f1 + 0.01, 6),
        fields={
            "vendor": results.StringDiagnosis(missing=0.0625, normalised=0.5, token_f1=0.6123),
            "total_amount": results.IntegerDiagnosis(
                missing=0.25, mean_distance=None, within_one=0.0
            ),
            "line_items": results.EnumDiagnosis(missing=0.125, out_of_vocabulary=0.375),
        },
        confusion={
            "line_items": {
                "a|b": {"a|b": 30, "c": 4, "(another label)": 2, "(none)": 0},
                "c": {"a|b": 3, "c": 20, "(another label)": 0, "(none)": 5},
            }
        },
    )


def drop(value: float) -> results.Drop:
    return results.Drop(
        estimate=value,
        low=round(value - 0.03, 6),
        high=round(value + 0.05, 6),
        method="paired bootstrap",
    )


def robustness() -> results.Robustness:
    lost = (("typos", 0.08), ("quoted_thread", 0.04), ("reordered", 0.0))
    rows: tuple[tuple[str, str, results.Kind, float], ...] = (
        ("lora", "LoRA Tiny-7M", "lora", 0.62),
        ("api_few_shot_5", "Tiny-7M over HTTP, 5-shot", "api", 0.21),
    )
    return results.Robustness(
        texts=12,
        taken=12,
        applied={"typos": 12, "quoted_thread": 12, "jargon": 0, "reordered": 9},
        fewest=9,
        statistics=results.Resampling(resamples=10000, confidence=0.95, seed=0),
        conditions=tuple(
            results.RobustnessCondition(
                name=name,
                label=label,
                kind=kind,
                field_f1_clean=f1,
                field_f1_perturbed=round(f1 - 0.04, 6),
                valid_json_clean=1.0,
                valid_json_perturbed=0.9375,
                drop=drop(0.04),
                by_perturbation=tuple(
                    results.PerturbationDrop(
                        perturbation=perturbation,
                        field_f1_clean=f1,
                        field_f1=round(f1 - value, 6),
                        valid_json=0.9375,
                        drop=drop(value),
                        p_value=0.01,
                        p_holm=0.06,
                    )
                    for perturbation, value in lost
                ),
            )
            for name, label, kind, f1 in rows
        ),
        leads=(
            results.Lead(
                baseline="api_few_shot_5",
                label="Tiny-7M over HTTP, 5-shot",
                clean=0.41,
                perturbed=0.4,
                drop=drop(0.01),
            ),
        ),
    )


def learning_curve(
    result: results.Analysis, scores: tuple[float, ...] = (0.4, 0.55)
) -> results.LearningCurve:
    """Trainings on 40 and 160 texts before the analysis's final ones on 640, whose texts are made up so
    that every condition scores what the analysis says."""
    texts = 60
    half = np.where(np.arange(texts) % 2, 0.2, -0.2)

    def around(mean: float, seeds: int) -> Any:
        """Scores of ``seeds`` trainings with exactly this mean, each its own way about it."""
        room = min(mean, 1 - mean, 0.2) / 0.2
        turned = np.array([np.roll(half, seed // 2) for seed in range(seeds)])
        return mean + room * turned

    def trained(labels: int, mean: float, seeds: tuple[int, ...], steps: int) -> curves.Trained:
        scores = around(mean, len(seeds))
        return curves.Trained(labels, seeds, steps, scores, (scores > 0.6).astype(float))

    sizes = (40, 160, 320)[: len(scores)]
    found = curves.learning_curve(
        [trained(size, mean, (10, 11), 40) for size, mean in zip(sizes, scores)],
        trained(640, result.lora.field_f1.estimate, result.seeds, 80),
        [
            curves.Rival(
                row.name,
                around(row.field_f1.estimate, 1)[0],
                1400 if row.kind == "model_free" else row.shots,
            )
            for row in result.conditions
            if row.kind in ("base", "api", "model_free")
        ],
        curves.CurveSettings(given=1400, scale="proportional", least=40),
        Draws(200, 0, 0.95),
    )
    assert found is not None
    return found


def perturbed_conditions(result: results.Analysis) -> results.Robustness:
    """What perturbing costs the fine-tune and those API conditions that the analysis has."""
    found, names = robustness(), {row.name for row in result.conditions}
    return found.model_copy(
        update={
            "conditions": tuple(row for row in found.conditions if row.name in names),
            "leads": tuple(row for row in found.leads if row.baseline in names),
        }
    )


def rate_difference(value: float) -> results.FieldDifference:
    return results.FieldDifference(
        difference=value, low=round(value - 0.051, 6), high=round(value + 0.061, 6)
    )


def plan(seeds: int) -> results.Planning:
    """Made up: nothing shows 0.01, and 0.05 is shown by few answers of many seeds."""
    counts = (1,) if seeds == 1 else (seeds, 10)
    return results.Planning(
        power=0.8,
        confidence=0.95,
        seeds=counts,
        detectable=(
            results.DetectableRow(texts=64, effects=(0.0712, 0.0512)[: len(counts)]),
            results.DetectableRow(texts=1000, effects=(None, 0.0312)[: len(counts)]),
        ),
        here=0.0712,
        effects=(
            results.EffectPlan(effect=0.01, texts=(None, None)[: len(counts)], cheapest=None),
            results.EffectPlan(
                effect=0.05,
                texts=(3249, 130)[: len(counts)],
                cheapest=results.SampleSize(seeds=10, texts=130)
                if seeds > 1
                else results.SampleSize(seeds=1, texts=3249),
            ),
        ),
    )


def comparison(baseline: results.Condition, lora_f1: float, seeds: int = 3) -> results.Comparison:
    difference = round(lora_f1 - baseline.field_f1.estimate, 6)
    return results.Comparison(
        baseline=baseline.name,
        label=baseline.label,
        difference=difference,
        low=round(difference - 0.05, 6),
        high=round(difference + 0.05, 6),
        p_value=9.999e-05,
        p_holm=0.0003,
        method="percentile bootstrap",
        random_effects=results.IntervalEnds(
            low=round(difference - 0.07, 6),
            high=round(difference + 0.07, 6),
            method="random-effects interval over seeds and texts",
        ),
        clusters=64,
        wins=50,
        ties=9,
        losses=5,
        mcnemar=results.McNemar(only_lora=6, only_baseline=1, p_value=0.125),
        rates=results.RateDifferences(
            exact_match=rate_difference(0.091),
            valid_json=rate_difference(0.2),
            schema_valid=rate_difference(-0.1),
            truncated=rate_difference(0.0),
        ),
        planning=plan(seeds),
        per_field={
            name: results.FieldDifference(
                difference=d, low=round(d - 0.02, 6), high=round(d + 0.02, 6)
            )
            for name, d in zip(FIELDS, (difference, -0.031, 0.0))
        },
    )


def decision(
    baseline: results.Condition, made: results.Comparison, local_usd: float, seeds: int
) -> results.Decision:
    """Against a baseline whose costs are known to a tenth."""
    theirs = baseline.cost_per_1k.usd
    ratio, saved = local_usd / theirs, theirs - local_usd
    volume = 1000 * 1200.02 / saved if saved > 0 else None
    return decide(
        made,
        results.CostRatio(
            estimate=ratio, low=ratio * 0.9, high=ratio * 1.1, method="percentile bootstrap"
        ),
        results.PayBack(
            volume=volume,
            low=volume and volume * 0.9,
            high=volume and volume * 1.1,
            never=0.0 if volume else 1.0,
            method="percentile bootstrap",
        ),
        HYPOTHESIS.clauses,
        seeds,
    )


def redecided(
    result: results.Analysis,
    baseline: str,
    *,
    difference: tuple[float, float] | None = None,
    ratio: tuple[float | None, float | None] | None = None,
    volume: tuple[float | None, float | None] | None = None,
) -> results.Analysis:
    """The same analysis with other intervals against one baseline, decided by the one rule."""
    made, old = result.comparison(baseline), result.decision(baseline)
    if difference:
        low, high = difference
        made = changed(
            made,
            difference=(low + high) / 2,
            random_effects__low=low,
            random_effects__high=high,
        )
    cost, paid = old.cost_ratio, old.pay_back
    if ratio:
        cost = changed(cost, estimate=ratio[0], low=ratio[0], high=ratio[1])
    if volume:
        paid = changed(paid, volume=volume[0], low=volume[0], high=volume[1])
    new = decide(made, cost, paid, HYPOTHESIS.clauses, old.seeds)
    decisions = tuple(new if row.baseline == baseline else row for row in result.decisions)
    comparisons = tuple(made if row.baseline == baseline else row for row in result.comparisons)
    judged = next((row for row in decisions if row.baseline == result.baseline), None)
    return result.model_copy(
        update={
            "decisions": decisions,
            "comparisons": comparisons,
            "verdict": verdict(HYPOTHESIS, judged, 0.95),
        }
    )


def analysis(
    *,
    api_kind: Literal["embedded", "llama_cpp", "openai"] = "embedded",
    seeds: tuple[int, ...] = (0, 1, 2),
    api_usd: float = 0.0711,
    apis: tuple[str, ...] = APIS,
    model_free: Mapping[str, float] | None = None,
    loopback: bool = False,
) -> results.Analysis:
    """``api_usd`` at or below 0.0057 makes an API answer cheaper than a local one.

    ``apis``: the API conditions asked, the first of them the baseline; none where it is empty.
    ``model_free``: predictor without a model → its field F1.
    """
    lora_f1, saving = 0.6342, api_usd > 0.0057
    conditions = (
        condition("lora", f"LoRA Tiny-7M ({len(seeds)} seeds)", "lora", lora_f1, 0.0057, 0.0012),
        condition("base_zero_shot", "Tiny-7M untuned, zero-shot", "base", 0.0711, 0.0061, 0.0015),
        *(
            row
            for row in (
                condition("api_zero_shot", "Tiny-7M over HTTP, zero-shot", "api", 0.0713, api_usd),
                condition(
                    "api_few_shot_5", "Tiny-7M over HTTP, 5-shot", "api", 0.2151, api_usd * 1.9
                ),
            )
            if row.name in apis
        ),
        *(
            condition(name, MODEL_FREE_LABELS[name], "model_free", f1, 2.5e-5)
            for name, f1 in (model_free or {}).items()
        ),
    )
    rows = tuple(
        results.BreakEven(
            baseline=row.name,
            label=row.label,
            api_per_1k=row.cost_per_1k.usd,
            volume=1000 * 1200.02 / (row.cost_per_1k.usd - 0.0057) if saving else None,
            days={1000: 18349.2, 10000: 1834.92, 100000: 18.4} if saving else None,
            ways=(
                results.Way(
                    batched=True,
                    rented=False,
                    local_per_1k=0.0012,
                    api_per_1k=row.cost_per_1k.usd / 2,
                    volume=3.4e7 if saving else None,
                ),
            ),
        )
        for row in conditions
        if row.kind == "api"
    )
    email = results.Example(
        id="email-00007",
        text="Hello | <script>alert(1)</script>\n```\n# not a heading ![x](http://evil.example/a.png)",
        gold={"vendor": "A|B"},
        lora_output='{"vendor": "A|B"}',
        baseline_output="I think </code><img src=x onerror=alert(2)>",
        lora_f1=1.0,
        baseline_f1=0.0,
    )
    closed = {"method": "random-effects t interval", "resamples": 0, "seed": None}
    single = len(seeds) == 1
    comparisons = tuple(comparison(row, lora_f1, len(seeds)) for row in conditions[1:])
    decisions = tuple(
        decision(row, made, 0.0057, len(seeds)) for row, made in zip(conditions[1:], comparisons)
    )
    baseline = apis[0] if apis else None
    judged = next((row for row in decisions if row.baseline == baseline), None)
    return results.Analysis(
        profile="laptop",
        task="Invoices to a 3-field record",
        model="Tiny-7M",
        config_sha256="cd" * 32,
        tunings={},
        api_kind=api_kind,
        loopback=loopback,
        texts=64,
        seeds=seeds,
        selected=results.Selected(r=8, learning_rate=0.002),
        baseline=baseline,
        statistics=results.Resampling(resamples=10000, confidence=0.95, seed=0),
        fields=tuple(FIELDS),
        conditions=conditions,
        lora_statistics=results.LoraStatistics(
            per_seed=tuple(
                results.SeedScore(seed=s, field_f1=0.63 + s / 100, exact_match=0.09, valid_json=1.0)
                for s in seeds
            ),
            intervals=results.LoraIntervals(
                random_effects=interval(lora_f1, 0.06, **closed),
                texts=interval(lora_f1),
                texts_bca=interval(lora_f1, 0.041),
                published_protocol=interval(lora_f1, 0.02),
            ),
            variance_shares=results.VarianceShares(seeds=None, texts=None, interaction=None)
            if single
            else results.VarianceShares(
                seeds=results.Share(estimate=0.19, low=0.01, high=0.95),
                texts=results.Share(estimate=0.76, low=0.04, high=0.94),
                interaction=results.Share(estimate=0.05, low=0.0, high=0.09),
            ),
        ),
        comparisons=comparisons,
        economics=results.Economics(
            prices=results.PriceList(
                as_of="2026-05",
                source="a list",
                batch_discount=0.5,
                names=dict.fromkeys(("api_zero_shot", "api_few_shot_5"), "gpt-x"),
                conditions={
                    name: Price(input=0.15, output=0.6, cached_input=None) for name in apis
                },
            ),
            training=results.TrainingCost(
                engineer_usd=1200.0,
                machine_usd=0.02,
                rented_usd=0.31,
                total_usd=1200.02,
                trainings=6,
                how="1.5 engineer-days × 8 h × $100/h",
            ),
            local_per_1k=0.0057,
            rented_usd_per_hour=0.4,
            break_even=rows,
            sensitivity=None
            if baseline is None
            else results.Sensitivity(
                baseline=baseline,
                label=next(row.label for row in conditions if row.name == baseline),
                factor=2.0,
                volume=rows[0].volume,
                rows=tuple(
                    results.SensitivityRow(setting=setting, low_volume=low, high_volume=high)
                    for setting, low, high in (
                        [("engineer time", 9e6, 3.6e7), ("API input price", None, 1.1e7)]
                        if saving
                        else [("engineer time", None, None)]
                    )
                ),
            ),
        ),
        ownership=ownership(conditions, rows),
        decisions=decisions,
        verdict=verdict(HYPOTHESIS, judged, 0.95),
        examples={
            name: results.Examples(wins=(email,), losses=())
            for name in apis or [row.name for row in conditions[1:]]
        },
    )


def ownership(
    conditions: tuple[results.Condition, ...], rows: tuple[results.BreakEven, ...]
) -> results.Ownership:
    """The model's own totals, with intervals of no width: what the report adds is words."""
    plan = Plan(
        36, 0.0, 0.0, People(1200.02, 0.0), People(0.0, 0.0), Machine(0.0, 0.0216, 0.0, 1.0),
        None, 0.0, 0.0,
    )  # fmt: skip

    def row(per_day: int, api_per_1k: float) -> results.OwnershipRow:
        one = np.ones(1)
        answers = Answers(one * 0.95, one * api_per_1k / 1000, one * 0.9, one * 0.8)
        found = totals(plan, answers, per_day)
        api, month = found.api[0, -1], cheaper_from(found)[0]
        whole = int(month) if np.isfinite(month) else None
        return results.OwnershipRow(
            per_day=per_day, api_usd=api, api_low=api, api_high=api, cheaper_from=whole,
            cheaper_from_low=whole, cheaper_from_high=whole,
        )  # fmt: skip

    def ours(per_day: int) -> results.OwnershipLocal:
        seconds, wrong = np.array([0.95]), np.array([0.9])
        usd = local_totals(plan, seconds, wrong, per_day)[0, -1]
        return results.OwnershipLocal(
            per_day=per_day, machines=int(machines(per_day, seconds, 1.0)[0]), usd=usd, low=usd,
            high=usd,
        )  # fmt: skip

    volumes = (1000, 10_000, 100_000)
    return results.Ownership(
        machine="own",
        machine_is_shared=True,
        inputs=results.OwnershipInputs(
            horizon_months=36, discount_per_year=0.0, api_price_trend_per_year=0.0,
            build_usd=1200.02, upkeep_usd_per_month=0.0, api_build_usd=0.0,
            api_upkeep_usd_per_month=0.0, purchase_usd=0.0, busy_usd_per_hour=0.0216,
            idle_usd_per_hour=0.0, peak_to_mean=1.0, retrain_every_months=None, retrain_usd=0.0,
            usd_per_wrong_record=0.0, usd_per_label=0.0, labelled_texts=636, seconds=0.95,
        ),
        confidence=0.95,
        method="percentile bootstrap over requests and run-to-run speed",
        local_wrong=0.9,
        local=tuple(ours(n) for n in volumes),
        against=tuple(
            results.OwnershipAgainst(
                baseline=entry.baseline, label=entry.label, api_wrong=0.8,
                rows=tuple(row(n, entry.api_per_1k) for n in volumes),
            )
            for entry in rows
        ),
        sensitivity=None
        if not rows
        else results.OwnershipSensitivity(
            baseline=rows[0].baseline, label=rows[0].label, per_day=10_000, saving=-500.0,
            rows=(
                results.InputChange(
                    setting="API input price", low="0.01 USD per 1K", high="0.04 USD per 1K",
                    low_saving=-700.0, high_saving=100.0,
                ),
                results.InputChange(
                    setting="rent", low="0.2 USD an hour", high="0.8 USD an hour",
                    low_saving=-500.0, high_saving=-500.0,
                ),
            ),
        ),
    )  # fmt: skip


def latency(result: results.Analysis) -> pd.DataFrame:
    """The latency table that goes with an analysis: four requests a condition."""
    return pd.DataFrame(
        {"condition": row.name, "latency_seconds": 1 + share, "share": share}
        for row in result.conditions
        for share in (0.25, 0.5, 0.75, 1.0)
    )


def tables(
    result: results.Analysis,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[int, pd.DataFrame]]:
    """The break-even curves, latencies and loss curves that go with an analysis."""
    steps, volumes, economics = np.arange(1, 33), np.logspace(4, 9, 26), result.economics
    once = {"lora": economics.training.total_usd}
    per_1k = {"lora": economics.local_per_1k} | {
        row.baseline: row.api_per_1k for row in economics.break_even
    }
    curves = pd.DataFrame(
        {"volume": v, "condition": name, "total_usd": once.get(name, 0) + v / 1000 * usd}
        for name, usd in per_1k.items()
        for v in volumes
    )
    losses = {
        seed: pd.DataFrame({"step": steps, "loss": 0.2 + np.exp(-steps / (5 + seed))})
        for seed in result.seeds
    }
    return curves, latency(result), losses


def drawn(
    folder: Path,
    result: results.Analysis,
    limit: float | None = 100_000,
    names: Collection[str] | None = None,
) -> None:
    """The report's figures in ``folder`` as SVG. All are made; where there are ``names``, only these
    are written, which is what takes the time."""

    def save(figure: Any, folder: Path, name: str, dpi: int) -> None:
        if names is None or name in names:
            figure.savefig(folder / f"{name}.svg", bbox_inches="tight")

    with mock.patch.object(figures, "save", save):
        figures.write_report_figures(
            folder,
            result,
            robustness(),
            *tables(result),
            limit,
            PLOTS,
            learning_curve(result),
            cascade(result),
        )


REVIEW = metrics.Review(
    sample=100, accepted=3, rejected=0, fixed=0, unreviewed=97, verdicts_for_other_texts=0
)


def inputs(result: results.Analysis, **changes: Any) -> ReportInputs:
    values: dict[str, Any] = {
        "analysis": result,
        "robustness": perturbed_conditions(result),
        "learning_curve": learning_curve(result),
        "corpus": metrics.Corpus(
            source="generator",
            texts=200,
            categories={"a|b": 120, "c": 80},
            repeated_after_masking=3,
            words_mean=48.4,
        ),
        "split": metrics.Split(
            train=140,
            val=30,
            test=30,
            set_aside=0,
            repeated_texts_left_out=0,
            masked_sentence_overlap=1.0,
            sha256={},
        ),
        "data_check": metrics.DataCheck(
            fields={},
            conflicts=(),
            likeness=metrics.Likeness(
                similarity=0.8,
                test_rows_like_a_train_row=4,
                train_rows_like_an_earlier_one=11,
                examples=(),
            ),
            lengths=metrics.Lengths(
                prompt_tokens=metrics.Spread(mean=169.2, p95=190, max=211),
                answer_tokens=metrics.Spread(mean=48.1, p95=55, max=60),
                few_shot_prompt_tokens=831,
                shots=5,
                context=2048,
                max_new_tokens=112,
            ),
            precision=metrics.Precision(
                rows=30,
                available=30,
                half_width=metrics.HalfWidth(typical=0.107, largest=0.179),
                rows_needed={0.05: 139, 0.02: 865},
            ),
            warnings=("kind: a|b is rare (1.0%).",),
        ),
        "review": REVIEW,
        "contamination": metrics.Contamination(
            field="vendor",
            texts=20,
            accuracy=0.05,
            chance=0.2,
            above_chance=-0.15,
            threshold=0.5,
            unreadable_answers=18,
            flagged=False,
        ),
        "hypothesis": HYPOTHESIS,
        "sanity": metrics.Sanity(
            steps=10, first_loss=1.1424, last_loss=0.4124, valid_json=1.0, passed=True
        ),
        "scored": OtherSettings(settings=0, texts=0),
        "settings": SETTINGS,
        "installation": Installation(
            python="3.11.2", platform="Linux x86_64", packages={"trl": "1"}
        ),
        "digests": {"metrics/analysis.json": "cd" * 32},
        "cascade": cascade(result),
    }
    return ReportInputs(**{**values, **changes})


SETTINGS = Settings(
    task_name="invoices",
    instruction="Answer with one JSON object.\nKeys: vendor | total.",
    fields=(Field("vendor", "string", "exact"),),
    device="cpu",
    train={"epochs": 3, "max_steps": 32, "batch_size": 8},
    lora=Adapter(
        alpha_per_r=2.0,
        dropout=0.0,
        target_modules=["q_proj", "v_proj"],
        variant="lora",
        plus_ratio=None,
    ),
    max_new_tokens=112,
    constrained=False,
    model={"name": "Tiny-7M", "source": "wheel", "revision": None},
    watts=65.0,
    see_also=(),
)


def distillation(
    result: results.Analysis, decision: results.Decision, gold: int, left_out: tuple[str, ...]
) -> Distillation:
    """A teacher of 70 texts, of which ``gold`` have gold records; the pupil is the fine-tune."""
    return Distillation(
        labels=TeacherLabels(
            teacher="api_zero_shot", asked=70, labelled=70 - len(left_out), left_out=left_out
        ),
        label="Tiny-7M over HTTP, zero-shot",
        priced_as="gpt-x",
        usd=0.0,
        with_gold=gold,
        differs={"vendor": interval(0.5)} if gold else None,
        differs_anywhere=interval(1.0, 0.0) if gold else None,
        beside_gold=False,
        against_teacher=decision,
        ownership=result.ownership,
    )
