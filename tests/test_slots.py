"""Fields that may be empty: nothing is won by saying nothing, in any score, interval or diagnosis."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.analysis.compare import compare, examples, lora_statistics
from lora_vs_api.analysis.condition import ConditionRuns, condition, diagnose, noise_floor
from lora_vs_api.analysis.metrics import FieldCheck
from lora_vs_api.analysis.results import CostPer1K
from lora_vs_api.analysis.scored_run import ScoredRun
from lora_vs_api.data.checks import check_fields
from lora_vs_api.files import write_jsonl
from lora_vs_api.model_free.majority import commonest
from lora_vs_api.model_free.predictors import learn
from lora_vs_api.record.fields import Field
from lora_vs_api.record.prompt import completion
from lora_vs_api.report.sections.data import nulls
from lora_vs_api.scoring.scores import score_output
from lora_vs_api.stats.bootstrap import Draws
from lora_vs_api.stats.paired import difference_interval
from lora_vs_api.stats.ratio import linearised
from lora_vs_api.stats.variance import random_effects_interval

DRAWS = Draws(resamples=200, seed=0, confidence=0.95)

# one of every type, optional and required
OPTIONAL = (
    Field("text", "string", "token_f1", optional=True),
    Field("kind", "enum", "exact", values=("a", "b"), optional=True),
    Field("nights", "integer", "exact", optional=True),
    Field("price", "number", "exact", optional=True),
    Field("paid", "boolean", "exact", optional=True),
    Field("rooms", "list", "set_f1", optional=True),
    Field(
        "guest", "object", "slot_f1", optional=True,
        fields=(Field("name", "string", optional=True), Field("age", "integer", optional=True)),
    ),
)  # fmt: skip
REQUIRED = tuple(replace(field, name=f"{field.name}_", optional=False) for field in OPTIONAL[:-1])
FIELDS = OPTIONAL + REQUIRED

WORDS = st.sampled_from(["", "one", "two", "one two"])


def value_of(field: Field) -> st.SearchStrategy:
    made = {
        "string": WORDS,
        "enum": st.sampled_from(["a", "b", "c"]),
        "integer": st.integers(-1, 2),
        "number": st.sampled_from([0, 0.5, 2, 2.0]),
        "boolean": st.booleans(),
        "list": st.lists(WORDS, max_size=2),
    }
    if field.type == "object":
        value = st.fixed_dictionaries({inner.name: value_of(inner) for inner in field.fields})
    else:
        value = made[field.type]
    return st.none() | value if field.optional else value


def records(fields: tuple[Field, ...]) -> st.SearchStrategy:
    return st.fixed_dictionaries({field.name: value_of(field) for field in fields})


def scored_run(outputs, gold, fields) -> ScoredRun:
    """As read_answers makes it, without files."""
    scores = [score_output(output, record, fields) for output, record in zip(outputs, gold)]
    texts = len(scores)
    return ScoredRun(
        outputs=tuple(outputs),
        fields=np.array([score.fields for score in scores]),
        valid_json=np.array([score.valid_json for score in scores]),
        schema_valid=np.array([score.schema_valid for score in scores]),
        outcomes=np.array(["answered"] * texts),
        input_tokens=np.ones(texts, int),
        output_tokens=np.ones(texts, int),
        wanted=np.array([score.wanted for score in scores]),
        given=np.array([score.given for score in scores]),
    )


def of_runs(name: str, *runs: ScoredRun) -> ConditionRuns:
    cost = CostPer1K(usd=1.0, batched_usd=None, how="")
    return ConditionRuns(name, name, "lora" if name == "lora" else "api", "Tiny", 0, runs, cost)


def rows_of(gold):
    return [{"id": str(n), "text": "", "record": record} for n, record in enumerate(gold)]


# --- one text ------------------------------------------------------------------------------------


@given(records(FIELDS), records(FIELDS))
def test_the_score_is_a_share_and_that_of_the_run(gold, answer):
    """Whichever of the two ways a score is reached; right in every field is 1, and 1 is right."""
    score = score_output(json.dumps(answer), gold, FIELDS)
    assert 0 <= score.field_f1 <= 1
    run = scored_run([json.dumps(answer)], [gold], FIELDS)
    assert run.field_f1[0] == pytest.approx(score.field_f1, abs=1e-12)
    assert score.exact_match == bool(run.exact_match[0]) == (score.field_f1 == 1)


@given(st.lists(st.tuples(records(REQUIRED), records(REQUIRED)), min_size=1, max_size=4))
def test_where_no_field_is_optional_the_score_is_the_published_mean(pairs):
    """Bit for bit: nothing that was published moves."""
    run = scored_run([json.dumps(a) for _, a in pairs], [g for g, _ in pairs], REQUIRED)
    assert (run.field_f1 == run.fields.mean(axis=1)).all()
    for column, found in enumerate(run.by_field):
        assert (found.values == run.fields[:, column]).all() and found[1:] == (0.0, 1.0)
    for gold, answer in pairs:
        score = score_output(json.dumps(answer), gold, REQUIRED)
        assert score.field_f1 == sum(score.fields) / len(score.fields)


@given(records(FIELDS))
def test_a_perfect_answer_scores_one(gold):
    score = score_output(completion(gold, FIELDS), gold, FIELDS)
    assert score.field_f1 == 1.0 and score.exact_match


@given(records(OPTIONAL), st.booleans())
def test_nulls_score_nothing_where_something_was_to_be_found(gold, leave_out):
    """Written out or left out. Where there was nothing, they are right: 1."""
    nulls = {} if leave_out else dict.fromkeys(gold)
    filled = [field.name for field in OPTIONAL if field.holds(gold[field.name])]
    score = score_output(json.dumps(nulls), gold, OPTIONAL)
    assert score.field_f1 == (0.0 if filled else 1.0)
    assert score.exact_match == (not filled)


@pytest.mark.parametrize("output", ["", "no", "[]", '{"kind": '])
@given(gold=records(OPTIONAL))
def test_an_unreadable_answer_scores_nothing_even_where_nothing_was_to_be_found(output, gold):
    score = score_output(output, gold, OPTIONAL)
    assert score.field_f1 == 0.0 and not score.exact_match
    run = scored_run([output], [gold], OPTIONAL)
    assert run.field_f1[0] == 0.0 and not run.exact_match[0]


@given(records(FIELDS), records(FIELDS), st.sampled_from([field.name for field in FIELDS]))
def test_to_correct_a_field_never_lowers_the_score(gold, answer, name):
    """From a miss, an invention or a mistake to what is right, an empty value among it."""
    before = score_output(json.dumps(answer), gold, FIELDS).field_f1
    after = score_output(json.dumps(answer | {name: gold[name]}), gold, FIELDS).field_f1
    assert after >= before - 1e-12


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        # the record fills text and kind
        ({"text": "one two", "kind": "a"}, 1.0),
        ({"text": "one two", "kind": "b"}, 2 / 4),
        ({"text": "one two"}, 2 / 3),
        ({"text": "one", "kind": "a"}, 2 * (2 / 3 + 1) / 4),
        ({"text": "one two", "kind": "a", "paid": False}, 4 / 5),
        ({"text": "one two", "kind": "a", "nights": 0, "rooms": ["x"]}, 4 / 6),
        ({"text": "one two", "kind": "a", "rooms": [], "guest": {"name": None}}, 1.0),
        ({"paid": True, "price": 1.5}, 0.0),
    ],
)
def test_f1_of_what_is_filled(answer, expected):
    gold = dict.fromkeys([field.name for field in OPTIONAL]) | {"text": "one two", "kind": "a"}
    score = score_output(json.dumps(answer), gold, OPTIONAL)
    assert score.field_f1 == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "value", "holds"),
    [
        ("text", "", True), ("nights", 0, True), ("paid", False, True), ("text", None, False),
        ("rooms", [], False), ("rooms", ["x"], True), ("rooms_", [], True), ("rooms", {}, True),
        ("guest", {}, False), ("guest", {"name": None, "age": None}, False),
        ("guest", {"name": ""}, True), ("guest", "x", True), ("guest", {"other": 1}, False),
    ],
)  # fmt: skip
def test_what_says_nothing(name, value, holds):
    """Null, an optional list without items, an object without a filled slot; no other value."""
    field = next(field for field in FIELDS if field.name == name)
    assert field.holds(value) == holds


def test_an_object_of_nothing_but_optional_slots_may_be_empty_too():
    """Eight slots in a required object are no other task than eight slots of the record."""
    guest = replace(OPTIONAL[-1], optional=False)
    assert guest.may_be_empty
    gold = {"guest": {"name": None, "age": None}, "kind": "a"}
    fields = (guest, OPTIONAL[1])
    nothing = score_output(json.dumps({"guest": gold["guest"], "kind": None}), gold, fields)
    assert nothing.field_f1 == 0.0 and nothing.wanted == (False, True)
    assert not replace(guest, fields=(Field("name", "string"),)).may_be_empty


@pytest.mark.parametrize(
    ("kind", "predicted", "gold", "right"),
    [
        ("number", 2.0, 2, True), ("number", 2, 2.0, True), ("number", 0.1, 0.1, True),
        ("number", 2.5, 2, False), ("integer", 2, 2, True), ("integer", 2.0, 2, False),
        ("integer", True, 1, False), ("number", True, 1, False), ("boolean", 1, True, False),
        ("boolean", True, True, True), ("string", "2", "2", True),
    ],
)  # fmt: skip
def test_a_value_is_as_right_in_a_list_as_alone(kind, predicted, gold, right):
    """2.0 is 2 where a number is asked for and no integer; true is never 1. In objects of lists too."""
    alone = Field("f", kind)
    items = Field("f", "list", items=Field("item", kind))
    whole = Field("f", "list", items=Field("item", "object", fields=(Field("slot", kind),)))
    for field, ours, theirs in (
        (alone, predicted, gold),
        (items, [predicted], [gold]),
        (whole, [{"slot": predicted}], [{"slot": gold}]),
    ):
        score = score_output(json.dumps({"f": ours}), {"f": theirs}, (field,))
        assert score.field_f1 == float(right), field


NESTED = Field(
    "stay", "object",
    fields=(
        Field("room", "string"),
        Field("wishes", "list", optional=True),
        Field("guest", "object", optional=True, fields=(Field("name", "string", optional=True),)),
    ),
)  # fmt: skip


@pytest.mark.parametrize("empty", [{}, {"wishes": None, "guest": None}, {"wishes": []},
                                   {"guest": {}}, {"guest": {"name": None}}])  # fmt: skip
def test_every_way_to_say_nothing_is_the_same_at_any_depth(empty):
    """In an object's slots, and in the objects of a list."""
    gold = {"room": "2", "wishes": None, "guest": None}
    listed = Field("stay", "list", items=replace(NESTED, name="item"))
    for field, ours, theirs in (
        (NESTED, {"room": "2"} | empty, gold),
        (NESTED, gold, {"room": "2", "wishes": [], "guest": {"name": None}}),
        (listed, [{"room": "2"} | empty], [gold]),
    ):
        score = score_output(json.dumps({"stay": ours}), {"stay": theirs}, (field,))
        assert score.field_f1 == 1.0 and score.exact_match
    assert score_output(
        json.dumps({"stay": {"room": "3"} | empty}), {"stay": gold}, (NESTED,)
    ).fields == (0.0,)


