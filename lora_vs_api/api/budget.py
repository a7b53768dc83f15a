"""What asking costs: estimated before the first request, held to while running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lora_vs_api.errors import UserError

# chat formats put a few tokens around every message
TOKENS_PER_MESSAGE = 4


@dataclass(frozen=True)
class TokenPrice:
    """USD per million tokens, and whose price it is."""

    name: str
    input: float
    output: float

    def less(self, discount: float) -> TokenPrice:
        """The price with a share of it taken off, as in a batch."""
        return TokenPrice(
            f"{self.name} less {discount:.0%}",
            self.input * (1 - discount),
            self.output * (1 - discount),
        )

    def usd(self, input_tokens: float, output_tokens: float) -> float:
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


@dataclass(frozen=True)
class Estimate:
    """Of some requests: how many, their tokens, and USD expected and at most."""

    requests: int
    input_tokens: int
    expected_usd: float
    most_usd: float


def count_input_tokens(
    messages: Sequence[Mapping[str, str]], count_tokens: Callable[[str], int]
) -> int:
    """Tokens of a chat; ``count_tokens`` is the tokenizer at hand, seldom the provider's own."""
    return sum(count_tokens(message["content"]) + TOKENS_PER_MESSAGE for message in messages)


def estimate(
    input_tokens: Mapping[str, int],
    expected_output_tokens: float,
    max_output_tokens: int,
    price: TokenPrice,
) -> Estimate:
    """The cost of asking requests of so many ``input_tokens`` (by id) once each."""
    total, n = sum(input_tokens.values()), len(input_tokens)
    return Estimate(
        requests=n,
        input_tokens=total,
        expected_usd=price.usd(total, n * min(expected_output_tokens, max_output_tokens)),
        most_usd=price.usd(total, n * max_output_tokens),
    )


@dataclass
class Budget:
    """Money for one call of ``ask_all``: reserved in full before an attempt, settled after it.

    An attempt that failed in a way that may still be billed counts in full, so that what was
    really spent is never above ``spent_usd`` by more than the tokenizers differ.
    """

    limit_usd: float
    price: TokenPrice
    input_tokens: Mapping[str, int]
    max_output_tokens: int
    spent_usd: float = 0.0
    _reserved: dict[str, float] = field(default_factory=dict)

    async def reserve(self, identity: str, stop: asyncio.Event) -> None:
        """Set aside what an attempt can cost at most, waiting for others to settle if need be.

        Raises:
            UserError: even with nothing in flight there is too little left.
        """
        most = self.price.usd(self.input_tokens[identity], self.max_output_tokens)
        while self.spent_usd + sum(self._reserved.values()) + most > self.limit_usd:
            if not self._reserved or stop.is_set():
                raise UserError(
                    f"api.limits.budget_usd: USD {self.spent_usd:.4f} of {self.limit_usd:g} are spent and "
                    f"the next request may cost USD {most:.4f}; raise it to go on"
                )
            await asyncio.sleep(0.02)
        self._reserved[identity] = most

    def answered(self, identity: str, input_tokens: int, output_tokens: int) -> None:
        """The attempt brought an answer of so many tokens."""
        del self._reserved[identity]
        self.spent_usd += self.price.usd(input_tokens, output_tokens)

    def failed(self, identity: str, billed: bool) -> None:
        """The attempt brought none; ``billed`` when the provider may count it all the same."""
        most = self._reserved.pop(identity)
        if billed:
            self.spent_usd += most
