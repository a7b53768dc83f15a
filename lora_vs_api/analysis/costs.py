"""What answers and trainings cost, and from which volume on the fine-tune pays.

Arithmetic is in ``lora_vs_api.stats.economics``; here it meets what was measured and configured.
All money is in US dollars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lora_vs_api.analysis.billing import billing_notes, extra_usd
from lora_vs_api.analysis.results import (
    Analysis,
    BreakEven,
    Condition,
    CostPer1K,
    Economics,
    PriceList,
    Sensitivity,
    SensitivityRow,
    TrainingCost,
    Way,
)
from lora_vs_api.analysis.scored_run import Floats, ScoredRun
from lora_vs_api.files import read_json
from lora_vs_api.prices.lookup import OWN, as_of, price_of, source_of
from lora_vs_api.prices.price import OwnPrice, Price, Tier
from lora_vs_api.stats.economics import (
    api_cost_per_1k,
    api_request_costs,
    break_even,
    days_to_break_even,
    electricity_usd,
    engineering_usd,
    local_cost_per_1k,
    rented_cost_per_1k,
    sensitivity,
)

if TYPE_CHECKING:
    from lora_vs_api.config import sections

MEASURED_BY = "GPU, measured by NVML"


@dataclass(frozen=True)
class MachineTime:
    """Seconds of so many trainings, those of a ``sweep`` among them, and their joules where a counter measured them."""

    trainings: int
    seconds: float
    joules: float | None
    sweep: bool = True


def training_time(
    ranks: Sequence[Any],
    learning_rates: Sequence[Any],
    seeds: Sequence[int],
    root: str | Path = ".",
    final: str = "train",
) -> MachineTime:
    """Machine time of the sweep's trials and the final trainings; a trial taken over counts once.

    ``final``: the folder of ``timings/`` that the final trainings are in.
    """
    files = [
        *(f"rank_trial/{rank}" for rank in ranks),
        *(f"lr_trial/{rate}" for rate in learning_rates),
        *(f"{final}/seed-{seed}" for seed in seeds),
    ]
    timings = [read_json(Path(root, "timings", f"{name}.json")) for name in files]
    run = [timing for timing in timings if not timing.get("reused", False)]
    joules = [timing["training_joules"] for timing in run]
    return MachineTime(
        trainings=len(run),
        seconds=sum(timing["training_seconds"] for timing in run),
        joules=None if None in joules else sum(joules),
        sweep=bool(ranks),
    )


@dataclass(frozen=True)
class BilledRun:
    """An API condition's run, the token prices it is billed at and the discount of a batch."""

    run: ScoredRun
    price: Price
    batch_discount: float

    @property
    def discount(self) -> float:
        """The share taken off this run, as it was asked."""
        return self.batch_discount if self.run.timings.batch else 0.0

    def usd_per_1k(self, discount: float, output_tokens: Any = None) -> float:
        """Cost of 1,000 requests, of other ``output_tokens`` than the measured where given."""
        run = self.run
        return api_cost_per_1k(
            run.billed_input_tokens,
            run.billed_output_tokens if output_tokens is None else output_tokens,
            self.price,
            cached_tokens=run.cached_tokens,
            discount=discount,
            prompt_tokens=run.input_tokens,
        )

    def request_costs(self) -> Floats:
        """US dollars of each request, shape (n_texts,)."""
        return api_request_costs(
            self.run.billed_input_tokens,
            self.run.billed_output_tokens,
            self.price,
            cached_tokens=self.run.cached_tokens,
            discount=self.discount,
            prompt_tokens=self.run.input_tokens,
        )


def billed(run: ScoredRun, priced_as: str | OwnPrice, prices: sections.Prices) -> BilledRun:
    """``run`` at the price of the entry ``priced_as``."""
    return BilledRun(run, price_of(priced_as, prices).price, prices.batch_discount)


