"""What the tokens of one model cost, in US dollars per million."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from lora_vs_api.errors import UserError

Usd = Annotated[float, Field(ge=0, description="a number ≥ 0")]
OptionalUsd = Annotated[
    Annotated[float, Field(ge=0)] | None, Field(description="a number ≥ 0, or null")
]


class UnknownPrice(UserError):
    """The list or the provider knows no model of that name."""


class Rates(BaseModel):
    """Of one kind of request. ``cached_input``: None where that costs as much as other input."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    input: Usd
    cached_input: OptionalUsd
    output: Usd


class Tier(Rates):
    """Of a request whose prompt has more than ``above`` tokens: all its tokens cost so much."""

    above: Annotated[int, Field(ge=0, description="an integer ≥ 0")]


class Price(Rates):
    """Of every request, or where there are ``tiers`` of one whose prompt is too short for them."""

    tiers: Annotated[
        list[Tier] | None,
        Field(description="a list of {above, input, cached_input, output}, or null"),
    ] = None

    def at(self, prompt_tokens: float) -> Rates:
        """What a request with so many input tokens, cached ones included, is billed at."""
        reached = (tier for tier in self.tiers or () if prompt_tokens > tier.above)
        return max(reached, key=lambda tier: tier.above, default=self)


class OwnPrice(Price):
    """A price that stands with the condition it is for, under ``priced_as``, and in no list.

    ``name`` is what the report calls it, ``as_of`` the time for which it counts.
    """

    name: Annotated[str, Field(min_length=1, description="what the report calls the price")]
    as_of: Annotated[str, Field(min_length=1, description="a time in quotes, such as '2026-11'")]
