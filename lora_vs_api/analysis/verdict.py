"""What became of the registered hypothesis, clause by clause, told from the one decision."""

from __future__ import annotations

from lora_vs_api.analysis.metrics import Hypothesis
from lora_vs_api.analysis.results import Clause, CostRatio, Decision, PayBack, Verdict


def verdict(hypothesis: Hypothesis, decision: Decision, confidence: float) -> Verdict:
    """Each clause with its outcome, its interval and its rule.

    Args:
        hypothesis: as it was registered.
        decision: against the baseline that it is about.
        confidence: of the decision's intervals.
    """
    return Verdict(
        id=hypothesis.id,
        statement=hypothesis.statement.strip(),
        sha256=hypothesis.sha256,
        clauses=(
            _accuracy(decision, confidence),
            _cost(decision, confidence),
            _break_even(decision, confidence),
        ),
    )


def _accuracy(decision: Decision, confidence: float) -> Clause:
    ends = decision.interval
    what = "this adapter" if decision.seeds == 1 else f"{decision.seeds} trainings"
    return Clause(
        name="accuracy",
        outcome=decision.non_inferior,
        reason=f"LoRA ({what}) minus {decision.label}: {decision.difference:+.3f} field F1, "
        f"{confidence:.0%} {ends.method} [{ends.low:+.3f}, {ends.high:+.3f}]. The rule: above "
        f"{-decision.margin:g} (not worse by the margin or more). Beside it, above 0 (more "
        f"accurate): {decision.superior}.",
    )


def _cost(decision: Decision, confidence: float) -> Clause:
    ratio = decision.cost_ratio
    return Clause(
        name="cost",
        outcome=decision.cheaper,
        reason=f"a LoRA answer costs {_times(ratio.estimate)} what an answer of {decision.label} "
        f"costs, {confidence:.0%} {ratio.method} {_ratios(ratio)}. The rule: below "
        f"{decision.max_ratio:g}.",
    )


def _break_even(decision: Decision, confidence: float) -> Clause:
    paid = decision.pay_back
    volume = "never" if paid.volume is None else f"after {paid.volume:,.0f} inferences"
    return Clause(
        name="break_even",
        outcome=decision.pays_back,
        reason=f"training is paid back {volume}, {confidence:.0%} {paid.method} "
        f"{_volumes(paid)}. The rule: below {decision.max_inferences:,}.",
    )


def _times(ratio: float | None) -> str:
    return "infinitely many times" if ratio is None else f"{ratio:.3g} times"


def _ratios(ratio: CostRatio) -> str:
    low, high = ("∞" if end is None else f"{end:.3g}" for end in (ratio.low, ratio.high))
    return f"[{low}, {high}]"


def _volumes(paid: PayBack) -> str:
    low, high = ("never" if end is None else f"{end:,.0f}" for end in (paid.low, paid.high))
    return f"[{low}, {high}]"
