"""When to ask again: every header form is read, and no wait is negative, endless or too long."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lora_vs_api.api.pacing import (
    MAX_BACKOFF_SECONDS,
    Gate,
    backoff_seconds,
    rate_limit_pause,
    reset_seconds,
    retry_after,
    stopped_within,
)
from lora_vs_api.api.policy import AskPolicy
from lora_vs_api.api.types import NoAnswer

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Tue, 03 Feb 2026 04:06:06 GMT"}, 60.0),
        ({"retry-after": "Tue, 03 Feb 2026 05:06:06 +0100"}, 60.0),
        # "-0000" is a time in UTC of unknown place
        ({"retry-after": "Tue, 03 Feb 2026 04:06:06 -0000"}, 60.0),
        ({"retry-after": "Tue, 03 Feb 2026 04:04:06 GMT"}, 0.0),
        ({"retry-after": "later"}, None),
        ({"retry-after": ""}, None),
    ],
    ids=str,
)
def test_what_a_server_asks_for_is_read(headers, expected):
    """Seconds, milliseconds and dates; the past is no wait, and nonsense says nothing."""
    assert retry_after(headers, NOW) == expected


@given(seconds=st.integers(0, 10**8))
def test_seconds_milliseconds_and_dates_agree(seconds):
    """One wait in three spellings is one wait."""
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    for headers in (
        {"retry-after": str(seconds)},
        {"retry-after-ms": str(seconds * 1000)},
        {"retry-after": date},
    ):
        assert retry_after(headers, NOW) == seconds


@given(st.dictionaries(st.sampled_from(["retry-after-ms", "retry-after"]), st.text()))
def test_whatever_a_header_says_is_a_wait_or_nothing(headers):
    """A server can write anything into it; no text ends the run."""
    found = retry_after(headers, NOW)
    assert found is None or found >= 0


@pytest.mark.parametrize(
    "date",
    [
        "Tue, 03 Feb 999999999999999999999 04:06:06 GMT",
        "Tue, 31 Feb 2026 04:06:06 GMT",
        "Tue, 03 Feb 2026 04:06:06 +999999999999",
    ],
)
def test_a_date_that_is_none(date):
    """A date that no calendar has says nothing."""
    assert retry_after({"retry-after": date}, NOW) is None


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [("6m0s", 360), ("1.5s", 1.5), ("20ms", 0.02), ("1h2m3s", 3723), ("2d", 172800), ("", 0)],
)
def test_resets_are_read(reset, seconds):
    """The forms that OpenAI's documentation shows."""
    assert reset_seconds(reset) == pytest.approx(seconds)


@given(
    st.integers(0, 9), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59),
    st.integers(0, 999),
)  # fmt: skip
def test_every_reset_is_the_sum_of_its_parts(d, h, m, s, ms):
    """Milliseconds are not minutes, wherever they stand."""
    expected = d * 86400 + h * 3600 + m * 60 + s + ms / 1000
    assert reset_seconds(f"{d}d{h}h{m}m{s}s{ms}ms") == pytest.approx(expected)


@example("0\x1f")
@given(st.text())
def test_a_reset_is_never_negative(text):
    """Whatever the header says."""
    assert reset_seconds(text) >= 0


@pytest.mark.parametrize(
    ("remaining", "expected"),
    [
        ({}, None),
        ({"requests": "1", "tokens": "30"}, None),
        ({"requests": "0", "tokens": "30"}, 2.0),
        ({"requests": " 0 ", "tokens": "0"}, 5.0),
        ({"tokens": "0"}, 5.0),
    ],
    ids=str,
)
def test_only_a_used_up_limit_pauses(remaining, expected):
    """And the longer of two resets counts."""
    headers = {"x-ratelimit-reset-requests": "2s", "x-ratelimit-reset-tokens": "5s"}
    headers |= {f"x-ratelimit-remaining-{what}": left for what, left in remaining.items()}
    assert rate_limit_pause(headers) == expected


@given(st.integers(1, 10**6), st.floats(0, 100), st.floats(0.5, 1.5))
def test_back_off_doubles_up_to_its_limit(attempt, first, spread):
    """It never shrinks with a further attempt and never passes the limit, whatever the attempt."""
    wait = backoff_seconds(attempt, first, spread)
    assert 0 <= wait <= MAX_BACKOFF_SECONDS * spread
    assert backoff_seconds(attempt + 1, first, spread) >= wait
    if backoff_seconds(attempt + 1, first, 1) < MAX_BACKOFF_SECONDS and attempt < 50:
        assert backoff_seconds(attempt + 1, first, 1) == 2 * backoff_seconds(attempt, first, 1)


def test_the_gate_opens_after_the_longest_wait():
    """A shorter wait that is asked for later does not open it earlier."""

    async def waited() -> float:
        gate, started = Gate(None), time.monotonic()
        gate.close_for(0.2)
        gate.close_for(0.01)
        assert await gate.passed(asyncio.Event())
        return time.monotonic() - started

    assert 0.2 <= asyncio.run(waited()) < 2


def test_a_stopped_call_waits_no_longer():
    """Neither at a closed gate nor between two attempts."""

    async def stopped() -> tuple[bool, bool, bool]:
        gate, stop = Gate(None), asyncio.Event()
        stop.set()
        opened = await gate.passed(stop)
        gate.close_for(60)
        return opened, await gate.passed(stop), await stopped_within(60, stop)

    started = time.monotonic()
    assert asyncio.run(stopped()) == (False, False, True)
    assert time.monotonic() - started < 5


def test_past_the_total_time_nothing_passes():
    """The message names the key and the time."""

    async def late() -> None:
        gate = Gate(0.01)
        await asyncio.sleep(0.05)
        await gate.passed(asyncio.Event())

    with pytest.raises(NoAnswer, match=r"the 0\.01 s of .*max_minutes are over"):
        asyncio.run(late())


def test_a_policy_attempts_at_least_once():
    """Zero attempts would answer nothing without saying so."""
    with pytest.raises(ValueError, match="max_attempts: expected at least 1, found 0"):
        AskPolicy(timeout_seconds=1, max_attempts=0)
