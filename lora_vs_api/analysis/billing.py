"""What an API run was billed beside the tokens of its answers: failed attempts and reasoning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lora_vs_api.stats.economics import api_cost_per_1k

if TYPE_CHECKING:
    from lora_vs_api.analysis.scored_run import ScoredRun
    from lora_vs_api.prices.price import Price


def extra_usd(run: ScoredRun, price: Price, discount: float) -> tuple[float | None, float | None]:
    """The parts of 1,000 requests' cost for lost attempts and for reasoning; None where none."""
    billing = run.timings.billing
    if billing is None:
        return None, None
    lost = reasoning = None
    if billing.lost.any():
        lost = api_cost_per_1k(
            billing.lost_input,
            billing.lost_output,
            price,
            discount=discount,
            prompt_tokens=run.input_tokens,
        )
    if billing.reasoning.any():
        nothing = np.zeros_like(billing.reasoning)
        reasoning = api_cost_per_1k(
            nothing, billing.reasoning, price, discount=discount, prompt_tokens=run.input_tokens
        )
    return lost, reasoning


def billing_notes(run: ScoredRun) -> list[str]:
    """What a cost's explanation has to add about where its tokens come from."""
    billing = run.timings.billing
    if billing is None:
        return []
    said = []
    if lost := int(billing.lost.sum()):
        said.append(
            f"with {lost} failed attempt{'s' * (lost > 1)} that may have been billed, each with the "
            "tokens that the server reported or else those of the answer that came in the end"
        )
    if billing.reasoning.any() and (total := run.output_tokens.sum()):
        said.append(f"{billing.reasoning.sum() / total:.0%} of the output is reasoning")
    if estimated := int(billing.estimated.sum()):
        said.append(
            f"the tokens of {estimated} of {len(run.outputs)} answers counted with the base model's "
            "tokenizer, since the server did not tell them"
        )
    if unknown := int(billing.unknown.sum()):
        said.append(
            f"without what failed attempts for {unknown} of {len(run.outputs)} answers may have "
            "cost, which an earlier version stored uncounted"
        )
    return said
