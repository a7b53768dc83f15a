"""From predictions, usage and timings to the comparison: scores, tests, costs, verdict.

Pure functions over plain data; the statistics are in ``lora_vs_api.stats``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, read_jsonl
from lora_vs_api.stats.bootstrap import (
    Interval,
    cluster_bootstrap,
    paired_bootstrap,
    published_interval,
    two_level_bootstrap,
    variance_shares,
)
from lora_vs_api.stats.comparisons import holm, mcnemar_exact, smallest_detectable_difference
from lora_vs_api.stats.economics import (
    ApiPrice,
    api_cost_per_1k,
    break_even,
    break_even_curve,
    days_to_break_even,
    local_cost_per_1k,
    training_cost,
)
from lora_vs_api.task.schema import Field
from lora_vs_api.task.scoring import score_output


@dataclass(frozen=True)
class Scored:
    """One pass over the test slice. Arrays run over its n emails; ``fields`` is (n, fields)."""

    outputs: tuple[str, ...]
    fields: np.ndarray
    valid_json: np.ndarray
    schema_valid: np.ndarray
    outcomes: np.ndarray
    input_tokens: np.ndarray
    output_tokens: np.ndarray
    timings: dict[str, Any]

    @property
    def field_f1(self) -> np.ndarray:
        return self.fields.mean(axis=1)

    @property
    def truncated(self) -> np.ndarray:
        return self.outcomes == "truncated"

    @property
    def strict(self) -> np.ndarray:
        return (self.fields == 1.0).all(axis=1)


def read_condition(
    name: str, rows: Sequence[dict[str, Any]], fields: tuple[Field, ...], root: str | Path = "."
) -> Scored:
    """Read and score what one condition answered to the test ``rows``.

    Raises:
        UserError: the answers are not those of exactly these emails, in this order.
    """
    folder = Path(root, "predictions", name)
    predictions, usage = (
        read_jsonl(folder / "predictions.jsonl"),
        read_jsonl(folder / "usage.jsonl"),
    )
    ids = [row["id"] for row in rows]
    for file, lines in (("predictions", predictions), ("usage", usage)):
        if [line["id"] for line in lines] != ids:
            raise UserError(
                f"{folder}/{file}.jsonl: not one line for each of the {len(ids)} test emails in "
                "their order; run `dvc repro` to make it again"
            )
    scores = [
        score_output(prediction["output"], row["record"], fields)
        for prediction, row in zip(predictions, rows)
    ]
    return Scored(
        outputs=tuple(prediction["output"] for prediction in predictions),
        fields=np.array([score.fields for score in scores]),
        valid_json=np.array([score.valid_json for score in scores]),
        schema_valid=np.array([score.schema_valid for score in scores]),
        outcomes=np.array([prediction["outcome"] for prediction in predictions]),
        input_tokens=np.array([line["input_tokens"] for line in usage]),
        output_tokens=np.array([line["output_tokens"] for line in usage]),
        timings=read_json(Path(root, "timings", "evaluate", f"{name}.json")),
    )


def condition_row(
    name: str,
    label: str,
    kind: str,
    passes: Sequence[Scored],
    field_names: Sequence[str],
    interval: Interval,
    cost: Mapping[str, Any],
    **extra: Any,
) -> dict[str, Any]:
    """One row of the comparison: rates and means over the condition's ``passes`` (its seeds)."""
    latencies = np.concatenate([p.timings["latency_seconds"] for p in passes])
    per_field = np.mean([p.fields.mean(axis=0) for p in passes], axis=0)
    return {
        "name": name,
        "label": label,
        "kind": kind,
        **extra,
        "field_f1": _interval(interval),
        "valid_json": _mean(passes, "valid_json"),
        "schema_valid": _mean(passes, "schema_valid"),
        "strict": _mean(passes, "strict"),
        "truncated": _mean(passes, "truncated"),
        "outcomes": outcome_counts(passes),
        "per_field": {n: round(float(v), 6) for n, v in zip(field_names, per_field)},
        "input_tokens_mean": round(_mean(passes, "input_tokens"), 2),
        "output_tokens_mean": round(_mean(passes, "output_tokens"), 2),
        "latency": {
            "p50": _quantile(latencies, 0.5),
            "p95": _quantile(latencies, 0.95),
            "emails": len(latencies),
            "how": _how_timed(passes[0].timings),
        },
        "cost_per_1k": dict(cost),
    }


