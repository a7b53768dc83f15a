"""Perturbed texts: they differ as their name says, keep what decides the record, and can be made again."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_vs_api.data import perturbation
from lora_vs_api.data.decisive import WORD, Decisive, number_spans, vocabulary
from lora_vs_api.data.generator import generate_corpus
from lora_vs_api.data.perturbation import KINDS, PERTURBATIONS, Kept, chosen, perturb
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_rows
from lora_vs_api.record.fields import fields_from_config
from tests.imports import ROOT

TEXT = (
    "Hello support team,\n\nThe search in Fernwave Backup has become slow for you and me. Please "
    "help because it is urgent. My laptop is up to date.\n\nThanks,\nYasmin Malhotra"
)
RECORD = {"name": "Yasmin Malhotra", "products": ["Fernwave Backup"], "urgency": 2, "flag": True}
KEPT = ["Yasmin", "Malhotra", "Fernwave", "Backup"]
ROW = {"id": "e1", "text": TEXT, "record": RECORD}


def maybe(name: str, text: str = TEXT, record=RECORD, seed: int = 0, known=()) -> str | None:
    """The perturbed text, None where it could not be applied."""
    found = perturb([{"id": "e1", "text": text, "record": record}], [name], seed, known)
    return found[0]["text"] if found else None


def one(name: str, text: str = TEXT, record=RECORD, seed: int = 0, known=()) -> str:
    found = maybe(name, text, record, seed, known)
    assert found is not None
    return found


# --- the rule, written once more and otherwise ---


def standing(text: str, value: str) -> list[str]:
    """Each place where ``value`` stands by itself, as it is written there; spaces may differ."""
    body = r"\s+".join(map(re.escape, value.split()))
    places = [found[1] for found in re.finditer(f"(?=({body}))", text, re.IGNORECASE)]
    alone = re.finditer(rf"(?<![^\W_])(?=({body})(?![^\W_]))", text, re.IGNORECASE)
    # apart from letters is enough of a difference in scripts that have upper and lower case
    return [found[1] for found in alone] if value.lower() != value.upper() else places


def leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [str(value)] if isinstance(value, str | int | float) and str(value).strip() else []


def assert_true_still(row: dict[str, Any], known: tuple[str, ...], text: str) -> None:
    """(a) gold, (b) vocabulary, (c) digits."""
    for value in leaves(row["record"]):
        if not value.isdigit():
            assert standing(text, value) == standing(row["text"], value), value
    for value in known:
        assert Counter(standing(text, value)) == Counter(standing(row["text"], value)), value
    assert re.findall(r"\d+", text) == re.findall(r"\d+", row["text"])


PIECES = (
    "please thanks for to and you your account order message table booking people tonight two four "
    "4 2 8 billing shipping $119. 95 e.g. Dr. J. Yasmin Straße 東京 東京駅 Привет مرحبا 12:30 A4 "
    "Tokyo italian Chinese. okay. really? because before today great number , . \n \n\n"
)
WORDS = st.sampled_from(PIECES.split(" "))
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(WORDS, max_size=40).map(" ".join),
    st.lists(WORDS, max_size=40).map("".join),
)
VALUES = st.one_of(
    st.sampled_from(["Yasmin", "4", "two", "billing", "東京", "$119. 95", "r", "u", "Привет", ""]),
    st.text(max_size=10),
    st.integers(-3, 200),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none(),
    st.booleans(),
)
RECORDS = st.dictionaries(
    st.sampled_from("abcd"),
    st.one_of(VALUES, st.lists(VALUES, max_size=3), st.dictionaries(st.just("e"), VALUES)),
    max_size=4,
)
KNOWN = st.lists(
    st.sampled_from(
        ["billing", "account", "other", "1", "4", "italian", "Tokyo", "東京", "r", "phone", "&"]
    ),
    unique=True,
)


@settings(max_examples=400)
@given(TEXTS, RECORDS, KNOWN, st.integers(0, 5))
@pytest.mark.slow
def test_every_record_stays_true(text, record, known, seed):
    """Whatever stands in the text: odd characters, other scripts, nothing at all."""
    row = {"id": "x", "text": text, "record": record}
    found = perturb([row], list(PERTURBATIONS), seed, known)
    assert found == perturb([row], list(PERTURBATIONS), seed, known)
    for other in found:
        assert other["text"] != text and other["record"] == record and other["of"] == "x"
        assert Decisive.of(record, known).agree(text, other["text"])
        assert re.findall(r"\d+", other["text"]) == re.findall(r"\d+", text)


EMAIL = fields_from_config(
    yaml.safe_load((ROOT / "conf/task/support_emails.yaml").read_text())["task"]["fields"]
)
ADDRESS = fields_from_config(
    yaml.safe_load((ROOT / "conf/task/us_addresses.yaml").read_text())["task"]["fields"]
)
BOOKING = fields_from_config(
    {
        "people": {"type": "integer", "minimum": 1, "maximum": 12, "optional": True},
        "cuisine": {"type": "string", "optional": True},
        "outdoors": {"type": "boolean", "optional": True},
    }
)
CUISINES = ["italian", "thai", "french", "indian"]


def emails() -> list[dict[str, Any]]:
    data = yaml.safe_load((ROOT / "conf/task/support_emails.yaml").read_text())["data"]
    return generate_corpus(300, 0, data["categories"], data["sentiments"])


def bookings() -> list[dict[str, Any]]:
    draw = random.Random(0)
    rows = []
    for number in range(200):
        people, cuisine = draw.randint(1, 12), draw.choice(CUISINES)
        text = draw.choice(
            (
                f"hi. I would like to book a table for {people} for tonight. {cuisine} food please",
                f"Can you find me something {cuisine}? We are {people}. Thank you for your help.",
                f"table for two to share, {cuisine}. It has to be before 8. Is that okay with you?",
            )
        )
        rows.append(
            {
                "id": f"b{number}",
                "text": text,
                "record": {
                    "people": 2 if "two" in text else people,
                    "cuisine": cuisine,
                    "outdoors": None,
                },
            }
        )
    return rows


def prices() -> list[dict[str, Any]]:
    draw = random.Random(1)
    return [
        {
            "id": f"p{number}",
            "text": f"Maxtor 250GB Drive. Pack of {draw.randint(2, 9)}. $1{number}. 95 with "
            f"free shipping. Now $1{number - 1}. 50!",
            "record": {"price": f"{99 + number}.50", "brand": "Maxtor"},
        }
        for number in range(10, 40)
    ]


TASKS = {
    "emails": (emails, EMAIL),
    "addresses": (lambda: read_rows(ROOT / "data/examples/us_addresses.jsonl", 200), ADDRESS),
    "bookings": (bookings, BOOKING),
    "prices": (
        prices,
        fields_from_config({"price": {"type": "string"}, "brand": {"type": "string"}}),
    ),
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.slow
def test_the_rule_holds_on_whole_tasks(task):
    """(a), (b) and (c), of every text under every perturbation."""
    make, fields = TASKS[task]
    rows = make()
    known = vocabulary(fields, rows)
    by_id = {row["id"]: row for row in rows}
    for row in perturb(rows, list(PERTURBATIONS), 0, known):
        assert_true_still(by_id[row["of"]], known, row["text"])


@pytest.mark.parametrize(
    ("task", "least"),
    [
        ("emails", dict.fromkeys(PERTURBATIONS, 0.95)),
        ("addresses", {"formatting": 0.95, "signature": 0.95}),
        ("bookings", {"typos": 0.95, "formatting": 0.95, "jargon": 0.5}),
        ("prices", {"typos": 0.95, "formatting": 0.95}),
    ],
)
@pytest.mark.slow
def test_most_texts_can_still_be_perturbed(task, least):
    """A rule that lets nothing through would keep every record true as well."""
    make, fields = TASKS[task]
    rows = make()
    found = perturb(rows, list(least), 0, vocabulary(fields, rows))
    applied = Counter(row["perturbation"] for row in found)
    for name, share in least.items():
        assert applied[name] >= share * len(rows), name


def test_a_perturbation_that_writes_numbers_is_not_applied(monkeypatch):
    """What jargon did: 'for' to 4 and 'to' to 2 gave most bookings a number that is a label there."""
    monkeypatch.setitem(perturbation.JARGON, "for", "4")
    monkeypatch.setitem(perturbation.JARGON, "to", "2")
    rows = bookings()
    before = {row["id"]: row["text"] for row in rows}
    # with the party size's values known, and without: a number is a number
    for known in (vocabulary(BOOKING, rows), ()):
        found = perturb(rows, ["jargon"], 0, known)
        for row in found:
            digits = re.findall(r"\d+", row["text"])
            assert digits == re.findall(r"\d+", before[row["of"]])
            assert row["text"].count(" for ") == before[row["of"]].count(" for ")


def test_a_perturbation_that_writes_words_for_numbers_is_not_applied(monkeypatch):
    """Four decides a party's size as 4 does."""
    monkeypatch.setitem(perturbation.JARGON, "for", "four")
    assert maybe("jargon", "A table for us", {}) is None


