"""Perturbed texts, their records left as they are: how a model takes what it was not trained on.

Behavioural testing by perturbation, after Ribeiro et al., Beyond Accuracy: Behavioral Testing of
NLP Models with CheckList (2020): the record of a perturbed text is that of the text itself (an
invariance test). That holds on any task because of a rule, which every perturbed text keeps:

(a) every string and number of its record that stood in the text still stands there, as it was
    written and as often;
(b) every value that a field could have taken (an enum's, and those of the training split for
    fields that take few: :func:`lora_vs_api.data.decisive.vocabulary`) stands there as often as
    before, so none is new and none is gone;
(c) the runs of digits are the same, in the same order, and so are the words for numbers, as often.

Where a value stands, is said by :class:`lora_vs_api.data.decisive.Decisive`. A perturbation leaves
alone what the rule is about, single words of the record, and tokens with a digit in them; sentences
that hold a value or a number keep their order. What it makes is then held against the rule, a few
draws are tried, and where none keeps it or none changes anything the perturbation is not applied to
that text. So each is applied to some of the texts, and is judged on those alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_vs_api.data.decisive import WORD, Decisive, Span, number_spans
from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from lora_vs_api.record.rows import PerturbedRow, Row

# draws until one keeps the rule
ATTEMPTS = 8
# neighbours on a US keyboard
NEAR = {
    "q": "wa", "w": "qes", "e": "wrd", "r": "etf", "t": "ryg", "y": "tuh", "u": "yij",
    "i": "uok", "o": "ipl", "p": "ol", "a": "qsz", "s": "awdx", "d": "sefc", "f": "drgv",
    "g": "fthb", "h": "gyjn", "j": "hukm", "k": "jil", "l": "ko", "z": "asx", "x": "zdc",
    "c": "xfv", "v": "cgb", "b": "vhn", "n": "bjm", "m": "nk",
}  # fmt: skip
MISSPELT = 0.12  # of the words of four letters or more
# Phrases and what people in a hurry write for them. None is written with a digit (2 for to, 4 for
# for): a bare number may be what decides a field.
JARGON = {
    "as soon as possible": "ASAP", "for your information": "FYI", "by the way": "btw",
    "let me know": "lmk", "as far as i know": "AFAIK", "in my opinion": "imo",
    "thank you": "thx", "thanks": "thx", "please": "pls", "because": "bc", "without": "w/o",
    "with": "w/", "you are": "ur", "your": "ur", "you": "u", "are": "r",
    "and": "&", "about": "abt", "message": "msg", "messages": "msgs", "number": "nr",
    "account": "acct", "payment": "pmt", "invoice": "inv", "password": "pwd", "customer": "cust",
    "request": "req", "information": "info", "quantity": "qty", "reference": "ref",
    "delivery": "dlvy", "order": "ord", "tomorrow": "tmrw", "today": "tdy", "minutes": "min",
    "hours": "hrs", "weeks": "wks", "week": "wk", "months": "mos", "month": "mo", "years": "yrs",
    "street": "str.", "apartment": "apt", "people": "ppl", "something": "smth",
    "tonight": "tonite",
}  # fmt: skip
THREADS = (
    "Support wrote:\n> Thank you for your message.\n> We have received it and will answer soon.\n"
    "> Please do not reply to this address.",
    "-----Original Message-----\nFrom: no-reply\nSubject: We have got your message\n\n"
    "This is an automatic answer. Somebody will read your message soon.",
    "> noreply wrote:\n>\n> > Your message is in our queue.\n> > Nothing else is needed from you for "
    "now.",
)
SIGNATURES = (
    "-- \nSent from my phone",
    "--\nSent from my mobile device. Please excuse brevity and typos.",
    "________________________________\nThis message and its attachments are confidential and meant "
    "for the addressee alone. If you have received it in error, please delete it.",
    "--\nPlease consider the environment before printing this.",
    "*****\nThis message was checked for viruses. No virus was found.",
)
# after these a full stop ends no sentence; nor does it after a single letter
_ABBREVIATIONS = (
    "approx apt ave blvd ca capt cf co col corp dept dr ed est etc ext fig gen gov hon inc jan feb "
    "mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun jr sr "
    "lt ltd max min mr mrs ms mt no nos nr op pl prof pp qty rd ref rev rm sgt st ste str tel univ "
    "vol vs"
)
ABBREVIATIONS = frozenset(_ABBREVIATIONS.split())


@dataclass(frozen=True)
class Kept:
    """What stays as it is in one text: ``decisive`` spans, which also keep their order, and others.

    ``words`` are those of any value that decides a field, case folded.
    """

    decisive: tuple[Span, ...] = ()
    others: tuple[Span, ...] = ()
    words: frozenset[str] = frozenset()

    def touched(self, start: int, end: int) -> bool:
        """Whether an edit from ``start`` to ``end`` would touch anything kept."""
        return _overlaps((*self.decisive, *self.others), start, end)

    def decided(self, start: int, end: int) -> bool:
        """Whether what stands from ``start`` to ``end`` decides a field."""
        return _overlaps(self.decisive, start, end)


Edit = tuple[int, int, str]
Perturbation = Callable[[str, Kept, random.Random], str]


def typos(text: str, kept: Kept, rng: random.Random) -> str:
    """About one word in eight misspelt: letters swapped, left out, doubled or hit beside."""

    able = [
        found
        for found in WORD.finditer(text)
        if len(found[0]) > 3 and found[0].isalpha() and not kept.touched(*found.span())
    ]
    # at least one, or a short text would often stay as it is
    chosen = rng.sample(able, min(len(able), max(1, round(MISSPELT * len(able)))))
    return _edited(text, kept, [(*found.span(), _misspelt(found[0], rng)) for found in chosen])


def _misspelt(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    near = NEAR.get(word[at].lower())
    choices = [word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]]
    if near is not None:
        choices.append(word[:at] + rng.choice(near) + word[at + 1 :])
    if word[at] != word[at + 1]:
        choices.append(word[:at] + word[at + 1] + word[at] + word[at + 2 :])
    return rng.choice(choices)


def formatting(text: str, kept: Kept, rng: random.Random) -> str:
    """As it arrives from a web form or a phone: case, line breaks, spaces and full stops adrift."""
    case = rng.choice((str.lower, str.lower, str.upper))
    breaks = rng.choice((" ", "<br>", "\n\n\n", "\r\n", " | "))
    edits = [(*found.span(), case(found[0])) for found in WORD.finditer(text)]
    edits += [(*found.span(), breaks) for found in re.finditer(r"\s*\n\s*", text)]
    if rng.random() < 0.5:
        stops = re.finditer(r"(?<=[^\W\d])[.,](?=\s|$)", text)
        edits += [(*found.span(), "") for found in stops]
    edits += [
        (*found.span(), rng.choice((" ", " ", " ", "  ", "\u00a0")))
        for found in re.finditer(r"(?<=\S) (?=\S)", text)
    ]
    return _edited(text, kept, edits)


def jargon(text: str, kept: Kept, rng: random.Random) -> str:
    """Abbreviations where there are some, but for those that are the word of a field's value."""
    phrases = "|".join(sorted(map(re.escape, JARGON), key=len, reverse=True))
    whole = re.compile(rf"(?<![\w'’])(?:{phrases})(?![\w'’])", re.IGNORECASE)
    return _edited(
        text,
        kept,
        [
            (*found.span(), written)
            for found in whole.finditer(text)
            if (written := JARGON.get(found[0].casefold()))
            and not {word.casefold() for word in WORD.findall(written)} & kept.words
        ],
    )