def noise_floor(
    name: str, rows: Sequence[dict[str, Any]], fields: tuple[Field, ...], root: str | Path = "."
) -> dict[str, Any] | None:
    """How far the answers to one question differ when it is asked again; None if none was.

    ``sd`` is the standard deviation, over askings, of the mean field F1 of the repeated emails:
    a difference between conditions below it is not told from the provider's own noise.
    """
    folder = Path(root, "predictions", name)
    if not (folder / "replicates.jsonl").exists():
        return None
    askings: dict[str, list[str]] = {}
    first = {row["id"]: row["output"] for row in read_jsonl(folder / "predictions.jsonl")}
    for line in read_jsonl(folder / "replicates.jsonl"):
        askings.setdefault(line["id"], [first[line["id"]]]).append(line["output"])
    records = {row["id"]: row["record"] for row in rows}
    scores = np.array(
        [
            [np.mean(score_output(text, records[identity], fields).fields) for text in texts]
            for identity, texts in askings.items()
        ]
    )
    means = scores.mean(axis=0)
    return {
        "emails": len(askings),
        "askings": scores.shape[1],
        "same_text": round(float(np.mean([len(set(t)) == 1 for t in askings.values()])), 4),
        "same_score": round(float((np.ptp(scores, axis=1) == 0).mean()), 4),
        "field_f1_low": round(float(means.min()), 6),
        "field_f1_high": round(float(means.max()), 6),
        "sd": round(float(means.std(ddof=1)), 6),
    }


def outcome_counts(passes: Sequence[Scored]) -> dict[str, int]:
    """Every request of ``passes`` under one heading.

    A node that meets a refused or filtered request fails rather than have it scored, so those
    two are 0 in any result that is reached.
    """
    outcomes = np.concatenate([p.outcomes for p in passes])
    answered = outcomes == "answered"
    valid = np.concatenate([p.valid_json for p in passes])
    fits = np.concatenate([p.schema_valid for p in passes])
    return {
        "conforming": int((answered & fits).sum()),
        "schema_violating": int((answered & valid & ~fits).sum()),
        "invalid_json": int((answered & ~valid).sum()),
        **{name: int((outcomes == name).sum()) for name in ("truncated", "refused", "filtered")},
    }


def _quantile(values: np.ndarray, share: float) -> float | None:
    """None where nothing was timed, as in a batch."""
    return round(float(np.quantile(values, share)), 4) if len(values) else None


def _how_timed(timings: Mapping[str, Any]) -> str:
    if timings.get("mode") == "batch":
        return "asked as a batch, which has no latency"
    at_once = timings.get("concurrency", 1)
    where = timings.get("machine", {})
    place = f"{where['device']} {where['name']}, {where['dtype']}" if where else "over HTTP"
    stored = sum(timings.get("stored", []))
    earlier = f", {stored} of {len(timings['stored'])} in earlier calls" if stored else ""
    return f"{'one at a time' if at_once == 1 else f'{at_once} in flight'}, {place}{earlier}"


def local_cost(passes: Sequence[Scored], economics: Any) -> dict[str, Any]:
    """Electricity per 1,000 emails: asked one at a time, and in batches. USD."""
    power = (economics.watts, economics.usd_per_kwh, economics.overhead)
    latency = float(np.concatenate([p.timings["latency_seconds"] for p in passes]).mean())
    rates = [p.timings["throughput_emails_per_second"] for p in passes]
    return {
        "usd": _significant(local_cost_per_1k(latency, *power)),
        "batched_usd": _significant(local_cost_per_1k(1 / float(np.mean(rates)), *power)),
        "how": f"electricity: mean seconds × {economics.watts:g} W (configured) × "
        f"${economics.usd_per_kwh:g}/kWh × {economics.overhead:g}",
        "priced_as": None,
    }


