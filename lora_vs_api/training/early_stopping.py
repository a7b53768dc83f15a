"""Early stopping of a trial whose loss has fallen far behind that of a finished trial.

Both see the same examples in the same order, so their losses are compared step by step. It is the
simplest of the rules by which sweeps stop trials early; Hyperband and its kin (Li et al. 2018) stop
trials against each other while all run, which needs them in one process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

# a window is this share of the reference run, and at least so many steps: one batch is noise
WINDOW_SHARE, MIN_WINDOW = 0.1, 5


@dataclass(frozen=True)
class EarlyStopping:
    """The rule: how far behind which reference run a training may fall.

    ``reference`` are the losses of a finished training, one per optimiser step; ``ratio`` is how
    many times as high as those a loss may be.
    """

    reference: tuple[float, ...]
    ratio: float

    @property
    def window(self) -> int:
        """How many steps a mean is taken over."""
        return max(MIN_WINDOW, int(WINDOW_SHARE * len(self.reference)))

    def should_stop(self, losses: Sequence[float]) -> bool:
        """Whether a training with the ``losses`` so far, one per step, should end here.

        The mean of the last window is compared with that of the same steps of the reference run;
        the first window, in which the learning rate warms up, is not judged. A loss that is not
        finite is no case for this: the training itself ends with that.
        """
        steps = len(losses)
        if not 2 * self.window <= steps <= len(self.reference):
            return False
        ours = fmean(losses[steps - self.window :])
        return ours > self.ratio * fmean(self.reference[steps - self.window : steps])


class EarlyStoppingCallback(TrainerCallback):
    """Ends the training by the rule ``early_stopping``; ``stopped_at`` is then the step, else None.

    transformers' callback of the same name watches an evaluation metric instead.
    """

    def __init__(self, early_stopping: EarlyStopping) -> None:
        self.early_stopping = early_stopping
        self.stopped_at: int | None = None

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        # read from the state, which a resumed training has whole
        stop = self.early_stopping.should_stop(logged_losses(state))
        if state.global_step < state.max_steps and stop:
            self.stopped_at = state.global_step
            control.should_training_stop = True
        return control


def logged_losses(state: TrainerState) -> list[float]:
    """The training loss of each optimiser step so far, those before a resumption included."""
    return [float(entry["loss"]) for entry in state.log_history if "loss" in entry]
