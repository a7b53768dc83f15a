"""Figures cut to the digits that mean something."""

from __future__ import annotations


def rounded(value: float, digits: int = 4) -> float:
    """``value`` to so many significant digits, so that noise does not show as a difference."""
    return float(f"{value:.{digits}g}")