# --- a run: eight slots, mostly null -------------------------------------------------------------

SLOTS = tuple(
    Field(name, "string", "exact", optional=True)
    for name in ("name", "date", "time", "people", "table", "phone", "mail", "wish")
)
SHARES = np.array([0.9, 0.6, 0.5, 0.3, 0.15, 0.1, 0.08, 0.03])


def bookings(number: int, seed: int):
    """Bookings: one slot is mostly filled, six mostly null."""
    random = np.random.default_rng(seed)
    filled = random.random((number, len(SLOTS))) < SHARES
    return [
        {
            field.name: f"{field.name} {random.integers(9)}" if there else None
            for field, there in zip(SLOTS, row)
        }
        for row in filled
    ]


def test_a_record_of_nulls_is_worth_nothing():
    """It had 0.67 of the plain mean; the majority of each field is such a record but for one slot."""
    gold = bookings(300, 1)
    nulls = json.dumps(dict.fromkeys(field.name for field in SLOTS))
    run = scored_run([nulls] * len(gold), gold, SLOTS)
    assert run.fields.mean() > 0.6
    assert run.field_f1.mean() < 0.03
    assert all(found.values.mean() == pytest.approx(0, abs=1e-12) for found in run.by_field)
    training = rows_of(bookings(300, 2))
    plain = {
        field.name: commonest([row["record"][field.name] for row in training]) for field in SLOTS
    }
    assert sum(value is None for value in plain.values()) >= 6
    common = scored_run([json.dumps(plain)] * len(gold), gold, SLOTS)
    assert common.field_f1.mean() < 0.1 and common.fields.mean() > 0.6
    # so the rival 'majority' says something where that scores better
    answer = learn("majority", training, SLOTS).predict("any text")
    majority = scored_run([json.dumps(answer)] * len(gold), gold, SLOTS)
    assert majority.field_f1.mean() > common.field_f1.mean()
    # a reader of half of what is there is better than both, as it was not before
    random = np.random.default_rng(3)
    half = [
        {name: value if random.random() < 0.5 else None for name, value in record.items()}
        for record in gold
    ]
    reader = scored_run(list(map(json.dumps, half)), gold, SLOTS)
    assert reader.field_f1.mean() > 0.5


