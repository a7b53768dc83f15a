"""The price that a condition is billed at, wherever prices come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_vs_api.errors import UserError
from lora_vs_api.prices import catalogue
from lora_vs_api.prices.price import Price

if TYPE_CHECKING:
    from lora_vs_api.config import sections


@dataclass(frozen=True)
class ListedPrice:
    """A price, and where it stands.

    Attributes:
        name: the entry of the list; of the catalogue provider and model.
        source: who lists it.
        as_of: the time for which it counts: a day, or what the list says of itself.
        note: what it leaves out, in words.
    """

    name: str
    price: Price
    source: str
    as_of: str
    note: str | None = None


def price_of(entry: str | None, prices: sections.Prices, key: str = "priced_as") -> ListedPrice:
    """The price of ``entry``: everything that asks what a token costs, asks here.

    Args:
        entry: a value of ``priced_as``.
        prices: the section of that name.
        key: where ``entry`` stands, for messages.

    Raises:
        UserError: it has no price, or none that the counts of an answer determine.
    """
    if prices.kind == "list":
        if entry is None or entry not in prices.models:
            raise UserError(
                f"{key}: expected one of {', '.join(prices.models)} (keys of prices.models), "
                f"found {entry!r}"
            )
        return ListedPrice(entry, prices.models[entry], source_of(prices), as_of(prices))
    if entry is None:
        raise UserError(f"{key}: missing; expected a model of {prices.provider}")
    special = prices.models.get(entry)
    found = catalogue.find(
        special.provider if special else prices.provider,
        special.model if special else entry,
        prices.day,
        catalogue.Keys(
            provider=f"prices.models.{entry}.provider" if special else "prices.provider",
            model=f"prices.models.{entry}.model" if special else key,
            date="prices.date",
        ),
    )
    note = None
    if found.cache_writes is not None:
        note = (
            f"without what it takes to fill the prompt cache (USD {found.cache_writes:g} per "
            "million), which no answer tells"
        )
    return ListedPrice(found.name, found.price, source_of(prices), as_of(prices), note)


def source_of(prices: sections.Prices) -> str:
    """Who lists them."""
    return prices.source if prices.kind == "list" else catalogue.version()


def as_of(prices: sections.Prices) -> str:
    """The time for which they count: a day of the catalogue, or what the list says of itself."""
    return prices.as_of if prices.kind == "list" else prices.date
