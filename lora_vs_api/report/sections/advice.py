"""A decision in words: every combination of outcomes has its sentence, and none says more than it.

The recommendation is a table over what may be said of accuracy and of money at the volume a day that is
configured. "Fine-tune" is advised only where the fine-tune is more accurate, or where it is not worse and
pays for itself. What is said of the registered limits is the hypothesis' own, and recommends nothing.
"""

from __future__ import annotations

from typing import Literal

from lora_vs_api.analysis.digits import digits_apart, significant
from lora_vs_api.analysis.results import Condition, Decision, Outcome
from lora_vs_api.report import numbers
from lora_vs_api.report.rendering import Markdown, escape
from lora_vs_api.report.sections.at_volume import AtVolume
from lora_vs_api.shown import count

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
# (accuracy, pays for itself at the volume) → what to do
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
# the same within a horizon at a volume a day; the page's script fills in these words too
PAYS: dict[Outcome, str] = {
    "holds": "the fine-tune pays for itself within {horizon} ({months})",
    "undecided": "it is open whether the fine-tune pays for itself within {horizon} ({months})",
    "fails": "the fine-tune does not pay for itself within {horizon}",
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


def recommend(
    decision: Decision, rival: Condition, paid: AtVolume, *, here: bool = False
) -> Markdown:
    """What to do and why, in one sentence; ``rival`` is the decision's baseline.

    ``paid`` is what becomes of the money at the configured volume. ``here``: this machine answers in the
    place of an API, and what an API costs is what the tokens would at another model's prices. The sentence
    says at whose.
    """
    entry = rival.cost_per_1k.priced_as if here else None
    billed = f"against the token prices of {escape(entry)}, " if entry else ""
    joined = JOINED[decision.cheaper, paid.pays]
    money = f"{cheaper_words(decision)}, {joined} {at_volume_words(paid)}"
    said = action(decision, rival, paid.pays, here=here)
    return Markdown(f"{said}: {accuracy_words(decision)}; {billed}{money}.")


def action(decision: Decision, rival: Condition, pays: Outcome, *, here: bool = False) -> Markdown:
    """What to do, without why; arguments as :func:`recommend`."""
    # of several trainings it may be the seeds that leave it open
    units = "texts" if decision.seeds == 1 else "texts or seeds"
    return Markdown(ACTIONS[_accuracy(decision), pays].format(call=_call(rival, here), units=units))


def waits(decision: Decision, pays: Outcome) -> bool:
    """Whether what to do is to measure more, or would be if more were measured."""
    said = ACTIONS[_accuracy(decision), pays]
    return "{units}" in said or said.startswith("Nothing decides")


def accuracy_is_open(decision: Decision) -> bool:
    """Whether some claim on the accuracy is neither shown nor refuted."""
    return "undecided" in (decision.non_inferior, decision.superior)


def at_volume_words(paid: AtVolume) -> str:
    """What may be said of the money at a volume a day, as a clause."""
    return f"at {paid.per_day:,} a day {pays_words(paid)}"


def pays_words(paid: AtVolume) -> str:
    """The same without naming the volume."""
    return PAYS[paid.pays].format(
        horizon=count(paid.months, "month"), months=months_between(paid.low, paid.high)
    )


def months_between(low: int | None, high: int | None) -> str:
    """After which month the fine-tune has cost less: from the start, after month 3, after month 3 to never."""
    if low == high == 0:
        return "from the start"
    known = numbers.month(low) if low == high else f"{numbers.month(low)} to {numbers.month(high)}"
    return f"after month {known}"


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
