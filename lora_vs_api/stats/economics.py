"""What a request costs, what training costs, and from which volume on training pays.

Money is in US dollars, energy in kWh, time in seconds. Token prices are in US
dollars per million tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lora_vs_api.stats.bootstrap import resampled_means
from lora_vs_api.stats.ownership import run_to_run

if TYPE_CHECKING:
    from lora_vs_api.prices.price import Price, Rates

JOULES_PER_KWH = 3_600_000


def api_request_costs(
    input_tokens: ArrayLike,
    output_tokens: ArrayLike,
    price: Price,
    *,
    cached_tokens: ArrayLike = 0,
    discount: float = 0.0,
    prompt_tokens: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """What each request costs, in US dollars; shape (n_requests,).

    Args:
        input_tokens: shape (n_requests,), all input tokens, cached ones included.
        output_tokens: shape (n_requests,).
        price: of the model that answered. Where it lists none for cached input, that costs as
            much as any other.
        cached_tokens: shape (n_requests,) or a number: how many of the input tokens the
            provider billed as cached.
        discount: the share taken off all of it, 0.5 for half price.
        prompt_tokens: shape (n_requests,), by which a price with tiers chooses; None: the input
            tokens, which is another number where those of failed attempts are among them.

    Raises:
        ValueError: no request, unequal lengths, a negative count, more cached tokens than
            input tokens, a price that is negative or not finite, or a discount not in 0..1.
    """
    inputs = np.asarray(input_tokens, dtype=np.float64)
    outputs = np.asarray(output_tokens, dtype=np.float64)
    if inputs.ndim != 1 or inputs.size == 0 or inputs.shape != outputs.shape:
        raise ValueError(
            "expected one input and one output count per request, "
            f"found shapes {inputs.shape} and {outputs.shape}"
        )
    cached = np.broadcast_to(np.asarray(cached_tokens, dtype=np.float64), inputs.shape)
    # written so that NaN fails too
    if not (np.all(outputs >= 0) and np.all(cached >= 0) and np.all(inputs >= cached)):
        raise ValueError("expected token counts ≥ 0 and no more cached than input tokens")
    if not 0 <= discount <= 1:
        raise ValueError(f"discount: expected a share in 0..1, found {discount}")
    prompts = inputs if prompt_tokens is None else np.asarray(prompt_tokens, dtype=np.float64)
    of_input, of_cached, of_output = _per_million(price, prompts)
    per_million = (inputs - cached) * of_input + cached * of_cached + outputs * of_output
    return per_million / 1e6 * (1 - discount)


def api_cost_per_1k(
    input_tokens: ArrayLike,
    output_tokens: ArrayLike,
    price: Price,
    *,
    cached_tokens: ArrayLike = 0,
    discount: float = 0.0,
    prompt_tokens: ArrayLike | None = None,
) -> float:
    """Mean cost of 1,000 requests; arguments and errors as :func:`api_request_costs`."""
    costs = api_request_costs(
        input_tokens,
        output_tokens,
        price,
        cached_tokens=cached_tokens,
        discount=discount,
        prompt_tokens=prompt_tokens,
    )
    return 1000 * float(costs.mean())


def _per_million(
    price: Price, prompts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Dollars per million tokens of input, cached input and output; of each request, (n_requests,)."""
    each = [price.at(tokens) for tokens in prompts] if price.tiers else [price] * len(prompts)
    for rates in {id(rates): rates for rates in each}.values():
        _not_negative(input=rates.input, cached_input=_cached(rates), output=rates.output)
    return (
        np.array([rates.input for rates in each]),
        np.array([_cached(rates) for rates in each]),
        np.array([rates.output for rates in each]),
    )


def _cached(rates: Rates) -> float:
    return rates.input if rates.cached_input is None else rates.cached_input


def local_cost_per_1k(
    seconds_per_request: float, watts: float, usd_per_kwh: float, overhead: float
) -> float:
    """Electricity for 1,000 requests on one's own machine, in US dollars.

    Give the latency for one request at a time, or the reciprocal of the throughput for batched
    work. The published cost model is 320 W, $0.15/kWh and an overhead of 1.5; with its own
    measured median of 1.88 s that makes $0.0376, not the $0.0300 of its table. $0.0300 follows
    from 1.5 s a request.

    Args:
        seconds_per_request: seconds of machine time.
        watts: power that it takes while it works.
        usd_per_kwh: price of electricity.
        overhead: factor for cooling and idling, ≥ 1 in practice.

    Raises:
        ValueError: a number is negative or not finite.
    """
    return 1000 * electricity_usd(seconds_per_request, watts, usd_per_kwh, overhead)


def rented_cost_per_1k(seconds_per_request: float, usd_per_hour: float) -> float:
    """A rented machine for 1,000 requests, in US dollars, if it never stands idle.

    Args:
        seconds_per_request: seconds of machine time, as for :func:`local_cost_per_1k`.
        usd_per_hour: what an hour of the machine costs, electricity included.

    Raises:
        ValueError: a number is negative or not finite.
    """
    _not_negative(seconds_per_request=seconds_per_request, usd_per_hour=usd_per_hour)
    return 1000 * seconds_per_request * usd_per_hour / 3600