def quoted_thread(text: str, kept: Kept, rng: random.Random) -> str:
    """An automatic answer to an earlier message, quoted below."""
    return f"{text}\n\n{rng.choice(THREADS)}"


def signature(text: str, kept: Kept, rng: random.Random) -> str:
    """What a mail program or a company adds below."""
    return f"{text}\n\n{rng.choice(SIGNATURES)}"


def reordered(text: str, kept: Kept, rng: random.Random) -> str:
    """The sentences of every line in another order, but for those that decide a field."""
    lines, start = [], 0
    for line in text.split("\n"):
        lines.append(
            _shuffled(text, list(_sentences(text, start, start + len(line), kept)), rng, kept)
        )
        start += len(line) + 1
    return "\n".join(lines)


def _shuffled(text: str, spans: Sequence[Span], rng: random.Random, kept: Kept) -> str:
    sentences = [text[start:end] for start, end in spans]
    fixed = [i for i, span in enumerate(spans) if kept.decided(*span)]
    for _ in range(ATTEMPTS if len(spans) > 1 else 0):
        order = rng.sample(range(len(spans)), len(spans))
        # those that decide a field fill the places drawn for them as they came
        left = iter(fixed)
        other = [sentences[next(left) if i in fixed else i] for i in order]
        if other != sentences:
            return " ".join(other)
    return text[spans[0][0] : spans[-1][1]]


