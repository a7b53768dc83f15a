"""Jobs that are asked for at about the same moment and take the same: submitted together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

# nodes of one wave are started within milliseconds; those that an ended wave lets start, within a look at its results
WAVE_SECONDS = 1.0

Submitted = TypeVar("Submitted")


class Waves(Generic[Submitted]):
    """The first of a wave waits a moment for others of its kind, and submits all; each goes on with its own.

    ``submit``: two addresses or more → what came of each, or None where they have to go one by one.
    """

    def __init__(
        self,
        submit: Callable[[Sequence[str]], Mapping[str, Submitted] | None],
        seconds: float = WAVE_SECONDS,
    ) -> None:
        self._submit, self._seconds = submit, seconds
        self._open: dict[Hashable, tuple[list[str], Future[Mapping[str, Submitted] | None]]] = {}
        self._lock = threading.Lock()

    def join(self, address: str, kind: Hashable, given_up: threading.Event) -> Submitted | None:
        """What came of this address's submission; None where it has to be submitted by itself."""
        with self._lock:
            leads = kind not in self._open
            addresses, told = self._open.setdefault(kind, ([], Future()))
            addresses.append(address)
        if leads:
            given_up.wait(self._seconds)
            with self._lock:
                del self._open[kind]
            try:
                told.set_result(self._submit(addresses) if len(addresses) > 1 else None)
            except BaseException as error:
                # else the others would wait for ever
                told.set_exception(error)
        found = told.result()
        return None if found is None else found[address]
