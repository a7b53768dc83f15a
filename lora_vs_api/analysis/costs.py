"""What answers and trainings cost, and from which volume on the fine-tune pays.

Arithmetic is in ``lora_vs_api.stats.economics``; here it meets what was measured and configured.
All money is in US dollars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lora_vs_api.analysis.scored_run import Scored
from lora_vs_api.files import read_json
from lora_vs_api.stats.economics import (
    ApiPrice,
    api_cost_per_1k,
    api_request_costs,
    break_even,
    break_even_interval,
    days_to_break_even,
    electricity_usd,
    engineering_usd,
    local_cost_per_1k,
    rented_cost_per_1k,
    sensitivity,
)
from lora_vs_api.stats.rounding import rounded

if TYPE_CHECKING:
    from lora_vs_api.config.sections import Economics, Prices

# the ways of running either side, by the keys that hold their cost: local, API
WAYS = {
    "one at a time, own electricity": ("usd", "usd"),
    "in batches, own electricity": ("batched_usd", "batched_usd"),
    "one at a time, rented machine": ("rented_usd", "usd"),
    "in batches, rented machine": ("rented_batched_usd", "batched_usd"),
}


@dataclass(frozen=True)
class MachineTime:
    """Seconds of so many trainings, and their joules where a counter measured them."""

    trainings: int
    seconds: float
    joules: float | None


def training_time(
    ranks: Sequence[Any],
    learning_rates: Sequence[Any],
    seeds: Sequence[int],
    root: str | Path = ".",
) -> MachineTime:
    """Machine time of the sweep's trials and the final trainings; one taken over counts once."""
    files = [
        *(f"rank_trial/{rank}" for rank in ranks),
        *(f"lr_trial/{rate}" for rate in learning_rates),
        *(f"train/seed-{seed}" for seed in seeds),
    ]
    timings = [read_json(Path(root, "timings", f"{name}.json")) for name in files]
    run = [timing for timing in timings if not timing["reused"]]
    joules = [timing["training_joules"] for timing in run]
    return MachineTime(
        trainings=len(run),
        seconds=sum(timing["training_seconds"] for timing in run),
        joules=None if None in joules else sum(joules),
    )


def local_cost(passes: Sequence[Scored], economics: Economics) -> dict[str, Any]:
    """Cost per 1,000 texts on one's own or a rented machine, one at a time and in batches."""
    one = np.concatenate([p.timings["latency_seconds"] for p in passes])
    wall = sum(p.timings["wall_seconds"] for p in passes)
    rates = [p.timings["throughput_texts_per_second"] for p in passes]
    each, batched = float(one.mean()), 1 / float(np.mean(rates))
    rent = economics.rented_usd_per_hour
    watts, how = _power(passes, "latency_joules", float(one.sum()), economics)
    batch_watts, _ = _power(passes, "batch_joules", wall, economics)
    price = (economics.usd_per_kwh, economics.overhead)
    return {
        "usd": rounded(local_cost_per_1k(each, watts, *price)),
        "batched_usd": rounded(local_cost_per_1k(batched, batch_watts, *price)),
        "rented_usd": None if rent is None else rounded(rented_cost_per_1k(each, rent)),
        "rented_batched_usd": None if rent is None else rounded(rented_cost_per_1k(batched, rent)),
        "how": f"electricity: mean seconds × {watts:.4g} W ({how}) × "
        f"${economics.usd_per_kwh:g}/kWh × {economics.overhead:g}",
        "energy": how,
        "priced_as": None,
    }


def api_price(priced_as: str, prices: Prices) -> ApiPrice:
    """The price list's entry ``priced_as``."""
    entry = prices.models[priced_as]
    return ApiPrice(
        input_per_million=entry.input,
        output_per_million=entry.output,
        cached_input_per_million=entry.cached_input,
        as_of=prices.as_of,
        source=prices.source,
        batch_discount=prices.batch_discount,
    )


def api_cost(scored: Scored, priced_as: str, prices: Prices) -> dict[str, Any]:
    """Token price per 1,000 texts as they were asked, and through the provider's Batch API."""
    price = api_price(priced_as, prices)
    batch = scored.timings.get("mode") == "batch"
    cached = scored.cached_tokens
    tokens = (scored.input_tokens, scored.output_tokens)
    said = [f"measured tokens at the price of {priced_as} ({prices.source}, {prices.as_of})"]
    if cached.any() and price.cached_input_per_million is not None:
        share = cached.sum() / scored.input_tokens.sum()
        said.append(f"{share:.0%} of the input billed as cached")
    if batch:
        said.append(f"less {price.batch_discount:.0%} in a batch")
    return {
        "usd": rounded(api_cost_per_1k(*tokens, price, cached_tokens=cached, batch=batch)),
        "batched_usd": rounded(api_cost_per_1k(*tokens, price, cached_tokens=cached, batch=True))
        if price.batch_discount
        else None,
        "how": ", ".join(said),
        "priced_as": priced_as,
    }


