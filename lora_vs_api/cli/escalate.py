"""`predict --escalate`: the pipeline's rule applied to new texts, and who answered each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lora_vs_api.analysis.cascade_results import PERSON, CascadeRule, Curve, read_rule
from lora_vs_api.cli.local_model import LocalAnswer
from lora_vs_api.config.sections import Params
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl
from lora_vs_api.log import say
from lora_vs_api.paths import BASE, TRAIN
from lora_vs_api.record.fields import Field
from lora_vs_api.record.parsing import record_of

if TYPE_CHECKING:
    from lora_vs_api.confidence.measure import Confidence

FINE_TUNE = "fine-tune"


@dataclass(frozen=True)
class Escalated:
    """Who answered a text: the fine-tune, a condition, or a person, whose answer is still to come.

    ``output`` is theirs, None of a person. ``sure`` is how sure the fine-tune was of its own answer,
    calibrated, of the text and of each field; ``raw_sure`` is that of the text before, which the
    threshold is held against.
    """

    answered_by: str
    output: str | None
    truncated: bool
    sure: float
    raw_sure: float
    sure_fields: dict[str, float]

    def as_row(self, own: str, fields: Sequence[Field]) -> dict[str, Any]:
        """What is written of it; ``own`` is what the fine-tune answered, a person's draft."""
        told = {
            "answered_by": self.answered_by,
            "sure": self.sure,
            "raw_sure": self.raw_sure,
            "sure_fields": self.sure_fields,
        }
        if self.output is None:
            return {"record": None, **told, "draft": record_of(own, fields)}
        return {"record": record_of(self.output, fields), **told}


def usable_rule(params: Params) -> CascadeRule:
    """The rule that the pipeline chose.

    Raises:
        UserError: there is none, it is of another task, or nobody can be asked whom it escalates to.
    """
    rule = read_rule()
    if rule is None:
        raise UserError(
            "--escalate: metrics/cascade_rule.json holds no rule; -S cascade=escalate looks for one, "
            "and the report's section on the cascade says why it found none"
        )
    names = {field.name for field in params.task.record_fields}
    if set(rule.fields) != names:
        raise UserError(
            "--escalate: metrics/cascade_rule.json is of a task with other fields; `dvc repro` makes "
            "it again"
        )
    if rule.target == PERSON:
        return rule
    if rule.target not in params.conditions:
        known = ", ".join(params.conditions) or "none"
        raise UserError(
            f"--escalate: the rule escalates to {rule.target}, which is no condition of params.yaml "
            f"({known}); `dvc repro` makes a rule of these"
        )
    _check_can_be_asked(params, rule.target)
    return rule


def _check_can_be_asked(params: Params, name: str) -> None:
    """Before the fine-tune answers: what it would have answered is lost where nobody can go on."""
    from lora_vs_api.api.asking import key_of

    for needed in (params.conditions[name].weights, TRAIN):
        if not Path(needed).exists():
            raise UserError(
                f"--escalate: {needed}: not there, and {name} cannot be asked without it; run "
                "`dvc repro`, or `dvc pull` with a remote"
            )
    if params.api.server.kind == "openai":
        key_of(params, name)


def escalated(
    params: Params,
    rule: CascadeRule,
    adapter: Path,
    texts: Sequence[str],
    answers: Sequence[LocalAnswer],
) -> list[Escalated]:
    """Each text with the answer that counts, in their order.

    Raises:
        UserError: as :func:`lora_vs_api.api.asking.ask_condition`.
    """
    found = confidences(params, adapter, texts, answers)
    places = [i for i, each in enumerate(found) if each.text <= rule.threshold]
    say(f"{len(places):,} of {len(texts):,} escalated to {rule.target}")
    others = _others(params, rule.target, [texts[i] for i in places])
    by_place = dict(zip(places, others, strict=True))
    made = []
    for i, (answer, each) in enumerate(zip(answers, found, strict=True)):
        by, said = (rule.target, by_place[i]) if i in by_place else (FINE_TUNE, answer)
        made.append(
            Escalated(
                answered_by=by,
                output=None if said is None else said.output,
                truncated=said is not None and said.truncated,
                sure=calibrated(rule.text, each.text),
                raw_sure=each.text,
                sure_fields={
                    name: calibrated(rule.fields[name], p) for name, p in each.fields.items()
                },
            )
        )
    return made


def _others(params: Params, target: str, texts: Sequence[str]) -> list[LocalAnswer | None]:
    """The target's answers; a person's are still to come."""
    if target == PERSON or not texts:
        return [None] * len(texts)
    from lora_vs_api.api.asking import ask_condition

    rows = [{"id": str(place), "text": text} for place, text in enumerate(texts)]
    run = ask_condition(params, target, rows, params.task.record_fields, read_jsonl(TRAIN))
    return [
        LocalAnswer(
            answer.reply.output if answer.reply.is_scored else "",
            answer.reply.outcome == "truncated",
        )
        for answer in run.answers
    ]


def confidences(
    params: Params, adapter: Path, texts: Sequence[str], answers: Sequence[LocalAnswer]
) -> list[Confidence]:
    """How sure the fine-tune is of its ``answers``, before calibration."""
    from lora_vs_api.confidence.measure import measure
    from lora_vs_api.inference.extractor import extractor_of
    from lora_vs_api.model.loading import load_tuned
    from lora_vs_api.model.runtime import resolve_runtime

    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    extractor = extractor_of(params, load_tuned(BASE, adapter, runtime), constrained=False)
    return measure(extractor, texts, [answer.output for answer in answers], "confidence")


def calibrated(curve: Curve, value: float) -> float:
    """A raw confidence as the curve has it."""
    return round(float(np.interp(value, curve.x, curve.y)), 4)
