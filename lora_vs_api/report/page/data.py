"""What the script of report.html works on: the answers to read and the break-even to vary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lora_vs_api.record.parsing import parse_record

# where the report names no volume a day, because nothing is ever saved
VOLUME_PER_DAY = 1000
# texts whose answers are on the page: with six conditions about 10 MB, which browsers open at once
MOST_TEXTS = 3_000


def page_data(
    analysis: Mapping[str, Any],
    answers: Iterable[Mapping[str, Any]],
    examples: Iterable[Mapping[str, Any]],
) -> dict[str, Any]:
    """The page's data, ready for JSON.

    Of more than ``MOST_TEXTS`` texts with answers the first are taken, which of the test slice
    are a random sample with its mix; ``shown`` then tells how many of how many.

    Args:
        analysis: metrics/analysis.json.
        answers: rows of metrics/answers.jsonl, those of a text one after another.
        examples: rows of a split; those that no answer belongs to are left out.

    Raises:
        ValueError: an answer belongs to none of the examples.
    """
    labels = _labels(analysis)
    rows_of: dict[str, list[Mapping[str, Any]]] = {}
    more = False
    for row in answers:
        more = row["id"] not in rows_of and len(rows_of) == MOST_TEXTS
        if more:
            break
        rows_of.setdefault(row["id"], []).append(row)
    known = {example["id"]: example for example in examples if example["id"] in rows_of}
    unknown = next((key for key in rows_of if key not in known), None)
    if unknown is not None:
        raise ValueError(f"an answer belongs to {unknown}, which is none of the texts")
    names = list(dict.fromkeys(row["condition"] for rows in rows_of.values() for row in rows))
    given = {key: [_answer(row, names) for row in rows] for key, rows in rows_of.items()}
    return {
        **({"shown": [MOST_TEXTS, analysis["texts"]]} if more else {}),
        "fields": list(analysis["fields"]),
        "conditions": [labels.get(name, name) for name in names],
        "examples": [
            {
                "id": key,
                "text": known[key]["text"],
                "expected": _as_json(known[key]["record"]),
                "answers": rows,
            }
            for key, rows in given.items()
        ],
        "calculator": _calculator(analysis),
    }


def _labels(analysis: Mapping[str, Any]) -> dict[str, str]:
    """Condition → its name in the report; there the seeds of the fine-tune share one."""
    labels = {row["name"]: row["label"] for row in analysis["conditions"]}
    for row in analysis["conditions"]:
        if row["kind"] == "lora":
            for seed in analysis["seeds"]:
                labels[f"{row['name']}-seed-{seed}"] = f"LoRA {row['model']}, seed {seed}"
    return labels


def _answer(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    found = {name: pair["found"] for name, pair in row["differs"].items() if "found" in pair}
    return {
        "condition": names.index(row["condition"]),
        "output": row["output"],
        "valid": parse_record(row["output"]) is not None,
        "truncated": row["truncated"],
        "f1": f"{row['field_f1']:.3f}",
        "wrong": list(row["wrong"]),
        "found": _as_json(found),
    }


def _as_json(record: Mapping[str, Any]) -> dict[str, str]:
    """Values as JSON text: it tells 2 from "2", and a browser would round a long integer."""
    return {name: json.dumps(value, ensure_ascii=False) for name, value in record.items()}


def _calculator(analysis: Mapping[str, Any]) -> dict[str, Any] | None:
    """Start values of the break-even, None where no condition is an API's."""
    economics = analysis["economics"]
    rows = {row["name"]: row for row in analysis["conditions"]}
    prices = economics["prices"]["conditions"]
    baselines = [
        {"label": entry["label"]}
        | _api_cost(rows[entry["baseline"]], prices[entry["baseline"]], entry["api_per_1k"])
        for entry in economics["break_even"]
        if entry["baseline"] in prices
    ]
    if not baselines:
        return None
    chosen = [entry["baseline"] for entry in economics["break_even"] if entry["baseline"] in prices]
    rates = [int(n) for entry in economics["break_even"] for n in (entry["days"] or ())]
    return {
        "baselines": baselines,
        "baseline": chosen.index(analysis["baseline"]) if analysis["baseline"] in chosen else 0,
        "upfront": economics["training"]["total_usd"],
        "local": economics["local_per_1k"],
        "per_day": sorted(set(rates))[len(set(rates)) // 2] if rates else VOLUME_PER_DAY,
    }


def _api_cost(
    row: Mapping[str, Any], price: Mapping[str, Any], api_per_1k: float
) -> dict[str, float]:
    """Prices of a condition, and how many million tokens of each kind 1,000 requests are billed.

    The measured cost holds discounts that the mean token counts do not: a batch's, which takes
    the same share off all tokens, and that of cached input. Whatever output does not explain is
    therefore input, so the calculator starts at the measured cost to the last digit.
    """
    cost = row["cost_per_1k"]
    batch = price["batch_discount"] > 0 and cost["usd"] == cost["batched_usd"]
    factor = (1 - price["batch_discount"] if batch else 1) / 1000
    inputs, outputs = row["input_tokens_mean"] * factor, row["output_tokens_mean"] * factor
    input_price, output_price = price["input_per_million"], price["output_per_million"]
    if input_price > 0:
        outputs = min(outputs, api_per_1k / output_price) if output_price > 0 else outputs
        inputs = (api_per_1k - outputs * output_price) / input_price
    elif output_price > 0:
        outputs = api_per_1k / output_price
    return {
        "input_price": input_price,
        "output_price": output_price,
        "input_millions": max(inputs, 0.0),
        "output_millions": outputs,
    }
