"""From predictions to the comparison: scores, intervals, tests, diagnosis, verdict.

Pure functions over plain data; the statistics are in ``lora_vs_api.stats``, money is in
``lora_vs_api.analysis.costs``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lora_vs_api.analysis.diagnosis import (
    confusion,
    confusion_labels,
    diagnose_field,
    recover_record,
)
from lora_vs_api.analysis.scored_run import Scored
from lora_vs_api.files import read_jsonl
from lora_vs_api.record.fields import Field
from lora_vs_api.scoring.scores import score_output
from lora_vs_api.stats.bootstrap import (
    Interval,
    bca_interval,
    cluster_bootstrap,
    paired_bootstrap,
    published_interval,
    two_level_bootstrap,
)
from lora_vs_api.stats.comparisons import (
    holm,
    mcnemar_exact,
    smallest_detectable_difference,
    texts_needed,
)
from lora_vs_api.stats.rounding import rounded
from lora_vs_api.stats.variance import random_effects_interval, variance_shares

# differences in mean field F1 for which the report says how many texts would show them
WANTED = (0.01, 0.02, 0.05)


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
            "texts": len(latencies),
            "how": _how_timed(passes[0].timings),
        },
        "cost_per_1k": dict(cost),
    }


def noise_floor(
    name: str, rows: Sequence[dict[str, Any]], fields: tuple[Field, ...], root: str | Path = "."
) -> dict[str, Any] | None:
    """How far the answers to one question differ when it is asked again; None if none was.

    ``sd`` is the standard deviation, over askings, of the mean field F1 of the repeated texts:
    a difference between conditions below it is not told from the provider's own noise.
    """
    folder = Path(root, "predictions", "evaluate", name)
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
        "texts": len(askings),
        "askings": scores.shape[1],
        "same_text": round(float(np.mean([len(set(t)) == 1 for t in askings.values()])), 4),
        "same_score": round(float((np.ptp(scores, axis=1) == 0).mean()), 4),
        "field_f1_low": round(float(means.min()), 6),
        "field_f1_high": round(float(means.max()), 6),
        "sd": round(float(means.std(ddof=1)), 6),
    }


def diagnose(
    passes: Sequence[Scored], rows: Sequence[Mapping[str, Any]], fields: tuple[Field, ...]
) -> dict[str, Any]:
    """What kinds of failure the scores of a condition count, over all its passes together."""
    gold = [row["record"] for row in rows] * len(passes)
    records = [record for p in passes for record in p.records]
    outputs = [output for p in passes for output in p.outputs]
    scores = np.concatenate([p.field_f1 for p in passes])
    forgiven: Counter[str] = Counter()
    recovered = 0
    for index, (output, record) in enumerate(zip(outputs, records)):
        found = recover_record(output) if record is None else None
        if found is None:
            continue
        recovered += 1
        forgiven.update(found.forgiven)
        fields_f1 = score_output(json.dumps(found.record), gold[index], fields).fields
        scores[index] = float(np.mean(fields_f1))
    return {
        "answers": len(outputs),
        "invalid": sum(record is None for record in records),
        "recoverable": recovered,
        "forgiven": dict(sorted(forgiven.items())),
        "field_f1_recovered": round(float(scores.mean()), 6),
        "fields": {field.name: diagnose_field(field, records, gold) for field in fields},
        "confusion": {
            field.name: confusion(field, records, gold)
            for field in fields
            if confusion_labels(field)
        },
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
                "name": "texts as clusters (used here)",
                **_interval(cluster_bootstrap(scores, **drawn)),
            },
            {
                "name": "texts as clusters, BCa",
                **_interval(bca_interval(scores.mean(axis=0), **drawn)),
            },
            {"name": "texts and seeds", **_interval(two_level_bootstrap(scores, **drawn))},
            {
                "name": "texts and seeds, for another training",
                **_interval(random_effects_interval(scores, confidence)),
            },
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
    mean_fields = np.mean([p.fields for p in lora], axis=0)
    # a text counts as all-correct when more than half of the seeds get it all right
    majority = np.mean([p.strict for p in lora], axis=0) > 0.5
    rows = []
    for name, (label, scored) in baselines.items():
        result = paired_bootstrap(
            mean_f1, scored.field_f1, resamples=resamples, seed=seed, confidence=confidence
        )
        with_seeds = two_level_bootstrap(
            lora_f1 - scored.field_f1, resamples=resamples, seed=seed, confidence=confidence
        )
        another = random_effects_interval(lora_f1 - scored.field_f1, confidence)
        only_lora, only_baseline, p_strict = mcnemar_exact(majority, scored.strict)
        differences = mean_f1 - scored.field_f1
        detectable = smallest_detectable_difference(differences)
        rows.append(
            {
                "baseline": name,
                "label": label,
                "difference": round(result.difference, 6),
                "low": round(result.interval.low, 6),
                "high": round(result.interval.high, 6),
                "p_value": rounded(result.p_value),
                "method": result.interval.method,
                "with_seeds": {
                    "low": round(with_seeds.low, 6),
                    "high": round(with_seeds.high, 6),
                    "method": with_seeds.method,
                },
                "another_training": {
                    "low": round(another.low, 6),
                    "high": round(another.high, 6),
                    "method": another.method,
                },
                "wins": result.wins,
                "ties": result.ties,
                "losses": result.losses,
                "mcnemar": {
                    "only_lora": only_lora,
                    "only_baseline": only_baseline,
                    "p_value": rounded(p_strict),
                },
                "smallest_detectable": round(float(detectable), 6),
                "texts_needed": {
                    f"{wanted:g}": texts_needed(wanted, float(differences.std(ddof=1)))
                    for wanted in WANTED
                },
                "per_field": _per_field(
                    mean_fields, scored.fields, field_names, resamples, seed, confidence
                ),
            }
        )
    adjusted = holm({row["baseline"]: row["p_value"] for row in rows})
    for row in rows:
        row["p_holm"] = rounded(adjusted[row["baseline"]])
    return rows


def _per_field(
    lora: np.ndarray,
    baseline: np.ndarray,
    names: Sequence[str],
    resamples: int,
    seed: int,
    confidence: float,
) -> dict[str, dict[str, float]]:
    """Paired difference of every field with its own interval; both are (n_texts, n_fields)."""
    found = {}
    for column, name in enumerate(names):
        result = paired_bootstrap(lora[:, column], baseline[:, column], resamples, seed, confidence)
        found[name] = {
            "difference": round(result.difference, 6),
            "low": round(result.interval.low, 6),
            "high": round(result.interval.high, 6),
        }
    return found


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
    # the claim is about fine-tuning, not about these adapters: another training would be another
    # seed, and of the intervals only this one keeps its coverage then
    drawn = comparison["another_training"]
    interval = (
        f"{comparison['difference']:+.3f} field F1, {confidence:.0%} {drawn['method']} "
        f"[{drawn['low']:+.3f}, {drawn['high']:+.3f}]"
    )
    low, high = (
        "never" if end is None else f"{end:,.0f}"
        for end in (break_even_row["interval"]["low"], break_even_row["interval"]["high"])
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
                    else f"{volume:,.0f} inferences, {confidence:.0%} interval over requests "
                    f"[{low}, {high}]"
                )
                + f"; the rule asks for fewer than {limit:,}.",
            },
        ],
    }


def examples(
    rows: Sequence[dict[str, Any]], lora: Scored, baseline: Scored, most: int = 2
) -> dict[str, list[dict[str, Any]]]:
    """Texts on which the tuned model gains most over the baseline, and loses most."""
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


def _interval(interval: Interval) -> dict[str, Any]:
    values = asdict(interval)
    return {
        key: round(value, 6) if isinstance(value, float) and key != "confidence" else value
        for key, value in values.items()
    }


def _mean(passes: Sequence[Scored], name: str) -> float:
    return round(float(np.mean([getattr(p, name).mean() for p in passes])), 6)
