"""What an API condition's answers cost in other ways than the one that decides.

At the prices of another list, and where this machine served the model, as run on this machine. Costs
come from the functions that count those that decide (:mod:`lora_vs_api.analysis.costs`); each
condition is handed back with its other cost, so that its intervals come from the same function too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lora_vs_api.analysis.condition import ConditionRuns
from lora_vs_api.analysis.costs import BilledRun, api_cost, billed, local_cost, price_list
from lora_vs_api.prices.lookup import known_prices
from lora_vs_api.prices.price import OwnPrice

if TYPE_CHECKING:
    from lora_vs_api.analysis.results import CostPer1K, Payment, PriceList
    from lora_vs_api.analysis.scored_run import ScoredRun
    from lora_vs_api.config import sections


@dataclass(frozen=True)
class OtherPayment:
    """API conditions with their costs if they were paid in this way.

    ``bills`` and ``prices`` are those of a list; what is run on this machine has none.
    """

    way: Payment
    conditions: tuple[ConditionRuns, ...]
    bills: Mapping[str, BilledRun] = field(default_factory=dict)
    prices: PriceList | None = None


def at_other_prices(
    asked: Sequence[ConditionRuns], priced_as: Mapping[str, str | OwnPrice], prices: sections.Prices
) -> OtherPayment:
    """Those of the API conditions that the list knows, at its prices."""
    entries = {item.name: priced_as[item.name] for item in asked}
    known = known_prices(entries, prices, "prices_beside")
    found = [(item, item.runs[0], entries[item.name]) for item in asked if item.name in known]
    return OtherPayment(
        "list",
        tuple(replace(item, cost=api_cost(run, entry, prices)) for item, run, entry in found),
        {item.name: billed(run, entry, prices) for item, run, entry in found},
        price_list({item.name: entry for item, _, entry in found}, prices),
    )


def run_here(asked: Sequence[ConditionRuns], economics: sections.Economics) -> OtherPayment:
    """API conditions whose models this machine served, run as the fine-tune is: at its electricity.

    Those timed with one request in flight: with several, a latency is no machine time.
    """
    return OtherPayment(
        "machine",
        tuple(
            replace(item, cost=_machine_cost(item.runs[0], economics))
            for item in asked
            if _one_at_a_time(item.runs[0])
        ),
    )


def _machine_cost(run: ScoredRun, economics: sections.Economics) -> CostPer1K:
    """Without batches, which such a condition is not asked in."""
    cost = local_cost([run], economics)
    return cost.model_copy(update={"batched_usd": None, "rented_batched_usd": None})


def _one_at_a_time(run: ScoredRun) -> bool:
    return len(run.timings.latency_seconds) > 0 and set(run.timings.in_flight) == {1}
