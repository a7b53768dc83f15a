"""Predictors without a model: valid on any task, learnt from training rows alone."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_vs_api.model_free.majority import commonest
from lora_vs_api.model_free.predictors import learn
from lora_vs_api.model_free.spans import Span, Tokens, count_texts, span_finder
from lora_vs_api.record.fields import Field
from lora_vs_api.record.prompt import completion
from lora_vs_api.scoring.scores import score_output
from lora_vs_api.validation.records import violations

pytest.importorskip("sklearn")

NAMES = ("majority", "nearest", "nearest_copy")
BOOKING = (
    Field("guest", "string", "exact"),
    Field("kind", "enum", "exact", values=("lunch", "dinner")),
    Field("wishes", "list", "set_f1", optional=True),
    Field(
        "table",
        "object",
        "slot_f1",
        optional=True,
        fields=(
            Field("room", "string", "exact", optional=True),
            Field("seats", "integer", "exact", optional=True),
        ),
    ),
    Field("summary", "string", "exact"),
)
GUESTS = ("Ann Lee", "Bo Diaz", "Cy Young", "Di Moss", "Ed Park", "Flo Ray", "Gil Orr", "Hal Ito")
WISHES = ("oysters", "candles", "a harp")
ROOMS = ("Blue Room", "Orchid Hall")


def bookings(number: int) -> list[dict[str, Any]]:
    """Texts with a name in the last line, wishes, a room and a summary that names the room."""
    rows = []
    for n in range(number):
        guest, kind = GUESTS[n % 8], ("lunch", "dinner")[n % 2]
        wishes, room = [WISHES[n % 3], *WISHES[: n % 2]], ROOMS[n // 2 % 2]
        said = " and ".join(dict.fromkeys(wishes))
        in_room = n % 3 > 0
        text = f"Please book {kind} with {said}" + (f" in the {room}" if in_room else "")
        rows.append(
            {
                "id": str(n),
                "text": f"{text}.\n\nYours,\n{guest}",
                "record": {
                    "guest": guest,
                    "kind": kind,
                    "wishes": list(dict.fromkeys(wishes)),
                    "table": {"room": room, "seats": None} if in_room else None,
                    "summary": f"book a table for {guest}",
                },
            }
        )
    return rows


def test_majority_says_the_same_of_every_text():
    rows = bookings(30)
    predictor = learn("majority", rows, BOOKING)
    assert predictor.predict("") == predictor.predict(rows[3]["text"])
    assert predictor.predict("")["wishes"] == ["oysters"]


SLOTS = tuple(Field(f"slot{n}", "string", "exact", optional=True) for n in range(3))


def slots(*filled: tuple[str | None, ...]) -> list[dict[str, Any]]:
    return [
        {"id": str(n), "text": str(n), "record": dict(zip(("slot0", "slot1", "slot2"), values))}
        for n, values in enumerate(filled)
    ]


def f1(record: dict[str, Any], rows: list[dict[str, Any]], fields: tuple[Field, ...]) -> float:
    """Mean field F1 of the same answer to every row, by the project's own score."""
    answer = json.dumps(record)
    return sum(score_output(answer, row["record"], fields).field_f1 for row in rows) / len(rows)


