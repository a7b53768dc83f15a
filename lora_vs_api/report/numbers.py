"""How the report and its figures write numbers."""

from __future__ import annotations

from decimal import Decimal


def significant(value: float, digits: int = 3) -> str:
    """``value`` to so many significant digits, never in exponent form: 0.0057, 1,330."""
    return f"{Decimal(f'{value:.{digits}g}'):,f}"


def usd(value: float) -> str:
    """An amount of US dollars without its unit: whole from 100 on, else three digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else significant(value)


def volume(value: float | None) -> str:
    """A break-even volume in words; None is never."""
    if value is None:
        return "never"
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if value >= size * 0.9995:
            return f"{significant(value / size)} {word}"
    return significant(value)


def count(number: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def days(value: float) -> str:
    """A time to break even in the unit a meeting talks in."""
    if value >= 730:
        return f"{significant(value / 365)} years"
    if value >= 60:
        return f"{significant(value / 30.44)} months"
    return "less than a day" if value < 1 else f"{significant(value)} days"
