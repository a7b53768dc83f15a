"""How hard and how long to try."""

from __future__ import annotations

from dataclasses import dataclass

# the waits that a server may ask for before an attempt, and some more
CLAIM_SECONDS = 300.0


@dataclass(frozen=True)
class AskPolicy:
    """How a provider is asked; it never changes what is answered.

    Attributes:
        timeout_seconds: for one attempt, from the first byte sent to the last received.
        max_attempts: for one request, the first included; in batch mode for each upload, poll
            and download, and for the batches that one request may fail in, over all runs.
        concurrency: requests in flight at most; latencies compare only with as many. Not for batches.
        total_seconds: after which no attempt starts any more, None for no end. A batch is waited
            for at most so long; it goes on at the provider.
        first_wait_seconds: mean wait before the second attempt; it doubles with each further one.
        poll_seconds: between two looks at a batch.
        wait_seconds: between two looks at what another run on the same store is asking.
        quiet: show no progress.
    """

    timeout_seconds: float
    max_attempts: int
    concurrency: int = 1
    total_seconds: float | None = None
    first_wait_seconds: float = 1.0
    poll_seconds: float = 15.0
    wait_seconds: float = 0.5
    quiet: bool = False

    @property
    def claim_seconds(self) -> float:
        """How long a claim outlives its last renewal: longer than any attempt and wait together."""
        return self.timeout_seconds + self.poll_seconds + CLAIM_SECONDS

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts: expected at least 1, found {self.max_attempts}")
