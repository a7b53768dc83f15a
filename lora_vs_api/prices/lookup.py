"""The price that a condition is billed at, wherever prices come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_vs_api.errors import UserError
from lora_vs_api.prices import catalogue
from lora_vs_api.prices.price import OwnPrice, Price, UnknownPrice

if TYPE_CHECKING:
    from lora_vs_api.config import sections


# the source of a price that stands with its condition
OWN = "a price of its own in priced_as"


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


def price_of(
    entry: str | OwnPrice | None,
    prices: sections.Prices,
    key: str = "priced_as",
    section: str = "prices",
) -> ListedPrice:
    """The price of ``entry``: everything that asks what a token costs, asks here.

    Args:
        entry: a value of ``priced_as``; a price of its own is in no list, and counts as it stands.
            ``groq:NAME`` is that provider's, whatever the provider of the others; a list has NAME alone.
        prices: the list.
        key, section: where ``entry`` and the list stand, for messages.

    Raises:
        UnknownPrice: the list does not know it.
        UserError: it has no price that the counts of an answer determine, or the list is wrong.
    """
    if isinstance(entry, OwnPrice):
        price = Price(**{key: getattr(entry, key) for key in Price.model_fields})
        return ListedPrice(entry.name, price, OWN, entry.as_of)
    if prices.kind == "list":
        if entry is not None and entry not in prices.models:
            entry = catalogue.sold_by(entry)[1]
        if entry is None or entry not in prices.models:
            raise UnknownPrice(
                f"{key}: expected one of {', '.join(prices.models)} (keys of {section}.models), "
                f"found {entry!r}"
            )
        return ListedPrice(entry, prices.models[entry], source_of(prices), as_of(prices))
    if entry is None:
        raise UnknownPrice(f"{key}: missing; expected a model of {prices.provider}")
    special = prices.models.get(entry)
    seller, name = (None, None) if special else catalogue.sold_by(entry)
    found = catalogue.find(
        special.provider if special else seller or prices.provider,
        special.model if special else name or entry,
        prices.day,
        catalogue.Keys(
            provider=f"{section}.models.{entry}.provider" if special else f"{section}.provider",
            model=f"{section}.models.{entry}.model" if special else key,
            date=f"{section}.date",
            entry=key,
            is_of_one=bool(special or seller),
        ),
    )
    note = None
    if found.cache_writes is not None:
        note = (
            f"without what it takes to fill the prompt cache (USD {found.cache_writes:g} per "
            "million), which no answer tells"
        )
    return ListedPrice(found.name, found.price, source_of(prices), as_of(prices), note)


def known_prices(
    priced_as: Mapping[str, str | OwnPrice], prices: sections.Prices, section: str = "prices"
) -> dict[str, ListedPrice]:
    """The prices of those conditions that the list knows; it knows none that has a price of its own.

    Args:
        priced_as: API condition → entry.
        prices, section: as :func:`price_of`, whose other errors this raises.
    """
    found = {}
    for name, entry in priced_as.items():
        if isinstance(entry, OwnPrice):
            continue
        try:
            found[name] = price_of(entry, prices, f"priced_as.{name}", section)
        except UnknownPrice:
            if entry in prices.models:  # renamed there, to what the catalogue does not know
                raise
    return found


def priced_otherwise(params: sections.Params) -> list[tuple[str, str]]:
    """Conditions billed at another model's price than the list has of the one they ask: each in a line, with what mends it.

    A deployment's own name is in no list, an entry that prices.models or a provider's name before it makes is
    somebody's choice, and so is a price of its own. A server without a key bills nothing.
    """
    told = []
    for name, condition in params.conditions.items():
        entry, key, prices = params.priced_as.get(name), f"priced_as.{name}", params.prices
        paid = condition.server.key_env if condition.server else params.api.limits.key_env
        if not isinstance(entry, str) or entry == condition.model or paid is None:
            continue
        if prices.kind == "catalogue" and (entry in prices.models or catalogue.sold_by(entry)[0]):
            continue
        try:
            asked, billed = price_of(condition.model, prices, key), price_of(entry, prices, key)
        except UserError:
            continue
        if asked.name != billed.name:
            said = f"{key}: {entry}, while conditions.{name}.model is {condition.model}, of another price"
            told.append((said, f"{key}={condition.model}"))
    return told


def source_of(prices: sections.Prices) -> str:
    """Who lists them."""
    return prices.source if prices.kind == "list" else catalogue.version()


def as_of(prices: sections.Prices) -> str:
    """The time for which they count: a day of the catalogue, or what the list says of itself."""
    return prices.as_of if prices.kind == "list" else prices.date
