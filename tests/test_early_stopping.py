"""Early stopping: only of trials far behind, at one step, and never taken for whole trainings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.digests import file_sha256
from lora_vs_api.files import read_json
from lora_vs_api.training import trainer
from lora_vs_api.training.artifacts import reuse_adapter, stopped_at_step
from lora_vs_api.training.checkpoints import CheckpointSettings
from lora_vs_api.training.early_stopping import EarlyStopping
from lora_vs_api.training.train import TrainingPolicy, train_adapter
from tests.test_model import CPU, EXAMPLES, SPEC
from tests.tiny_model import build_tiny_model

LOSSES = st.lists(st.floats(0.01, 10), min_size=1, max_size=80)
SIXTEEN = replace(SPEC, max_steps=16)


@given(LOSSES, st.floats(1.01, 5))
def test_as_good_as_the_reference_is_never_stopped(losses, ratio):
    """The reference itself, and whatever is below it."""
    rule = EarlyStopping(tuple(losses), ratio)
    for steps in range(1, len(losses) + 1):
        assert not rule.should_stop(losses[:steps])
        assert not rule.should_stop([loss / 2 for loss in losses[:steps]])


@given(LOSSES, st.floats(1.01, 5))
def test_far_behind_is_stopped_after_the_second_window(losses, ratio):
    """Not in the first steps, where one batch decides; from then on at every step."""
    rule = EarlyStopping(tuple(losses), ratio)
    far = [loss * ratio * 1.01 for loss in losses]
    found = [rule.should_stop(far[:steps]) for steps in range(1, len(far) + 1)]
    assert found == [steps >= 2 * rule.window for steps in range(1, len(far) + 1)]


def test_a_single_bad_batch_is_no_reason():
    """The mean of a window is compared."""
    rule = EarlyStopping((1.0,) * 20, 1.5)
    losses = [1.0] * 20
    losses[12] = 3.0
    assert not any(rule.should_stop(losses[:steps]) for steps in range(1, 21))


def test_a_loss_that_is_not_finite_is_left_to_the_training():
    """It ends with a message of its own; it is not written down as a slow trial."""
    assert not EarlyStopping((1.0,) * 20, 1.5).should_stop([1.0] * 12 + [float("nan")] * 2)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("tiny"))


def train(base, out, losses, checkpoints=None):
    policy = TrainingPolicy("trial", checkpoints, EarlyStopping(losses, 1.5))
    return train_adapter(base, EXAMPLES, SIXTEEN, CPU, out, policy)


def test_a_training_far_behind_ends_and_says_so(base, tmp_path, capsys):
    """What it learnt is there and scored, but it is no training of its specification."""
    run = train(base, tmp_path / "stopped", (1e-3,) * 16)
    assert run.stopped_at == len(run.losses) == 10
    assert "trial: stopped early at step 10 of 16" in capsys.readouterr().err
    assert stopped_at_step(tmp_path / "stopped") == 10
    assert (tmp_path / "stopped" / "adapter_model.safetensors").is_file()
    assert not reuse_adapter(tmp_path / "stopped", SIXTEEN, tmp_path / "final")
    assert not (tmp_path / "final").exists()


@pytest.mark.slow
def test_one_that_keeps_up_is_the_whole_training(base, tmp_path):
    """The option changes no byte of a trial that it does not stop, so the final one can be it."""
    train(base, tmp_path / "watched", (1e3,) * 16)
    train_adapter(base, EXAMPLES, SIXTEEN, CPU, tmp_path / "plain", TrainingPolicy("trial"))
    for name in ("adapter_model.safetensors", "training.json"):
        assert file_sha256(tmp_path / "watched" / name) == file_sha256(tmp_path / "plain" / name)
    assert stopped_at_step(tmp_path / "watched") is None
    assert reuse_adapter(tmp_path / "watched", SIXTEEN, tmp_path / "final")


@pytest.mark.slow
def test_a_resumed_trial_is_stopped_at_the_same_step(base, tmp_path, monkeypatch):
    """The losses before the kill count: the same bytes as without it."""
    settings = CheckpointSettings(str(tmp_path / "checkpoints"), 1e-9)
    on_step_end = trainer.Progress.on_step_end

    class Killed(BaseException):
        pass

    def killed(self, args, state, control, **kwargs):
        if state.global_step > 7:
            raise Killed
        on_step_end(self, args, state, control, **kwargs)

    monkeypatch.setattr(trainer.Progress, "on_step_end", killed)
    with pytest.raises(Killed):
        train(base, tmp_path / "resumed", (1e-3,) * 16, settings)
    monkeypatch.setattr(trainer.Progress, "on_step_end", on_step_end)
    run = train(base, tmp_path / "resumed", (1e-3,) * 16, settings)
    assert run.used.resumed_at and run.stopped_at == 10
    train(base, tmp_path / "whole", (1e-3,) * 16)
    resumed, whole = (read_json(tmp_path / name / "training.json") for name in ("resumed", "whole"))
    assert resumed == whole
    assert file_sha256(tmp_path / "resumed" / "adapter_model.safetensors") == file_sha256(
        tmp_path / "whole" / "adapter_model.safetensors"
    )