def test_nothing_is_no_bar_where_something_scores_better():
    """A slot that is null in three of five texts: null is its commonest value and gains nothing."""
    rows = slots(
        ("a", None, None), ("a", None, None), (None, None, "y"), (None, "b", "z"), (None, None, "w")
    )  # fmt: skip
    found = learn("majority", rows, SLOTS).predict("")
    # 'a' is worth its misses; of the others no value is right often enough
    assert found == {"slot0": "a", "slot1": None, "slot2": None}
    nothing = dict.fromkeys(found)
    assert f1(found, rows, SLOTS) > f1(nothing, rows, SLOTS) == 0
    # where a whole record is mostly empty, saying nothing is right and stays
    empty = slots((None, None, None), (None, None, None), (None, None, None), ("a", None, None))
    assert learn("majority", empty, SLOTS).predict("") == nothing


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(
        st.tuples(*[st.sampled_from(["a", "b", None, None])] * 3), min_size=1, max_size=7
    ),
    required=st.booleans(),
)
def test_the_majority_record_is_at_least_as_good_as_the_commonest_values(records, required):
    """By the project's own score on the training texts; no one other choice would be better."""
    fields = SLOTS
    if required:
        records = [(first or "a", *others) for first, *others in records]
        fields = (Field("slot0", "string", "exact"), *SLOTS[1:])
    rows = slots(*records)
    found = learn("majority", rows, fields).predict("")
    plain = {f.name: commonest([row["record"][f.name] for row in rows]) for f in fields}
    best = f1(found, rows, fields)
    assert best >= f1(plain, rows, fields) - 1e-9
    for field in fields[required:]:
        filled = [row["record"][field.name] for row in rows if row["record"][field.name]]
        for value in (plain[field.name], *([commonest(filled)] if filled else [])):
            assert best >= f1({**found, field.name: value}, rows, fields) - 1e-9
    # what has to be there is its commonest value, and nothing else
    assert not required or found["slot0"] == plain["slot0"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["b", "a", "b"], "b"),
        (["b", "a"], "a"),
        ([3, 2.0, 2], 2.0),  # 2 and 2.0 are one number
        ([[2, 1], [1, 2], [2, 1]], [2, 1]),
        ([{"b": 1, "a": 2}, {"a": 2, "b": 1}, None], {"b": 1, "a": 2}),
        ([True, 1, 1], 1),  # and true is none
        ([None], None),
    ],
)
def test_the_commonest_value_counts_whole_values_and_breaks_ties_by_their_json(values, expected):
    found = commonest(values)
    assert found == expected and type(found) is type(expected)


def test_the_nearest_of_a_training_text_is_itself():
    rows = bookings(24)
    predictor = learn("nearest", rows, BOOKING)
    for row in rows:
        assert predictor.predict(row["text"]) == row["record"]


def test_of_equally_near_texts_the_first_counts():
    rows = [{"id": str(n), "text": "one two three", "record": {"x": str(n)}} for n in range(3)]
    fields = (Field("x", "string", "exact"),)
    assert learn("nearest", rows, fields).predict("three one two")["x"] == "0"
    # none of these words is known
    assert learn("nearest", rows, fields).predict("四 五")["x"] == "0"


def test_texts_without_a_word_have_a_nearest_too():
    rows = [{"id": "a", "text": "!", "record": {"x": "?"}}]
    assert learn("nearest", rows, (Field("x", "string", "exact"),)).predict("1") == {"x": "?"}


def test_what_stands_in_the_text_is_copied_though_it_was_never_seen():
    rows = bookings(60)
    found = learn("nearest_copy", rows, BOOKING).predict(
        "Please book dinner with oysters in the Blue Room.\n\nYours,\nZoe Quill"
    )
    assert found["guest"] == "Zoe Quill"
    assert found["wishes"] == ["oysters"]
    assert found["table"] == {"room": "Blue Room", "seats": None}
    # the wording is the nearest text's, the name in it this text's
    assert found["summary"] == "book a table for Zoe Quill"


def test_an_optional_object_goes_and_comes_with_what_stands_in_the_text():
    predictor = learn("nearest_copy", bookings(60), BOOKING)
    without = predictor.predict("Please book lunch with a harp.\n\nYours,\nAnn Lee")
    assert without["table"] is None and without["guest"] == "Ann Lee"
    with_room = "Please book lunch with a harp in the Orchid Hall.\n\nYours,\nAnn Lee"
    assert predictor.predict(with_room)["table"] == {"room": "Orchid Hall", "seats": None}


def test_a_string_that_does_not_stand_in_its_text_is_the_nearest_texts():
    fields = (Field("topic", "string", "exact"),)
    rows = [
        {"id": str(n), "text": f"{word} again", "record": {"topic": topic}}
        for n, (word, topic) in enumerate([("invoice", "money"), ("parcel", "post")] * 8)
    ]
    assert learn("nearest_copy", rows, fields).predict("a parcel")["topic"] == "post"


