"""When the next attempt may start: back-off, what the server asks for, and the end of all time."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from lora_vs_api.api import keys
from lora_vs_api.api.types import NoAnswer

MAX_BACKOFF_SECONDS = 30.0
# a server that wants more patience than this has run out of quota: say so instead of sleeping
MAX_RETRY_AFTER_SECONDS = 120.0
# nor is a used-up rate limit, as told by the headers of an answer, waited out for longer
MAX_PAUSE_SECONDS = 60.0
UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
UNITS = r"ms|seconds?|minutes?|hours?|s\b|s(?=\d)|m\b|m(?=\d)|h\b|h(?=\d)|d\b"
DURATION = rf"(?:\d+(?:\.\d+)?\s?(?:{UNITS})\s?)+"


class Gate:
    """Lets attempts through: not before a wait the server asked for, nor past the total time."""

    def __init__(self, total_seconds: float | None) -> None:
        self.total_seconds = total_seconds
        self._end = None if total_seconds is None else time.monotonic() + total_seconds
        self._open_at = 0.0

    def close_for(self, seconds: float) -> None:
        self._open_at = max(self._open_at, time.monotonic() + seconds)

    async def passed(self, stop: asyncio.Event) -> bool:
        """Wait to be let through; False when the call was stopped meanwhile.

        Raises:
            NoAnswer: there is no time left.
        """
        while (wait := self._open_at - time.monotonic()) > 0:
            if await stopped_within(wait, stop):
                return False
        if self._end is not None and time.monotonic() > self._end:
            raise NoAnswer(f"the {self.total_seconds:g} s of {keys.MAX_MINUTES} are over")
        return not stop.is_set()


async def stopped_within(seconds: float, stop: asyncio.Event) -> bool:
    """Wait ``seconds``, or until ``stop`` is set; whether it was."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


def backoff_seconds(attempt: int, first_wait_seconds: float, spread: float) -> float:
    """Wait after the failed ``attempt`` (from 1): doubled each time up to a limit, times ``spread``.

    The spread is drawn around 1, so that requests that failed together do not return together.
    """
    # 2⁶⁰ s are beyond any limit; without one of its own the power would leave a float's range
    return min(first_wait_seconds * 2.0 ** min(attempt - 1, 60), MAX_BACKOFF_SECONDS) * spread


# beyond these a bare number is a moment, in seconds or milliseconds since 1970
EPOCH_SECONDS, EPOCH_MILLISECONDS = 1e9, 1e12


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds ≥ 0 that an error's headers ask to wait; None where they say nothing readable.

    Read are ``retry-after-ms``, and ``retry-after`` as seconds or as a date (RFC 9110, 10.2.3). The first
    that is a wait counts: Azure sends 0 ms beside a second.
    """
    waits = list(_waits(headers, now))
    return next((wait for wait in waits if wait), 0.0 if waits else None)


def _waits(headers: Mapping[str, str], now: datetime | None) -> Iterator[float]:
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            yield _from_now(float(value) / unit, now)
            continue
        except ValueError:
            pass
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            continue
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        yield max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def _from_now(seconds: float, now: datetime | None) -> float:
    """Seconds ≥ 0 of a wait that some servers write as a moment since 1970, in seconds or milliseconds."""
    if seconds >= EPOCH_SECONDS:
        seconds /= 1000 if seconds >= EPOCH_MILLISECONDS else 1
        seconds -= (now or datetime.now(UTC)).timestamp()
    return max(0.0, seconds)


def wait_in(body: object) -> float | None:
    """Seconds that an error's body asks to wait; None where it says nothing readable.

    Gemini sends a ``retryDelay`` of Google's RetryInfo; Groq and OpenAI write it into the message
    (``Please try again in 7m12.5s``).
    """
    # whatever is nested how: the phrases are what counts
    text = str(body)
    found = re.search(rf"retryDelay\W+({DURATION})|(?:retry|try again) (?:in|after) ({DURATION})", text, re.I)  # fmt: skip
    if not found:
        return None
    parts = re.findall(rf"(\d+(?:\.\d+)?)\s?({UNITS})", found.group(1) or found.group(2), re.I)
    return sum(float(number) * UNIT_SECONDS[_unit(unit)] for number, unit in parts)


def _unit(word: str) -> str:
    """``seconds`` and ``s`` are one unit, ``ms`` is another."""
    word = word.lower()
    return word if word == "ms" else word[0]


def rate_limit_pause(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to leave the server alone, where ``x-ratelimit-remaining…`` says 0; else None.

    The longest counts, of requests, of tokens and of what has no name. A bare number beyond the time in
    which its limit is renewed, where the server tells that (Azure, in seconds), is of milliseconds.
    """
    pauses = [
        reset_seconds(
            headers.get(f"x-ratelimit-reset{what}", ""),
            now,
            _period(headers.get(f"x-ratelimit-renewalperiod{what}", "")),
        )
        for what in ("", "-requests", "-tokens")
        if headers.get(f"x-ratelimit-remaining{what}", "").strip() == "0"
    ]
    return max(pauses, default=None)


def _period(said: str) -> float:
    """Seconds above which a bare number is of milliseconds."""
    seconds = float(said) if re.fullmatch(r"\d{1,9}", said, re.ASCII) else 0.0
    return min(seconds or MAX_RETRY_AFTER_SECONDS, MAX_RETRY_AFTER_SECONDS)


def reset_seconds(
    reset: str, now: datetime | None = None, longest: float = MAX_RETRY_AFTER_SECONDS
) -> float:
    """Seconds ≥ 0 of a reset such as ``6m0s``, ``1.5s`` or ``20ms``; 0 for anything else.

    Some servers send bare seconds, or milliseconds (Azure), or a moment: since 1970 (OpenRouter, in
    milliseconds), or as a date. A bare number says no unit: beyond ``longest`` it is of milliseconds, since a
    limit is mostly that of a minute, and back-off goes on where that is too short a wait.
    https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
    """
    now = now or datetime.now(UTC)
    if re.fullmatch(r"\s*\d{1,15}(?:\.\d*)?\s*", reset):
        # what is blank to a pattern is not all blank to float
        seconds = float(reset.strip())
        if longest < seconds < EPOCH_SECONDS:
            seconds /= 1000
        return _from_now(seconds, now)
    if re.match(r"\s*\d{4}-\d\d-\d\d", reset):
        try:
            moment = datetime.fromisoformat(reset.strip())
        except ValueError:
            return 0.0
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", reset)
    return sum((float(number) * UNIT_SECONDS[unit] for number, unit in parts), 0.0)
