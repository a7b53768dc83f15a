"""How Hydra's sweeper has its trials run: those that it asks for at once, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus


class SideBySide:
    """Gives each trial's overrides to ``begin``, in their order, and what that gives to the task function.

    The latter in threads where there are several.
    """

    def __init__(
        self,
        task_function: Callable[[Any], float | None],
        begin: Callable[[Sequence[str]], Any],
    ) -> None:
        self._try, self._begin = task_function, begin

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        # all of them before the first starts: threads come in any order
        begun = [self._begin(overrides) for overrides in job_overrides]
        if len(begun) == 1:
            # in this thread, which Ctrl-C reaches
            return [_returned(self._try(begun[0]))]
        pool = ThreadPoolExecutor(len(begun))
        try:
            return [_returned(score) for score in pool.map(self._try, begun)]
        finally:
            # after Ctrl-C what runs is ended by who started this; else all have ended
            pool.shutdown(wait=False, cancel_futures=True)


def _returned(score: float | None) -> JobReturn:
    done = JobReturn()
    done.status, done.return_value = JobStatus.COMPLETED, score
    return done


def launcher_with(begin: Callable[[Sequence[str]], Any]) -> Callable[..., SideBySide]:
    """In place of ``Plugins.instantiate_launcher``, which takes classes of the package hydra_plugins alone."""

    def launcher(plugins: Plugins, *, task_function: Callable[..., Any], **_: Any) -> SideBySide:
        return SideBySide(task_function, begin)

    return launcher
