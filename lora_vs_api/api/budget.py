"""What asking costs: estimated before the first request, held to while running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lora_vs_api.api import keys
from lora_vs_api.errors import UserError
from lora_vs_api.prices.price import Price, Rates

# chat formats put a few tokens around every message
TOKENS_PER_MESSAGE = 4


def discounted(price: Price, discount: float) -> Price:
    """The price with a share of it (0 to 1) taken off, as in a batch; of its tiers too."""

    def less(rates: Rates) -> dict[str, float | None]:
        cached, left = rates.cached_input, 1 - discount
        return {
            "input": rates.input * left,
            "cached_input": None if cached is None else cached * left,
            "output": rates.output * left,
        }

    tiers = [tier.model_copy(update=less(tier)) for tier in price.tiers or ()]
    return price.model_copy(update={**less(price), "tiers": tiers or None})


def usd(price: Price, input_tokens: float, output_tokens: float) -> float:
    """US dollars for one request, all input at the full price: at most what is billed."""
    rates = price.at(input_tokens)
    return (input_tokens * rates.input + output_tokens * rates.output) / 1e6


@dataclass(frozen=True)
class CostLimits:
    """What an answer costs, what may be spent, and how long an answer is expected to be.

    Attributes:
        price_name: whose price it is, for messages.
        budget_usd: None sets no limit.
        expected_output_tokens: mean, for the estimate.
        count_tokens: the tokenizer that the estimate counts input with.
    """

    price: Price
    price_name: str
    budget_usd: float | None
    expected_output_tokens: float
    count_tokens: Callable[[str], int]


@dataclass(frozen=True)
class Estimate:
    """Of some requests: how many, their tokens, and US dollars expected and at most."""

    requests: int
    input_tokens: int
    expected_usd: float
    max_usd: float


def count_input_tokens(
    messages: Sequence[Mapping[str, str]], count_tokens: Callable[[str], int]
) -> int:
    """Tokens of a chat; ``count_tokens`` is the tokenizer at hand, seldom the provider's own."""
    return sum(count_tokens(message["content"]) + TOKENS_PER_MESSAGE for message in messages)


def estimate(
    input_tokens: Mapping[str, int],
    expected_output_tokens: float,
    max_output_tokens: int,
    price: Price,
) -> Estimate:
    """The cost of asking requests of so many ``input_tokens`` (by id) once each."""
    tokens = input_tokens.values()
    expected = min(expected_output_tokens, max_output_tokens)
    return Estimate(
        requests=len(tokens),
        input_tokens=sum(tokens),
        expected_usd=_usd_of_all(price, tokens, expected),
        max_usd=_usd_of_all(price, tokens, max_output_tokens),
    )


def _usd_of_all(price: Price, input_tokens: Iterable[int], output_tokens: float) -> float:
    """Of requests with so many input tokens each, and all with so many of output."""
    alike: dict[int, tuple[Rates, list[int]]] = {}
    for tokens in input_tokens:
        rates = price.at(tokens)
        alike.setdefault(id(rates), (rates, []))[1].append(tokens)
    return sum(
        (sum(each) * rates.input + len(each) * output_tokens * rates.output) / 1e6
        for rates, each in alike.values()
    )


def describe(cost: Estimate, price_name: str) -> str:
    """The estimate in one line."""
    return (
        f"{cost.requests} requests with about {cost.input_tokens:,} input tokens: about USD "
        f"{cost.expected_usd:.4f}, at most USD {cost.max_usd:.4f} before retries, at the price "
        f"of {price_name}"
    )


@dataclass
class Budget:
    """Money for one call of ``ask_all``: reserved in full before an attempt, settled after it.

    An attempt that failed in a way that may still be billed counts in full, so that what was
    really spent is never above ``spent_usd`` by more than the tokenizers differ.
    """

    limit_usd: float
    price: Price
    input_tokens: Mapping[str, int]
    max_output_tokens: int
    spent_usd: float = 0.0
    _reserved: dict[str, float] = field(default_factory=dict)

    async def reserve(self, identity: str, stop: asyncio.Event) -> None:
        """Set aside what an attempt can cost at most, waiting for others to settle if need be.

        Raises:
            UserError: even with nothing in flight there is too little left.
        """
        most = usd(self.price, self.input_tokens[identity], self.max_output_tokens)
        while self.spent_usd + sum(self._reserved.values()) + most > self.limit_usd:
            if not self._reserved or stop.is_set():
                raise UserError(
                    f"{keys.BUDGET}: USD {self.spent_usd:.4f} of {self.limit_usd:g} are spent and "
                    f"the next request may cost USD {most:.4f}; raise it to go on"
                )
            await asyncio.sleep(0.02)
        self._reserved[identity] = most

    def answered(self, identity: str, input_tokens: int, output_tokens: int) -> None:
        """The attempt brought an answer of so many tokens."""
        del self._reserved[identity]
        self.spent_usd += usd(self.price, input_tokens, output_tokens)

    def failed(self, identity: str, billed: bool) -> None:
        """The attempt brought none; ``billed`` when the provider may count it all the same."""
        most = self._reserved.pop(identity)
        if billed:
            self.spent_usd += most
