"""The built-in task's corpus: customer-support emails made from hand-written templates.

All wording is in ``situations.yaml``, whose head states how a record follows from the text.
The same arguments give the same bytes on every run: one ``random.Random(seed)`` is the only
source of chance, and nothing depends on the order of a set or on ``PYTHONHASHSEED``.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lora_vs_api.data.shares import check_shares, largest_remainder, spread
from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row

SENTIMENTS = ("positive", "neutral", "negative")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July",
    "August", "September", "October", "November", "December",
)  # fmt: skip
# what only examples tell, said in the report as a limitation of the comparison
CONVENTIONS = (
    "The base value of urgency for each situation is this corpus's own scale; the instruction "
    "does not state it.",
    "The wording of primary_request is one fixed phrase for each request; a paraphrase counts as "
    "wrong.",
)
# at a text not seen yet, before the templates count as used up
MAX_TRIES = 1000


@dataclass(frozen=True)
class Body:
    request: str
    text: str


@dataclass(frozen=True)
class Situation:
    id: str
    category: str
    kind: str
    urgency: int
    products: tuple[str, ...]
    subjects: tuple[str, ...]
    bodies: tuple[Body, ...]


@dataclass(frozen=True)
class Templates:
    """The content of ``situations.yaml``."""

    situations: tuple[Situation, ...]
    products: Mapping[str, tuple[str, ...]]
    phrases: Mapping[str, tuple[str, ...]]
    tone: Mapping[str, Mapping[str, tuple[str, ...]]]
    urgency_cues: Mapping[int, tuple[str, ...]]
    details: Mapping[str, tuple[str, ...]]
    second_mention: Mapping[str, Mapping[str, tuple[str, ...]]]

    @property
    def categories(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(situation.category for situation in self.situations))

    @property
    def catalogue(self) -> tuple[str, ...]:
        return tuple(product for group in self.products.values() for product in group)


@lru_cache(maxsize=1)
def load_templates() -> Templates:
    """Read ``situations.yaml``, which stands beside this module."""
    raw = yaml.safe_load(Path(__file__).with_name("situations.yaml").read_text(encoding="utf-8"))
    situations = tuple(
        Situation(
            id=entry["id"],
            category=entry["category"],
            kind=entry["kind"],
            urgency=entry["urgency"],
            products=tuple(name for group in entry["products"] for name in raw["products"][group]),
            subjects=tuple(entry["subjects"]),
            bodies=tuple(
                Body(request, text)
                for request, texts in entry["requests"].items()
                for text in texts
            ),
        )
        for entry in raw["situations"]
    )
    phrases = ("greetings", "introductions", "closings", "first_names", "last_names")
    return Templates(
        situations=situations,
        products={group: tuple(names) for group, names in raw["products"].items()},
        phrases={name: tuple(raw[name]) for name in phrases},
        tone={
            sentiment: {kind: tuple(texts) for kind, texts in kinds.items()}
            for sentiment, kinds in raw["tone"].items()
        },
        urgency_cues={shift: tuple(texts) for shift, texts in raw["urgency_cues"].items()},
        details={category: tuple(texts) for category, texts in raw["details"].items()},
        second_mention={
            category: {group: tuple(texts) for group, texts in groups.items()}
            for category, groups in raw["second_mention"].items()
        },
    )


def generate_corpus(
    n: int,
    seed: int,
    categories: Mapping[str, float],
    sentiments: Mapping[str, float],
    templates: Templates | None = None,
) -> list[Row]:
    """Write ``n`` different emails with their records.

    Category and sentiment counts follow the shares exactly (largest remainder); sentiments are
    spread evenly over the categories, situations evenly within a category. Time and memory
    grow linearly with ``n``.

    Args:
        n: number of emails, at least 1.
        seed: decides everything else.
        categories: category → share, summing to 1; a category left out gets no email.
        sentiments: the same for positive, neutral and negative.
        templates: other wording than the built-in one.

    Returns:
        Corpus rows ``{"id", "text", "record", "meta": {"situation"}}`` in shuffled order, with
        ids ``email-00001``… in that order.

    Raises:
        UserError: shares that are not shares, or an ``n`` for which the templates do not hold
            enough different emails.
    """
    templates = templates or load_templates()
    if n < 1:
        raise UserError(f"data.n: expected at least 1 email, found {n}")
    check_shares(categories, "data.categories", templates.categories)
    check_shares(sentiments, "data.sentiments", SENTIMENTS)
    rng = random.Random(seed)
    seen: set[str] = set()
    rows: list[Row] = []
    for situation, sentiment in _plan(n, categories, sentiments, templates, rng):
        for _ in range(MAX_TRIES):
            text, record = _write(situation, sentiment, templates, rng)
            if text not in seen:
                break
        else:
            raise UserError(
                f"data.n: the templates ran out of new emails for situation {situation.id} "
                f"after {len(rows)} emails; expected n below that, found {n}"
            )
        seen.add(text)
        # the id takes its place as the first key; which it is depends on the order
        rows.append({"id": "", "text": text, "record": record, "meta": {"situation": situation.id}})
    rng.shuffle(rows)
    for number, row in enumerate(rows, start=1):
        row["id"] = f"email-{number:05d}"
    return rows


def _plan(
    n: int,
    categories: Mapping[str, float],
    sentiments: Mapping[str, float],
    templates: Templates,
    rng: random.Random,
) -> list[tuple[Situation, str]]:
    """The situation and sentiment of each email, in random order."""
    sentiment_sequence = spread(largest_remainder(n, sentiments))
    plan: list[tuple[Situation, str]] = []
    for category, count in largest_remainder(n, categories).items():
        situations = [entry for entry in templates.situations if entry.category == category]
        # the slice of an even sequence has the right mix; shuffled, it is independent of the
        # situations, which take turns
        mix = sentiment_sequence[len(plan) : len(plan) + count]
        rng.shuffle(mix)
        plan += [
            (situations[place % len(situations)], sentiment) for place, sentiment in enumerate(mix)
        ]
    # so that texts which run out do so after a fair share of all situations
    rng.shuffle(plan)
    return plan


def _write(
    situation: Situation, sentiment: str, templates: Templates, rng: random.Random
) -> tuple[str, dict[str, Any]]:
    """Write one email and the record that its text implies."""
    phrases = templates.phrases
    first_name = rng.choice(phrases["first_names"])
    name = f"{first_name} {rng.choice(phrases['last_names'])}"
    body = rng.choice(situation.bodies)
    slots = _slots(situation, name, templates, rng)
    subject = rng.choice(situation.subjects) if rng.random() < 0.5 else ""
    introduction = rng.choice(phrases["introductions"]) if rng.random() < 0.15 else ""
    tone = rng.choice(templates.tone[sentiment]["any"] + templates.tone[sentiment][situation.kind])
    shift = _urgency_shift(situation, rng)
    cue = rng.choice(templates.urgency_cues[shift]) if shift else ""
    details = templates.details[situation.category]
    detail = rng.choice(details) if rng.random() < 0.6 else ""
    second = ""
    if "product}" in body.text and rng.random() < 0.25:
        second = _second_mention(situation, slots["product"], templates, rng)

    tone_first = sentiment != "neutral" and rng.random() < 0.5
    sentences = [introduction, tone if tone_first else "", body.text, detail, second]
    sentences += ["" if tone_first else tone, cue]
    paragraph = " ".join(filter(None, sentences)).format_map(slots)
    # who has given the full name at the start may sign with the first name only
    signature = first_name if introduction and rng.random() < 0.5 else name
    parts = [rng.choice(phrases["greetings"]), paragraph]
    parts.append(f"{rng.choice(phrases['closings'])}\n{signature}")
    if subject:
        parts.insert(0, f"Subject: {subject.format_map(slots)}")
    text = "\n\n".join(parts)
    return text, {
        "customer_name": name,
        "issue_category": situation.category,
        "urgency": min(5, max(1, situation.urgency + shift)),
        "primary_request": body.request.format_map(slots),
        "mentioned_products": mentioned_products(text, templates),
        "sentiment": sentiment,
    }


def _urgency_shift(situation: Situation, rng: random.Random) -> int:
    """-1, 0 or 1, as the email's urgency cue will say; 0 in half of all emails."""
    draw = rng.random()
    if draw < 0.5:
        return 0
    # nobody writes "no rush" about a hacked account
    return 1 if draw < 0.75 or situation.urgency == 5 else -1