def noisy(gold, right: float, seed: int):
    """Answers that get so many of the filled slots right, and invent some."""
    random = np.random.default_rng(seed)
    return [
        json.dumps(
            {
                name: (
                    (value if random.random() < right else random.choice(["x", None]))
                    if value is not None
                    else random.choice([None, "x"], p=[0.95, 0.05])
                )
                for name, value in record.items()
            }
        )
        for record in gold
    ]


def test_a_fields_score_is_f1_over_the_texts():
    """By counting: found, invented, missed; of several seeds the mean of theirs."""
    gold = bookings(200, 4)
    outputs = [noisy(gold, right, seed) for seed, right in enumerate((0.9, 0.6))]
    runs = [scored_run(one, gold, SLOTS) for one in outputs]
    found = condition(of_runs("lora", *runs), rows_of(gold), SLOTS, None, DRAWS)
    for field in SLOTS:
        f1 = []
        for one in outputs:
            pairs = [(json.loads(o)[field.name], g[field.name]) for o, g in zip(one, gold)]
            hits = sum(ours == theirs is not None for ours, theirs in pairs)
            filled = sum((ours is not None) + (theirs is not None) for ours, theirs in pairs)
            f1.append(2 * hits / filled)
        assert found.per_field[field.name] == pytest.approx(np.mean(f1), abs=1e-6)


