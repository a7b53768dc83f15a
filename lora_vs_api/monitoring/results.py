"""What `lora-vs-api monitor` finds and keeps, as types: its JSON record and its state file.

Scores, shares, confidences and distances are in 0..1; lengths are in characters.
"""

from __future__ import annotations

from typing import Literal

from lora_vs_api.analysis.results import Result

CheckKind = Literal["length", "vocabulary", "labels", "confidence"]
Quality = Literal["fell", "not shown to have fallen", "not judged"]
# what cron reads; 1 is an error and 2 wrong usage, as everywhere
NOTHING, DRIFT, FELL = 0, 3, 4


class Check(Result):
    """One comparison of new texts with those before.

    ``before`` and ``now``: the median length, or the mean share of unknown words or confidence; of
    labels None, whose shares stand in ``shares_before`` and ``shares_now``; of lengths one share stands there,
    of texts up to the length at which both sides differ most. ``matters`` is the least
    distance that is called drift, ``detectable`` the least one that so many texts could show. ``p_holm`` is
    corrected for all checks of the run.
    """

    kind: CheckKind
    name: str
    texts_before: int
    texts_now: int
    before: float | None
    now: float | None
    shares_before: dict[str, float] | None
    shares_now: dict[str, float] | None
    distance: float
    matters: float
    detectable: float
    p_value: float
    p_holm: float
    drift: bool


class Unjudged(Result):
    """A check that could not be made, and why."""

    name: str
    reason: str


class QualityCheck(Result):
    """The sequential test of field F1, over all labelled texts so far.

    ``measured`` is the F1 on the test texts and ``threshold`` what it must have fallen below; ``upper``
    is the upper end of the confidence sequence of the new mean. ``units`` counts groups, or else texts.
    ``fell_at`` is the look at which the fall was shown; that stands, whatever comes later. Of the labelled
    texts in the file, ``added`` are new, ``repeated`` had been counted and ``in_run`` stand in the run's
    own splits, which were trained or measured on. ``blank`` counts rows that say nothing in any field where
    each may be empty: they are taken as unlabelled.
    """

    outcome: Quality
    texts: int
    units: int
    looks: int
    mean: float | None
    upper: float | None
    measured: float
    threshold: float
    alarm: float
    fell_at: int | None
    added: int
    repeated: int
    in_run: int
    blank: int = 0


class Monitoring(Result):
    """The record of one run of the command; ``exit_code`` as the command ends with it."""

    file: str
    seed: int
    adapter_sha256: str
    texts: int
    group_by: str | None
    drift_alarm: float
    checks: tuple[Check, ...]
    unjudged: tuple[Unjudged, ...]
    quality: QualityCheck
    state: str | None
    verdict: tuple[str, ...]
    exit_code: int


class Counted(Result):
    """A labelled text that was counted: digests of the text and of its group, no word of either."""

    text: str
    group: str | None
    score: float
    look: int


class Looks(Result):
    """The state file: all labelled texts that were counted for one fine-tune, in their order.

    ``asked_sha256`` is of what else a score depends on: how fields are scored, how answers are decoded, and on
    which engine. ``threshold`` and ``alarm`` stand as they were at the first look: a threshold that moved with the data
    would void the level. ``fell_at`` is the look at which the alarm was raised.
    """

    adapter_sha256: str
    asked_sha256: str
    group_by: str | None
    measured: float
    threshold: float
    alarm: float
    looks: int
    fell_at: int | None
    texts: tuple[Counted, ...]
