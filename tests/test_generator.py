"""The email generator: exact counts, records that follow from the text, the same bytes again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import string
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_vs_api.data.generator import (
    SENTIMENTS,
    generate_corpus,
    load_templates,
    masked,
    mentioned_products,
    repeated_after_masking,
    summarise,
)
from lora_vs_api.data.shares import largest_remainder, spread
from lora_vs_api.errors import UserError

CATEGORIES = {"billing": 0.22, "technical": 0.22, "account": 0.22, "shipping": 0.22, "other": 0.12}
SHARES = {"positive": 0.20, "neutral": 0.45, "negative": 0.35}


@pytest.fixture(scope="module")
def corpus():
    return generate_corpus(2000, 0, CATEGORIES, SHARES)


def test_published_counts(corpus):
    """The publication's counts: 440 of four categories, 240 other, 20/45/35 % sentiment."""
    summary = summarise(corpus)
    assert summary["categories"] == {
        "billing": 440, "technical": 440, "account": 440, "shipping": 440, "other": 240,
    }  # fmt: skip
    assert summary["sentiments"] == {"positive": 400, "neutral": 900, "negative": 700}
    assert [row["id"] for row in corpus] == [f"email-{k:05d}" for k in range(1, 2001)]
    assert len({row["text"] for row in corpus}) == 2000


def test_sentiments_and_situations_are_spread(corpus):
    """No category carries a sentiment of its own, and every situation gets its turn."""
    for category, share in CATEGORIES.items():
        counts = Counter(
            row["record"]["sentiment"]
            for row in corpus
            if row["record"]["issue_category"] == category
        )
        for sentiment, part in SHARES.items():
            assert abs(counts[sentiment] - 2000 * share * part) <= 2
    situations = Counter(row["meta"]["situation"] for row in corpus)
    assert len(situations) == 30
    assert max(situations.values()) - min(situations.values()) <= 440 / 6 - 240 / 6 + 1


def test_emails_are_short(corpus):
    """Long emails would not fit the laptop profile's training budget."""
    lengths = [len(row["text"].split()) for row in corpus]
    assert max(lengths) <= 90
    assert 40 <= sum(lengths) / len(lengths) <= 60


def test_records_follow_from_the_text(corpus):
    """A record recomputed from nothing but the text and the templates equals the given one."""
    templates = load_templates()
    situations = {situation.id: situation for situation in templates.situations}
    cues = {text: shift for shift, texts in templates.urgency_cues.items() for text in texts}
    tones = {
        text: sentiment
        for sentiment, kinds in templates.tone.items()
        for texts in kinds.values()
        for text in texts
    }
    names = templates.phrases
    name = re.compile(rf"(?:{'|'.join(names['first_names'])}) (?:{'|'.join(names['last_names'])})")
    for row in corpus:
        text, record = row["text"], row["record"]
        situation = situations[row["meta"]["situation"]]
        shifts = [shift for cue, shift in cues.items() if cue in text]
        assert len(shifts) <= 1
        assert record["urgency"] == min(5, max(1, situation.urgency + sum(shifts)))
        assert {sentiment for tone, sentiment in tones.items() if tone in text} == {
            record["sentiment"]
        }
        assert set(name.findall(text)) == {record["customer_name"]}
        assert record["mentioned_products"] == mentioned_products(text)
        assert len(record["mentioned_products"]) <= 2
        matching = {body.request for body in situation.bodies if _pattern(body.text).search(text)}
        assert len(matching) == 1
        assert _pattern(matching.pop()).fullmatch(record["primary_request"])
        for product in mentioned_products(record["primary_request"]):
            assert product == record["mentioned_products"][0]


def _pattern(template: str) -> re.Pattern[str]:
    parts = [re.escape(part) for part, *_ in string.Formatter().parse(template)]
    ends_in_slot = template.endswith("}")
    return re.compile(".{1,40}?".join(parts) + (".{1,40}?" if ends_in_slot else ""))


def test_templates_are_sound():
    """A hint of mood in a body, or a request without its product, would mislabel emails."""
    templates = load_templates()
    assert len(templates.situations) == len({entry.id for entry in templates.situations}) == 30
    assert len(templates.catalogue) == 12
    feelings = re.compile(
        r"(?i)\b(urgent|rush|hurry|asap|immediately|soon|angry|annoy|terrible|awful|happy|love|"
        r"great|wonderful|frustrat|disappoint|unaccept|sadly|unfortunately)"
    )
    plain = [text for texts in templates.details.values() for text in texts]
    owners: dict[str, str] = {}
    for situation in templates.situations:
        assert 1 <= situation.urgency <= 5 and situation.kind in ("problem", "question")
        assert len(situation.bodies) >= 4
        plain += situation.subjects
        for body in situation.bodies:
            plain.append(body.text)
            assert owners.setdefault(body.request, situation.id) == situation.id
            assert owners.setdefault(body.text, situation.id) == situation.id
            assert 2 <= len(body.request.split()) <= 8
            if "{product}" in body.request:
                assert "product}" in body.text
    assert [text for text in plain if feelings.search(text)] == []
    words = {word for text in plain for word in re.findall(r"\w+", text)}
    names = {*templates.phrases["first_names"], *templates.phrases["last_names"]}
    assert words & names == set()
    assert {entry.category for entry in templates.situations} == set(CATEGORIES)


