"""Token prices as the package genai-prices knows them: by provider, model and day.

Only what the installed version ships is read. The package fetches newer prices where a program
starts its ``UpdatePrices``; nothing here does, and what that fetched would not be read either.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

from lora_vs_api.errors import UserError
from lora_vs_api.prices.price import Price, Tier, UnknownPrice

if TYPE_CHECKING:
    from decimal import Decimal

    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

# what some models bill beside tokens in and out, and no answer here counts
UNCOUNTED = {
    "requests_kcount": "request",
    "input_text_messages_kcount": "message",
    "output_reasoning_mtok": "token of reasoning",
    "output_citation_mtok": "token of citations",
}


@dataclass(frozen=True)
class Found:
    """A price of the catalogue. ``cache_writes``: its price of input that the provider caches."""

    name: str
    price: Price
    cache_writes: float | None


@dataclass(frozen=True)
class Keys:
    """The settings that name provider and model, for messages.

    Attributes:
        entry: where the model may be given a price of its own.
        is_of_one: whether the provider is told for this model alone.
    """

    provider: str
    model: str
    date: str
    entry: str
    is_of_one: bool


def version() -> str:
    """Which prices these are, in words."""
    return f"genai-prices {metadata.version('genai-prices')}"


def find(provider: str, model: str, day: date, keys: Keys) -> Found:
    """The price of a provider's ``model`` on ``day`` (UTC).

    Args:
        provider: as the catalogue calls it.
        model: its name, or one that the catalogue takes for it, such as that of a dated snapshot.
        keys: where the three stand.

    Raises:
        UserError: no such provider or model, with those most like it; a day before the first
            price; or a price that the counts of an answer do not determine: one by the hour of the
            day, or with a part that is not by tokens in and out.
    """
    seller = _provider(provider, keys.provider)
    info = _model(seller, model, keys)
    price = _on(info, day, f"{seller.id} {info.id}", keys)
    _check_tokens_are_all(price, f"{seller.id} {info.id}", keys.model)
    writes = vars(price).get("cache_write_mtok")
    return Found(
        _name(seller, info), _as_price(price), None if writes is None else _rate(writes, 0)
    )


def sold_by(entry: str) -> tuple[str | None, str]:
    """Provider and model of ``groq:openai/gpt-oss-20b``; no provider where ``entry`` is a name alone."""
    front, colon, name = entry.partition(":")
    # names have colons too, such as llama3:8b
    if colon and name and any(front == provider.id for provider in _shipped().providers):
        return front, name
    return None, entry


@cache
def _shipped() -> DataSnapshot:
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    return DataSnapshot(providers=providers, from_auto_update=False)


def _provider(name: str, key: str) -> Provider:
    providers = {provider.id: provider for provider in _shipped().providers}
    if name in providers:
        return providers[name]
    raise UserError(
        f"{key}: expected a provider of {version()}{_such_as(name, list(providers))}, found {name!r}"
    )


def _model(provider: Provider, name: str, keys: Keys) -> ModelInfo:
    shipped = _shipped().providers
    own = {model.id: model for model in provider.models}
    # some are known by a pattern alone, which their own name is none of
    found = provider.find_model(name, all_providers=shipped) or own.get(name)
    if found is not None:
        return found
    others = [other.id for other in shipped if other.find_model(name) is not None]
    # what others sell is no slip of the pen, and a name that is a little alike is of another price
    near = "" if others else _such_as(name, list(own), cutoff=0.8)
    meant = "" if near else _elsewhere(others, name, keys)
    raise UnknownPrice(
        f"{keys.model}: expected a model of {provider.id} in {version()}{near}, found {name!r}{meant}"
    )


def _elsewhere(others: list[str], name: str, keys: Keys) -> str:
    """How a model that the provider does not have is given a price."""
    if others and not keys.is_of_one:
        one = others[0] if len(others) == 1 else "PROVIDER"
        return f"; it is known of {', '.join(others[:3])}: {keys.entry}={one}:{name}"
    own = f'{{name: "{name}", as_of: "2026-11", input: …, cached_input: null, output: …}}'
    return f"; a price of its own, in USD per million tokens, is '{keys.entry}={own}'"


def _such_as(name: str, names: list[str], cutoff: float = 0.5) -> str:
    near = difflib.get_close_matches(name, names, n=3, cutoff=cutoff)
    return f" such as {', '.join(near)}" if near else ""


def _name(provider: Provider, model: ModelInfo) -> str:
    """Provider and model; a provider that sells another's model at the other's price says so."""
    own = any(model is each for each in provider.models)
    owner = next(p.id for p in _shipped().providers if any(model is each for each in p.models))
    return f"{provider.id} {model.id}" + ("" if own else f" (at the price of {owner})")


def _on(model: ModelInfo, day: date, name: str, keys: Keys) -> ModelPrice:
    """As the catalogue chooses, but for a day that no price holds for, where it takes the first."""
    from genai_prices.types import ModelPrice, TimeOfDateConstraint

    if isinstance(model.prices, ModelPrice):
        return model.prices
    noon, starts = datetime(day.year, day.month, day.day, 12, tzinfo=UTC), []
    for entry in reversed(model.prices):
        if isinstance(entry.constraint, TimeOfDateConstraint):
            raise UserError(
                f"{keys.model}: the price of {name} depends on the hour of the day, which no "
                "answer tells; list it in a file of conf/prices/"
            )
        if entry.constraint is None or entry.constraint.active(noon):
            return entry.prices
        starts.append(entry.constraint.start_date)
    raise UserError(
        f"{keys.date}: expected {min(starts)} or later, from when on {version()} has a price of "
        f"{name}; found {day}"
    )


def _check_tokens_are_all(price: ModelPrice, name: str, key: str) -> None:
    listed = {part for part, value in vars(price).items() if value is not None}
    lacking = [part for part in ("input", "output") if f"{part}_mtok" not in listed]
    if lacking:
        raise UserError(
            f"{key}: expected a model with prices of input and output tokens; {version()} has none "
            f"of {name}'s {' and '.join(lacking)}"
        )
    for part, what in UNCOUNTED.items():
        if part in listed:
            raise UserError(
                f"{key}: {name} is also billed by the {what}, which the counts of an answer do not "
                "tell; list a price in a file of conf/prices/"
            )


def _as_price(price: ModelPrice) -> Price:
    from genai_prices.types import TieredPrices

    parts = {
        "input": price.input_mtok,
        "cached_input": price.cache_read_mtok,
        "output": price.output_mtok,
    }
    starts = {
        tier.start
        for part in parts.values()
        if isinstance(part, TieredPrices)
        for tier in part.tiers
    }

    def rates(prompt_tokens: int) -> dict[str, float | None]:
        return {
            key: None if part is None else _rate(part, prompt_tokens) for key, part in parts.items()
        }

    tiers = [Tier.model_validate({"above": start, **rates(start + 1)}) for start in sorted(starts)]
    return Price.model_validate({**rates(0), "tiers": tiers or None})


def _rate(part: Decimal | TieredPrices, prompt_tokens: int) -> float:
    """US dollars per million tokens of a request with so long a prompt."""
    from genai_prices.types import calc_unit_price

    return float(calc_unit_price(part, 1, prompt_tokens, 1))
