"""How far scores fall on perturbed texts: from answers to drops with intervals.

Everything is paired by text: a text's score as it is and its score when perturbed. The unit that
is resampled is the text, with all its perturbations and all the seeds that answered it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lora_vs_api.analysis.scored_run import Scored
from lora_vs_api.stats.bootstrap import paired_bootstrap
from lora_vs_api.stats.comparisons import holm
from lora_vs_api.stats.rounding import rounded


@dataclass(frozen=True)
class Slice:
    """One condition's answers to the same n texts: as they are, and under each of p perturbations.

    ``clean`` has a pass for each seed (one for an API condition), over at least these n texts;
    ``perturbed`` the same passes over p·n texts, all of the first perturbation first.
    """

    name: str
    label: str
    kind: str
    clean: Sequence[Scored]
    perturbed: Sequence[Scored]


def robustness(
    slices: Sequence[Slice],
    changed: Mapping[str, int],
    texts: int,
    *,
    resamples: int,
    seed: int,
    confidence: float,
) -> dict[str, Any]:
    """Drops of every condition, and how much of its lead over each other one the first keeps.

    Args:
        slices: the tuned model's first.
        changed: perturbation → how many of the texts it changed at all.
        texts: n.

    Returns:
        ``conditions``: for each its F1 on the n texts as they are and perturbed, the drop
        (positive is worse) with its interval, and the same by perturbation, p-values adjusted
        (Holm) over all perturbations of all conditions; ``leads``: the tuned model minus another
        condition, as they are and perturbed, and the drop of that lead with its interval.
    """
    drawn = {"resamples": resamples, "seed": seed, "confidence": confidence}
    names = list(changed)
    conditions, p_values = [], {}
    scores = {item.name: _scores(item, texts, len(names)) for item in slices}
    for item in slices:
        clean, perturbed = scores[item.name]
        rows = []
        for index, name in enumerate(names):
            drop = paired_bootstrap(clean, perturbed[index], **drawn)
            p_values[item.name, name] = drop.p_value
            valid = [p.valid_json[index * texts : (index + 1) * texts] for p in item.perturbed]
            rows.append(
                {
                    "perturbation": name,
                    "field_f1": round(float(perturbed[index].mean()), 6),
                    "valid_json": round(float(np.mean(valid)), 6),
                    "drop": _interval(drop),
                    "p_value": rounded(drop.p_value),
                }
            )
        conditions.append(
            {
                "name": item.name,
                "label": item.label,
                "kind": item.kind,
                "field_f1_clean": round(float(clean.mean()), 6),
                "field_f1": round(float(perturbed.mean()), 6),
                "valid_json_clean": round(
                    float(np.mean([p.valid_json[:texts] for p in item.clean])), 6
                ),
                "valid_json": round(float(np.mean([p.valid_json for p in item.perturbed])), 6),
                "drop": _interval(paired_bootstrap(clean, perturbed.mean(axis=0), **drawn)),
                "by_perturbation": rows,
            }
        )
    adjusted = holm({key: float(value) for key, value in p_values.items()})
    for condition in conditions:
        for row in condition["by_perturbation"]:
            row["p_holm"] = rounded(adjusted[condition["name"], row["perturbation"]])
    tuned_clean, tuned_perturbed = scores[slices[0].name]
    leads = []
    for item in slices[1:]:
        clean = tuned_clean - scores[item.name][0]
        perturbed = (tuned_perturbed - scores[item.name][1]).mean(axis=0)
        leads.append(
            {
                "baseline": item.name,
                "label": item.label,
                "clean": round(float(clean.mean()), 6),
                "perturbed": round(float(perturbed.mean()), 6),
                "drop": _interval(paired_bootstrap(clean, perturbed, **drawn)),
            }
        )
    return {
        "texts": texts,
        "changed": dict(changed),
        "statistics": drawn,
        "conditions": conditions,
        "leads": leads,
    }


def robustness_table(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of plots/robustness.csv: one for each perturbation of each condition."""
    return [
        {
            "condition": condition["name"],
            "perturbation": row["perturbation"],
            "field_f1": row["field_f1"],
            **{key: row["drop"][key] for key in ("drop", "low", "high")},
        }
        for condition in found["conditions"]
        for row in condition["by_perturbation"]
    ]


def _scores(item: Slice, texts: int, perturbations: int) -> tuple[np.ndarray, np.ndarray]:
    """Means over seeds: (n,) as they are, (p, n) perturbed."""
    clean = np.mean([p.field_f1[:texts] for p in item.clean], axis=0)
    perturbed = np.mean([p.field_f1 for p in item.perturbed], axis=0)
    return clean, perturbed.reshape(perturbations, texts)


def _interval(found: Any) -> dict[str, Any]:
    return {
        "drop": round(found.difference, 6),
        "low": round(found.interval.low, 6),
        "high": round(found.interval.high, 6),
        "method": found.interval.method,
    }