def economics_of(
    conditions: Sequence[Mapping[str, Any]],
    lora: Sequence[Scored],
    api: Mapping[str, tuple[Scored, ApiPrice]],
    baseline: str,
    trained: MachineTime,
    economics: Economics,
    **drawn: Any,
) -> dict[str, Any]:
    """Training cost, and the volume at which each API condition has cost as much.

    Args:
        conditions: rows of the comparison, with their ``cost_per_1k``.
        lora: the tuned model's passes.
        api: API condition → its answers and its price.
        baseline: the API condition whose break-even is taken apart, setting by setting.
        trained: machine time of all trainings.
        economics: the configuration.
        **drawn: resamples, seed and confidence of the intervals.
    """
    costs = {row["name"]: row["cost_per_1k"] for row in conditions}
    local, labels = costs["lora"], {row["name"]: row["label"] for row in conditions}
    training = _training(trained, economics)
    seconds = np.mean([p.timings["latency_seconds"] for p in lora], axis=0)
    # a text under several seeds is one measurement, as everywhere
    local_requests = local["usd"] / 1000 * seconds / seconds.mean()
    rows = []
    for name, (scored, price) in api.items():
        volume = break_even(training["total_usd"], local["usd"], costs[name]["usd"])
        interval = break_even_interval(
            training["total_usd"],
            local_requests,
            api_request_costs(
                scored.input_tokens,
                scored.output_tokens,
                price,
                cached_tokens=scored.cached_tokens,
                batch=scored.timings.get("mode") == "batch",
            ),
            **drawn,
        )
        rows.append(
            {
                "baseline": name,
                "label": labels[name],
                "api_per_1k": costs[name]["usd"],
                "volume": _volume(volume),
                "interval": asdict(interval)
                | {"low": _volume(interval.low), "high": _volume(interval.high)},
                "days": None
                if volume is None
                else {
                    str(n): rounded(days_to_break_even(volume, n))
                    for n in economics.volumes_per_day
                },
                "ways": _ways(training, local, costs[name]),
            }
        )
    return {
        "training": training,
        "local_per_1k": local["usd"],
        "local_batched_per_1k": local["batched_usd"],
        "rented_usd_per_hour": economics.rented_usd_per_hour,
        "break_even": rows,
        "sensitivity": _sensitivity(
            baseline, labels[baseline], api[baseline], training, local["usd"], economics
        ),
    }


def _power(
    passes: Sequence[Scored], counter: str, seconds: float, economics: Economics
) -> tuple[float, str]:
    """Mean watts while ``counter`` ran, and where the figure comes from."""
    joules = [p.timings[counter] for p in passes]
    if None in joules or seconds <= 0:
        return economics.watts, "configured"
    return sum(joules) / seconds, "GPU, measured by NVML"


def _training(trained: MachineTime, economics: Economics) -> dict[str, Any]:
    engineer = engineering_usd(
        economics.engineer_days, economics.hours_per_day, economics.usd_per_hour
    )
    watts, how = economics.watts, f"{economics.watts:g} W (configured)"
    if trained.joules is not None and trained.seconds > 0:
        watts = trained.joules / trained.seconds
        how = f"{watts:.4g} W (GPU, measured by NVML)"
    machine = electricity_usd(trained.seconds, watts, economics.usd_per_kwh, economics.overhead)
    rent = economics.rented_usd_per_hour
    return {
        "engineer_usd": round(engineer, 2),
        "machine_usd": rounded(machine),
        "rented_usd": None if rent is None else rounded(trained.seconds / 3600 * rent),
        "total_usd": round(engineer + machine, 2),
        "trainings": trained.trainings,
        "machine_seconds": round(trained.seconds, 1),
        "how": f"{economics.engineer_days:g} engineer-days × {economics.hours_per_day:g} h × "
        f"${economics.usd_per_hour:g}/h, plus the electricity of {trained.trainings} trainings "
        f"of {trained.seconds:,.0f} s together at {how}: the sweep's and the final ones, without "
        "the gate before them",
    }


def _ways(
    training: Mapping[str, Any], local: Mapping[str, Any], api: Mapping[str, Any]
) -> dict[str, Any]:
    """Way of running → costs per 1,000 and break-even; only ways whose costs are known."""
    found = {}
    for way, (ours, theirs) in WAYS.items():
        if local.get(ours) is None or api.get(theirs) is None:
            continue
        rented = ours.startswith("rented")
        machine = training["rented_usd"] if rented else training["machine_usd"]
        found[way] = {
            "local_per_1k": local[ours],
            "api_per_1k": api[theirs],
            "volume": _volume(
                break_even(training["engineer_usd"] + machine, local[ours], api[theirs])
            ),
        }
    return found


def _sensitivity(
    name: str,
    label: str,
    asked: tuple[Scored, ApiPrice],
    training: Mapping[str, Any],
    local_per_1k: float,
    economics: Economics,
) -> dict[str, Any]:
    scored, price = asked
    tokens = (scored.input_tokens, scored.output_tokens)
    kept = {
        "cached_tokens": scored.cached_tokens,
        "batch": scored.timings.get("mode") == "batch",
    }
    total = api_cost_per_1k(*tokens, price, **kept)
    nothing = np.zeros_like(scored.output_tokens)
    of_input = api_cost_per_1k(scored.input_tokens, nothing, price, **kept)
    settings = {
        "engineer time": training["engineer_usd"],
        "API input price": of_input,
        "API output price": total - of_input,
        "cost of a local answer": local_per_1k,
        "machine time of the trainings": training["machine_usd"],
    }

    def volume(**values: float) -> float | None:
        engineer, inputs, outputs, local, machine = (values[key] for key in settings)
        return break_even(engineer + machine, local, inputs + outputs)

    changed = sensitivity(volume, settings, economics.sensitivity_factor)
    return {
        "baseline": name,
        "label": label,
        "factor": economics.sensitivity_factor,
        "volume": _volume(volume(**settings)),
        "rows": [
            {"setting": setting, "low_volume": _volume(low), "high_volume": _volume(high)}
            for setting, (low, high) in changed.items()
        ],
    }


def _volume(value: float | None) -> float | None:
    return None if value is None else rounded(value)
