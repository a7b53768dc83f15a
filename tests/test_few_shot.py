"""The examples in a prompt: a fixed draw or the nearest texts, through config, client and store."""

from __future__ import annotations

import random

import pytest
import yaml

from lora_vs_api.api.asking import ask_condition
from lora_vs_api.api.few_shot import shot_chooser
from lora_vs_api.config.compose import compose
from lora_vs_api.config.load import check_params
from lora_vs_api.config.sections import Condition
from lora_vs_api.data.checks import check_lengths
from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import fields_from_config
from lora_vs_api.record.prompt import completion
from lora_vs_api.report.sections.method import method_section
from tests.fault_server import FaultServer
from tests.imports import ROOT
from tests.report_fixture import analysis, changed, inputs

pytest.importorskip("sklearn")

TEXTS = [
    "the invoice was charged twice",
    "please cancel my yearly plan",
    "the app crashes when it starts",
    "the invoice is wrong",
    "please cancel my yearly plan",
]
TRAIN = [
    {"id": f"t{place}", "text": text, "record": {"n": place}} for place, text in enumerate(TEXTS)
]


def condition(shots) -> Condition:
    return Condition.model_validate(
        {
            "model": "m", "shots": shots, "output": "text", "temperature": 0,
            "reasoning_effort": None, "weights": "w",
        }
    )  # fmt: skip


def chosen(shots, text, train=TRAIN) -> list[str]:
    return [row["id"] for row in shot_chooser("few", condition(shots), train, 0)(text)]


def test_a_number_is_one_draw_for_every_text():
    """The rows that were drawn before there was a choice: their answers are paid for."""
    drawn = [row["id"] for row in random.Random(0).sample(TRAIN, 3)]
    assert chosen(3, "anything") == chosen(3, "the invoice is wrong") == drawn
    assert chosen(0, "anything") == []


def test_the_nearest_stands_closest_to_the_question():
    """By likeness, the most like last; of equally near ones the first in order is the nearer."""
    nearest = {"k": 3, "choose": "nearest"}
    assert chosen(nearest, "cancel my plan")[-2:] == ["t4", "t1"]
    assert chosen(nearest, "the invoice is wrong again")[-2:] == ["t0", "t3"]
    # a text's own answer is never shown
    assert chosen(nearest, TEXTS[1])[-1] not in ("t1", "t4") and len(chosen(nearest, TEXTS[1])) == 3
    # no word is known: the first ones, the first nearest
    assert chosen(nearest, "zzz") == ["t2", "t1", "t0"]
    many = [
        {"id": f"m{i:03}", "text": TEXTS[1] if i % 3 else "an invoice", "record": {"n": i}}
        for i in range(200)
    ]
    ten = [f"m{place:03}" for place in range(27, -1, -3)]
    assert chosen({"k": 10, "choose": "nearest"}, "the invoice", many) == ten
    assert chosen({"k": 5, "choose": "nearest"}, "x") == ["t4", "t3", "t2", "t1", "t0"]


@pytest.mark.parametrize("shots", [6, {"k": 6, "choose": "nearest"}])
def test_more_examples_than_there_are_texts(shots):
    """The key, what was expected and what was found, instead of a traceback or a shorter prompt."""
    with pytest.raises(
        UserError, match=r"^conditions\.few\.shots: expected at most the 5 training texts, found 6$"
    ):
        shot_chooser("few", condition(shots), TRAIN, 0)


def test_each_text_is_asked_with_its_own_examples(tmp_path, monkeypatch):
    """Through config, messages and store: other examples are another question, and paid for."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    monkeypatch.chdir(ROOT)
    with FaultServer() as server:
        text = compose(
            [
                "api=openai",
                f"api.server.base_url={server.url}",
                f"api.limits.store={tmp_path / 's'}",
                "conditions.mini_nearest_5.shots.k=2",
            ],
        )
        params = check_params(yaml.safe_load(text))
        monkeypatch.setattr(
            "lora_vs_api.api.asking.token_counter", lambda weights: lambda text: len(text.split())
        )
        fields = fields_from_config({"n": {"type": "integer"}})
        rows = [
            {"id": "a", "text": "cancel my plan"},
            {"id": "b", "text": "the invoice is wrong again"},
        ]
        for _ in range(2):
            run = ask_condition(params, "mini_nearest_5", rows, fields, TRAIN)
    assert run.stored == [True, True] and len(server.seen) == 2
    prompts = {
        seen.text: [turn["content"] for turn in seen.body["input"][1:]] for seen in server.seen
    }
    for text, places in (("cancel my plan", (4, 1)), ("the invoice is wrong again", (0, 3))):
        shown = [
            part for place in places for part in (TEXTS[place], completion({"n": place}, fields))
        ]
        assert prompts[text] == [*shown, text]


def test_long_texts_have_long_neighbours():
    """The check of lengths counts the examples that are shown, not so many of mean length."""
    fields = fields_from_config({"n": {"type": "integer"}})
    train = [{"id": f"t{i}", "text": "word", "record": {"n": 1}} for i in range(9)]
    train.append({"id": "long", "text": "lengthy " * 150, "record": {"n": 1}})
    splits = {"train": train, "test": [{"id": "x", "text": "lengthy " * 100, "record": {"n": 1}}]}
    limits = {"max_new_tokens": 90, "context": 2000}
    found = [
        check_lengths(splits, fields, "Do it.", lambda text: len(text.split()), **limits, **shots)
        for shots in ({"shots": 1}, {"shots": 1, "nearest": 1}, {"shots": 0, "nearest": 2})
    ]
    assert found[0]["few_shot_prompt_tokens"] < 250 < found[1]["few_shot_prompt_tokens"]
    assert [lengths["shots"] for lengths in found] == [1, 1, 2]


@pytest.mark.parametrize(
    ("shots", "nearest", "said", "unsaid"),
    [
        (0, False, "answers in plain text.", "examples"),
        (5, False, "also see examples from the training texts, the same for every text.", "anew"),
        (
            5,
            True,
            "the training texts that are most like it (TF-IDF), the most like it last.",
            "same for every",
        ),
    ],
)
def test_the_report_says_which_examples_were_shown(shots, nearest, said, unsaid):
    """Of a condition without examples no sentence speaks."""
    result = analysis()
    for place, row in enumerate(result.conditions):
        if row.kind == "api":
            result = changed(
                result,
                **{
                    f"conditions__{place}__shots": shots,
                    f"conditions__{place}__nearest_shots": nearest,
                },
            )
    paragraph = method_section(inputs(result)).split("\n\n")[1]
    assert said in paragraph and unsaid not in paragraph


def test_hand_written_examples_take_their_own_tokens():
    """Not those of so many mean rows of the splits: whoever writes examples may write long ones."""
    fields = fields_from_config({"n": {"type": "integer"}})
    rows = [{"id": "x", "text": "word", "record": {"n": 1}}]
    own = [{"text": "lengthy " * 200, "record": {"n": 1}}]
    found = check_lengths(
        {"train": rows, "test": rows}, fields, "Do it.", lambda text: len(text.split()),
        max_new_tokens=90, context=2000, shots=0, written=[own, []],
    )  # fmt: skip
    assert found["shots"] == 1
    assert found["few_shot_prompt_tokens"] > found["prompt_tokens"]["max"] + 200
