"""GPUs of this machine: whole ones and parts, never more on one than it has; stand-ins, as no GPU is needed."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.cli import run
from lora_vs_api.config.load import load_params
from lora_vs_api.config.sections import OpenAIServer
from lora_vs_api.config.sections.analysis import NodeResources
from lora_vs_api.errors import UserError
from lora_vs_api.orchestrate.cards import VISIBLE, Cards, named_cards
from lora_vs_api.orchestrate.executors import LocalExecutor, Resources
from lora_vs_api.orchestrate.scheduler import Node, run_nodes


def takes(gpus: float) -> Resources:
    return Resources(cpus=1, gpus=gpus, memory_gb=1, minutes=5)


class Seen:
    """What nodes saw of GPUs, and how many were on one at the same time."""

    def __init__(self, needs: dict[str, Resources]) -> None:
        self.needs, self.cards = needs, {}
        self.load: Counter[str] = Counter()
        self.most: dict[str, float] = {}
        self.beside: dict[str, set[str]] = {}
        self._live: set[str] = set()
        self._lock = threading.Condition()

    def run(self, address, environment, command=None):
        cards = environment.get(VISIBLE, "").split(",")
        asked = min(self.needs[address].gpus, 1)
        with self._lock:
            self.cards[address] = environment.get(VISIBLE)
            self._live.add(address)
            self._lock.notify_all()
            for card in cards:
                self.load[card] += asked
                self.most[card] = max(self.most.get(card, 0), self.load[card])
            if "free" in self.needs and "free" not in self.beside:
                # on a busy machine threads come late: the node that needs no card and the first of the others meet
                self._lock.wait_for(lambda: {"free"} < self._live, timeout=10)
            self.beside[address] = set(self._live)
        time.sleep(0.05)
        with self._lock:
            self._live.remove(address)
            for card in cards:
                self.load[card] -= asked


def seen(tmp_path, needs: dict[str, float], cards: list[str], jobs: int = 8) -> Seen:
    asked = {address: takes(gpus) for address, gpus in needs.items()}
    executor = LocalExecutor(tmp_path, Path("logs"), jobs, cards, frozenset(), needs=asked)
    found = Seen(asked)
    executor._runner.run = found.run
    try:
        nodes = [Node(address) for address in needs]
        outcome = run_nodes(nodes, executor.start, jobs, has_room=executor.has_room)
    finally:
        executor.close()
    assert len(outcome.done) == len(needs)
    return found


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.delenv(VISIBLE, raising=False)


def test_parts_share_a_card_as_far_as_it_has_room(tmp_path):
    """Three thirds at a time, each told of the same card."""
    found = seen(tmp_path, {f"t@{i}": 0.33 for i in range(6)}, ["0"])
    assert set(found.cards.values()) == {"0"} and 0.9 < found.most["0"] <= 1


def test_whole_cards_have_one_node_each(tmp_path):
    """Whatever -j says: two on one would run out of memory, or time each other."""
    found = seen(tmp_path, {f"t@{i}": 1 for i in range(5)}, ["4", "6"])
    assert found.most == {"4": 1, "6": 1} and set(found.cards.values()) == {"4", "6"}


def test_a_node_that_needs_no_card_does_not_wait_for_one(tmp_path):
    """Those before it in the DAG do, and keep no place of -j meanwhile."""
    found = seen(tmp_path, {"a": 1, "b": 1, "c": 1, "free": 0}, ["0"], jobs=2)
    assert found.beside["free"] >= {"a", "free"}
    # with one card there is nothing to tell apart
    assert found.cards["free"] is None


def test_a_whole_card_is_not_taken_bit_by_bit_from_who_waits_for_it(tmp_path):
    """Nearer the front first: the last part frees the card for the node that waits, not for one more part."""
    needs = {"p@0": 0.5, "whole": 1, **{f"p@{i}": 0.5 for i in range(1, 5)}, "free": 0}
    found = seen(tmp_path, needs, ["0"])
    assert list(found.cards)[2] == "whole" and found.beside["free"] >= {"p@0"}


def test_who_waits_is_told_only_what_helps(capsys):
    """A name of which there is one shares with none of its own."""
    run.say_who_waits(Counter({"contamination": 1, "lr_trial": 2, "train": 3}), 4, 1)
    told = capsys.readouterr().err
    assert "one train or lr_trial at a time; nodes.train.gpus=0.5" in told
    run.say_who_waits(Counter({"contamination": 1}), 4, 1)
    run.say_who_waits(Counter({"train": 3}), 4, 0)
    run.say_who_waits(Counter({"train": 3}), 1, 1)
    assert capsys.readouterr().err == ""


def test_several_cards_and_none(tmp_path):
    found = seen(tmp_path, {"two": 2, "one": 1, "none": 0}, ["0", "1", "2"])
    assert found.cards["two"].count(",") == 1
    assert all(load <= 1 + 1e-6 for load in found.most.values())
    assert seen(tmp_path, {"a": 1, "b": 0.5}, []).cards == {"a": None, "b": None}
    with pytest.raises(UserError, match="a: takes 2 GPUs, and there are 1"):
        LocalExecutor(tmp_path, Path("logs"), 1, ["0"], frozenset(), needs={"a": takes(2)})


def test_trials_of_a_search_wait_in_their_threads(tmp_path):
    """They are started without asking for room."""
    needs = {f"trial-{i}": takes(0.5) for i in range(4)}
    executor = LocalExecutor(tmp_path, Path("logs"), 4, ["0"], frozenset(), needs=needs)
    found = Seen(needs)
    executor._runner.run = found.run
    done = [executor.start(address, slot) for slot, address in enumerate(needs)]
    assert [one.result(10) for one in done] == [None] * 4 and found.most["0"] == 1
    executor.stop()
    held = executor._cards.take(1)
    assert executor.start("trial-0", 0).result(10) == "interrupted" and held == ["0"]
    executor.close()


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.25, 0.33, 0.5, 1, 2]))),
)
def test_no_card_holds_more_than_itself(count, steps):
    """Taken and given back in any order; nothing is lost by rounding."""
    cards = Cards([str(index) for index in range(count)])
    held: list[tuple[list[str], float]] = []
    for gives, asked in steps:
        if gives and held:
            cards.give_back(*held.pop())
        elif asked <= count and (taken := cards.take(asked)) is not None:
            held.append((taken, asked))
        load = Counter()
        for names, part in held:
            load.update({name: min(part, 1) for name in names})
        assert all(part <= 1 + 1e-6 for part in load.values())
    for one in held:
        cards.give_back(*one)
    assert cards.has_room(count)


def test_what_the_user_hides_stays_hidden(monkeypatch):
    monkeypatch.setattr(run, "gpus_here", lambda: 8)
    assert run.cards_here(None) == [str(index) for index in range(8)]
    monkeypatch.setenv(VISIBLE, "4,6")
    assert run.cards_here(None) == ["4", "6"] and run.cards_here(1) == ["4"]
    with pytest.raises(UserError, match="^--gpus 3: CUDA_VISIBLE_DEVICES='4,6' leaves 2;"):
        run.cards_here(3)
    monkeypatch.setenv(VISIBLE, "")
    assert run.cards_here(None) == []
    assert named_cards(1, 8, {VISIBLE: "GPU-1f, -1, 3"}) == ["GPU-1f"]


def test_no_more_cards_are_given_away_than_there_are(monkeypatch):
    """A node on a card that is not there fails; one that asks for two of the same waits for ever."""
    monkeypatch.setattr(run, "gpus_here", lambda: 2)
    assert run.cards_here(2) == ["0", "1"]
    with pytest.raises(UserError, match="^--gpus 8: this machine has 2;"):
        run.cards_here(8)
    monkeypatch.setenv(VISIBLE, "0,0")
    assert run.cards_here(None) == ["0"]
    with pytest.raises(UserError, match="^--gpus 2: CUDA_VISIBLE_DEVICES='0,0' leaves 1;"):
        run.cards_here(2)
    assert named_cards(2, 1, {VISIBLE: "MIG-a,MIG-b"}) == ["MIG-a", "MIG-b"]
    # without NVML nobody knows
    assert named_cards(2, 0, {}) == ["0", "1"]


@pytest.mark.parametrize(
    ("server", "gpus"),
    [("https://api.example.com/v1", 0), ("http://127.0.0.1:8000/v1", 1), (None, 1)],
)
def test_who_waits_for_a_hosted_api_takes_no_card(server, gpus):
    """Else they would go one by one, and hold up trainings; what this machine serves does take one."""
    params = load_params()
    condition = next(iter(params.conditions))
    runtime = params.runtime.model_copy(update={"device": "cuda"})
    api = params.api
    if server is not None:
        told = OpenAIServer(
            kind="openai", base_url=server, endpoint="chat", mode="live", weights="x"
        )
        api = api.model_copy(update={"server": told})
    params = params.model_copy(update={"runtime": runtime, "api": api})
    names = ("teacher", "evaluate_val", "perturbed_api", "evaluate_api")
    needs = run._needs([Node(f"{name}@{condition}") for name in names], params)
    assert {asked.gpus for asked in needs.values()} == {gpus}
    assert run._needs([Node("train@seed-1")], params)["train@seed-1"].gpus == 1


@pytest.mark.parametrize("gpus", [0, 1, 8, 0.33])
def test_a_part_of_a_gpu_may_be_asked_for(gpus):
    told = {"cpus": 1, "gpus": gpus, "memory_gb": 1, "minutes": 5}
    found = NodeResources.model_validate(told).gpus
    assert found == gpus and type(found) is type(gpus)


@pytest.mark.parametrize("gpus", [-1, 1.5, True, "one"])
def test_one_and_a_half_gpus_may_not(gpus):
    told = {"cpus": 1, "gpus": gpus, "memory_gb": 1, "minutes": 5}
    with pytest.raises(ValueError, match="gpus"):
        NodeResources.model_validate(told)