def api_cost(scored: Scored, priced_as: str, prices: Any) -> dict[str, Any]:
    """Token price per 1,000 emails. USD."""
    entry = prices.models[priced_as]
    price = ApiPrice(
        input_per_million=entry.input,
        output_per_million=entry.output,
        cached_input_per_million=entry.cached_input,
        as_of=prices.as_of,
        source=prices.source,
        batch_discount=prices.batch_discount,
    )
    batch = scored.timings.get("mode") == "batch"
    usd = api_cost_per_1k(scored.input_tokens, scored.output_tokens, price, batch=batch)
    discount = f", less {price.batch_discount:.0%} in a batch" if batch else ""
    return {
        "usd": _significant(usd),
        "batched_usd": None,
        "how": f"measured tokens at the price of {priced_as} ({prices.source}, {prices.as_of}){discount}",
        "priced_as": priced_as,
    }


def lora_statistics(
    seeds: Sequence[int], passes: Sequence[Scored], resamples: int, seed: int, confidence: float
) -> dict[str, Any]:
    """The tuned model alone: each seed, and its interval under three ways of resampling."""
    scores = np.stack([p.field_f1 for p in passes])
    drawn = {"resamples": resamples, "seed": seed, "confidence": confidence}
    shares = variance_shares(scores)
    return {
        "per_seed": [
            {
                "seed": s,
                "field_f1": round(float(p.field_f1.mean()), 6),
                "strict": round(float(p.strict.mean()), 6),
                "valid_json": round(float(p.valid_json.mean()), 6),
            }
            for s, p in zip(seeds, passes)
        ],
        "intervals": [
            {
                "name": "emails as clusters (used here)",
                **_interval(cluster_bootstrap(scores, **drawn)),
            },
            {"name": "emails and seeds", **_interval(two_level_bootstrap(scores, **drawn))},
            {
                "name": f"published protocol (n = {scores.size})",
                **_interval(published_interval(scores, **drawn)),
            },
        ],
        "variance_shares": {
            key: None if value is None else round(float(value), 4)
            for key, value in asdict(shares).items()
        },
    }


def compare(
    lora: Sequence[Scored],
    baselines: Mapping[str, tuple[str, Scored]],
    field_names: Sequence[str],
    resamples: int,
    seed: int,
    confidence: float,
) -> list[dict[str, Any]]:
    """The tuned model's mean over seeds against each baseline (name → label, answers), paired."""
    lora_f1 = np.stack([p.field_f1 for p in lora])
    mean_f1 = lora_f1.mean(axis=0)
    mean_fields = np.mean([p.fields.mean(axis=0) for p in lora], axis=0)
    # an email counts as all-correct when more than half of the seeds get it all right
    majority = np.mean([p.strict for p in lora], axis=0) > 0.5
    rows = []
    for name, (label, scored) in baselines.items():
        result = paired_bootstrap(
            mean_f1, scored.field_f1, resamples=resamples, seed=seed, confidence=confidence
        )
        with_seeds = two_level_bootstrap(
            lora_f1 - scored.field_f1, resamples=resamples, seed=seed, confidence=confidence
        )
        only_lora, only_baseline, p_strict = mcnemar_exact(majority, scored.strict)
        detectable = smallest_detectable_difference(mean_f1 - scored.field_f1)
        rows.append(
            {
                "baseline": name,
                "label": label,
                "difference": round(result.difference, 6),
                "low": round(result.interval.low, 6),
                "high": round(result.interval.high, 6),
                "p_value": _significant(result.p_value),
                "method": result.interval.method,
                "with_seeds": {
                    "low": round(with_seeds.low, 6),
                    "high": round(with_seeds.high, 6),
                    "method": with_seeds.method,
                },
                "wins": result.wins,
                "ties": result.ties,
                "losses": result.losses,
                "mcnemar": {
                    "only_lora": only_lora,
                    "only_baseline": only_baseline,
                    "p_value": _significant(p_strict),
                },
                "smallest_detectable": round(float(detectable), 6),
                "per_field": {
                    n: round(float(d), 6)
                    for n, d in zip(field_names, mean_fields - scored.fields.mean(axis=0))
                },
            }
        )
    adjusted = holm({row["baseline"]: row["p_value"] for row in rows})
    for row in rows:
        row["p_holm"] = _significant(adjusted[row["baseline"]])
    return rows