def billed_as_asked(run: ScoredRun, name: str, analysis: Analysis) -> BilledRun:
    """Further answers of the API condition ``name`` at the price that decides."""
    prices = analysis.economics.prices
    return BilledRun(
        run.as_asked_of(analysis.api_kind), prices.conditions[name], prices.batch_discount
    )


def local_cost(runs: Sequence[ScoredRun], economics: sections.Economics) -> CostPer1K:
    """Cost per 1,000 texts on one's own or a rented machine, one at a time and in batches.

    Batches cost what they took where some were measured, and have no price where none was.
    """
    # each run counts once, however many of its answers were timed, as in `text_seconds`
    each = float(np.mean([run.timings.latency_seconds.mean() for run in runs]))
    wall = sum(run.timings.wall_seconds for run in runs)
    # time over texts: the mean of several rates would count the fastest run most
    batched = (
        wall / sum(len(run.outputs) for run in runs)
        if all(run.timings.in_batches for run in runs)
        else None
    )
    rent = economics.rented_usd_per_hour
    watts, energy = answering_watts(runs, economics)
    batch_joules = _joules([run.timings.batch_joules for run in runs])
    batch_watts, _ = power(batch_joules, wall, economics.watts)
    price = (economics.usd_per_kwh, economics.overhead)
    how = MEASURED_BY if energy == "measured" else "configured"
    return CostPer1K(
        usd=local_cost_per_1k(each, watts, *price),
        batched_usd=None if batched is None else local_cost_per_1k(batched, batch_watts, *price),
        rented_usd=None if rent is None else rented_cost_per_1k(each, rent),
        rented_batched_usd=None
        if rent is None or batched is None
        else rented_cost_per_1k(batched, rent),
        how=f"electricity: mean seconds{engine_words(runs)} × {watts:.4g} W ({how}) × "
        f"${economics.usd_per_kwh:g}/kWh × {economics.overhead:g}",
        energy=energy,
    )


def engine_words(runs: Sequence[ScoredRun]) -> str:
    """What answered, where it was not this project's process for all runs: for a table of costs."""
    servers = [run.timings.server for run in runs]
    named = next((server for server in servers if server is not None), None)
    if named is None:
        return ""
    return f" (some seeds behind {named})" if None in servers else f" over HTTP behind {named}"


def answering_watts(
    runs: Sequence[ScoredRun], economics: sections.Economics
) -> tuple[float, Literal["configured", "measured"]]:
    """Mean watts while one text at a time is answered, and where they come from."""
    joules = _joules([run.timings.latency_joules for run in runs])
    seconds = sum(float(run.timings.latency_seconds.sum()) for run in runs)
    return power(joules, seconds, economics.watts)


def _joules(measured: Sequence[float | None]) -> float | None:
    """All together; None where one was not measured, since half a measurement is none."""
    known = [joules for joules in measured if joules is not None]
    return sum(known) if len(known) == len(measured) else None


def power(
    joules: float | None, seconds: float, configured: float
) -> tuple[float, Literal["configured", "measured"]]:
    """Mean watts over the ``seconds`` in which ``joules`` were used, and where they come from."""
    if joules is None or seconds <= 0:
        return configured, "configured"
    return joules / seconds, "measured"


def text_seconds(runs: Sequence[ScoredRun]) -> Floats:
    """Seconds of each text's answer, shape (k,): a mean over the runs, of the texts that all timed."""
    # every run times the first of the texts, one in this process fewer of them than a server's
    timed = min(len(run.timings.latency_seconds) for run in runs)
    seconds: Floats = np.mean([run.timings.latency_seconds[:timed] for run in runs], axis=0)
    return seconds


def local_request_costs(runs: Sequence[ScoredRun], cost: CostPer1K) -> Floats:
    """US dollars of each measured local answer, shape (k,).

    A text under several seeds is one measurement, as everywhere. The mean is what the condition's
    answers ``cost``, shared out by the time that each took.
    """
    seconds = text_seconds(runs)
    mean = seconds.mean()
    shares = seconds / mean if mean > 0 else np.ones_like(seconds)
    return cost.usd / 1000 * shares