def test_fields_are_compared_by_the_same_scores():
    """The difference is that of the two scores; its interval is of linearised values, within -1..1."""
    gold = bookings(200, 5)
    lora = of_runs("lora", *(scored_run(noisy(gold, 0.9, s), gold, SLOTS) for s in range(3)))
    other = of_runs("api", scored_run(noisy(gold, 0.4, 9), gold, SLOTS))
    rows = rows_of(gold)
    ours, theirs = (condition(one, rows, SLOTS, None, DRAWS).per_field for one in (lora, other))
    (made,) = compare(lora, [other], [field.name for field in SLOTS], DRAWS)
    for column, field in enumerate(SLOTS):
        gain = made.per_field[field.name]
        difference = ours[field.name] - theirs[field.name]
        assert gain.difference == pytest.approx(difference, abs=2e-6)
        assert -1 <= gain.low <= gain.difference <= gain.high <= 1
        seeds, base = [run.by_field[column] for run in lora.runs], other.runs[0].by_field[column]
        interval = random_effects_interval(
            np.stack([seed.values for seed in seeds]) - base.values,
            0.95,
            bounds=(min(s.low for s in seeds) - base.high, max(s.high for s in seeds) - base.low),
        )
        assert gain.low == pytest.approx(max(-1, interval.low), abs=1e-6)
        assert gain.high == pytest.approx(min(1, interval.high), abs=1e-6)
    assert made.per_field["name"].side == 1
    # few texts have a wish: hardly anything is known
    width = {name: gain.high - gain.low for name, gain in made.per_field.items()}
    assert width["wish"] > 2 * width["name"]


