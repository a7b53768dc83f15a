"""Perturbed texts: they differ as their name says, keep what the record rests on, and can be made again."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.data.perturbation import PERTURBATIONS, WORD, perturb
from lora_vs_api.errors import UserError

TEXT = (
    "Hello support team,\n\nThe search in Fernwave Backup has become slow for you and me. Please "
    "help because it is urgent. My laptop is up to date.\n\nThanks,\nYasmin Malhotra"
)
RECORD = {"name": "Yasmin Malhotra", "products": ["Fernwave Backup"], "urgency": 2, "flag": True}
KEPT = ["Yasmin", "Malhotra", "Fernwave", "Backup"]
ROW = {"id": "e1", "text": TEXT, "record": RECORD}


def one(name: str, text: str = TEXT, record=RECORD, seed: int = 0) -> str:
    return perturb([{"id": "e1", "text": text, "record": record}], [name], seed)[0]["text"]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", PERTURBATIONS)
def test_words_of_the_record_stay(name, seed):
    """The record is right for the perturbed text too, or the score would count a lie."""
    text = one(name, seed=seed)
    words = WORD.findall(text)
    assert [word for word in words if word in KEPT] == [
        word for word in WORD.findall(TEXT) if word in KEPT
    ] or name == "reordered"
    assert sorted(w for w in words if w in KEPT) == sorted(
        w for w in WORD.findall(TEXT) if w in KEPT
    )
    assert text != TEXT


@given(st.text(max_size=300), st.text(max_size=20), st.integers(0, 5))
def test_any_text_can_be_perturbed(text, value, seed):
    """Odd characters, nothing at all, no word: a row never stops the node."""
    rows = [{"id": "x", "text": text, "record": {"a": value, "b": None, "c": {"d": [1, 2.5]}}}]
    found = perturb(rows, list(PERTURBATIONS), seed)
    assert len(found) == len(PERTURBATIONS)
    assert found == perturb(rows, list(PERTURBATIONS), seed)
    for row in found:
        assert row["changed"] == (row["text"] != text) and row["record"] == rows[0]["record"]


def test_a_row_is_perturbed_alike_whatever_stands_beside_it():
    """More rows or other perturbations change no earlier answer: the API is not asked again."""
    others = [
        {"id": f"o{i}", "text": f"Some other text, number {i}.", "record": {}} for i in range(4)
    ]
    alone = perturb([ROW], ["typos"], 0)
    beside = perturb([*others, ROW], ["jargon", "typos"], 0)
    assert alone[0] in beside
    assert [row["id"] for row in beside[:2]] == ["o0~jargon", "o1~jargon"]
    assert perturb([ROW], ["typos"], 1) != alone


def test_typos_are_few_and_small():
    """A text stays readable: one word in eight of those long enough, one letter each."""
    before, after = TEXT.split(), one("typos").split()
    assert len(before) == len(after)
    changed = [(a, b) for a, b in zip(before, after) if a != b]
    able = [w for w in WORD.findall(TEXT) if len(w) > 3 and w not in KEPT]
    assert len(changed) == round(0.12 * len(able))
    assert all(abs(len(a) - len(b)) <= 1 for a, b in changed)
    # a short text has one all the same
    assert one("typos", "Where is it now", {}) != "Where is it now"


def test_jargon_takes_whole_words_only():
    """`account` becomes `acct`, `accountable` does not, nor does a word of the record."""
    text = one("jargon", "Your accountable account, please: order it", {"what": "order"})
    assert text == "ur accountable acct, pls: order it"


def test_reordering_keeps_every_sentence():
    """The same sentences, in another order, in their own paragraph."""
    text = one("reordered")

    def split(whole: str) -> list[list[str]]:
        return [re.split(r"(?<=[.!?]) ", line) for line in whole.split("\n")]

    assert [sorted(line) for line in split(text)] == [sorted(line) for line in split(TEXT)]
    assert one("reordered", "One sentence. One sentence.", {}) == "One sentence. One sentence."


@pytest.mark.parametrize("name", ["quoted_thread", "signature"])
def test_what_is_added_stands_below(name):
    """The text itself is untouched."""
    assert one(name).startswith(TEXT + "\n\n") and len(one(name)) > len(TEXT) + 20


def test_formatting_changes_no_word_but_its_case():
    """Spaces, breaks and full stops go astray; nothing is said otherwise."""
    for seed in range(20):
        draw = random.Random(seed)
        text = PERTURBATIONS["formatting"](TEXT, frozenset(map(str.casefold, KEPT)), draw)
        words = [word.casefold() for word in WORD.findall(text) if word != "br"]
        assert words == [word.casefold() for word in WORD.findall(TEXT)]


def test_an_unknown_name_is_refused():
    with pytest.raises(
        UserError, match=r"^robustness\.texts\.perturbations: expected some of typos, "
    ):
        perturb([ROW], ["noise"], 0)
