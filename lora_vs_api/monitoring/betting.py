"""A test that may be looked at after every label: is a mean of scores below what it was?

Betting (Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting (2024)): a
gambler bets that scores are lower. If their mean is not, whatever he does his capital is a
supermartingale, and by Ville's inequality it ever reaches 1/α with chance α at most. He divides it among
bets of several sizes (diversified Kelly betting, section 5 there), so that none has to be chosen and the
order of scores within a look changes nothing. The package `confseq` of the authors has to be compiled and
is not used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# shares of the largest bet that cannot lose everything
BETS = np.linspace(0.02, 0.98, 49)


def log_capital(scores: ArrayLike, mean: float) -> Floats:
    """Logarithm of the capital after each score of bets that their mean is below ``mean``.

    Args:
        scores: shape (n,), each in 0..1, in the order in which they came.
        mean: what is tested, from 0 to below 1.

    Returns:
        Shape (n,); the start, 1, is not in it.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not 0 <= mean < 1:
        raise ValueError(f"mean: expected a number from 0 to below 1, found {mean}")
    if values.ndim != 1 or np.any((values < 0) | (values > 1)):
        raise ValueError("scores: expected numbers from 0 to 1")
    # a bet of all, 1/(1 − mean), would lose everything at a score of 1
    gain = 1 + np.outer((mean - values) / (1 - mean), BETS)
    logs = np.cumsum(np.log(gain), axis=0)
    return np.asarray(np.logaddexp.reduce(logs, axis=1) - np.log(BETS.size))


def upper_bound(scores: ArrayLike, level: float) -> float:
    """The largest mean that the capital after the last score does not refute, at ``level``.

    Of independent scores looked at once or always, the mean lies above it with chance ``level`` at most.
    """
    values, low, high = np.asarray(scores, dtype=np.float64), 0.0, 1.0
    if not values.size:
        return 1.0
    for _ in range(40):
        middle = (low + high) / 2
        # the capital grows with the mean that is bet against
        if log_capital(values, middle)[-1] < -np.log(level):
            low = middle
        else:
            high = middle
    return high


def level_of_look(alarm: float, look: int, *, grouped: bool) -> float:
    """What chance of a false alarm the ``look``-th look, from 1 on, may spend of ``alarm`` in all.

    Of independent texts all of it, each time (Ville). Of groups, one that was looked at before may have
    got more texts, and its mean with them: the capital is then a bet of one look's own, of expectation 1
    at most since groups are independent, and the looks share ``alarm``: 1/(1·2) + 1/(2·3) + … = 1.
    """
    return alarm / (look * (look + 1)) if grouped else alarm


def shows_fall(scores: Sequence[float], threshold: float, level: float, *, grouped: bool) -> bool:
    """Whether the mean is below ``threshold``: at this look of groups, or at any score of texts."""
    if not scores:
        return False
    capital = log_capital(scores, threshold)
    best = capital[-1] if grouped else capital.max()
    return bool(best >= -np.log(level))