def api_cost(run: ScoredRun, priced_as: str | OwnPrice, prices: sections.Prices) -> CostPer1K:
    """Token price per 1,000 texts as they were asked, and through the provider's Batch API."""
    bill, listed = billed(run, priced_as, prices), price_of(priced_as, prices)
    cached = run.cached_tokens
    said = [f"measured tokens at the price of {listed.name} ({listed.source}, {listed.as_of})"]
    said += _tier_notes(run, listed.price)
    if cached.any() and bill.price.cached_input is not None:
        share = cached.sum() / run.input_tokens.sum()
        said.append(f"{share:.0%} of the input billed as cached")
    if run.timings.batch:
        said.append(f"less {bill.batch_discount:.0%} in a batch")
    if listed.note:
        said.append(listed.note)
    said += billing_notes(run)
    retries_usd, reasoning_usd = extra_usd(run, bill.price, bill.discount)
    return CostPer1K(
        usd=bill.usd_per_1k(bill.discount),
        batched_usd=bill.usd_per_1k(bill.batch_discount) if bill.batch_discount else None,
        how=", ".join(said),
        priced_as=listed.name,
        retries_usd=retries_usd,
        reasoning_usd=reasoning_usd,
    )


def _tier_notes(run: ScoredRun, price: Price) -> list[str]:
    """How many answers have a prompt so long that all its tokens cost another price."""
    above = [rates.above for rates in map(price.at, run.input_tokens) if isinstance(rates, Tier)]
    return [
        f"{above.count(start)} of {len(run.outputs)} answers at that of prompts above {start:,} tokens"
        for start in sorted(set(above))
    ]


def price_list(priced_as: Mapping[str, str | OwnPrice], prices: sections.Prices) -> PriceList:
    """The prices that are used. ``priced_as``: API condition → entry."""
    found = {name: price_of(entry, prices) for name, entry in priced_as.items()}
    own = {listed.name: listed.as_of for listed in found.values() if listed.source == OWN}
    listed_too = any(listed.source != OWN for listed in found.values()) or not own
    named = [f"{name}: {OWN}" + f", as of {time}" * listed_too for name, time in own.items()]
    return PriceList(
        source="; ".join([*([source_of(prices)] * listed_too), *named]),
        as_of=as_of(prices) if listed_too else ", ".join(dict.fromkeys(own.values())),
        batch_discount=prices.batch_discount,
        names={name: listed.name for name, listed in found.items()},
        conditions={name: listed.price for name, listed in found.items()},
    )


def economics_of(
    conditions: Sequence[Condition],
    api: Mapping[str, BilledRun],
    prices: PriceList,
    baseline: str | None,
    trained: MachineTime,
    configured: sections.Economics,
    prices_beside: PriceList | None = None,
) -> Economics:
    """Training cost, and the volume at which each API condition has cost as much.

    Args:
        conditions: rows of the comparison.
        api: API condition → its run with its price; empty where none was asked.
        prices, prices_beside: for the record.
        baseline: the API condition whose break-even is taken apart, setting by setting; None where
            there is none.
        trained: machine time of all trainings.
        configured: what is not measured.
    """
    rows = {row.name: row for row in conditions}
    local = next(row for row in conditions if row.kind == "lora").cost_per_1k
    training = _training(trained, configured)
    return Economics(
        prices=prices,
        prices_beside=prices_beside,
        training=training,
        local_per_1k=local.usd,
        rented_usd_per_hour=configured.rented_usd_per_hour,
        break_even=tuple(
            _break_even(rows[name], training, local, configured.volumes_per_day) for name in api
        ),
        sensitivity=None
        if baseline is None
        else _sensitivity(
            rows[baseline], api[baseline], training, local.usd, configured.sensitivity_factor
        ),
    )