def _second_mention(
    situation: Situation, first: str, templates: Templates, rng: random.Random
) -> str:
    """A sentence about another product than the first."""
    sentences = templates.second_mention[situation.category]
    choices = [
        (group, product)
        for group in sentences
        for product in templates.products[group]
        if product != first
    ]
    group, product = rng.choice(choices)
    return rng.choice(sentences[group]).replace("{second}", product)


def _slots(
    situation: Situation, name: str, templates: Templates, rng: random.Random
) -> dict[str, str]:
    """A value for each slot a template may hold."""
    day, month = rng.randint(1, 28), rng.randint(1, 12)
    dates = (
        f"{day} {MONTHS[month - 1]}",
        f"{MONTHS[month - 1]} {day}",
        f"{day:02d}/{month:02d}/2026",
        f"2026-{month:02d}-{day:02d}",
    )
    product = rng.choice(situation.products)
    is_device = product in templates.products["devices"]
    price = f"{rng.randint(4, 120)}.{rng.choice(('00', '50', '90', '95', '99'))}"
    number = rng.randint(10_000, 99_999)
    return {
        "name": name,
        "product": product,
        "the_product": f"the {product}" if is_device else product,
        "date": rng.choice(dates),
        "amount": rng.choice((f"${price}", f"{price} USD", f"€{price}", f"{price} EUR")),
        "order": rng.choice((f"#{number}", f"{number}", f"KX-{number}")),
        "invoice": f"INV-{number}",
        "code": f"{rng.choice('ABEFHKPR')}-{rng.randint(100, 999)}",
        "count": str(rng.randint(3, 25)),
    }


