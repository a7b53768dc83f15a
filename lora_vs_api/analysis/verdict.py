"""What became of the registered hypothesis, clause by clause."""

from __future__ import annotations

from lora_vs_api.analysis.metrics import Hypothesis
from lora_vs_api.analysis.results import BreakEven, Clause, Comparison, Verdict


def verdict(
    hypothesis: Hypothesis,
    comparison: Comparison,
    break_even: BreakEven,
    local_per_1k: float,
    confidence: float,
) -> Verdict:
    """Decide each clause by its rule, against the baseline that the hypothesis is about.

    Args:
        hypothesis: as it was registered.
        comparison: the fine-tune against that baseline.
        break_even: against the same one.
        local_per_1k: what 1,000 answers of the fine-tune cost, in US dollars.
        confidence: of both intervals.
    """
    clauses = hypothesis.clauses
    return Verdict(
        id=hypothesis.id,
        statement=hypothesis.statement.strip(),
        sha256=hypothesis.sha256,
        clauses=(
            _accuracy(clauses.accuracy.min_difference, comparison, confidence),
            _break_even(clauses.break_even.max_inferences, break_even, local_per_1k, confidence),
        ),
    )


def _accuracy(min_difference: float, comparison: Comparison, confidence: float) -> Clause:
    # the claim is about fine-tuning, not about these adapters: another training would have
    # another seed, and of the intervals only this one keeps its coverage then
    ends = comparison.random_effects
    interval = (
        f"{comparison.difference:+.3f} field F1, {confidence:.0%} {ends.method} "
        f"[{ends.low:+.3f}, {ends.high:+.3f}]"
    )
    return Clause(
        name="accuracy",
        holds=ends.low > min_difference,
        reason=f"LoRA minus {comparison.label}: {interval}; the rule asks that the "
        f"whole interval lies above {min_difference:g}.",
    )


def _break_even(
    max_inferences: int, row: BreakEven, local_per_1k: float, confidence: float
) -> Clause:
    volume = row.volume
    low, high = (
        "never" if end is None else f"{end:,.0f}" for end in (row.interval.low, row.interval.high)
    )
    if volume is None:
        found = (
            f"never: a LoRA answer costs ${local_per_1k:g} per 1K and an "
            f"API answer ${row.api_per_1k:g}, so nothing is saved"
        )
    else:
        found = f"{volume:,.0f} inferences, {confidence:.0%} interval over requests [{low}, {high}]"
    return Clause(
        name="break_even",
        holds=volume is not None and volume < max_inferences,
        reason=f"{found}; the rule asks for fewer than {max_inferences:,}.",
    )
