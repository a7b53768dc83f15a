"""What a user may wish of one API condition: its words, its examples, its provider, its price."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from lora_vs_api.analysis.costs import price_list
from lora_vs_api.api.asking import ask_condition, condition_of, key_of, questions
from lora_vs_api.api.few_shot import shot_chooser
from lora_vs_api.api.servers import key_variable, server_of
from lora_vs_api.config.consistency import inconsistency
from lora_vs_api.config.load import load_params
from lora_vs_api.config.pasted import take_out
from lora_vs_api.config.sections import Condition, Params
from lora_vs_api.digests import file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.prices.lookup import known_prices, price_of
from lora_vs_api.prices.price import OwnPrice
from lora_vs_api.record.fields import Field
from tests.imports import ROOT

FIELDS = (Field("city", "string"), Field("zip", "string", optional=True))
ROWS = [{"id": "a", "text": "To Bonn"}]
TRAIN = [{"id": "t", "text": "To Ulm", "record": {"city": "Ulm", "zip": None}}]
OTHER = {
    "base_url": "https://other.example/v1",
    "key_env": "OTHER_API_KEY",
    "endpoint": "chat",
    "token_limit": "max_tokens",
}


def condition(**wishes: object) -> Condition:
    return Condition.model_validate(
        {
            "model": "m", "shots": 0, "output": "text", "temperature": 0,
            "reasoning_effort": None, "weights": "w", **wishes,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def hosted() -> Params:
    """Two conditions at OpenAI's, as the preset has it."""
    from lora_vs_api.config.compose import composed

    return composed(["api=openai"], conf=ROOT / "conf")[1]


def wishing(params: Params, **conditions: Condition) -> Params:
    names = [*conditions]
    return params.model_copy(
        update={
            "conditions": conditions,
            "baseline": names[0],
            "priced_as": dict.fromkeys(names, "gpt-5.4-mini"),
            "robustness": params.robustness.model_copy(update={"conditions": []}),
        }
    )


def test_a_condition_asks_in_its_own_words_and_the_others_in_the_tasks(hosted):
    params = wishing(hosted, plain=condition(), own=condition(instruction="Find the city."))
    said = [
        questions(params, name, ROWS, FIELDS, TRAIN).first[0].messages[0]["content"]
        for name in ("plain", "own")
    ]
    assert said == [params.task.instruction, "Find the city."]


EXAMPLES = [{"text": "To Rome", "record": {"city": "Rome"}}]


def test_examples_by_hand_are_shown_as_they_are_written():
    """Whole records, whatever optional key was left out, and none of the training texts."""
    shots_for = shot_chooser("c", condition(shots={"examples": EXAMPLES}), TRAIN, 0, FIELDS)
    assert shots_for("To Bonn") == [{"text": "To Rome", "record": {"city": "Rome", "zip": None}}]


def test_an_example_that_is_asked_about_is_left_out_for_that_text_alone():
    """Its answer would stand in the prompt; one such text is no reason to ask about none."""
    two = [*EXAMPLES, {"text": "To Zürich", "record": {"city": "Zürich"}}]
    shots_for = shot_chooser("c", condition(shots={"examples": two}), TRAIN, 0, FIELDS)
    assert [row["text"] for row in shots_for("To Rome")] == ["To Zürich"]
    # the same text in another Unicode form
    assert [row["text"] for row in shots_for("To Zu\u0308rich")] == ["To Rome"]
    assert len(shots_for("To Bonn")) == 2


def test_an_example_that_is_no_record_is_refused_before_anything_runs(hosted):
    wrong = condition(shots={"examples": [{"text": "x", "record": {"customer": "Ada"}}]})
    problem = inconsistency(wishing(hosted, c=wrong))
    assert problem == "conditions.c.shots.examples: example 1: customer: unknown field"


def test_examples_of_a_file_are_those_of_its_digest(tmp_path):
    """A changed file is another question, and DVC knows of params alone."""
    file = tmp_path / "examples.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in EXAMPLES * 2))

    def chosen(k: int, sha256: str) -> list:
        shots = {"file": str(file), "k": k, "sha256": sha256}
        return shot_chooser("c", condition(shots=shots), TRAIN, 0, FIELDS)("To Bonn")

    digest = file_sha256(file)
    assert [row["text"] for row in chosen(1, digest)] == ["To Rome"]
    with pytest.raises(UserError, match=rf"c\.shots\.sha256: {file} has {digest}; expected"):
        chosen(1, "0" * 64)
    with pytest.raises(UserError, match=r"c\.shots\.k: expected at most the 2 examples"):
        chosen(3, digest)
    file.write_text('{"text": "To Rome"}\n')
    with pytest.raises(UserError, match=r"line 1: expected \{\"text\": …, \"record\""):
        chosen(1, file_sha256(file))


@pytest.fixture
def two(hosted) -> Params:
    return wishing(hosted, here=condition(), there=condition(server=OTHER))