def mentioned_products(text: str, templates: Templates | None = None) -> list[str]:
    """The catalogue's products named in ``text``, in order of first mention."""
    catalogue = (templates or load_templates()).catalogue
    places = ((text.find(product), product) for product in catalogue)
    return [product for place, product in sorted(places) if place >= 0]


_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_DATE = re.compile(
    rf"\d{{4}}-\d\d-\d\d|\d\d?/\d\d?/\d{{4}}"
    rf"|\d\d? (?:{'|'.join(MONTHS)})\b|\b(?:{'|'.join(MONTHS)}) \d\d?\b"
)
_AMOUNT = re.compile(r"[$€£]\s?\d[\d.,]*\d|\b\d[\d.,]*\d? (?:USD|EUR|GBP)\b")
_ORDER = re.compile(r"#\d+|\b[A-Z]{1,4}-\d+\b|\b\d{5,}\b")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAMES = re.compile(r"<name>(?: <name>)+")


@lru_cache(maxsize=1)
def _known_words() -> tuple[re.Pattern[str], frozenset[str]]:
    templates = load_templates()
    products = sorted(templates.catalogue, key=len, reverse=True)
    names = templates.phrases["first_names"] + templates.phrases["last_names"]
    return re.compile("|".join(map(re.escape, products))), frozenset(names)


def masked(text: str) -> str:
    """Replace what varies between emails of one template by placeholders.

    In this order: catalogue products → ``<product>``, dates → ``<date>``, amounts of money →
    ``<amount>``, order, invoice and error numbers → ``<id>``, other numbers → ``<number>``, and
    the first and last names of ``situations.yaml`` → ``<name>`` (a full name gives one).
    Everything else, spacing and case included, stays.
    """
    products, names = _known_words()
    text = products.sub("<product>", text)
    text = _DATE.sub("<date>", text)
    text = _AMOUNT.sub("<amount>", text)
    text = _ORDER.sub("<id>", text)
    text = _NUMBER.sub("<number>", text)
    text = _WORD.sub(lambda word: "<name>" if word[0] in names else word[0], text)
    return _NAMES.sub("<name>", text)


def repeated_after_masking(texts: Iterable[str]) -> list[bool]:
    """For each text, whether an earlier one is the same after `masked`; linear time.

    All their sentences have to be the same: emails that share a body but differ in greeting, tone
    or closing do not count.
    """
    seen: set[str] = set()
    repeated = []
    for text in texts:
        key = masked(text)
        repeated.append(key in seen)
        seen.add(key)
    return repeated


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Counts that describe a generated corpus.

    Returns:
        ``texts``, ``categories`` and ``sentiments`` (counts by name, in the templates' order),
        ``repeated_after_masking`` (how many are; see that function), ``words_mean`` (whitespace-separated words
        per email, subject and signature included, to one decimal), and ``conventions``, what no
        reader of one email could know.
    """
    texts = [row["text"] for row in rows]
    categories = Counter(row["record"]["issue_category"] for row in rows)
    sentiments = Counter(row["record"]["sentiment"] for row in rows)
    return {
        "texts": len(rows),
        "categories": {name: categories[name] for name in load_templates().categories},
        "sentiments": {name: sentiments[name] for name in SENTIMENTS},
        "repeated_after_masking": sum(repeated_after_masking(texts)),
        "words_mean": round(sum(len(text.split()) for text in texts) / len(texts), 1),
        "conventions": list(CONVENTIONS),
    }
