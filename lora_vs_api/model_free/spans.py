"""Where in a text a field's value stands, learnt from labelled texts by counting.

A span is a run of whole words on one line. What stands around it, its shape, its place and whether
it was a value before each give it a vote: the log odds, as counted in the training texts, that such
a span is the value (a naive Bayes classifier; Maron, 1961). Nothing here knows a task's fields.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from unicodedata import normalize

_TOKEN = re.compile(r"\w+|[^\w\s]|\n")
_BEFORE, _AFTER = ("<text", "<text"), ("text>", "text>")
# in tokens; longer values are not looked for
MAX_SPAN = 16
# of one slot, about a second's counting and 200 MB; texts beyond are not counted
MAX_LEARNT_SPANS = 1_000_000
# seen less often than this, a context votes by its shorter form
MIN_SEEN = 2
# every fourth text is held out when the threshold is chosen
HELD_OUT = 4

Feature = tuple[str | int | bool, ...]


class Span(NamedTuple):
    """Tokens from ``start`` up to but not including ``end``."""

    start: int
    end: int


class Tokens:
    """A text's words, punctuation marks and line ends, with where they stand.

    The text is taken in Unicode's composed form (NFC), and so are values that are looked for in it.
    """

    def __init__(self, text: str) -> None:
        text = normalize("NFC", text)
        found = list(_TOKEN.finditer(text))
        self.text = text
        self.starts = [match.start() for match in found]
        self.ends = [match.end() for match in found]
        self.plain = [match.group() for match in found]
        self.shapes = [_shape(token) for token in self.plain]
        # two tokens on either side have neighbours too
        self.words = [*_BEFORE, *(token.lower() for token in self.plain), *_AFTER]
        self.lines: list[int] = []
        for token in self.plain:
            self.lines.append(self.lines[-1] if self.lines else 0)
            if token == "\n":
                self.lines[-1] += 1

    def spans(self, longest: int) -> Iterator[Span]:
        """All spans of up to ``longest`` tokens that hold no line end."""
        for start in range(len(self.plain)):
            for end in range(start + 1, min(len(self.plain), start + longest) + 1):
                if self.plain[end - 1] == "\n":
                    break
                yield Span(start, end)

    def value(self, span: Span) -> str:
        """The span's text as it is written."""
        return self.text[self.starts[span.start] : self.ends[span.end - 1]]

    def occurrences(self, value: str) -> Iterator[Span]:
        """Every span of whole words that reads ``value``."""
        starts = {place: index for index, place in enumerate(self.starts)}
        ends = {place: index + 1 for index, place in enumerate(self.ends)}
        place = self.text.find(value) if value else -1
        while place >= 0:
            if place in starts and place + len(value) in ends:
                yield Span(starts[place], ends[place + len(value)])
            place = self.text.find(value, place + 1)


def _shape(token: str) -> str:
    if token.isdigit():
        return f"{min(len(token), 6)} digits"
    if any(character.isdigit() for character in token):
        return "digits and letters"
    if token.isupper():
        return "A" if len(token) == 1 else "AA"
    if token[0].isupper():
        return "Aa"
    return "a" if token.isalpha() else token


def _votes(tokens: Tokens, span: Span, known: int) -> tuple[tuple[Feature, ...], ...]:
    """What votes on a span, each with its shorter forms after it.

    ``known`` is in how many other training texts it is the value, 2 for more.
    """
    start, end = span
    words, shapes = tokens.words, tokens.shapes
    # the span's own words begin two further on
    before, left, right, after = words[start], words[start + 1], words[end + 2], words[end + 3]
    shape = " ".join(shapes[start:end])
    last = tokens.lines[-1] - tokens.lines[start]
    begins, ends = left in ("\n", _BEFORE[1]), right in ("\n", _AFTER[0])
    return (
        (("both", left, right),),
        (("left", before, left), ("left", left)),
        (("right", right, after), ("right", right)),
        (("shape", shape, known), ("shape", shape)),
        (("line", min(last, 3), begins, ends),),
        (("start", min(start, 3)),),
        (("first", words[start + 2]),),
        (("last", words[end + 1]),),
        (("left and shape", left, shapes[start]),),
        (("right and shape", right, shapes[end - 1]),),
    )