@pytest.mark.parametrize("right", [0.0, 1.0])
@pytest.mark.parametrize("texts", [1, 2, 12])
def test_extremes_are_compared_within_bounds(right, texts):
    """All perfect, all nulls: an interval about 0 that is no wider than a difference can be."""
    gold = [{"kind": "a" if n == 0 else None, "nights": None} for n in range(texts)]
    fields = (OPTIONAL[1], OPTIONAL[2])
    answer = gold if right else [dict.fromkeys(record) for record in gold]
    run = scored_run(list(map(json.dumps, answer)), gold, fields)
    rows = rows_of(gold)
    found = condition(of_runs("lora", run, run), rows, fields, None, DRAWS)
    assert found.per_field == {"kind": right, "nights": None}
    (made,) = compare(of_runs("lora", run, run), [of_runs("api", run)], ["kind", "nights"], DRAWS)
    kind = made.per_field["kind"]
    assert -1 <= kind.low < 0 == kind.difference < kind.high <= 1
    # no text has a value, whatever was answered
    assert made.per_field["nights"] is None
    assert lora_statistics((0, 1), [run, run], DRAWS).per_seed[0].field_f1 == pytest.approx(
        run.field_f1.mean(), abs=1e-6
    )
    assert examples(rows, run, run).wins == ()


def test_inventions_do_not_make_a_field_that_no_record_fills():
    gold = [{"kind": None}] * 4
    run = scored_run(['{"kind": "a"}', '{"kind": null}', "", "{}"], gold, OPTIONAL[1:2])
    assert run.by_field == [None]
    assert run.field_f1.tolist() == [0.0, 1.0, 0.0, 1.0]


def answers_to(filled, right: float, random):
    """Of what is filled 9 of 10 are answered, so many of those right; of what is not, 1 of 20."""
    given = random.random(filled.size) < np.where(filled, 0.9, 0.05)
    hits = filled & given & (random.random(filled.size) < right)
    return linearised(hits.astype(float), (filled.astype(float) + given) / 2)


def expected_f1(share: float, right: float) -> float:
    return 2 * share * 0.9 * right / (share + share * 0.9 + (1 - share) * 0.05)


def test_linearised_values_vary_as_the_ratio_does():
    """The t interval of their differences covers the true difference of two F1s, here of 100 texts of
    which three in ten have a value."""
    random = np.random.default_rng(11)
    true = expected_f1(0.3, 0.9) - expected_f1(0.3, 0.6)
    covered, rounds = 0, 400
    for _ in range(rounds):
        filled = random.random(100) < 0.3
        ours, theirs = answers_to(filled, 0.9, random), answers_to(filled, 0.6, random)
        for found in (ours, theirs):
            assert found.low - 1e-9 <= found.values.min() <= found.values.max() <= found.high + 1e-9
        bounds = (ours.low - theirs.high, ours.high - theirs.low)
        interval = difference_interval(ours.values - theirs.values, 0.95, bounds=bounds)
        covered += interval.low <= true <= interval.high
    assert 0.92 < covered / rounds < 0.99


def test_a_ratio_is_the_mean_of_its_linearised_values():
    plain = np.array([0.1, 0.7, 1 / 3, 0.9])
    assert (linearised(plain, np.ones(4)).values == plain).all()
    found = linearised(np.array([1.0, 0.0, 0.0, 0.5]), np.array([1.0, 0.5, 0.0, 1.0]))
    assert found.values.mean() == pytest.approx(1.5 / 2.5)
    assert (found.low, found.high) == pytest.approx((0.6 - 0.6 / 0.625, 0.6 + 0.4 / 0.625))
    with pytest.raises(ValueError, match="denominators"):
        linearised(np.zeros(3), np.zeros(3))


