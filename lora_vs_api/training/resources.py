"""What a training takes: seconds and, of a GPU, joules, over every process that had a part in it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lora_vs_api.model.energy import energy_meter, joules_between


@dataclass(frozen=True)
class ResourceUse:
    """What a training has taken up to a step, in all processes that had a part in it.

    Steps that were lost with a killed process are not in it. ``resumed_at`` are the steps it was
    resumed at; ``joules`` are None where one of the processes could not measure them.
    """

    seconds: float = 0.0
    joules: float | None = 0.0
    resumed_at: tuple[int, ...] = ()


class ResourceMeter:
    """Counts what this process takes from here on, on top of ``earlier``."""

    def __init__(self, device: str, earlier: ResourceUse) -> None:
        self._earlier = earlier
        self._read_joules = energy_meter(device)
        self._joules_before, self._started = self._read_joules(), time.monotonic()

    def total(self) -> ResourceUse:
        """Everything taken so far, that of earlier processes included."""
        earlier = self._earlier
        joules = joules_between(self._joules_before, self._read_joules())
        if joules is not None:
            joules = None if earlier.joules is None else round(earlier.joules + joules, 1)
        seconds = earlier.seconds + time.monotonic() - self._started
        return ResourceUse(seconds, joules, earlier.resumed_at)
