"""Perturbed texts, their records left as they are: how a model takes what it was not trained on.

Behavioural testing by perturbation, after Ribeiro et al., Beyond Accuracy: Behavioral Testing of
NLP Models with CheckList (2020): the record of a perturbed text is that of the text itself (an
invariance test). So that this holds, no perturbation touches a word that stands in the record.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from lora_vs_api.record.rows import PerturbedRow, Row

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
# neighbours on a US keyboard
NEAR = {
    "q": "wa", "w": "qes", "e": "wrd", "r": "etf", "t": "ryg", "y": "tuh", "u": "yij",
    "i": "uok", "o": "ipl", "p": "ol", "a": "qsz", "s": "awdx", "d": "sefc", "f": "drgv",
    "g": "fthb", "h": "gyjn", "j": "hukm", "k": "jil", "l": "ko", "z": "asx", "x": "zdc",
    "c": "xfv", "v": "cgb", "b": "vhn", "n": "bjm", "m": "nk",
}  # fmt: skip
MISSPELT = 0.12  # of the words of four letters or more
# phrases and what people in a hurry write for them, longest first
JARGON = {
    "as soon as possible": "ASAP", "for your information": "FYI", "by the way": "btw",
    "let me know": "lmk", "as far as i know": "AFAIK", "in my opinion": "imo",
    "thank you": "thx", "thanks": "thx", "please": "pls", "because": "bc", "without": "w/o",
    "with": "w/", "before": "b4", "you are": "ur", "your": "ur", "you": "u", "are": "r",
    "and": "&", "about": "abt", "message": "msg", "messages": "msgs", "number": "no.",
    "account": "acct", "payment": "pmt", "invoice": "inv", "password": "pwd", "customer": "cust",
    "request": "req", "information": "info", "quantity": "qty", "reference": "ref",
    "delivery": "dlvy", "order": "ord", "tomorrow": "tmrw", "today": "2day", "minutes": "min",
    "hours": "hrs", "weeks": "wks", "week": "wk", "months": "mos", "month": "mo", "years": "yrs",
    "street": "str.", "apartment": "apt", "people": "ppl", "something": "smth",
    "tonight": "2nite", "great": "gr8", "for": "4", "to": "2",
}  # fmt: skip
THREADS = (
    "On {day}, at {hour}:{minute}, Support wrote:\n> Thank you for your message.\n"
    "> We have received it and will answer within two working days.\n"
    "> Please do not reply to this address.",
    "-----Original Message-----\nFrom: no-reply\nSent: {day} {hour}:{minute}\n"
    "Subject: We have got your message\n\nThis is an automatic answer. Somebody will read your "
    "message soon.",
    "> {day} {hour}:{minute}, noreply:\n>\n> > Your message is in our queue.\n> > Nothing else is "
    "needed from you for now.",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
SIGNATURES = (
    "-- \nSent from my phone",
    "--\nSent from my mobile device. Please excuse brevity and typos.",
    "________________________________\nThis message and its attachments are confidential and meant "
    "for the addressee alone. If you have received it in error, please delete it.",
    "--\nPlease consider the environment before printing this.",
    "*****\nThis message was checked for viruses. No virus was found.",
)


def typos(text: str, kept: frozenset[str], rng: random.Random) -> str:
    """About one word in eight misspelt: letters swapped, left out, doubled or hit beside."""

    able = [
        found
        for found in WORD.finditer(text)
        if len(found[0]) > 3 and found[0].isalpha() and found[0].casefold() not in kept
    ]
    # at least one, or a short text would often stay as it is
    chosen = rng.sample(able, min(len(able), max(1, round(MISSPELT * len(able)))))
    for found in sorted(chosen, key=lambda found: -found.start()):
        text = text[: found.start()] + _misspelt(found[0], rng) + text[found.end() :]
    return text


def _misspelt(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    near = NEAR.get(word[at].lower())
    choices = [word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]]
    if near is not None:
        choices.append(word[:at] + rng.choice(near) + word[at + 1 :])
    if word[at] != word[at + 1]:
        choices.append(word[:at] + word[at + 1] + word[at] + word[at + 2 :])
    return rng.choice(choices)


def formatting(text: str, kept: frozenset[str], rng: random.Random) -> str:
    """As it arrives from a web form or a phone: case, line breaks, spaces and full stops adrift."""
    text = _each_word(text, kept, rng.choice((str.lower, str.lower, str.upper)))
    breaks = rng.choice((" ", "<br>", "\n\n\n", "\r\n", " | "))
    text = re.sub(r"\s*\n\s*", breaks.replace("\\", r"\\"), text)
    if rng.random() < 0.5:
        text = re.sub(r"(?<=[^\W\d])[.,](?=\s|$)", "", text)
    return re.sub(r"(?<=\S) (?=\S)", lambda _: rng.choice((" ", " ", " ", "  ", "\u00a0")), text)


def jargon(text: str, kept: frozenset[str], rng: random.Random) -> str:
    """Abbreviations where there are some."""
    phrases = "|".join(sorted(map(re.escape, JARGON), key=len, reverse=True))

    def shorten(found: re.Match[str]) -> str:
        words = {word.casefold() for word in WORD.findall(found[0])}
        return found[0] if words & kept else JARGON[found[0].casefold()]

    return re.sub(rf"(?<![\w'’])(?:{phrases})(?![\w'’])", shorten, text, flags=re.IGNORECASE)


def quoted_thread(text: str, kept: frozenset[str], rng: random.Random) -> str:
    """An automatic answer to an earlier message, quoted below."""
    thread = rng.choice(THREADS).format(
        day=rng.choice(DAYS), hour=f"{rng.randrange(24):02}", minute=f"{rng.randrange(60):02}"
    )
    return f"{text}\n\n{thread}"


def signature(text: str, kept: frozenset[str], rng: random.Random) -> str:
    """What a mail program or a company adds below."""
    return f"{text}\n\n{rng.choice(SIGNATURES)}"


def reordered(text: str, kept: frozenset[str], rng: random.Random) -> str:
    """The sentences of every paragraph of two or more in another order."""

    def shuffle(paragraph: str) -> str:
        sentences = re.split(r"(?<=[.!?]) +", paragraph)
        if len(set(sentences)) < 2:
            return paragraph
        while True:
            other = rng.sample(sentences, len(sentences))
            if other != sentences:
                return " ".join(other)

    return "\n".join(shuffle(paragraph) for paragraph in text.split("\n"))


PERTURBATIONS: dict[str, Callable[[str, frozenset[str], random.Random], str]] = {
    "typos": typos,
    "formatting": formatting,
    "jargon": jargon,
    "quoted_thread": quoted_thread,
    "signature": signature,
    "reordered": reordered,
}


def perturb(rows: Sequence[Row], names: Sequence[str], seed: int) -> list[PerturbedRow]:
    """Every row under every perturbation of ``names``, rows in order within each.

    Returns rows ``{"id": "ID~NAME", "of": ID, "perturbation": NAME, "changed": whether the text
    is another one now, "text", "record"}``. What is drawn for a row depends on its id, the name
    and the seed alone, so that another choice of rows or names leaves it as it was.

    Raises:
        UserError: a name that is none of :data:`PERTURBATIONS`.
    """
    for name in names:
        if name not in PERTURBATIONS:
            raise UserError(
                f"robustness.texts.perturbations: expected some of {', '.join(PERTURBATIONS)}, found {name!r}"
            )
    return [
        {
            "id": f"{row['id']}~{name}",
            "of": row["id"],
            "perturbation": name,
            "changed": text != row["text"],
            "text": text,
            "record": row["record"],
        }
        for name in names
        for row in rows
        for text in [
            PERTURBATIONS[name](
                row["text"], _words(row["record"]), random.Random(f"{seed}/{name}/{row['id']}")
            )
        ]
    ]


def _each_word(text: str, kept: frozenset[str], change: Callable[[str], str]) -> str:
    return WORD.sub(
        lambda found: found[0] if found[0].casefold() in kept else change(found[0]), text
    )


def _words(value: Any) -> frozenset[str]:
    """Every word of every value in a record, case folded."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return frozenset().union(*map(_words, value))
    return frozenset(word.casefold() for word in WORD.findall(str(value)))