# --- the diagnosis and the data ------------------------------------------------------------------

PERFECT = [
    {
        "text": "one", "kind": None, "nights": 2, "price": 0.5, "paid": None, "rooms": ["a"],
        "guest": None,
    },
    {
        "text": None, "kind": "a", "nights": None, "price": None, "paid": True, "rooms": None,
        "guest": {"name": "Ann", "age": None},
    },
    {
        "text": "two", "kind": None, "nights": None, "price": 2, "paid": False, "rooms": [],
        "guest": {"name": None, "age": None},
    },
]  # fmt: skip
FAULTS = {"missing", "unexpected", "out_of_vocabulary", "mean_distance", "spurious", "missed"}


def test_perfect_answers_have_one_everywhere_and_no_fault():
    """Nulls among them: none is counted as a text that is unlike, or a slot that is wrong."""
    run = scored_run(list(map(json.dumps, PERFECT)), PERFECT, OPTIONAL)
    found = diagnose([run, run], rows_of(PERFECT), OPTIONAL)
    assert found.field_f1_recovered == 1.0 and found.constant == {}
    assert (found.answers, found.invalid, found.recoverable, found.forgiven) == (6, 0, 0, {})
    for name, field in found.fields.items():
        for measure, value in field.measures().items():
            assert value == (0.0 if measure in FAULTS else 1.0), (name, measure)
    for table in found.confusion.values():
        for expected, answered in table.items():
            assert sum(answered.values()) == answered.get(expected, 0)


def test_a_field_without_a_value_has_nothing_to_measure():
    gold = [dict.fromkeys(PERFECT[0])] * 2
    run = scored_run(["{}", "no"], gold, OPTIONAL)
    found = diagnose([run], rows_of(gold), OPTIONAL).fields
    assert found["text"].measures() == {
        "missing": None, "unexpected": 0.0, "normalised": None, "token_f1": None,
    }  # fmt: skip
    assert found["rooms"].missed is None and found["guest"].slot_f1 is None


def test_a_label_out_of_the_vocabulary_counts_where_there_is_none_too():
    """Of all answers: `billing-ish` for nothing is as far from the schema as for billing."""
    gold = [{"kind": None}, {"kind": None}, {"kind": "a"}, {"kind": "a"}]
    run = scored_run(['{"kind": "x"}', '{"kind": "b"}', '{"kind": "y"}', "?"], gold, OPTIONAL[1:2])
    kind = diagnose([run], rows_of(gold), OPTIONAL[1:2]).fields["kind"]
    assert (kind.out_of_vocabulary, kind.unexpected, kind.missing) == (0.5, 1.0, 0.5)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("text", "one", '"one"'), ("kind", "a", '"a"'), ("nights", 2, "2"), ("price", 0.5, "0.5"),
        ("paid", False, "false"), ("rooms", ["a"], '["a"]'), ("guest", {"age": 3}, '{"age": 3}'),
        *((field.name, None, "null") for field in OPTIONAL), ("rooms", [], "null"),
        ("guest", {"name": None}, "null"), ("text_", "one", '"one"'), ("kind_", "a", '"a"'),
        ("rooms_", [], "[]"),
    ],
)  # fmt: skip
def test_a_constant_answer_is_found_whatever_its_type(name, value, said):
    """Null too, where it may be; unreadable answers aside, unless most are."""
    field = next(field for field in FIELDS if field.name == name)
    other = {"string": "else", "enum": "b", "integer": 1, "number": 7, "boolean": True,
             "list": ["z"], "object": {"name": "Bo", "age": 4}}[field.type]  # fmt: skip
    another = {"list": ["y"], "object": {"name": "Cy", "age": 4}, "boolean": False}.get(
        field.type, {"string": "more", "enum": "a"}.get(field.type, 5)
    )
    gold = [{name: one} for one in (other, another, other, another)]
    same = json.dumps({name: value})

    def constant(*outputs: str) -> dict[str, str]:
        run = scored_run(outputs, gold, (field,))
        return diagnose([run], rows_of(gold), (field,)).constant

    assert constant(same, same, same, same) == constant(same, same, "no", "") == {name: said}
    assert constant(same, same, same, json.dumps({name: other})) == {}
    assert constant(same, "", "", "") == {}
    run = scored_run([same, same, "", "", ""], [*gold, gold[0]], (field,))
    assert diagnose([run], rows_of([*gold, gold[0]]), (field,)).constant == {}
    # where the records have one value, to give it always is no fault
    run = scored_run([same] * 2, [gold[0]] * 2, (field,))
    assert diagnose([run], rows_of([gold[0]] * 2), (field,)).constant == {}