def test_a_value_stands_in_a_text_as_whole_words_alone():
    tokens = Tokens("Joann, Ann and\nAnn Lee")
    assert [tokens.value(span) for span in tokens.occurrences("Ann")] == ["Ann", "Ann"]
    assert not list(tokens.occurrences("")) and not list(tokens.occurrences("nn"))
    # no span goes over the end of a line
    assert "and\nAnn" not in {tokens.value(span) for span in tokens.spans(3)}
    assert tokens.lines == [0, 0, 0, 0, 1, 1, 1]


def test_a_value_is_known_from_other_texts_and_not_from_its_own():
    """Else every value would have been known in training, and a new one never be found."""
    texts = [Tokens(f"call {name} now") for name in ("Ann", "Bob", "Cid", "Dee")]
    values = [["Ann"], ["Bob"], ["Cid"], ["Dee"]]
    finder = span_finder(texts, values, count_texts(values), many=False)
    assert finder.votes.seen["shape", "Aa", 0] == 4
    assert finder.find(Tokens("call Eve now")) == ["Eve"]
    assert finder.votes.ranked(Tokens("call Eve now"))[0][1] == Span(1, 2)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_test_record_is_read(name):
    """A predictor is handed texts; its training rows stay as they were."""
    rows = bookings(30)
    before = copy.deepcopy(rows)
    predictor = learn(name, rows, BOOKING)
    first = predictor.predict("Please book lunch with candles.\n\nYours,\nJo Fox")
    assert rows == before
    assert predictor.predict("Please book lunch with candles.\n\nYours,\nJo Fox") == first


WORDS = st.text(alphabet="ab1 .\n", max_size=12)


def values_of(field: Field) -> st.SearchStrategy[Any]:
    if field.type == "object":
        made = st.fixed_dictionaries({f.name: values_of(f) for f in field.fields})
    elif field.type == "list":
        made = st.lists(values_of(field.items) if field.items else WORDS, max_size=3)
    else:
        made = {
            "string": WORDS,
            "enum": st.sampled_from(field.values or ("a",)),
            "integer": st.integers(-3, 3),
            "number": st.sampled_from([0.5, 1.0, -2.25]),
            "boolean": st.booleans(),
        }[field.type]
    return st.none() | made if field.optional else made


@st.composite
def any_fields(draw: st.DrawFn, depth: int = 2) -> tuple[Field, ...]:
    kinds = ["string", "string", "enum", "integer", "number", "boolean", "list"]
    fields = []
    for n in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from([*kinds, "object"] if depth else kinds))
        items = None
        if kind == "list" and depth and draw(st.booleans()):
            (items, *_) = draw(any_fields(0))
        fields.append(
            Field(
                f"f{n}",
                kind,
                "exact",
                values=("a", "b 1") if kind == "enum" else (),
                optional=draw(st.booleans()),
                items=items,
                fields=draw(any_fields(depth - 1)) if kind == "object" else (),
            )
        )
    return tuple(fields)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
@pytest.mark.parametrize("name", NAMES)
def test_a_prediction_is_a_valid_record_of_any_task(name, data):
    fields = data.draw(any_fields())
    records = data.draw(
        st.lists(
            st.fixed_dictionaries({f.name: values_of(f) for f in fields}), min_size=1, max_size=6
        )
    )
    rows = [
        # so that some values stand in their text, and some do not
        {"id": str(n), "text": json.dumps(list(record.values())) + "\n" + data.draw(WORDS), "record": record}
        for n, record in enumerate(records)
    ]  # fmt: skip
    predictor = learn(name, rows, fields)
    for text in (data.draw(WORDS), rows[0]["text"], ""):
        found = predictor.predict(text)
        assert violations(found, fields) == []
        assert list(json.loads(completion(found, fields))) == [field.name for field in fields]
