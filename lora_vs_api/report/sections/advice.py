"""A decision in words: every combination of outcomes has its sentence, and none says more than it.

The recommendation is a table over what may be said of accuracy and of money. "Fine-tune" is
advised only where the fine-tune is more accurate, or where it is not worse and pays for itself.
"""

from __future__ import annotations

from typing import Literal

from lora_vs_api.analysis.digits import digits_apart, significant
from lora_vs_api.analysis.results import Condition, Decision, Outcome
from lora_vs_api.report import numbers
from lora_vs_api.report.rendering import Markdown, escape

Accuracy = Literal["more", "maybe more", "as", "open", "not more", "less"]

# (not inferior, superior) → what may be said. With a margin above 0 the last three cannot be: then
# nothing is said.
ACCURACY: dict[tuple[Outcome, Outcome], Accuracy] = {
    ("holds", "holds"): "more",
    ("holds", "undecided"): "maybe more",
    ("holds", "fails"): "as",
    ("undecided", "undecided"): "open",
    ("undecided", "fails"): "not more",
    ("fails", "fails"): "less",
    ("undecided", "holds"): "open",
    ("fails", "holds"): "open",
    ("fails", "undecided"): "open",
}
SAID: dict[Accuracy, str] = {
    "more": "{it} is more accurate than {rival}",
    "maybe more": "{it} is not less accurate than {rival} by {margin} or more, and whether it is "
    "more accurate is open",
    "as": "{it} matches {rival} within {margin} and is not more accurate",
    "open": "it is open whether {it} is more or less accurate than {rival}",
    "not more": "{it} is not more accurate than {rival}, and whether it is less accurate by "
    "{margin} or more is open",
    "less": "{it} is less accurate than {rival} by {margin} or more",
}
# (accuracy, pays back) → what to do
ACTIONS: dict[tuple[Accuracy, Outcome], str] = {
    ("more", "holds"): "Fine-tune",
    ("more", "undecided"): "Fine-tune for the accuracy",
    ("more", "fails"): "Fine-tune for the accuracy, not to save money",
    ("maybe more", "holds"): "Fine-tune to save money",
    ("maybe more", "undecided"): "Nothing decides between the two yet",
    ("maybe more", "fails"): "{call} unless more {units} show a gain",
    ("as", "holds"): "Fine-tune to save money",
    ("as", "undecided"): "Nothing decides between the two yet",
    ("as", "fails"): "{call}",
    ("open", "holds"): "Measure on more {units} first",
    ("open", "undecided"): "Measure on more {units} first",
    ("open", "fails"): "{call} unless more {units} show a gain",
    ("not more", "holds"): "{call} where accuracy matters",
    ("not more", "undecided"): "{call}",
    ("not more", "fails"): "{call}",
    ("less", "holds"): "{call} where accuracy matters",
    ("less", "undecided"): "{call}",
    ("less", "fails"): "{call}",
}
# where every condition scores 0 the cheapest of them is no advice
NOTHING = Markdown("Nothing is recommended: every condition scores 0.")
CHEAPER: dict[Outcome, str] = {
    "holds": "answers of the fine-tune cost {less}",
    "undecided": "whether answers of the fine-tune cost {less} is open",
    "fails": "answers of the fine-tune do not cost {less}",
}
PAYS_BACK: dict[Outcome, str] = {
    "holds": "training is paid back within {limit} inferences",
    "undecided": "whether training is paid back within {limit} inferences is open",
    "fails": "training is not paid back within {limit} inferences",
}
# (cheaper, pays back) → how the two hang together
JOINED: dict[tuple[Outcome, Outcome], str] = {
    ("holds", "holds"): "and",
    ("holds", "undecided"): "but",
    ("holds", "fails"): "but",
    ("undecided", "holds"): "and",
    ("undecided", "undecided"): "and",
    ("undecided", "fails"): "and",
    ("fails", "holds"): "but",
    ("fails", "undecided"): "and",
    ("fails", "fails"): "and",
}


def recommend(decision: Decision, rival: Condition, *, here: bool = False) -> Markdown:
    """What to do and why, in one sentence; ``rival`` is the decision's baseline.

    ``here``: this machine answers in the place of an API, and what an API costs is what the tokens
    would at another model's prices. The sentence says at whose.
    """
    # of several trainings it may be the seeds that leave it open
    action = ACTIONS[_accuracy(decision), decision.pays_back].format(
        call=_call(rival, here), units="texts" if decision.seeds == 1 else "texts or seeds"
    )
    entry = rival.cost_per_1k.priced_as if here else None
    billed = f"against the token prices of {escape(entry)}, " if entry else ""
    return Markdown(f"{action}: {accuracy_words(decision)}; {billed}{money_words(decision)}.")


def accuracy_words(decision: Decision, rival: str | None = None) -> Markdown:
    """What may be said of the accuracy, as a clause; ``rival`` names the baseline otherwise."""
    return Markdown(
        SAID[_accuracy(decision)].format(
            it=subject(decision),
            rival=escape(rival or decision.label),
            margin=f"{decision.margin:g}",
        )
    )


def money_words(decision: Decision) -> Markdown:
    """What may be said of the costs, as two clauses."""
    joined = JOINED[decision.cheaper, decision.pays_back]
    return Markdown(f"{cheaper_words(decision)}, {joined} {pays_back_words(decision)}")


def money_outcomes(decision: Decision) -> tuple[Outcome, Outcome]:
    """What :func:`money_words` say: of two decisions alike, they say the same."""
    return decision.cheaper, decision.pays_back


def cheaper_words(decision: Decision) -> str:
    ratio = decision.max_ratio
    less = "less" if ratio == 1 else f"less than {ratio:g} times as much"
    return CHEAPER[decision.cheaper].format(less=less)


def pays_back_words(decision: Decision) -> str:
    if decision.pays_back == "fails" and decision.pay_back.low is None:
        return "training is never paid back"
    said = PAYS_BACK[decision.pays_back].format(limit=f"{decision.max_inferences:,}")
    return f"{said} ({pay_back_between(decision)})"


def subject(decision: Decision) -> str:
    """What a claim is about: of one training, only that adapter."""
    return "this adapter" if decision.seeds == 1 else "the fine-tune"


def difference_between(decision: Decision) -> str:
    """The decision interval, with digits enough to see on which side of the rules it lies."""
    ends = decision.interval
    bounds = (0.0, -decision.margin)
    return numbers.signed_between(ends, digits_apart((ends.low, ends.high), bounds, 3, round))


def pay_back_between(decision: Decision) -> str:
    """The same for the volume that pays training back."""
    paid = decision.pay_back
    known = [end for end in (paid.low, paid.high) if end is not None]
    digits = digits_apart(known, [decision.max_inferences], 3, significant)
    return numbers.volume_between(paid, digits)


def pay_back_volume(decision: Decision) -> str:
    """The same for the volume itself, by the measured means."""
    value = decision.pay_back.volume
    known = [] if value is None else [value]
    return numbers.volume(value, digits_apart(known, [decision.max_inferences], 3, significant))


def _accuracy(decision: Decision) -> Accuracy:
    return ACCURACY[decision.non_inferior, decision.superior]


def _call(rival: Condition, here: bool) -> str:
    # what this machine answers is used, and nobody is called
    verb = "Call" if rival.kind == "api" and not here else "Use"
    return f"{verb} {escape(rival.label)}"
