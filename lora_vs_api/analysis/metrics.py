"""The small metrics files of the nodes before the analysis, as types, for those who read them.

Each model has the name of its file in metrics/. The nodes write them as plain JSON; a key that is
not here is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lora_vs_api.analysis.results import Result, read_result
from lora_vs_api.config.sections.analysis import Hypothesis as Claim


class Corpus(Result):
    """metrics/corpus.json: of a file, ``path`` and ``labels``; of the generator, the rest."""

    source: Literal["generator", "file"]
    texts: int
    words_mean: float
    path: str | None = None
    labels: dict[str, dict[str, int]] | None = None
    categories: dict[str, int] | None = None
    sentiments: dict[str, int] | None = None
    repeated_after_masking: int | None = None
    conventions: tuple[str, ...] = ()

    def label_counts(self) -> dict[str, dict[str, int]]:
        """What is counted → label → texts, whatever the task calls them."""
        generated = {"categories": self.categories, "sentiments": self.sentiments}
        counted = {name: counts for name, counts in generated.items() if counts is not None}
        return counted | (self.labels or {})


class Split(Result):
    """metrics/split.json; ``categories``: split → label → texts, of the field it is stratified by.

    ``set_aside`` texts of the test split are in none: earlier runs have scored them. ``column`` is that of
    the user's file which decided; None where shares and chance did.
    """

    train: int
    val: int
    test: int
    set_aside: int
    repeated_texts_left_out: int
    categories: dict[str, dict[str, int]] | None = None
    masked_sentence_overlap: float | None = None
    column: str | None = None
    unlabelled: int = 0
    sha256: dict[str, str]


class FieldCheck(Result):
    """``null``: share of all rows that say nothing; ``different``: values; ``labels``: label → split →
    rows; ``slots``: an object's slot that may be empty → share of rows that say nothing there."""

    null: float
    different: int
    labels: dict[str, dict[str, int]] | None = None
    slots: dict[str, float] | None = None


class Likeness(Result):
    similarity: float
    train_rows_like_an_earlier_one: int
    test_rows_like_a_train_row: int
    examples: tuple[tuple[str, str], ...]


class Spread(Result):
    mean: float
    p95: int
    max: int


class Lengths(Result):
    """In tokens."""

    prompt_tokens: Spread
    answer_tokens: Spread
    few_shot_prompt_tokens: int
    shots: int
    context: int | None
    max_new_tokens: int


class HalfWidth(Result):
    typical: float
    largest: float


class Precision(Result):
    """``rows_needed``: half width of a mean's interval → test rows that it takes."""

    rows: int
    available: int
    half_width: HalfWidth
    rows_needed: dict[float, int]


class DataCheck(Result):
    """metrics/data_check.json; ``conflicts`` are the ids of equal texts with different records."""

    fields: dict[str, FieldCheck]
    conflicts: tuple[tuple[str, ...], ...]
    likeness: Likeness
    lengths: Lengths
    precision: Precision
    warnings: tuple[str, ...]


class Review(Result):
    """metrics/review.json: a person's verdicts on a sample."""

    sample: int
    accepted: int
    rejected: int
    fixed: int
    unreviewed: int
    verdicts_for_other_texts: int


class Contamination(Result):
    """metrics/contamination.json: what the untuned base answered before any training."""

    field: str
    texts: int
    accuracy: float
    chance: float
    above_chance: float
    threshold: float
    unreadable_answers: int
    flagged: bool


class NotMade(Result):
    """metrics/contamination.json where the configuration names no field to ask for."""

    field: None


class Hypothesis(Claim):
    """metrics/hypothesis.json: the registered claim with its digest."""

    sha256: str


class Sanity(Result):
    """metrics/sanity.json: the gate before the sweep."""

    steps: int
    first_loss: float
    last_loss: float
    valid_json: float
    passed: bool


def read_contamination(path: str | Path = "metrics/contamination.json") -> Contamination | None:
    """None where the check was not made.

    Raises:
        UserError: as :func:`lora_vs_api.analysis.results.read_result`.
    """
    found: Contamination | NotMade = read_result(path, Contamination | NotMade)  # type: ignore[arg-type]
    return None if isinstance(found, NotMade) else found
