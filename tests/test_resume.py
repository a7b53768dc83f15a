"""A training that was killed goes on from its last checkpoint and ends in the same bytes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from filelock import FileLock

from lora_vs_api.digests import file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.training import checkpoints, resources, trainer
from lora_vs_api.training.checkpoints import Checkpoints, CheckpointSettings
from lora_vs_api.training.examples import chat_examples
from lora_vs_api.training.train import TrainingPolicy, train_adapter
from tests.test_model import CPU, FIELDS, METHODS, ROWS, SPEC
from tests.tiny_model import build_tiny_model

ROOT = Path(__file__).resolve().parent.parent
# three optimiser steps an epoch, so that a kill lands inside an epoch or between two
LONG = replace(SPEC, dropout=0.1, max_steps=None, epochs=3, batch_size=2, gradient_accumulation=2)
EVERY_STEP = 1e-9


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def train(base, tmp_path):
    def train(out, spec=LONG, minutes=EVERY_STEP, instruction="Extract."):
        settings = CheckpointSettings(str(tmp_path / "checkpoints"), minutes)
        examples = chat_examples(ROWS, instruction, FIELDS)
        policy = TrainingPolicy("test", settings)
        return train_adapter(base, examples, spec, CPU, tmp_path / out, policy)

    return train


@pytest.fixture
def kill_at(monkeypatch):
    """Ends the next training right after a step's checkpoint, as a signal would."""

    def kill_at(step):
        on_step_end = trainer.Progress.on_step_end

        def killed(self, args, state, control, **kwargs):
            if state.global_step > step:
                monkeypatch.setattr(trainer.Progress, "on_step_end", on_step_end)
                raise Killed
            on_step_end(self, args, state, control, **kwargs)

        monkeypatch.setattr(trainer.Progress, "on_step_end", killed)

    return kill_at


def files(folder):
    return {file.name: file_sha256(file) for file in Path(folder).iterdir()}


def folders(tmp_path):
    return list((tmp_path / "checkpoints").iterdir())


KILLED = """
import os, signal, sys
import torch
from lora_vs_api.training.checkpoints import CheckpointSettings
from lora_vs_api.training.train import TrainingPolicy, train_adapter
from tests.test_model import CPU, EXAMPLES
from tests.test_resume import EVERY_STEP, LONG

base, out, folder = sys.argv[1:]
save, written = torch.save, []

def save_or_die(value, file, *arguments, **options):
    written.append(str(file))
    save(value, file, *arguments, **options)
    if "checkpoint-5" in str(file):
        os.kill(os.getpid(), signal.SIGKILL)

torch.save = save_or_die
settings = CheckpointSettings(folder, EVERY_STEP)
train_adapter(base, EXAMPLES, LONG, CPU, out, TrainingPolicy("test", settings))
"""


