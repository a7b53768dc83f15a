"""End a trial early whose loss has fallen far behind that of a trial that is already finished.

Both see the same examples in the same order, so their losses are compared step by step. It is the
simplest of the rules by which sweeps give up trials; Hyperband and its kin (Li et al. 2018) stop
trials against each other while all run, which needs them in one process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from transformers import TrainerCallback

# a window is this share of the finished training, and at least so many steps: one batch is noise
SHARE, LEAST = 0.1, 5


@dataclass(frozen=True)
class Reference:
    """The losses of a finished training, and how many times as high is hopeless."""

    losses: tuple[float, ...]
    ratio: float

    @property
    def window(self) -> int:
        """How many steps a mean is taken over."""
        return max(LEAST, int(SHARE * len(self.losses)))

    def hopeless(self, losses: Sequence[float]) -> bool:
        """Whether a training with the ``losses`` so far, one per step, should end here.

        The mean of the last window is compared with that of the same steps of the reference; the
        first window, in which the learning rate warms up, is not judged. A loss that is not finite
        is no case for this: the training itself ends with that.
        """
        steps = len(losses)
        if not 2 * self.window <= steps <= len(self.losses):
            return False
        ours = fmean(losses[steps - self.window :])
        return ours > self.ratio * fmean(self.losses[steps - self.window : steps])


class StopWhenHopeless(TrainerCallback):
    """Ends the training; ``stopped_at`` is then the step, else None."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.stopped_at: int | None = None

    def on_log(self, args, state, control, logs=None, **kwargs):
        # read from the state, which a resumed training has whole
        losses = [float(entry["loss"]) for entry in state.log_history if "loss" in entry]
        if state.global_step < state.max_steps and self.reference.hopeless(losses):
            self.stopped_at = state.global_step
            control.should_training_stop = True
        return control