def electricity_usd(seconds: float, watts: float, usd_per_kwh: float, overhead: float) -> float:
    """Electricity of a machine that works for ``seconds``; arguments as :func:`local_cost_per_1k`."""
    _not_negative(seconds=seconds, watts=watts, usd_per_kwh=usd_per_kwh, overhead=overhead)
    return seconds * watts / JOULES_PER_KWH * usd_per_kwh * overhead


def engineering_usd(days: float, hours_per_day: float, usd_per_hour: float) -> float:
    """Working time of one person; the publication's $1,200 are 1.5 days of 8 hours at $100.

    Raises:
        ValueError: a number is negative or not finite.
    """
    _not_negative(days=days, hours_per_day=hours_per_day, usd_per_hour=usd_per_hour)
    return days * hours_per_day * usd_per_hour


def break_even(training_usd: float, local_per_1k: float, api_per_1k: float) -> float | None:
    """Requests after which training has paid for itself; None where it never does.

    Args:
        training_usd: spent once.
        local_per_1k: cost of 1,000 requests to the tuned model.
        api_per_1k: cost of 1,000 requests to the API, in the same currency.

    Returns:
        A number of requests ≥ 0, not rounded, or None: a request to the tuned model costs no
        less than one to the API.

    Raises:
        ValueError: a number is negative or not finite.
    """
    _not_negative(training_usd=training_usd, local_per_1k=local_per_1k, api_per_1k=api_per_1k)
    saving = api_per_1k - local_per_1k
    return 1000 * training_usd / saving if saving > 0 else None


def local_means(
    local: NDArray[np.float64], run_to_run_sd: float, resamples: int, seed: int
) -> NDArray[np.float64]:
    """Resampled means of what each request took of the tuned model's machine, shape (resamples,).

    Another run is faster or slower by a factor of its own. Every interval of money draws the
    tuned model's side here, so that they speak of the same resamples; the other side has the
    stream of ``seed`` itself.

    Args:
        local: shape (n,), seconds or money of each request.
        run_to_run_sd: of the tuned model's side, as a share; see
            :func:`lora_vs_api.stats.ownership.run_to_run`.
    """
    return resampled_means(local, resamples, [seed, 1]) * run_to_run(
        run_to_run_sd, resamples, [seed, 2]
    )


def over_requests(*run_to_run_sd: float) -> str:
    """The name of the intervals of costs: what varies in them. One number for each timed side."""
    speed = " and run-to-run speed" if any(run_to_run_sd) else ""
    return f"percentile bootstrap over requests{speed}"


def sensitivity(
    volume: Callable[..., float | None], settings: Mapping[str, float], factor: float
) -> dict[str, tuple[float | None, float | None]]:
    """Break-even volume with one setting at a time divided and multiplied by ``factor``.

    Args:
        volume: break-even volume as a function of all ``settings``, as keyword arguments.
        settings: name → value at which the others are held.
        factor: above 1.

    Returns:
        Setting → (volume at value/factor, volume at value·factor), None for never.

    Raises:
        ValueError: factor is not above 1.
    """
    if not factor > 1:
        raise ValueError(f"factor: expected a number above 1, found {factor}")
    return {
        name: (
            volume(**{**settings, name: value / factor}),
            volume(**{**settings, name: value * factor}),
        )
        for name, value in settings.items()
    }


def break_even_curve(
    volumes: ArrayLike, training_usd: float, local_per_1k: float, api_per_1k: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Total cost of the tuned model and of the API at each volume, for plotting.

    Args:
        volumes: shape (n,), numbers of requests ≥ 0.
        training_usd, local_per_1k, api_per_1k: as :func:`break_even`.

    Returns:
        Two arrays of shape (n,), local and API; they cross at :func:`break_even`.

    Raises:
        ValueError: a number is negative or not finite.
    """
    _not_negative(training_usd=training_usd, local_per_1k=local_per_1k, api_per_1k=api_per_1k)
    requests = np.asarray(volumes, dtype=np.float64)
    if not np.all((requests >= 0) & np.isfinite(requests)):
        raise ValueError("volumes: expected finite numbers of requests ≥ 0")
    return training_usd + requests * local_per_1k / 1000, requests * api_per_1k / 1000


def days_to_break_even(volume: float | None, per_day: float) -> float | None:
    """Days until a break-even volume is reached at ``per_day`` requests; None stays None.

    Raises:
        ValueError: per_day is not above 0.
    """
    if not per_day > 0:
        raise ValueError(f"per_day: expected a number of requests above 0, found {per_day}")
    return None if volume is None else volume / per_day


def _not_negative(**numbers: float) -> None:
    for name, number in numbers.items():
        if not (math.isfinite(number) and number >= 0):
            raise ValueError(f"{name}: expected a finite number ≥ 0, found {number}")
