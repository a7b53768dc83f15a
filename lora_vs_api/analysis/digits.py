"""How many digits a number needs so that what is written does not contradict what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

MAX_DIGITS = 12


def digits_apart(
    values: Iterable[float],
    bounds: Iterable[float],
    fewest: int,
    cut: Callable[[float, int], float],
) -> int:
    """The fewest digits with which every value, as written, stays on its side of every bound.

    0.0199 written with two digits would be 0.02, and then not "below 0.02".

    Args:
        values: what is written.
        bounds: what they are held against.
        fewest: digits to begin with.
        cut: a value with so many digits, such as :func:`round`.
    """

    def kept(value: float, bound: float, digits: int) -> bool:
        written = cut(value, digits)
        return (written > bound) == (value > bound) and (written < bound) == (value < bound)

    values, bounds = list(values), list(bounds)
    for digits in range(fewest, MAX_DIGITS):
        if all(kept(value, bound, digits) for value in values for bound in bounds):
            return digits
    return MAX_DIGITS


def significant(value: float, digits: int) -> float:
    """``value`` cut to so many significant digits."""
    return float(f"{value:.{digits}g}")