def test_same_bytes_under_any_hash_seed():
    """Committed metrics and DVC's cache rely on the corpus being the same in every process."""
    code = (
        "import json, hashlib; from lora_vs_api.data.generator import generate_corpus;"
        f"rows = generate_corpus(300, 7, {CATEGORIES!r}, {SHARES!r});"
        "print(hashlib.sha256(json.dumps(rows).encode()).hexdigest())"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "12345")
    ]
    digests = {run.communicate()[0].strip() for run in runs}
    here = json.dumps(generate_corpus(300, 7, CATEGORIES, SHARES)).encode()
    assert digests == {hashlib.sha256(here).hexdigest()}


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 200),
    seed=st.integers(0, 2**32),
    weights=st.lists(st.integers(0, 20), min_size=8, max_size=8).filter(
        lambda w: sum(w[:5]) and sum(w[5:])
    ),
)
def test_any_shares_give_exact_counts(n, seed, weights):
    """Counts are the largest-remainder counts for every n, seed and mix."""
    categories = {name: w / sum(weights[:5]) for name, w in zip(CATEGORIES, weights[:5])}
    sentiments = {name: w / sum(weights[5:]) for name, w in zip(SENTIMENTS, weights[5:])}
    rows = generate_corpus(n, seed, categories, sentiments)
    counted = Counter(row["record"]["issue_category"] for row in rows)
    assert {name: counted[name] for name in categories} == largest_remainder(n, categories)
    counted = Counter(row["record"]["sentiment"] for row in rows)
    assert {name: counted[name] for name in sentiments} == largest_remainder(n, sentiments)
    assert rows == generate_corpus(n, seed, categories, sentiments)


def test_seed_changes_the_corpus():
    """A seed that did nothing would make every corpus the same."""
    assert generate_corpus(50, 0, CATEGORIES, SHARES) != generate_corpus(50, 1, CATEGORIES, SHARES)


@pytest.mark.parametrize(
    ("categories", "sentiments", "message"),
    [
        ({"billing": 0.5, "sales": 0.5}, SHARES, "data.categories.sales: unknown name"),
        ({"billing": 0.5, "other": 0.4}, SHARES, "data.categories: expected shares that sum to 1"),
        (CATEGORIES, {"neutral": "1"}, "data.sentiments.neutral: expected a share"),
        (CATEGORIES, {"neutral": 1.5, "negative": -0.5}, "data.sentiments.neutral: expected a"),
        (CATEGORIES, {}, "data.sentiments: expected names with shares"),
        (CATEGORIES, {"neutral": float("nan")}, "data.sentiments.neutral: expected a share"),
    ],
)
def test_wrong_shares_name_the_key(categories, sentiments, message):
    """The user is told which key to change."""
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        generate_corpus(10, 0, categories, sentiments)


def test_too_many_emails_say_so():
    """When the templates are used up the generator stops with the number it reached."""
    full = load_templates()
    one = dataclasses.replace(
        full.situations[0],
        bodies=(dataclasses.replace(full.situations[0].bodies[0], text="Please help."),),
        subjects=("Help",),
    )
    small = dataclasses.replace(
        full,
        situations=(one,),
        phrases={
            **full.phrases, "first_names": ("Ann",), "last_names": ("Lee",),
            "greetings": ("Hi,",), "introductions": ("I am {name}.",), "closings": ("Best,",),
        },
        tone={**full.tone, "neutral": {"any": ("One question.",), "problem": ()}},
        urgency_cues={1: ("Urgent.",), -1: ("No rush.",)},
        details={"billing": ("Paid by card.",)},
    )  # fmt: skip
    # 2 subject × 2 detail × 3 cue × 3 (no introduction, or one with either signature)
    assert len(generate_corpus(36, 0, {"billing": 1}, {"neutral": 1}, small)) == 36
    with pytest.raises(UserError, match="data.n: .* after 36 emails; expected n below that.* 37"):
        generate_corpus(37, 0, {"billing": 1}, {"neutral": 1}, small)


def test_masking_hides_what_varies():
    """Two fillings of one template are the same once masked; with another greeting they are not."""
    first = (
        "Hi,\n\nI paid $49.99 for the Lumora Lamp on 3 March, order #48213, and again 12 days "
        "later with code E-217.\n\nBest,\nAiko O'Brien"
    )
    second = (
        "Hi,\n\nI paid 7.50 EUR for the Ostra Camera on 2026-11-02, order KX-20417, and again 3 "
        "days later with code K-900.\n\nBest,\nJosé Dąbrowski"
    )
    assert masked(first) == (
        "Hi,\n\nI paid <amount> for the <product> on <date>, order <id>, and again <number> days "
        "later with code <id>.\n\nBest,\n<name>"
    )
    assert repeated_after_masking([first, second, "Hello" + first[2:]]) == [False, True, False]
    assert sum(repeated_after_masking([first, first, second])) == 2


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 40), min_size=1, max_size=6))
def test_spread_keeps_counts_and_proportions(counts):
    """Every stretch of the sequence has about each label's share, which stratifying relies on."""
    sequence = spread(counts)
    assert Counter(sequence) == Counter({name: count for name, count in counts.items() if count})
    for name, count in counts.items():
        for end in range(len(sequence) + 1):
            expected = end * count / max(1, len(sequence))
            assert abs(sequence[:end].count(name) - expected) <= len(counts)
