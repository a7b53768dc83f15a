"""What a sample of texts and seeds can show, under the rule that decides.

The rule is that the whole of :func:`lora_vs_api.stats.variance.random_effects_interval` lies above a
limit: 0 for superiority, minus the margin for non-inferiority. An effect is how far the true
difference lies above that limit. Its power is the chance that the rule then says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri, ndtr, ndtri, stdtrit

from lora_vs_api.stats.bootstrap import ROUNDING, check_confidence, finite_array
from lora_vs_api.stats.clusters import Groups, group_scores
from lora_vs_api.stats.mean_squares import mean_squares
from lora_vs_api.stats.paired import pseudo_reach
from lora_vs_api.stats.variance import INTERACTION_TAKEN_OFF

# quantiles of a χ² distribution that stand for all of it
SEED_QUANTILES = 200
TEXT_QUANTILES = 25

# no difference of scores is larger
MAX_EFFECT = 1.0

# a number of texts that is as good as any
MAX_TEXTS = 10_000_000


@dataclass(frozen=True)
class Components:
    """Variances of one text's difference from one seed, in the scores' unit squared.

    ``seeds`` is None where a single seed was measured: nothing is known of another training.
    ``interaction`` is then part of ``texts``. ``reach`` is how far the interval's pseudo-text lies from
    the mean, in standard deviations of a text's mean.
    """

    seeds: float | None
    texts: float
    interaction: float
    reach: float


def components(differences: ArrayLike, *, groups: Groups = None) -> Components:
    """Estimate the components from mean squares; a negative one counts as 0.

    Args:
        differences: shape (n_seeds, n_texts), at least two texts (or groups).
        groups: label of each text; what is called texts is then groups.

    Raises:
        ValueError: differences not finite, not two-dimensional or of a single text.
    """
    table = group_scores(finite_array(differences, "differences", 2), groups)
    n_seeds, n_texts = table.shape
    if n_texts < 2:
        raise ValueError("differences: expected at least two texts, found 1")
    by_text = table.mean(axis=0)
    deviation = float(by_text.std(ddof=1))
    reach = 0.0
    if deviation > ROUNDING:
        reach = pseudo_reach(table) / deviation
    if n_seeds < 2:
        return Components(None, deviation**2, 0.0, reach)
    squares = mean_squares(table)
    return Components(
        seeds=max(0.0, squares.seeds - squares.interaction) / n_texts,
        texts=max(0.0, squares.texts - squares.interaction) / n_seeds,
        interaction=squares.interaction,
        reach=reach,
    )


def power(
    effect: float, found: Components, n_seeds: int, n_texts: int, confidence: float = 0.95
) -> float:
    """Chance that the interval lies above the limit when the true difference does by ``effect``.

    Scores are taken as normal; the mean squares then have χ² distributions, which are summed over.

    Args:
        effect: in the scores' unit.
        found: of the differences.
        n_seeds: trainings; 1 asks about the models as they are.
        n_texts: at least 2.
        confidence: of the interval.

    Raises:
        ValueError: fewer than one seed or two texts; several seeds though a single one was
            measured; confidence not between 0 and 1.
    """
    error, half = _error_and_half(found, n_seeds, n_texts, confidence)
    if error <= ROUNDING:
        return float(effect > 0)
    return float(ndtr((effect - half) / error).mean())


def minimum_detectable_effect(
    found: Components, n_seeds: int, n_texts: int, confidence: float = 0.95, aim: float = 0.8
) -> float | None:
    """The least effect whose power is ``aim``; None where even an effect of 1 has less.

    Arguments and errors as :func:`power`; also where ``aim`` is not between 0 and 1.
    """
    _check_aim(aim)
    error, half = _error_and_half(found, n_seeds, n_texts, confidence)
    if error <= ROUNDING:
        return 0.0

    def enough(effect: float) -> bool:
        return float(ndtr((effect - half) / error).mean()) >= aim

    if not enough(MAX_EFFECT):
        return None
    low, high = 0.0, MAX_EFFECT
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def required_texts(
    effect: float, found: Components, n_seeds: int, confidence: float = 0.95, aim: float = 0.8
) -> int | None:
    """Fewest texts, answered by each of ``n_seeds`` trainings, that give ``effect`` the power ``aim``.

    None where no number of texts does: what seeds differ by stays, however many texts there are.
    Arguments and errors as :func:`power`.
    """
    _check_aim(aim)
    if power(effect, found, n_seeds, MAX_TEXTS, confidence) < aim:
        return None
    low, high = 1, 2
    while power(effect, found, n_seeds, high, confidence) < aim:
        low, high = high, min(2 * high, MAX_TEXTS)
    while high - low > 1:
        middle = (low + high) // 2
        if power(effect, found, n_seeds, middle, confidence) >= aim:
            high = middle
        else:
            low = middle
    return high


def _check_aim(aim: float) -> None:
    if not 0 < aim < 1:
        raise ValueError(f"aim: expected a number between 0 and 1, found {aim}")


def _error_and_half(
    found: Components, n_seeds: int, n_texts: int, confidence: float
) -> tuple[float, NDArray[np.float64]]:
    """Standard error of the mean difference, and the half widths that its interval may have."""
    check_confidence(confidence)
    if n_seeds < 1 or n_texts < 2:
        raise ValueError(f"expected at least 1 seed and 2 texts, found {n_seeds} and {n_texts}")
    if n_seeds > 1 and found.seeds is None:
        raise ValueError("n_seeds: expected 1, because a single seed was measured")
    tail = (1 + confidence) / 2
    by_text = found.texts + found.interaction / n_seeds
    text_error = by_text / n_texts
    # the pseudo-text's part, then the estimate's own spread
    pseudo = found.reach**2 * by_text
    spread = by_text * _chi_square_shares(n_texts - 1, TEXT_QUANTILES) * (n_texts - 1)
    text_half = float(stdtrit(n_texts - 1, tail)) ** 2 * (
        (spread + pseudo) / ((n_texts + 1) * (n_texts + 2))
    )
    if n_seeds == 1 or found.seeds is None:
        return math.sqrt(text_error), np.sqrt(text_half)
    of_interaction = found.interaction / (n_seeds * n_texts)
    from_seeds = found.seeds / n_seeds
    seed_square = (from_seeds + of_interaction) * _chi_square_shares(n_seeds - 1, SEED_QUANTILES)
    added = np.maximum(0.0, seed_square - INTERACTION_TAKEN_OFF * of_interaction)
    seed_half = float(stdtrit(n_seeds - 1, tail)) ** 2 * added
    return (
        math.sqrt(from_seeds + text_error),
        np.sqrt(text_half[:, None] + seed_half[None, :]),
    )


@lru_cache(maxsize=256)
def _chi_square_shares(freedom: int, number: int) -> NDArray[np.float64]:
    """χ² divided by its degrees of freedom, at so many equally likely places."""
    shares = (np.arange(number) + 0.5) / number
    # an approximation where the exact quantile is slow and as good as normal
    if freedom > 10_000:
        around: NDArray[np.float64] = 1 + ndtri(shares) * math.sqrt(2 / freedom)
        return around
    found: NDArray[np.float64] = chdtri(freedom, 1 - shares) / freedom
    return found
