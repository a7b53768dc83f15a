"""Turning shares into exact counts, and spreading labels evenly along a sequence."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from fractions import Fraction

from lora_vs_api.errors import UserError

TOLERANCE = 1e-9


def check_shares(
    shares: Mapping[str, float], key: str, known: tuple[str, ...] | None = None
) -> None:
    """Check that shares are numbers in 0..1 that sum to 1, under known names.

    Args:
        shares: name → share.
        key: the config key to name in an error, such as ``data.categories``.
        known: the allowed names; ``None`` allows any.

    Raises:
        UserError: naming ``key`` and the expected form.
    """
    if not shares:
        raise UserError(f"{key}: expected names with shares that sum to 1, found none")
    for name, share in shares.items():
        if known is not None and name not in known:
            raise UserError(f"{key}.{name}: unknown name; expected one of {', '.join(known)}")
        is_number = isinstance(share, (int, float)) and not isinstance(share, bool)
        if not is_number or not math.isfinite(share) or not 0 <= share <= 1:
            raise UserError(f"{key}.{name}: expected a share between 0 and 1, found {share!r}")
    total = math.fsum(shares.values())
    if abs(total - 1) > TOLERANCE:
        raise UserError(f"{key}: expected shares that sum to 1, found a sum of {total:.10g}")


def largest_remainder(n: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Divide ``n`` into whole counts that follow the shares (Hamilton's method).

    Each name gets the floor of its quota; what is left goes to the largest fractions, ties to
    the name listed first. The counts sum to ``n`` and each is within 1 of its quota.
    """
    # as written in decimal: 0.22 is 22/100, so that 2000 of it is 440 and never 439.99…
    exact = {name: Fraction(str(share)) for name, share in shares.items()}
    total = sum(exact.values())
    quotas = {name: n * share / total for name, share in exact.items()}
    counts = {name: math.floor(quota) for name, quota in quotas.items()}
    by_fraction = sorted(quotas, key=lambda name: counts[name] - quotas[name])
    for name in by_fraction[: n - sum(counts.values())]:
        counts[name] += 1
    return counts


def spread(counts: Mapping[str, int], rng: random.Random | None = None) -> list[str]:
    """Order labels so that every stretch of the sequence has about the overall proportions.

    Item ``j`` of a label with ``m`` items stands at ``(j + ½) / m`` of the way; with ``rng``
    anywhere in ``[j / m, (j + 1) / m)``, so that the order is random and the first item still
    falls within the first ``1 / m``. A run of items that holds a whole quota of each label
    gets exactly those quotas (without ``rng``).

    Returns:
        ``sum(counts.values())`` labels.
    """
    places = [
        ((j + (0.5 if rng is None else rng.random())) / count, order, label)
        for order, (label, count) in enumerate(counts.items())
        for j in range(count)
    ]
    return [label for _, _, label in sorted(places)]