@pytest.mark.slow
def test_killed_while_it_writes_a_checkpoint(base, tmp_path, train, capsys):
    """kill -9, which nothing can catch, in the middle of the fifth checkpoint: the fourth counts."""
    arguments = [str(base), str(tmp_path / "out"), str(tmp_path / "checkpoints")]
    command = [sys.executable, "-c", KILLED, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    # nothing but the progress bar: no library's advice, no draft of a model card
    assert all(line.startswith("test: ") for line in re.split(r"[\r\n]+", done.stderr) if line)
    (folder,) = folders(tmp_path)
    assert (folder / "unfinished" / "checkpoint-5").is_dir() and not (tmp_path / "out").exists()
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-4"]
    resumed = train("out")
    assert "test resumed at step 4 of 9" in capsys.readouterr().err
    whole = train("whole", minutes=9999)
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert resumed.losses == whole.losses and resumed.tokens == whole.tokens
    assert (resumed.used.resumed_at, whole.used.resumed_at) == ((4,), ())
    assert folders(tmp_path) == []


WAYS = {"lora": {}, "by length": {"group_by_length": True}, **METHODS}
del WAYS["rslora"]  # but for a factor it is lora


@pytest.mark.parametrize(
    "name",
    [name if name == "lora" else pytest.param(name, marks=pytest.mark.slow) for name in WAYS],
)
def test_every_way_of_tuning_is_resumed_to_the_same_bytes(tmp_path, train, kill_at, name):
    """Weights, optimiser, schedule, dropout and the order of examples go on where they were:
    after an interruption inside an epoch, and after another one between two."""
    spec = replace(LONG, **WAYS[name])
    for step in (2, 6):
        kill_at(step)
        with pytest.raises(Killed):
            train("resumed", spec)
    resumed = train("resumed", spec)
    train("whole", spec, minutes=9999)
    assert resumed.used.resumed_at == (2, 6)
    assert files(tmp_path / "resumed") == files(tmp_path / "whole")


@pytest.mark.slow
def test_seconds_and_joules_are_the_sum_without_what_was_lost(
    tmp_path, train, kill_at, monkeypatch
):
    """A resumed training costs what its steps took, whichever process they were in."""
    # a GPU that draws 10 J from one reading of its counter to the next
    monkeypatch.setattr(resources, "energy_meter", lambda device: count(step=10).__next__)
    kill_at(4)
    with pytest.raises(Killed):
        train("out")
    (path,) = (tmp_path / "checkpoints").rglob("checkpoint.json")
    record = json.loads(path.read_text())
    assert 0 < record["used"]["seconds"] < 60 and record["used"]["joules"] == 40
    record["used"] |= {"seconds": 3600.0, "resumed_at": [1]}
    path.write_text(json.dumps(record))
    run = train("out")
    # read at four more checkpoints and at the end
    assert 3600 < run.used.seconds < 3660 and run.used.joules == 40 + 50
    assert run.timing()["resumed_at_steps"] == [1, 4]


@pytest.mark.parametrize(
    "harm",
    [
        "cut",
        *(pytest.param(h, marks=pytest.mark.slow) for h in ("flipped", "missing", "no_record")),
    ],
)
def test_a_broken_checkpoint_is_set_aside(tmp_path, train, kill_at, capsys, harm):
    """What a disk or a hand has spoilt costs time and never a traceback or other weights."""
    kill_at(4)
    with pytest.raises(Killed):
        train("out")
    (path,) = (tmp_path / "checkpoints").glob("*/checkpoint-4")
    weights = path / "adapter_model.safetensors"
    content = weights.read_bytes()
    if harm == "cut":
        weights.write_bytes(content[:-100])
    elif harm == "flipped":
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif harm == "missing":
        (path / "optimizer.pt").unlink()
    else:
        (path / "checkpoint.json").write_text("{")
    capsys.readouterr()
    assert train("out").used.resumed_at == ()
    told = capsys.readouterr().err
    assert f"{path}: cannot be read, set aside as checkpoint-4.unreadable" in told
    assert "resumed" not in told and folders(tmp_path) == []


@pytest.mark.slow
def test_only_the_same_training_is_resumed(tmp_path, train, kill_at, monkeypatch, capsys):
    """Another instruction, setting or version of the code is another training, from its start."""
    kill_at(4)
    with pytest.raises(Killed):
        train("out")

    def begins_anew(**other):
        """It looks for a checkpoint and writes none of its own; one step is enough to see."""
        capsys.readouterr()
        kill_at(0)
        with pytest.raises(Killed):
            train("other", minutes=9999, **other)
        return "resumed" not in capsys.readouterr().err

    assert begins_anew(instruction="Extract it.")
    assert begins_anew(spec=replace(LONG, seed=1))
    with monkeypatch.context() as changed:
        changed.setattr(checkpoints, "directory_sha256", lambda folder: "of other code")
        assert begins_anew()
    assert train("same", minutes=9999).used.resumed_at == (4,)


def test_a_short_training_writes_no_checkpoint(tmp_path, train, monkeypatch):
    """Checkpoints cost nothing where there is nothing to lose, and none is the last step's."""
    written = []
    monkeypatch.setattr(Checkpoints, "finish", lambda self, step, used: written.append(step))
    train("out", minutes=10)
    assert written == [] and folders(tmp_path) == []
    train("out")
    assert written == list(range(1, 9))


@pytest.mark.slow
def test_two_at_the_same_training_do_not_meet(tmp_path, train, kill_at, capsys):
    """The second trains by itself, to the same result, and leaves the first one's folder alone."""
    kill_at(4)
    with pytest.raises(Killed):
        train("first")
    (folder,) = folders(tmp_path)
    with FileLock(folder / "lock", is_singleton=False):
        second = train("second")
        assert "another process is at it too" in capsys.readouterr().err
        assert second.used.resumed_at == () and (folder / "checkpoint-4").is_dir()
    assert train("first").used.resumed_at == (4,)
    assert files(tmp_path / "first") == files(tmp_path / "second")


def test_a_full_disk_costs_a_checkpoint_and_not_the_training(tmp_path, train, monkeypatch, capsys):
    """A line for each; the training goes on to its end."""

    def full(self, step, used):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Checkpoints, "finish", full)
    assert len(train("out").losses) == 9
    assert "step 1: no checkpoint written ([Errno 28] No space left" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_to_is_a_line(tmp_path, train):
    """The setting at fault is named before anything is trained."""
    (tmp_path / "checkpoints").write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"checkpoints\.folder: .* cannot be written to: Not a dir"):
        train("out")
