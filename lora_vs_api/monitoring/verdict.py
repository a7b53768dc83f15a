"""What `lora-vs-api monitor` says of what it found: one rule for sentences and exit code."""

from __future__ import annotations

from collections.abc import Sequence

from lora_vs_api.monitoring.results import (
    DRIFT,
    FELL,
    NOTHING,
    Check,
    QualityCheck,
    Unjudged,
)
from lora_vs_api.shown import count


def exit_code(checks: Sequence[Check], quality: QualityCheck) -> int:
    """:data:`FELL` goes before :data:`DRIFT`: it is what drift is only a sign of."""
    if quality.outcome == "fell":
        return FELL
    return DRIFT if any(check.drift for check in checks) else NOTHING


def sentences(
    checks: Sequence[Check],
    unjudged: Sequence[Unjudged],
    quality: QualityCheck,
    by: str | None,
    seed: int,
) -> tuple[str, ...]:
    """The verdict, a few sentences.

    Args:
        by: what groups are, None where texts count alone.
        seed: of the training that was asked and measured.
    """
    said = [_drift(checks), *_blind(checks)]
    said += [f"Not judged: {each.name}: {each.reason}." for each in unjudged]
    said += [_quality(quality, by, seed), *_left_out(quality)]
    return tuple(said)


def _drift(checks: Sequence[Check]) -> str:
    if not checks:
        return "Nothing could be compared."
    found = [_change(check) for check in checks if check.drift]
    if not found:
        return f"No drift found in {count(len(checks), 'check')}."
    return (
        f"Drift: {'; '.join(found)}. The scores that were measured may not hold for such texts: label "
        "some of them and run the command again."
    )


def _change(check: Check) -> str:
    if check.before is not None and check.now is not None and check.kind != "length":
        return f"{check.name} {check.before:.3f} before, {check.now:.3f} now"
    before, now = check.shares_before or {}, check.shares_now or {}
    most = max(now, key=lambda label: abs(now[label] - before[label]))
    return f"{check.name} (most of all {most}: {before[most]:.0%} before, {now[most]:.0%} now)"


def _blind(checks: Sequence[Check]) -> list[str]:
    """Where a difference that matters could not have been shown."""
    blind = [
        f"{check.name} from {check.detectable:.2f}"
        if check.detectable < 1
        else f"{check.name} none"
        for check in checks
        if not check.drift and check.detectable > check.matters
    ]
    if not blind:
        return []
    return [f"Too few texts to show every difference that matters: {', '.join(blind)}."]


def _quality(quality: QualityCheck, by: str | None, seed: int) -> str:
    if quality.mean is None or quality.upper is None:
        return "Quality: not judged, no labelled text has been counted."
    of = count(quality.texts, "labelled text")
    if by is not None:
        of += f" in {count(quality.units, 'group')} ({by}), mean over groups,"
    measured = f"measured of seed {seed} was {quality.measured:.3f}"
    if by is not None:
        measured += " (mean over groups)"
    if quality.outcome == "not judged":
        return (
            f"Quality: not judged. Field F1 of {of} is {quality.mean:.3f}; {measured}, too low or on too few "
            "test texts for a fall to be shown."
        )
    against = f"{measured}, and below {quality.threshold:.3f} it counts as fallen"
    if quality.outcome == "fell":
        return (
            f"Quality fell, or the labels are wrong: shown at look {quality.fell_at} of "
            f"{quality.looks}. Field F1 of {of} is {quality.mean:.3f}; {against}."
        )
    return (
        f"Quality: not shown to have fallen. Field F1 of {of} is {quality.mean:.3f}, its mean at most "
        f"{quality.upper:.3f} (upper end of a one-sided {100 * (1 - quality.alarm / 2):.4g}% confidence "
        f"sequence); {against}."
    )


def _left_out(quality: QualityCheck) -> list[str]:
    said = []
    if quality.repeated:
        said.append(f"{count(quality.repeated, 'labelled text')} had been counted before.")
    if quality.in_run:
        verb = "does" if quality.in_run == 1 else "do"
        said.append(
            f"{count(quality.in_run, 'labelled text')} of the run's own splits {verb} not count."
        )
    if quality.blank:
        said.append(
            f"{count(quality.blank, 'row')} with no value in any field counted as unlabelled; a record of "
            "nulls, which the task allows, cannot be told from that."
        )
    return said