def test_two_providers_each_with_its_own_key(two, monkeypatch):
    """No key goes to a server that is not its own, also where it is the only one that is set."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-ours")
    monkeypatch.delenv("OTHER_API_KEY", raising=False)
    assert inconsistency(two) is None
    assert [key_variable(two, name) for name in two.conditions] == [
        "OPENAI_API_KEY",
        "OTHER_API_KEY",
    ]
    assert server_of(two, "here") == two.api.server
    assert server_of(two, "there").base_url == OTHER["base_url"]
    assert key_of(two, "here") == "sk-ours"
    with pytest.raises(
        UserError, match=r"OTHER_API_KEY: not set.*conditions\.there\.server\.key_env"
    ):
        key_of(two, "there")
    none = wishing(two, there=condition(server=OTHER | {"key_env": None}))
    assert key_of(none, "there") is None
    asked = condition_of(two, "there")
    assert (asked.endpoint, asked.limit_parameter) == ("chat", "max_tokens")
    assert condition_of(two, "here").endpoint == "responses"


def test_a_server_of_ones_own_names_its_key(hosted):
    """Taken from api.limits it would be sent to another provider."""
    without = {name: value for name, value in OTHER.items() if name != "key_env"}
    with pytest.raises(ValueError, match="key_env"):
        condition(server=without)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"base_url": "http://other.example/v1"}, "server.base_url: expected https:// for another"),
        ({"base_url": "https://me:pw@other.example"}, "server.base_url: expected no user, password"),
        ({"base_url": "other.example"}, "server.base_url: expected an address such as"),
        ({"token_limit": "max_output_tokens"}, "server.token_limit: expected max_completion_tokens or"),
        ({"base_url": "http://127.0.0.1:1/v1"}, "server.base_url: expected all conditions to ask this"),
    ],
)  # fmt: skip
def test_the_checks_of_an_address_hold_for_every_server(hosted, change, problem):
    both = wishing(hosted, here=condition(), there=condition(server=OTHER | change))
    said = inconsistency(both)
    assert said is not None and said.startswith(f"conditions.there.{problem}")
    assert "pw" not in said.replace("password", "")


def test_a_server_that_the_node_starts_has_none_beside_it():
    """The committed preset serves its own files."""
    params = load_params()
    name = next(iter(params.conditions))
    own = params.conditions[name].model_copy(update={"server": condition(server=OTHER).server})
    said = inconsistency(params.model_copy(update={"conditions": params.conditions | {name: own}}))
    assert said is not None and "only with api.server.kind=openai, found llama_cpp" in said
    assert "make two runs" in said


def test_an_error_names_the_key_of_the_server_that_was_asked(two, monkeypatch, tmp_path):
    """Nobody should change the address of the provider that works."""
    from lora_vs_api.api import asking, keys

    def refused(*_: object) -> None:
        raise UserError(f"{keys.BASE_URL}: has no chat endpoint; {keys.KEY_ENV}, {keys.BUDGET}")

    monkeypatch.setenv("OPENAI_API_KEY", "sk-ours")
    monkeypatch.setenv("OTHER_API_KEY", "sk-theirs")
    monkeypatch.setattr(asking, "ask_stored", refused)
    monkeypatch.setattr(asking, "limits_of", lambda *_: SimpleNamespace(count_tokens=len))
    limits = two.api.limits.model_copy(update={"store": str(tmp_path / "store.sqlite")})
    params = two.model_copy(update={"api": two.api.model_copy(update={"limits": limits})})
    for name, said in (
        ("here", "api.server.base_url: has no chat endpoint; api.limits.key_env, "),
        ("there", "conditions.there.server.base_url: has no chat endpoint; conditions.there.server.key_env, "),
    ):  # fmt: skip
        with pytest.raises(UserError) as raised:
            ask_condition(params, name, ROWS, FIELDS, TRAIN)
        assert str(raised.value) == f"{said}api.limits.budget_usd"


def test_a_key_pasted_into_a_conditions_server_is_taken_out(tmp_path):
    raw = {
        "conditions": {"c": {"server": {"key_env": "sk-0123456789"}, "instruction": "key-words"}}
    }
    file = tmp_path / "params.yaml"
    text = (
        "conditions:\n  c:\n    server:\n      key_env: sk-0123456789\n    instruction: key-words\n"
    )
    file.write_text(text)
    said = take_out(file, text, raw)
    assert "conditions.c.server.key_env: what may be a secret was taken out" in said
    assert file.read_text() == text.replace("sk-0123456789", "???")


OWN = OwnPrice(name="Acme L", as_of="2026-11", input=1.0, cached_input=None, output=4.0)


def test_a_price_in_place_needs_no_second_table(hosted):
    """It is billed as it stands; what the lists say of other conditions is unchanged."""
    params = wishing(hosted, here=condition(), there=condition(server=OTHER))
    params = params.model_copy(update={"priced_as": params.priced_as | {"there": OWN}})
    assert inconsistency(params) is None
    listed = price_of(OWN, params.prices)
    assert (listed.name, listed.price.input, listed.price.output) == ("Acme L", 1, 4)
    assert [*known_prices(params.priced_as, params.prices)] == ["here"]
    both = price_list(params.priced_as, params.prices)
    assert "Acme L: a price of its own in priced_as, as of 2026-11" in both.source
    assert type(both).model_validate_json(both.model_dump_json()) == both
    alone = price_list({"there": OWN}, params.prices)
    assert alone.words == "Acme L: a price of its own in priced_as, 2026-11"