def test_no_answer_is_no_constant_answer_where_one_has_to_be():
    """It is counted as missing."""
    gold = [{"kind_": "a"}, {"kind_": "b"}]
    run = scored_run(['{"kind_": null}', "{}"], gold, (REQUIRED[1],))
    found = diagnose([run], rows_of(gold), (REQUIRED[1],))
    assert found.constant == {} and found.fields["kind_"].missing == 1.0


def test_what_is_recovered_is_scored_by_the_same_rule():
    gold = [dict.fromkeys(PERFECT[0]) | {"kind": "a", "text": "one two"}] * 2
    run = scored_run(['Here: {"kind": "a"}', '{"kind": "a"}'], gold, OPTIONAL)
    found = diagnose([run], rows_of(gold), OPTIONAL)
    assert found.field_f1_recovered == pytest.approx(2 / 3, abs=1e-6)
    assert run.field_f1.tolist() == pytest.approx([0, 2 / 3])


def test_the_noise_of_a_repeated_question_is_scored_by_the_same_rule(tmp_path):
    gold = dict.fromkeys(PERFECT[0]) | {"kind": "a", "text": "one two"}
    folder = tmp_path / "predictions/evaluate/api"
    folder.mkdir(parents=True)
    write_jsonl(folder / "predictions.jsonl", [{"id": "0", "output": '{"kind": "a"}'}])
    write_jsonl(folder / "replicates.jsonl", [{"id": "0", "replicate": 1, "output": "{}"}])
    found = noise_floor("api", rows_of([gold]), OPTIONAL, tmp_path)
    assert (found.field_f1_low, found.field_f1_high) == pytest.approx((0, 2 / 3), abs=1e-6)


def test_the_share_of_nulls_is_told_of_slots_too():
    """Of objects in objects; a slot that has to be there has none."""
    place = Field("place", "object", "slot_f1", optional=True, fields=(
        Field("city", "string", "exact"), Field("zip", "string", "exact", optional=True),
    ))  # fmt: skip
    buyer = Field("buyer", "object", "slot_f1", fields=(
        Field("name", "string", "exact"), place, Field("vat", "string", "exact", optional=True),
    ))  # fmt: skip
    records = [
        {"buyer": {"name": "a", "place": None, "vat": None}},
        {"buyer": {"name": "b", "place": {"city": "c", "zip": None}, "vat": "1"}},
        {"buyer": {"name": "b", "place": {"city": "c", "zip": "9"}, "vat": None}},
        {"buyer": {"name": "b", "place": {"city": "c", "zip": None}, "vat": None}},
    ]
    found = check_fields({"train": rows_of(records)}, (buyer,))["buyer"]
    assert found["null"] == 0
    assert found["slots"] == {"place": 0.25, "place.zip": 0.75, "vat": 0.75}
    told = nulls(buyer, FieldCheck.model_validate(found))
    assert told == [("buyer.place", 0.25), ("buyer.place.zip", 0.75), ("buyer.vat", 0.75)]
    assert "slots" not in check_fields({"train": rows_of(PERFECT)}, OPTIONAL)["kind"]


def test_the_share_of_nulls_counts_what_says_nothing():
    fields = check_fields({"train": rows_of(PERFECT)}, OPTIONAL)
    assert {name: found["null"] for name, found in fields.items()} == pytest.approx(
        {"text": 1 / 3, "kind": 2 / 3, "nights": 2 / 3, "price": 1 / 3, "paid": 1 / 3,
         "rooms": 2 / 3, "guest": 2 / 3}, abs=1e-4,
    )  # fmt: skip
