"""How the report and its figures write numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol


class Ends(Protocol):
    """Anything with the two ends of an interval."""

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


class VolumeEnds(Protocol):
    """The ends of a break-even volume's interval; None is never."""

    @property
    def low(self) -> float | None: ...

    @property
    def high(self) -> float | None: ...


def significant(value: float, digits: int = 3) -> str:
    """``value`` to so many significant digits, never in exponent form: 0.0057, 1,330."""
    return f"{Decimal(f'{value:.{digits}g}'):,f}"


# in US dollars, per thousand answers: less is read by nobody
MIN_USD = 1e-6


def usd(value: float) -> str:
    """An amount of US dollars without its unit: whole from 100 on, else three digits that matter."""
    if 0 < abs(value) < MIN_USD:
        return f"<{MIN_USD:f}"
    return f"{value:,.0f}" if abs(value) >= 100 else significant(value)


def volume(value: float | None, digits: int = 3) -> str:
    """A break-even volume in words; None is never."""
    if value is None:
        return "never"
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if value >= size * 0.9995:
            return f"{significant(value / size, digits)} {word}"
    return significant(value, digits)


def month(value: int | None) -> str:
    """The month from which on something holds; None is never."""
    return "never" if value is None else str(value)


def days(value: float) -> str:
    """A time to break even in the unit a meeting talks in."""
    if value >= 730:
        return f"{significant(value / 365)} years"
    if value >= 60:
        return f"{significant(value / 30.44)} months"
    written = significant(value)
    return "less than a day" if value < 1 else f"{written} {'day' if written == '1' else 'days'}"


def score(value: float) -> str:
    """A score in 0..1, or a distance between scores."""
    return f"{value:.3f}"


def signed_digits(value: float, digits: int) -> str:
    """With its sign and so many decimals; without a sign where nothing is left of the value."""
    written = f"{value:+.{digits}f}"
    return written if float(written) else written[1:]


def signed(value: float) -> str:
    """A difference of scores."""
    return signed_digits(value, 3)


def points(value: float) -> str:
    """A difference of shares, in percentage points."""
    return signed_digits(100 * value, 0)


def decimals(value: float, digits: int) -> str:
    return f"{value:.{digits}f}"


def percent(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}%}"


def seconds(value: float) -> str:
    """Hundredths, and of less than a tenth the two digits that matter."""
    return f"{value:.2f}" if value >= 0.1 else significant(value, 2)


def p_value(value: float) -> str:
    return "<0.0001" if value < 0.00005 else significant(value, 2)


def signed_usd(value: float) -> str:
    return ("−" if value < 0 else "+" if value > 0 else "") + usd(abs(value))


def between(ends: Ends) -> str:
    """The interval of a score."""
    return f"{score(ends.low)} to {score(ends.high)}"


def signed_between(ends: Ends, digits: int = 3) -> str:
    """The interval of a difference."""
    return f"{signed_digits(ends.low, digits)} to {signed_digits(ends.high, digits)}"


def bracketed(ends: Ends) -> str:
    return f"[{score(ends.low)}, {score(ends.high)}]"


def signed_bracketed(ends: Ends) -> str:
    return f"[{signed(ends.low)}, {signed(ends.high)}]"


def volume_between(ends: VolumeEnds, digits: int = 3) -> str:
    if ends.low is None and ends.high is None:
        return volume(None)
    return f"{volume(ends.low, digits)} to {volume(ends.high, digits)}"