class SpanVotes:
    """Votes counted in labelled texts: how far a span looks like a value of one slot."""

    def __init__(
        self, texts: Sequence[Tokens], values: Sequence[Collection[str]], known: Counter[str]
    ) -> None:
        """Count.

        Args:
            texts: to learn from; later ones are left out where they are too many.
            values: by text, those of the slot.
            known: value → training texts of which it is the value.
        """
        self.known = known
        gold = [{s for v in own for s in t.occurrences(v)} for t, own in zip(texts, values)]
        longest = max((span.end - span.start for spans in gold for span in spans), default=1)
        self.longest = min(longest, MAX_SPAN)
        self.hits: Counter[Feature] = Counter()
        self.seen: Counter[Feature] = Counter()
        right = total = 0
        for tokens, spans, own in zip(texts, gold, values):
            if total > MAX_LEARNT_SPANS:
                break
            for span in tokens.spans(self.longest):
                value = tokens.value(span)
                # the text's own label must not make its value a known one
                others = known[value] - (value in own)
                features = [f for vote in _votes(tokens, span, min(others, 2)) for f in vote]
                self.seen.update(features)
                total += 1
                if span in spans:
                    self.hits.update(features)
                    right += 1
        self.prior = (right + 1) / (total + 2)

    def score(self, tokens: Tokens, span: Span) -> float:
        """Log odds that the span is a value of the slot."""
        known = min(self.known[tokens.value(span)], 2)
        prior_odds = self.prior / (1 - self.prior)
        total = math.log(prior_odds)
        for vote in _votes(tokens, span, known):
            feature = next((f for f in vote if self.seen[f] >= MIN_SEEN), vote[-1])
            hits, seen = self.hits[feature], self.seen[feature]
            # one made-up sighting at the prior odds: what was never seen says nothing
            odds = (hits + self.prior) / (seen - hits + 1 - self.prior)
            total += math.log(odds / prior_odds)
        return total

    def ranked(self, tokens: Tokens) -> list[tuple[float, Span]]:
        """Spans that do not overlap with their scores, the likeliest first; ties by place."""
        scored = [(self.score(tokens, span), span) for span in tokens.spans(self.longest)]
        scored.sort(key=lambda entry: (-entry[0], entry[1]))
        taken: set[int] = set()
        apart = []
        for score, span in scored:
            if taken.isdisjoint(range(*span)):
                taken.update(range(*span))
                apart.append((score, span))
        return apart


@dataclass(frozen=True)
class SpanFinder:
    """Finds the values of one slot: the ``votes``, and the score from which a span is a value.

    A slot of ``many`` values is a list; of any other the likeliest span alone is looked at.
    """

    votes: SpanVotes
    threshold: float
    many: bool

    def find(self, tokens: Tokens) -> list[str]:
        """Different values in the order of the text; none where nothing looks like one."""
        spans = [
            span
            for score, span in _candidates(self.votes, tokens, self.many)
            if score >= self.threshold
        ]
        return [tokens.value(span) for span in sorted(spans)]


def count_texts(values: Iterable[Collection[str]]) -> Counter[str]:
    """Value → in how many texts it is one, given the values of each."""
    return Counter(value for own in values for value in set(own))


def span_finder(
    texts: Sequence[Tokens],
    values: Sequence[Collection[str]],
    known: Counter[str],
    *,
    many: bool,
) -> SpanFinder:
    """Learn from ``texts`` and by text the slot's ``values``.

    A slot that has a value in every text is always given one. Otherwise a threshold decides: the one
    with the best F1 on every fourth text, as found from the other three.

    Args:
        texts: of training.
        values: by text; none where it has no value.
        known: value → training texts of which it is one, these texts among them.
        many: whether the slot is a list.
    """
    votes = SpanVotes(texts, values, known)
    if not many and all(values):
        return SpanFinder(votes, -math.inf, many)
    held_out = range(0, len(texts), HELD_OUT)
    kept = [index for index in range(len(texts)) if index % HELD_OUT]
    trial = SpanVotes(
        [texts[index] for index in kept],
        [values[index] for index in kept],
        known - count_texts(values[::HELD_OUT]),
    )
    scored = [
        (score, texts[index].value(span) in values[index])
        for index in held_out
        for score, span in _candidates(trial, texts[index], many)
    ]
    wanted = sum(len(set(values[index])) for index in held_out)
    return SpanFinder(votes, _best_threshold(scored, wanted), many)


def _candidates(votes: SpanVotes, tokens: Tokens, many: bool) -> list[tuple[float, Span]]:
    ranked = votes.ranked(tokens)
    if not many:
        return ranked[:1]
    # a value that stands twice is found once
    different: dict[str, tuple[float, Span]] = {}
    for score, span in ranked:
        different.setdefault(tokens.value(span), (score, span))
    return list(different.values())


def _best_threshold(scored: Sequence[tuple[float, bool]], wanted: int) -> float:
    """The threshold of the best F1, given scores with whether each is right; 0 if none ever is."""
    ranked = sorted(scored, reverse=True)
    best, cut, right = 0.0, 0, 0
    for count, (_, hit) in enumerate(ranked, start=1):
        right += hit
        f1 = 2 * right / (count + wanted)
        if f1 > best:
            best, cut = f1, count
    if cut == 0:
        return 0.0
    lowest = ranked[cut - 1][0]
    # halfway to the next: what the held-out texts leave open
    return (lowest + ranked[cut][0]) / 2 if cut < len(ranked) else lowest
