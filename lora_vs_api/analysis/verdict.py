"""What became of the registered hypothesis, clause by clause, told from the one decision."""

from __future__ import annotations

from decimal import Decimal

from lora_vs_api.analysis.digits import digits_apart, significant
from lora_vs_api.analysis.metrics import Hypothesis
from lora_vs_api.analysis.results import Clause, Decision, Verdict

NO_API = "it is about an API's answers, and no API condition was asked, so there is nothing to compare with."


def verdict(hypothesis: Hypothesis, decision: Decision | None, confidence: float) -> Verdict:
    """Each clause with its outcome, its interval and its rule.

    Args:
        hypothesis: as it was registered.
        decision: against the baseline that it is about; None where no API condition was asked, and
            then no clause is judged.
        confidence: of the decision's intervals.
    """
    return Verdict(
        id=hypothesis.id,
        statement=None if hypothesis.statement is None else hypothesis.statement.strip(),
        sha256=hypothesis.sha256,
        clauses=_not_judged() if decision is None else _judged(decision, confidence),
    )


def _not_judged() -> tuple[Clause, ...]:
    return (
        Clause(name="accuracy", outcome="not judged", reason=NO_API),
        Clause(name="cost", outcome="not judged", reason=NO_API),
        Clause(name="break_even", outcome="not judged", reason=NO_API),
    )


def _judged(decision: Decision, confidence: float) -> tuple[Clause, ...]:
    return (
        _accuracy(decision, confidence),
        _cost(decision, confidence),
        _break_even(decision, confidence),
    )


def _accuracy(decision: Decision, confidence: float) -> Clause:
    ends, bounds = decision.interval, (0.0, -decision.margin)
    values = (decision.difference, ends.low, ends.high)
    digits = digits_apart(values, bounds, 3, round)
    difference, low, high = (
        f"{value:+.{digits}f}" if value else f"{0:.{digits}f}" for value in values
    )
    what = "this adapter" if decision.seeds == 1 else f"mean of {decision.seeds} seeds"
    return Clause(
        name="accuracy",
        outcome=decision.non_inferior,
        reason=f"LoRA ({what}) minus {decision.label}: {difference} field F1, "
        f"{confidence:.0%} {ends.method} [{low}, {high}]. The "
        f"rule: above {-decision.margin:g}, not worse by {decision.margin:g} or more. Beside it, "
        f"more accurate (above 0): {decision.superior}.",
    )


def _cost(decision: Decision, confidence: float) -> Clause:
    ratio, bound = decision.cost_ratio, decision.max_ratio
    written = _written((ratio.estimate, ratio.low, ratio.high), bound, 3, "∞")
    return Clause(
        name="cost",
        outcome=decision.cheaper,
        reason=f"a LoRA answer costs {written[0]} times as much as one of {decision.label}, "
        f"{confidence:.0%} {ratio.method} [{written[1]}, {written[2]}]. The rule: below {bound:g}.",
    )


def _break_even(decision: Decision, confidence: float) -> Clause:
    paid, bound = decision.pay_back, decision.max_inferences
    volume, low, high = _written((paid.volume, paid.low, paid.high), bound, 4, "never")
    found = "never paid back" if paid.volume is None else f"paid back after {volume} inferences"
    return Clause(
        name="break_even",
        outcome=decision.pays_back,
        reason=f"training is {found}, {confidence:.0%} {paid.method} [{low}, {high}]. "
        f"The rule: below {bound:,}.",
    )


def _written(
    values: tuple[float | None, ...], bound: float, digits: int, infinite: str
) -> list[str]:
    """The values to as many significant digits as keep them on their side of ``bound``."""
    known = [value for value in values if value is not None]
    digits = digits_apart(known, [bound], digits, significant)
    return [
        infinite if value is None else f"{Decimal(f'{value:.{digits}g}'):,f}" for value in values
    ]
