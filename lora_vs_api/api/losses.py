"""What attempts that brought nothing may cost all the same."""

from __future__ import annotations

from dataclasses import dataclass

from lora_vs_api.api.types import Losses, NoAnswer, Reply


@dataclass
class Lost:
    """Of one request: the tokens that were reported, and how many attempts reported none."""

    input_tokens: int = 0
    output_tokens: int = 0
    reported: int = 0
    unreported: int = 0

    def add(self, error: NoAnswer) -> None:
        """Count a failed attempt, if the provider may bill it."""
        if error.billed and error.tokens is not None:
            self.reported += 1
            self.input_tokens += error.tokens[0]
            self.output_tokens += error.tokens[1]
        elif error.billed:
            self.unreported += 1

    def beside(self, reply: Reply) -> Losses:
        """All of it, an attempt without a report as much as the ``reply`` that came in the end."""
        return Losses(
            self.reported + self.unreported,
            self.input_tokens + self.unreported * reply.input_tokens,
            self.output_tokens + self.unreported * reply.output_tokens,
        )
