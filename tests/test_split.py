"""Splits: exact sizes, the same mix in each, nothing shared."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_vs_api.data.generator import generate_corpus
from lora_vs_api.data.shares import largest_remainder
from lora_vs_api.data.split import (
    assert_disjoint,
    first_of_each_text,
    given_split,
    masked_sentence_overlap,
    stratified_split,
    without_first,
)
from lora_vs_api.errors import UserError

SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}
CATEGORIES = {"billing": 0.22, "technical": 0.22, "account": 0.22, "shipping": 0.22, "other": 0.12}
SENTIMENTS = {"positive": 0.20, "neutral": 0.45, "negative": 0.35}


@pytest.fixture(scope="module")
def corpus():
    return generate_corpus(2000, 0, CATEGORIES, SENTIMENTS)


def _rows(labels):
    return [
        {"id": f"row-{k}", "text": f"text {k}", "record": {"label": label}}
        for k, label in enumerate(labels)
    ]


def test_published_split(corpus):
    """1,400/300/300 with every category at exactly 70/15/15, and nothing lost or doubled."""
    splits = stratified_split(corpus, SHARES, "issue_category", 0)
    assert {name: len(rows) for name, rows in splits.items()} == {
        "train": 1400, "val": 300, "test": 300,
    }  # fmt: skip
    for name, share in SHARES.items():
        counts = Counter(row["record"]["issue_category"] for row in splits[name])
        for category, part in CATEGORIES.items():
            assert counts[category] == round(2000 * share * part)
    ids = [row["id"] for rows in splits.values() for row in rows]
    assert sorted(ids) == [row["id"] for row in corpus]
    assert_disjoint(splits)


@pytest.mark.parametrize("seed", range(5))
def test_first_rows_have_all_categories(corpus, seed):
    """Nodes that take only the first rows of a split still see each category in its share."""
    splits = stratified_split(corpus, SHARES, "issue_category", seed)
    for rows in splits.values():
        first = Counter(row["record"]["issue_category"] for row in rows[:20])
        assert set(first) == set(CATEGORIES)
        first = Counter(row["record"]["issue_category"] for row in rows[:100])
        assert all(abs(first[name] - 100 * share) <= 3 for name, share in CATEGORIES.items())


@settings(max_examples=100, deadline=None)
@given(
    labels=st.lists(
        st.one_of(st.integers(0, 3), st.none(), st.just(["a"])), min_size=7, max_size=200
    ),
    seed=st.integers(0, 2**32),
    weights=st.lists(st.integers(2, 9), min_size=1, max_size=4),
    by=st.sampled_from(["label", None]),
)
def test_any_split_is_exact_disjoint_and_repeatable(labels, seed, weights, by):
    """Sizes, completeness, strata and determinism hold for any labels, shares and seed."""
    rows = _rows(labels)
    shares = {f"s{k}": weight / sum(weights) for k, weight in enumerate(weights)}
    sizes = largest_remainder(len(rows), shares)
    if 0 in sizes.values():
        with pytest.raises(UserError, match="at least one of the"):
            stratified_split(rows, shares, by, seed)
        return
    splits = stratified_split(rows, shares, by, seed)
    assert {name: len(part) for name, part in splits.items()} == sizes
    assert sorted(row["text"] for part in splits.values() for row in part) == sorted(
        row["text"] for row in rows
    )
    assert_disjoint(splits)
    assert splits == stratified_split(rows, shares, by, seed)
    if by:
        for label in (0, 1, 2, 3, None, ["a"]):
            total = labels.count(label)
            for name, share in shares.items():
                got = sum(row["record"]["label"] == label for row in splits[name])
                assert abs(got - total * share) <= 2 * len(shares)


def test_seed_changes_the_split(corpus):
    """A seed that did nothing would make repeated splits worthless."""
    first = stratified_split(corpus, SHARES, "issue_category", 0)
    assert first != stratified_split(corpus, SHARES, "issue_category", 1)


def test_order_is_not_the_corpus_order(corpus):
    """The first rows of a split are a random slice, not the first rows of the corpus."""
    first = stratified_split(corpus, SHARES, "issue_category", 0)["test"][:50]
    numbers = [int(row["id"].split("-")[1]) for row in first]
    assert numbers != sorted(numbers)
    assert max(numbers) > 1500


def test_wrong_settings_name_the_key():
    """A misspelt field, shares that do not add up and an empty split are each one clear line."""
    rows = _rows([0, 1, 2])
    with pytest.raises(UserError, match="^split.stratify_by: no record has a field 'lable'"):
        stratified_split(rows, {"train": 0.5, "test": 0.5}, "lable", 0)
    with pytest.raises(UserError, match="^split.shares: expected shares that sum to 1"):
        stratified_split(rows, {"train": 0.5, "test": 0.4}, None, 0)
    with pytest.raises(UserError, match="^split.shares.test: expected a share that gives at least"):
        stratified_split(rows, {"train": 0.99, "test": 0.01}, None, 0)


def test_what_is_set_aside_is_the_first_of_test_and_leaves_two():
    """What earlier runs scored was the first of it; of one text nothing can be told."""
    rows = _rows([0] * 5)
    assert without_first(rows, 0) == rows
    assert [row["id"] for row in without_first(rows, 3)] == ["row-3", "row-4"]
    with pytest.raises(UserError, match="^split.set_aside: expected at most 3 of the 5 test texts"):
        without_first(rows, 4)
    with pytest.raises(
        UserError, match="^split.shares.test: expected .* at least 2 test texts, fo"
    ):
        without_first(rows[:1], 0)


def test_shared_text_is_found():
    """The same text in train and test would inflate every score."""
    rows = _rows([0, 0, 0])
    copy = {**rows[0], "id": "row-9"}
    with pytest.raises(UserError, match="row-0 in train and row-9 in test have the same text;"):
        assert_disjoint({"train": rows, "test": [copy]})
    with pytest.raises(UserError, match=r"\(and 1 more\)"):
        assert_disjoint({"train": rows, "test": [copy, rows[1]]})


def test_sentence_overlap_counts_refilled_templates():
    """Sentences that repeat one of train with other names and numbers count as shared wording."""
    email = "Hi, refund {} for order {}.\n{}"
    train = [{"text": email.format("$5.00", "#12345", "Aiko Patel")}, {"text": "Something else."}]
    test = [
        {"text": email.format("9.95 EUR", "KX-54321", "Emma Novak")},
        {"text": "Hello, refund $5.00 for order #12345.\nAiko Patel"},
    ]
    # "Hi, refund … #12345." is known, "Hello, refund …" is not; both signatures are
    assert masked_sentence_overlap({"train": train, "test": test}) == 0.75


def test_of_a_repeated_text_the_first_is_kept():
    """Real files repeat texts; one that is in train and in test would be scored from memory."""
    rows = [
        {"id": "a", "text": "Hello  you", "record": {"n": 1}},
        {"id": "b", "text": "Hello\nyou ", "record": {"n": 2}},
        {"id": "c", "text": "hello you", "record": {"n": 1}},
    ]
    assert [row["id"] for row in first_of_each_text(rows)] == ["a", "c"]


def _labelled(**counts):
    """Rows sorted by their label and their split, as a file often is."""
    named = [name for name, count in counts.items() for _ in range(count)]
    return _rows("a" if place < len(named) // 2 else "b" for place in range(len(named))), named


def test_a_given_split_is_kept_and_mixed():
    """Nodes take the first rows of a split: of a sorted file these would be one label's."""
    rows, labels = _labelled(Training=60, Dev=20, TEST=20)
    found = given_split(rows, labels, "label", 0)
    for (name, own), said in zip(found.items(), ("Training", "Dev", "TEST"), strict=True):
        assert sorted(row["id"] for row in own) == sorted(
            row["id"] for row, label in zip(rows, labels) if label == said
        ), name
    assert {row["record"]["label"] for row in found["train"][:4]} == {"a", "b"}
    assert found == given_split(rows, labels, "label", 0)
    assert found["train"] != given_split(rows, labels, "label", 1)["train"]


def test_a_given_split_that_is_none_is_refused():
    """What cannot be measured is said before anything is trained, with what to do."""
    rows, labels = _labelled(train=8, test=4)
    with pytest.raises(UserError, match=r"found 8 train, 0 val, 4 test; mark some rows as val"):
        given_split(rows, labels, None, 0)
    rows, labels = _labelled(train=8, val=2, test=2)
    rows[-1] = {**rows[-1], "text": f" {rows[0]['text']}\n"}
    with pytest.raises(UserError, match="row-0 in train and row-11 in test have the same text"):
        given_split(rows, labels, None, 0)
    with pytest.raises(UserError, match="row-0: expected train, val or test, found 'holdout'"):
        given_split(rows, ["holdout", *labels[1:]], None, 0)
    # the same text twice in one split is one text, as elsewhere
    rows[-1] = {**rows[-1], "text": rows[-2]["text"]}
    assert len(given_split(rows, labels, None, 0)["test"]) == 1