def test_no_abbreviation_is_written_with_a_digit():
    """Such a one could never be applied."""
    assert [word for word in perturbation.JARGON.values() if re.search(r"\d", word)] == []
    added = " ".join((*perturbation.THREADS, *perturbation.SIGNATURES))
    assert number_spans(added) == []


def test_a_text_that_would_gain_a_value_is_left_out():
    """A footer that names a phone decides a field of devices."""
    known = ("phone", "device", "confidential", "environment", "viruses")
    assert maybe("signature", known=known) is None
    assert "phone" not in one("signature", known=known[:1], seed=3)


def test_a_field_with_few_values_is_a_vocabulary():
    """Enums always; others where few values come back, in lists and objects too; no names."""
    fields = fields_from_config(
        {
            "kind": {"type": "enum", "values": ["a", "b"]},
            "name": {"type": "string"},
            "room": {"type": "string", "optional": True},
            "extras": {"type": "list"},
            "level": {"type": "integer", "minimum": 1, "maximum": 3},
            "year": {"type": "integer", "minimum": 1900, "maximum": 2100},
            "paid": {"type": "boolean"},
            "place": {"type": "object", "fields": {"city": {"type": "string"}}},
        }
    )
    rows = [
        {
            "id": str(i),
            "text": "",
            "record": {
                "kind": "a",
                "name": f"name {i}",
                "room": None if i % 2 else "suite",
                "extras": ["view"] * (i % 3),
                "level": 1,
                "year": 1900 + i,
                "paid": True,
                "place": {"city": ["Rome", "Oslo"][i % 2]},
            },
        }
        for i in range(30)
    ]
    assert vocabulary(fields, rows) == (
        "a", "b", "suite", "view", "1", "2", "3", "Oslo", "Rome"
    )  # fmt: skip
    assert vocabulary(fields, []) == ("a", "b", "1", "2", "3")


