"""A small analysis of made-up numbers in the form of metrics/analysis.json, for the report's tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lora_vs_api.analysis.tables import break_even_table
from lora_vs_api.config.sections import Plots
from lora_vs_api.report.sections.facts import ReportInputs

# no field of the built-in task: the report must not know any
FIELDS = ["vendor", "total_amount", "line_items"]
PLOTS = Plots(palette="colorblind", lora_color="#0072B2", dpi=60)


def interval(estimate: float, half: float = 0.04) -> dict[str, Any]:
    return {
        "estimate": estimate,
        "low": round(estimate - half, 6),
        "high": round(estimate + half, 6),
        "confidence": 0.95,
        "method": "percentile bootstrap",
        "resamples": 10000,
        "seed": 0,
    }


def condition(
    name: str, label: str, kind: str, f1: float, usd: float, batched: float | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "kind": kind,
        "model": "Tiny-7M",
        "shots": 5 if "few" in name else 0,
        "field_f1": interval(f1),
        "valid_json": round(0.5 + f1 / 2, 6),
        "schema_valid": round(0.4 + f1 / 2, 6),
        "strict": round(f1 / 7, 6),
        "truncated": 0.015625,
        "outcomes": {
            "conforming": 55,
            "schema_violating": 3,
            "invalid_json": 5,
            "truncated": 1,
            "refused": 0,
            "filtered": 0,
        },
        "per_field": dict(zip(FIELDS, (f1, round(f1 / 2, 6), round(f1 / 3, 6)))),
        "input_tokens_mean": 231.25,
        "output_tokens_mean": 61.5,
        "diagnosis": diagnosis(f1),
        "latency": {"p50": 1.3421, "p95": 1.8642, "texts": 24, "how": "one at a time, over HTTP"},
        "cost_per_1k": {
            "usd": usd,
            "batched_usd": batched,
            "how": "electricity: mean seconds × 65 W (configured) × $0.15/kWh × 1.5"
            if kind != "api"
            else "measured tokens at the price of gpt-x (a list, 2026-05)",
            "energy": "configured",
            "priced_as": "gpt-x" if kind == "api" else None,
        },
    }


def diagnosis(f1: float) -> dict[str, Any]:
    return {
        "answers": 64,
        "invalid": 6,
        "recoverable": 2,
        "forgiven": {"code fence": 1, "trailing comma": 1},
        "field_f1_recovered": round(f1 + 0.01, 6),
        "fields": {
            "vendor": {"missing": 0.0625, "normalised": 0.5, "token_f1": 0.6123},
            "total_amount": {"missing": 0.25, "mean_distance": None, "within_one": 0.0},
            "line_items": {"missing": 0.125, "invented": 0.375},
        },
        "confusion": {
            "line_items": {
                "a|b": {"a|b": 30, "c": 4, "(another label)": 2, "(none)": 0},
                "c": {"a|b": 3, "c": 20, "(another label)": 0, "(none)": 5},
            }
        },
    }


def robustness() -> dict[str, Any]:
    """In the form of metrics/robustness.json."""

    def drop(value: float) -> dict[str, Any]:
        low, high = round(value - 0.03, 6), round(value + 0.05, 6)
        return {"drop": value, "low": low, "high": high, "method": "paired bootstrap"}

    return {
        "texts": 12,
        "changed": {"typos": 12, "quoted_thread": 12, "reordered": 9},
        "statistics": {"resamples": 10000, "confidence": 0.95, "seed": 0},
        "conditions": [
            {
                "name": name,
                "label": label,
                "kind": kind,
                "field_f1_clean": f1,
                "field_f1": round(f1 - 0.04, 6),
                "valid_json_clean": 1.0,
                "valid_json": 0.9375,
                "drop": drop(0.04),
                "by_perturbation": [
                    {
                        "perturbation": perturbation,
                        "field_f1": round(f1 - lost, 6),
                        "valid_json": 0.9375,
                        "drop": drop(lost),
                        "p_value": 0.01,
                        "p_holm": 0.06,
                    }
                    for perturbation, lost in (
                        ("typos", 0.08), ("quoted_thread", 0.04), ("reordered", 0.0)
                    )
                ],
            }
            for name, label, kind, f1 in (
                ("lora", "LoRA Tiny-7M", "lora", 0.62),
                ("api_few_shot_5", "Tiny-7M over HTTP, 5-shot", "api", 0.21),
            )
        ],
        "leads": [
            {
                "baseline": "api_few_shot_5",
                "label": "Tiny-7M over HTTP, 5-shot",
                "clean": 0.41,
                "perturbed": 0.4,
                "drop": drop(0.01),
            }
        ],
    }  # fmt: skip


def comparison(baseline: dict[str, Any], lora_f1: float) -> dict[str, Any]:
    difference = round(lora_f1 - baseline["field_f1"]["estimate"], 6)
    return {
        "baseline": baseline["name"],
        "label": baseline["label"],
        "difference": difference,
        "low": round(difference - 0.05, 6),
        "high": round(difference + 0.05, 6),
        "p_value": 9.999e-05,
        "p_holm": 0.0003,
        "method": "percentile bootstrap",
        "another_training": {
            "low": round(difference - 0.07, 6),
            "high": round(difference + 0.07, 6),
            "method": "random-effects t interval over seeds and texts",
        },
        "wins": 50,
        "ties": 9,
        "losses": 5,
        "mcnemar": {"only_lora": 6, "only_baseline": 1, "p_value": 0.125},
        "smallest_detectable": 0.0712,
        "texts_needed": {"0.01": 3249, "0.05": 130},
        "per_field": {
            name: {"difference": d, "low": round(d - 0.02, 6), "high": round(d + 0.02, 6)}
            for name, d in zip(FIELDS, (difference, -0.031, 0.0))
        },
    }


def analysis(
    *, api_kind: str = "embedded", seeds: tuple[int, ...] = (0, 1, 2), api_usd: float = 0.0711
) -> dict[str, Any]:
    """``api_usd`` at or below 0.0057 makes an API answer cheaper than a local one."""
    lora_f1 = 0.6342
    conditions = [
        condition("lora", f"LoRA Tiny-7M ({len(seeds)} seeds)", "lora", lora_f1, 0.0057, 0.0012),
        condition("base_zero_shot", "Tiny-7M untuned, zero-shot", "base", 0.0711, 0.0061, 0.0015),
        condition("api_zero_shot", "Tiny-7M over HTTP, zero-shot", "api", 0.0713, api_usd),
        condition("api_few_shot_5", "Tiny-7M over HTTP, 5-shot", "api", 0.2151, api_usd * 1.9),
    ]
    saving = api_usd - 0.0057
    rows = [
        {
            "baseline": row["name"],
            "label": row["label"],
            "api_per_1k": row["cost_per_1k"]["usd"],
            "volume": 1000 * 1200.02 / (row["cost_per_1k"]["usd"] - 0.0057) if saving > 0 else None,
            "days": {"1000": 18349.2, "10000": 1834.92, "100000": 18.4} if saving > 0 else None,
            "interval": {
                "low": 1.7e7 if saving > 0 else None,
                "high": 2.1e7 if saving > 0 else None,
                "never": 0.0 if saving > 0 else 1.0,
                "confidence": 0.95,
                "method": "percentile bootstrap over requests",
                "resamples": 10000,
                "seed": 0,
            },
            "ways": {
                "in batches, own electricity": {
                    "local_per_1k": 0.0012,
                    "api_per_1k": row["cost_per_1k"]["usd"] / 2,
                    "volume": 3.4e7 if saving > 0 else None,
                }
            },
        }
        for row in conditions
        if row["kind"] == "api"
    ]
    email = {
        "id": "email-00007",
        "text": "Hello | <script>alert(1)</script>\n```\n# not a heading ![x](http://evil.example/a.png)",
        "gold": {"vendor": "A|B"},
        "lora_output": '{"vendor": "A|B"}',
        "baseline_output": "I think </code><img src=x onerror=alert(2)>",
        "lora_f1": 1.0,
        "baseline_f1": 0.0,
    }
    single = len(seeds) == 1
    shares = ("seeds", "texts", "interaction", "variance_of_mean")
    return {
        "profile": "laptop",
        "task": "Invoices to a 3-field record",
        "model": "Tiny-7M",
        "tunings": {},
        "api_kind": api_kind,
        "texts": 64,
        "unseen_share": 0.0457,
        "seeds": list(seeds),
        "selected": {"r": 8, "learning_rate": 0.002},
        "baseline": "api_zero_shot",
        "statistics": {"resamples": 10000, "confidence": 0.95, "seed": 0},
        "fields": FIELDS,
        "conditions": conditions,
        "lora": {
            "per_seed": [
                {"seed": s, "field_f1": 0.63 + s / 100, "strict": 0.09, "valid_json": 1.0}
                for s in seeds
            ],
            "intervals": [
                {"name": "texts as clusters (used here)", **interval(lora_f1)},
                {"name": "texts and seeds", **interval(lora_f1, 0.05)},
                {"name": "published protocol (n = 192)", **interval(lora_f1, 0.02)},
            ],
            "variance_shares": dict.fromkeys(shares)
            if single
            else {"seeds": 0.19, "texts": 0.76, "interaction": 0.05, "variance_of_mean": 0.0008},
        },
        "comparisons": [comparison(row, lora_f1) for row in conditions[1:]],
        "economics": {
            "prices": {
                "as_of": "2026-05",
                "source": "a list",
                "conditions": {
                    name: {
                        "input_per_million": 0.15,
                        "output_per_million": 0.6,
                        "cached_input_per_million": None,
                        "batch_discount": 0.5,
                    }
                    for name in ("api_zero_shot", "api_few_shot_5")
                },
            },
            "training": {
                "engineer_usd": 1200.0,
                "machine_usd": 0.02,
                "rented_usd": 0.31,
                "total_usd": 1200.02,
                "how": "1.5 engineer-days × 8 h × $100/h",
            },
            "local_per_1k": 0.0057,
            "local_batched_per_1k": 0.0012,
            "rented_usd_per_hour": 0.4,
            "break_even": rows,
            "sensitivity": {
                "baseline": "api_zero_shot",
                "label": "Tiny-7M over HTTP, zero-shot",
                "factor": 2.0,
                "volume": rows[0]["volume"],
                "rows": [
                    {"setting": "engineer time", "low_volume": 9e6, "high_volume": 3.6e7},
                    {"setting": "API input price", "low_volume": None, "high_volume": 1.1e7},
                ]
                if saving > 0
                else [{"setting": "engineer time", "low_volume": None, "high_volume": None}],
            },
        },
        "verdict": {
            "id": "H1",
            "statement": "A small tuned model does at least as well and pays back.",
            "sha256": "ab" * 32,
            "clauses": [
                {"clause": "accuracy", "holds": True, "reason": "LoRA minus X: +0.563 [+0.513]."},
                {"clause": "break_even", "holds": False, "reason": "18 million; asked: 100,000."},
            ],
        },
        "examples": {
            name: {"wins": [email], "losses": []} for name in ("api_zero_shot", "api_few_shot_5")
        },
    }


def latency(result: dict[str, Any]) -> pd.DataFrame:
    """The latency table that goes with an analysis: four requests a condition."""
    return pd.DataFrame(
        {"condition": row["name"], "latency_seconds": 1 + share, "share": share}
        for row in result["conditions"]
        for share in (0.25, 0.5, 0.75, 1.0)
    )


def tables(
    result: dict[str, Any],
) -> tuple[pd.DataFrame, pd.DataFrame, dict[int, pd.DataFrame]]:
    """The break-even curves, latencies and loss curves that go with an analysis."""
    steps = np.arange(1, 33)
    losses = {
        seed: pd.DataFrame({"step": steps, "loss": 0.2 + np.exp(-steps / (5 + seed))})
        for seed in result["seeds"]
    }
    return pd.DataFrame(break_even_table(result["economics"])), latency(result), losses


def inputs(result: dict[str, Any], **changes: Any) -> ReportInputs:
    values: dict[str, Any] = {
        "analysis": result,
        "robustness": robustness(),
        "corpus": {
            "source": "generator",
            "texts": 200,
            "categories": {"a|b": 120, "c": 80},
            "repeated_after_masking": 3,
            "words_mean": 48.4,
        },
        "split": {"train": 140, "val": 30, "test": 30, "masked_sentence_overlap": 1.0},
        "data_check": {
            "conflicts": [],
            "likeness": {
                "similarity": 0.8,
                "test_rows_like_a_train_row": 4,
                "train_rows_like_an_earlier_one": 11,
            },
            "lengths": {"answer_tokens": {"max": 60}, "max_new_tokens": 112},
            "precision": {
                "rows": 30,
                "half_width": {"typical": 0.107},
                "rows_needed": {"0.05": 139, "0.02": 865},
            },
            "warnings": ["kind: a|b is rare (1.0%)."],
        },
        "review": {"sample": 100, "accepted": 3, "rejected": 0, "fixed": 0, "unreviewed": 97},
        "contamination": {
            "field": "vendor",
            "texts": 20,
            "accuracy": 0.05,
            "chance": 0.2,
            "above_chance": -0.15,
            "threshold": 0.5,
            "unreadable_answers": 18,
            "flagged": False,
        },
        "hypothesis": {"id": "H1", "clauses": {"break_even": {"max_inferences": 100000}}},
        "sanity": {
            "steps": 10,
            "first_loss": 1.1424,
            "last_loss": 0.4124,
            "valid_json": 1.0,
            "passed": True,
        },
        "settings": {
            "instruction": "Answer with one JSON object.\nKeys: vendor | total.",
            "fields": {"vendor": {"type": "string", "score": "exact"}},
            "device": "cpu",
            "train": {"epochs": 3, "max_steps": 32, "batch_size": 8},
            "lora": {
                "alpha_per_r": 2.0,
                "dropout": 0.0,
                "target_modules": ["q_proj", "v_proj"],
                "variant": "lora",
                "plus_ratio": None,
            },
            "max_new_tokens": 112,
            "constrained": False,
            "model": {"name": "Tiny-7M", "source": "wheel", "revision": None},
            "watts": 65.0,
        },
        "environment": {"python": "3.11.2", "platform": "Linux x86_64", "packages": {"trl": "1"}},
        "digests": {"metrics/analysis.json": "cd" * 32},
    }
    return ReportInputs(**{**values, **changes})
