"""The few numbers that `dvc metrics diff` compares between branches."""

from __future__ import annotations

from typing import Any


def summary(analysis: dict[str, Any]) -> dict[str, Any]:
    """Headline figures, rounded so that what differs is readable and noise is not shown."""
    rows = {row["name"]: row for row in analysis["conditions"]}
    judged = next(c for c in analysis["comparisons"] if c["baseline"] == analysis["baseline"])
    untuned = next(c for c in analysis["comparisons"] if c["baseline"] == "base_zero_shot")
    paid = next(
        b for b in analysis["economics"]["break_even"] if b["baseline"] == analysis["baseline"]
    )
    lora = rows["lora"]
    return {
        "r": analysis["selected"]["r"],
        "learning_rate": analysis["selected"]["learning_rate"],
        "lora": {
            "field_f1": round(lora["field_f1"]["estimate"], 3),
            "valid_json": round(lora["valid_json"], 3),
            "strict": round(lora["strict"], 3),
        },
        "untuned_base": {
            "field_f1": round(rows["base_zero_shot"]["field_f1"]["estimate"], 3),
            "lora_gain": round(untuned["difference"], 3),
            "lora_gain_low": round(untuned["low"], 3),
        },
        "api_baseline": {
            "field_f1": round(rows[analysis["baseline"]]["field_f1"]["estimate"], 3),
            "lora_gain": round(judged["difference"], 3),
            "lora_gain_low": round(judged["low"], 3),
            "p_holm": float(f"{judged['p_holm']:.2g}"),
        },
        "break_even_inferences": "never"
        if paid["volume"] is None
        else float(f"{paid['volume']:.2g}"),
    }