def economics_of(
    conditions: Sequence[Mapping[str, Any]], training_seconds: float | None, economics: Any
) -> dict[str, Any]:
    """Training cost, and the volume at which each API condition has cost as much. USD."""
    local = next(row for row in conditions if row["kind"] == "lora")["cost_per_1k"]
    cost = training_cost(
        engineer_days=economics.engineer_days,
        hours_per_day=economics.hours_per_day,
        usd_per_hour=economics.usd_per_hour,
        training_seconds=training_seconds or 0.0,
        watts=economics.watts,
        usd_per_kwh=economics.usd_per_kwh,
        overhead=economics.overhead,
    )
    rows = []
    for row in conditions:
        if row["kind"] != "api":
            continue
        volume = break_even(cost["total_usd"], local["usd"], row["cost_per_1k"]["usd"])
        rows.append(
            {
                "baseline": row["name"],
                "label": row["label"],
                "api_per_1k": row["cost_per_1k"]["usd"],
                "volume": None if volume is None else _significant(volume),
                "days": None
                if volume is None
                else {
                    str(n): _significant(days_to_break_even(volume, n))
                    for n in economics.volumes_per_day
                },
            }
        )
    electricity = None if training_seconds is None else round(cost["electricity_usd"], 6)
    return {
        "training": {
            "engineer_usd": round(cost["engineer_usd"], 2),
            "electricity_usd": electricity,
            "total_usd": round(cost["total_usd"], 2),
            "how": f"{economics.engineer_days:g} engineer-days × {economics.hours_per_day:g} h × "
            f"${economics.usd_per_hour:g}/h, plus the electricity of the final trainings "
            "(the sweep's is not counted)",
        },
        "local_per_1k": local["usd"],
        "local_batched_per_1k": local["batched_usd"],
        "break_even": rows,
    }


def verdict(
    hypothesis: Mapping[str, Any],
    comparison: Mapping[str, Any],
    break_even_row: Mapping[str, Any],
    confidence: float,
) -> dict[str, Any]:
    """Decide each clause of the hypothesis by its rule, against the baseline it names."""
    clauses = hypothesis["clauses"]
    least = clauses["accuracy"]["min_difference"]
    limit = clauses["break_even"]["max_inferences"]
    volume = break_even_row["volume"]
    # the wider of the two intervals: another training would be another seed
    drawn = comparison["with_seeds"]
    interval = (
        f"{comparison['difference']:+.3f} field F1, {confidence:.0%} interval over emails and seeds "
        f"[{drawn['low']:+.3f}, {drawn['high']:+.3f}]"
    )
    return {
        "id": hypothesis["id"],
        "statement": hypothesis["statement"].strip(),
        "sha256": hypothesis["sha256"],
        "clauses": [
            {
                "clause": "accuracy",
                "holds": drawn["low"] > least,
                "reason": f"LoRA minus {comparison['label']}: {interval}; the rule asks that the "
                f"whole interval lies above {least:g}.",
            },
            {
                "clause": "break_even",
                "holds": volume is not None and volume < limit,
                "reason": (
                    f"never: a LoRA answer costs ${break_even_row['local_per_1k']:g} per 1K and an "
                    f"API answer ${break_even_row['api_per_1k']:g}, so nothing is saved"
                    if volume is None
                    else f"{volume:,.0f} inferences"
                )
                + f"; the rule asks for fewer than {limit:,}.",
            },
        ],
    }


def examples(
    rows: Sequence[dict[str, Any]], lora: Scored, baseline: Scored, most: int = 3
) -> dict[str, list[dict[str, Any]]]:
    """Emails on which the tuned model gains most over the baseline, and loses most."""
    gain = lora.field_f1 - baseline.field_f1
    order = np.argsort(-gain, kind="stable")

    def show(index: int) -> dict[str, Any]:
        row = rows[index]
        return {
            "id": row["id"],
            "text": row["text"],
            "gold": row["record"],
            "lora_output": lora.outputs[index],
            "baseline_output": baseline.outputs[index],
            "lora_f1": round(float(lora.field_f1[index]), 4),
            "baseline_f1": round(float(baseline.field_f1[index]), 4),
        }

    return {
        "wins": [show(i) for i in order[:most] if gain[i] > 0],
        "losses": [show(i) for i in order[::-1][:most] if gain[i] < 0],
    }