def _sentences(text: str, start: int, end: int, kept: Kept) -> Iterator[Span]:
    """Where the sentences of one line stand, the spaces between them left out.

    A full stop ends none after an abbreviation, an initial or a word with a stop inside (e.g.),
    before a small letter or a digit, and inside what is kept ('$119. 95').
    """
    for found in re.compile(r"(?<=[.!?]) +(?=\S)").finditer(text, start, end):
        before = text[start : found.start()].rsplit(None, 1)[-1]
        word = before.strip("\"'“”‘’()[]*_.!?,;:").casefold()
        after = text[found.end() : end].lstrip("\"'“‘([")[:1]
        if (
            after.islower()
            or after.isdigit()
            or (before.endswith(".") and (len(word) < 2 or "." in word or word in ABBREVIATIONS))
            or kept.touched(*found.span())
        ):
            continue
        yield start, found.start()
        start = found.end()
    yield start, end


PERTURBATIONS: dict[str, Perturbation] = {
    "typos": typos,
    "formatting": formatting,
    "jargon": jargon,
    "quoted_thread": quoted_thread,
    "signature": signature,
    "reordered": reordered,
}
# what the texts are, and which perturbations make sense of such
KINDS = {
    "mail": tuple(PERTURBATIONS),
    "chat": ("typos", "formatting", "jargon", "reordered"),
    "snippet": ("typos", "formatting"),
}
AUTO = "auto"


def chosen(kind: str, perturbations: str | Sequence[str]) -> tuple[str, ...]:
    """The names of ``robustness.texts.perturbations``; ``auto`` stands for those of the kind."""
    return KINDS[kind] if isinstance(perturbations, str) else tuple(perturbations)


def perturb(
    rows: Iterable[Row], names: Sequence[str], seed: int, vocabulary: Sequence[str] = ()
) -> list[PerturbedRow]:
    """Every row under every perturbation of ``names`` that can be applied to it, in the rows' order.

    Returns rows ``{"id": "ID~NAME", "of": ID, "perturbation": NAME, "text", "record"}``, all of the
    first name first. What is drawn for a row depends on its id, the name and the seed alone, so
    that another choice of rows or names leaves it as it was.

    Args:
        rows: with the records that are to stay right.
        names: keys of :data:`PERTURBATIONS`.
        seed: of what is drawn.
        vocabulary: values of any field, which no text may gain or lose.

    Raises:
        UserError: a name that is none of :data:`PERTURBATIONS`.
    """
    for name in names:
        if name not in PERTURBATIONS:
            raise UserError(
                f"robustness.texts.perturbations: expected some of {', '.join(PERTURBATIONS)}, found {name!r}"
            )
    known = [(row, *_kept(row, vocabulary)) for row in rows]
    return [
        {
            "id": f"{row['id']}~{name}",
            "of": row["id"],
            "perturbation": name,
            "text": text,
            "record": row["record"],
        }
        for name in names
        for row, decisive, kept in known
        for text in _perturbed(row, name, seed, decisive, kept)
    ]


def _perturbed(row: Row, name: str, seed: int, decisive: Decisive, kept: Kept) -> Iterator[str]:
    """The perturbed text; nothing where no draw keeps the record true and changes the text."""
    rng = random.Random(f"{seed}/{name}/{row['id']}")
    for _ in range(ATTEMPTS):
        text = PERTURBATIONS[name](row["text"], kept, rng)
        if text != row["text"] and decisive.agree(row["text"], text):
            yield text
            return


def _kept(row: Row, vocabulary: Sequence[str]) -> tuple[Decisive, Kept]:
    text = row["text"]
    decisive, own = Decisive.of(row["record"], vocabulary), Decisive.of(row["record"], ()).words
    words = (found.span() for found in WORD.finditer(text) if found[0].casefold() in own)
    return decisive, Kept(
        decisive=(*decisive.spans(text), *number_spans(text)),
        others=tuple(words),
        words=decisive.words,
    )


def _edited(text: str, kept: Kept, edits: Iterable[Edit]) -> str:
    """``text`` with the edits made that touch nothing kept; no two of them overlap."""
    for start, end, written in sorted(edits, reverse=True):
        if not kept.touched(start, end):
            text = text[:start] + written + text[end:]
    return text


def _overlaps(spans: Iterable[Span], start: int, end: int) -> bool:
    return any(first < end and start < last for first, last in spans)