@pytest.mark.parametrize(
    ("text", "value", "times"),
    [
        ("Billing and BILLING, prebilling", "billing", 2),
        ("for 4 people at 4pm, 14 or 4.", "4", 2),
        ("New  York\nNew\nYork, Newyork", "new york", 2),
        ("東京駅と東京", "東京", 2),
        ("Fernwaveが", "Fernwave", 1),
        ("aa aa aa", "aa aa", 2),
    ],
)
def test_a_value_stands_as_whole_words(text, value, times):
    """Whatever its case and spaces; in scripts without case wherever its characters stand."""
    assert len(Decisive((value,)).spans(text)) == times


# --- each perturbation ---


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", PERTURBATIONS)
def test_words_of_the_record_stay(name, seed):
    """The record is right for the perturbed text too, or the score would count a lie."""
    words = WORD.findall(one(name, seed=seed))
    assert [word for word in words if word in KEPT] == [
        word for word in WORD.findall(TEXT) if word in KEPT
    ]


def test_a_row_is_perturbed_alike_whatever_stands_beside_it():
    """More rows or other perturbations change no earlier answer: the API is not asked again."""
    others = [
        {"id": f"o{i}", "text": f"Some other text with number {i}.", "record": {}} for i in range(4)
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


def test_typos_hit_no_value_and_no_number():
    """Neither the text's own values, nor others that the field could have, nor four."""
    text, record = "four italian dinners", {"cuisine": "Italian"}
    assert {one("typos", text, record, seed) for seed in range(9)} <= {
        f"four italian {word}" for word in (one("typos", "dinners", {}, s) for s in range(9))
    } | {text.replace("dinners", word) for word in _near("dinners")}
    assert maybe("typos", "four thai", {}, known=("thai",)) is None


def _near(word: str) -> set[str]:
    return {perturbation._misspelt(word, random.Random(seed)) for seed in range(500)}


def test_jargon_takes_whole_words_only():
    """`account` becomes `acct`, `accountable` does not, nor does a word of the record."""
    text = one("jargon", "Your accountable account, please: order it", {"what": "order"})
    assert text == "ur accountable acct, pls: order it"
    # nor what would be written like a value
    assert one("jargon", "Your flat in the street", {}, known=("Str",)) == "ur flat in the street"


def test_reordering_keeps_every_sentence():
    """The same sentences, in another order, in their own paragraph."""
    text = one("reordered")

    def split(whole: str) -> list[list[str]]:
        return [re.split(r"(?<=[.!?]) ", line) for line in whole.split("\n")]

    assert [sorted(line) for line in split(text)] == [sorted(line) for line in split(TEXT)]
    assert maybe("reordered", "One sentence. One sentence.", {}) is None


@pytest.mark.parametrize(
    "text",
    [
        "Now $119. 95 each",
        "Use it e.g. On Mondays",
        "Ask J. Smith",
        "Ask Dr. Smith",
        "It was approx. a week",
        "Call 555. 1234",
        "See the U.S. Office",
        "Read sect. 5 today",
    ],
)
def test_no_sentence_ends_inside_a_price_an_abbreviation_or_a_name(text):
    """'$119. 95' became '95 $119.'"""
    for seed in range(5):
        assert maybe("reordered", text, {}, seed) is None
        assert text in one("reordered", f"{text}. It is fine. We are glad.", {}, seed)


def test_no_sentence_ends_inside_a_value():
    """A product may be called Yahoo! Mail."""
    text = "It is Yahoo! Mail again. It is slow. It is old."
    kept = Kept(decisive=tuple(Decisive(("Yahoo! Mail",)).spans(text)))
    for seed in range(20):
        found = PERTURBATIONS["reordered"](text, kept, random.Random(seed))
        assert "It is Yahoo! Mail again." in found


def test_sentences_with_values_or_numbers_keep_their_order():
    """'For 4. No, 6.' is not 'No, 6. For 4.', nor is thai instead of french the other way round."""
    text = (
        "A table for 4. It is late. No, make it 6. French food. Or rather thai food. Many thanks."
    )
    for seed in range(20):
        found = one("reordered", text, {}, seed, ("french", "thai"))
        places = [found.index(part) for part in ("4", "6", "French", "thai")]
        assert places == sorted(places)


@pytest.mark.parametrize("name", ["quoted_thread", "signature"])
def test_what_is_added_stands_below(name):
    """The text itself is untouched."""
    assert one(name).startswith(TEXT + "\n\n") and len(one(name)) > len(TEXT) + 20


def test_formatting_changes_no_word_but_its_case():
    """Spaces, breaks and full stops go astray; nothing is said otherwise."""
    for seed in range(20):
        text = PERTURBATIONS["formatting"](TEXT, Kept(), random.Random(seed))
        words = [word.casefold() for word in WORD.findall(text) if word != "br"]
        assert words == [word.casefold() for word in WORD.findall(TEXT)]


def test_formatting_joins_no_numbers():
    """A line break between two numbers may be all that tells them apart."""
    for seed in range(20):
        assert "4\n2" in one("formatting", "We are 4\n2 of us are small\nBye for now", {}, seed)


def test_an_unknown_name_is_refused():
    with pytest.raises(
        UserError, match=r"^robustness\.texts\.perturbations: expected some of typos, "
    ):
        perturb([ROW], ["noise"], 0)


def test_auto_is_what_such_texts_are_met_with():
    """No mail footer under a chat or a price; a list of one's own counts whatever the texts are."""
    assert chosen("mail", "auto") == tuple(PERTURBATIONS)
    for kind in ("chat", "snippet"):
        assert not {"signature", "quoted_thread"} & set(chosen(kind, "auto"))
    assert chosen("snippet", ["signature"]) == ("signature",)
    assert all(set(names) <= set(PERTURBATIONS) for names in KINDS.values())