def _break_even(
    row: Condition, training: TrainingCost, local: CostPer1K, volumes_per_day: Sequence[int]
) -> BreakEven:
    """Of one API condition."""
    api = row.cost_per_1k
    volume = break_even(training.total_usd, local.usd, api.usd)
    return BreakEven(
        baseline=row.name,
        label=row.label,
        api_per_1k=api.usd,
        volume=volume,
        days=_days(volume, volumes_per_day),
        ways=_ways(training, local, api),
    )


def _days(volume: float | None, volumes_per_day: Sequence[int]) -> dict[int, float] | None:
    found = {rate: days_to_break_even(volume, rate) for rate in volumes_per_day}
    return None if volume is None else {rate: d for rate, d in found.items() if d is not None}


def _training(trained: MachineTime, economics: sections.Economics) -> TrainingCost:
    engineer = engineering_usd(
        economics.engineer_days, economics.hours_per_day, economics.usd_per_hour
    )
    watts, energy = power(trained.joules, trained.seconds, economics.watts)
    how = f"{watts:.4g} W ({MEASURED_BY})" if energy == "measured" else f"{watts:g} W (configured)"
    machine = electricity_usd(trained.seconds, watts, economics.usd_per_kwh, economics.overhead)
    rent = economics.rented_usd_per_hour
    days = "day" if economics.engineer_days == 1 else "days"
    seconds = f"{trained.seconds:,.0f} s"
    if trained.trainings == 1:
        what = f"the one training of {seconds} at {how}, without the gate before it"
    else:
        which = "the sweep's and the final ones" if trained.sweep else "the final ones"
        what = f"{trained.trainings} trainings of {seconds} together at {how}: {which}, without the gate before them"
        # seconds and joules are of the whole machine, so `run -j` makes them too many: on the safe side
        what += "; of any that ran side by side each counts the whole machine's power"
    return TrainingCost(
        engineer_usd=engineer,
        machine_usd=machine,
        rented_usd=None if rent is None else trained.seconds / 3600 * rent,
        total_usd=engineer + machine,
        trainings=trained.trainings,
        how=f"{economics.engineer_days:g} engineer-{days} × {economics.hours_per_day:g} h × "
        f"${economics.usd_per_hour:g}/h, plus the electricity of {what}",
    )


def _ways(training: TrainingCost, local: CostPer1K, api: CostPer1K) -> tuple[Way, ...]:
    """The ways of running both sides whose costs are known."""
    owned, rented = training.machine_usd, training.rented_usd
    ways = (
        (False, False, owned, local.usd, api.usd),
        (True, False, owned, local.batched_usd, api.batched_usd),
        (False, True, rented, local.rented_usd, api.usd),
        (True, True, rented, local.rented_batched_usd, api.batched_usd),
    )
    found = []
    for batched, is_rented, machine, ours, theirs in ways:
        if machine is None or ours is None or theirs is None:
            continue
        volume = break_even(training.engineer_usd + machine, ours, theirs)
        found.append(
            Way(
                batched=batched,
                rented=is_rented,
                local_per_1k=ours,
                api_per_1k=theirs,
                volume=volume,
            )
        )
    return tuple(found)


def _sensitivity(
    row: Condition,
    bill: BilledRun,
    training: TrainingCost,
    local_per_1k: float,
    factor: float,
) -> Sensitivity:
    total = bill.usd_per_1k(bill.discount)
    of_input = bill.usd_per_1k(bill.discount, np.zeros_like(bill.run.output_tokens))
    settings = {
        "engineer time": training.engineer_usd,
        "API input price": of_input,
        "API output price": total - of_input,
        "cost of a local answer": local_per_1k,
        "machine time of the trainings": training.machine_usd,
    }

    def volume(**values: float) -> float | None:
        engineer, inputs, outputs, local, machine = (values[key] for key in settings)
        return break_even(engineer + machine, local, inputs + outputs)

    changed = sensitivity(volume, settings, factor)
    return Sensitivity(
        baseline=row.name,
        label=row.label,
        factor=factor,
        volume=volume(**settings),
        rows=tuple(
            SensitivityRow(setting=setting, low_volume=low, high_volume=high)
            for setting, (low, high) in changed.items()
        ),
    )