def answer_table(
    rows: Sequence[dict[str, Any]], passes: Mapping[str, Scored], field_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Every answer of every pass with its score and the fields it got wrong, email by email."""
    return [
        {
            "id": row["id"],
            "condition": name,
            "output": scored.outputs[i],
            "truncated": bool(scored.truncated[i]),
            "input_tokens": int(scored.input_tokens[i]),
            "output_tokens": int(scored.output_tokens[i]),
            "field_f1": round(float(scored.field_f1[i]), 6),
            "wrong": [n for n, value in zip(field_names, scored.fields[i]) if value < 1],
        }
        for i, row in enumerate(rows)
        for name, scored in passes.items()
    ]


def break_even_table(economics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of plots/break_even.csv: total USD of each way at volumes from 10^4 to 10^9."""
    volumes = np.logspace(4, 9, 26)
    rows = []
    for entry in economics["break_even"]:
        local, api = break_even_curve(
            volumes,
            economics["training"]["total_usd"],
            economics["local_per_1k"],
            entry["api_per_1k"],
        )
        if not rows:
            rows += _curve("lora", volumes, local)
        rows += _curve(entry["baseline"], volumes, api)
    return rows


def _curve(condition: str, volumes: np.ndarray, totals: np.ndarray) -> list[dict[str, Any]]:
    return [
        {
            "volume": _significant(float(v), 6),
            "condition": condition,
            "total_usd": _significant(float(t), 6),
        }
        for v, t in zip(volumes, totals)
    ]


def latency_table(passes: Mapping[str, Sequence[Scored]]) -> list[dict[str, Any]]:
    """Rows of plots/latency.csv: the share of a condition's requests at or below each latency."""
    rows = []
    for name, scored in passes.items():
        seconds = np.sort(np.concatenate([p.timings["latency_seconds"] for p in scored]))
        rows += [
            {
                "condition": name,
                "latency_seconds": float(s),
                "share": round((i + 1) / len(seconds), 4),
            }
            for i, s in enumerate(seconds)
        ]
    return rows


def _interval(interval: Interval) -> dict[str, Any]:
    values = asdict(interval)
    return {
        key: round(value, 6) if isinstance(value, float) and key != "confidence" else value
        for key, value in values.items()
    }


def _mean(passes: Sequence[Scored], name: str) -> float:
    return round(float(np.mean([getattr(p, name).mean() for p in passes])), 6)


def _significant(value: float, digits: int = 4) -> float:
    """``value`` to so many significant digits, so that noise does not show as a difference."""
    return float(f"{value:.{digits}g}")


def training_seconds(seeds: Sequence[int], root: str | Path = ".") -> float | None:
    """Wall seconds of the final trainings; None when none of them was measured.

    A seed that took over its trial's adapter has no time of its own and is counted at the mean
    of the others.
    """
    timings = [read_json(Path(root, "timings", "train", f"seed-{seed}.json")) for seed in seeds]
    measured = [timing["training_seconds"] for timing in timings if not timing["reused"]]
    return float(np.mean(measured)) * len(seeds) if measured else None


def plot_tables(
    result: Mapping[str, Any], passes: Mapping[str, Sequence[Scored]]
) -> dict[str, list[dict[str, Any]]]:
    """Tables for `dvc plots show`, by file name under plots/."""
    conditions = result["conditions"]
    return {
        "conditions": [
            {
                "condition": row["name"],
                "field_f1": row["field_f1"]["estimate"],
                "low": row["field_f1"]["low"],
                "high": row["field_f1"]["high"],
                "valid_json": row["valid_json"],
                "strict": row["strict"],
                "cost_per_1k_usd": row["cost_per_1k"]["usd"],
            }
            for row in conditions
        ],
        "per_field": [
            # not "field": DVC's plots put a column of that name into every row
            {"condition": row["name"], "record_field": field, "f1": value}
            for row in conditions
            for field, value in row["per_field"].items()
        ],
        "latency": latency_table(passes),
        "break_even": break_even_table(result["economics"]),
    }
