"""Which training texts a few-shot prompt shows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from unicodedata import normalize

from lora_vs_api.api import keys
from lora_vs_api.config.examples import written_examples
from lora_vs_api.config.sections import Condition
from lora_vs_api.errors import UserError
from lora_vs_api.neighbours.tfidf import Neighbours
from lora_vs_api.record.fields import Field

Row = dict[str, Any]


def shot_chooser(
    name: str,
    condition: Condition,
    train: Sequence[Row],
    seed: int,
    fields: tuple[Field, ...] = (),
) -> Callable[[str], list[Row]]:
    """The examples of condition ``name`` for a text, in the order in which a prompt shows them.

    A number of shots are drawn from the training rows without replacement, the same for every
    text. Nearest ones are chosen for each text, the most like it last: what stands closest to the
    question weighs most (Zhao et al., Calibrate Before Use, 2021; Liu et al., What Makes Good
    In-Context Examples for GPT-3?, 2022). A training text that is the one asked is left out: it
    would be its own answer. So is an example written by hand, and those are otherwise the same for every
    text; ``fields`` are those of their records.

    Raises:
        UserError: there are not so many training rows, or a hand-written example is none of these fields'.
    """
    if condition.written_examples:
        return _written(name, condition, fields)
    count = condition.examples
    if count > len(train):
        raise UserError(
            f"{keys.condition_key(name)}.shots: expected at most the {len(train)} training texts, "
            f"found {count}"
        )
    if not condition.nearest_examples:
        drawn = random.Random(seed).sample(train, count)
        return lambda text: drawn
    # one text in two Unicode forms is the same text
    texts = [normalize("NFC", row["text"]) for row in train]
    neighbours, copies = Neighbours(texts), Counter(texts)

    def nearest(text: str) -> list[Row]:
        text = normalize("NFC", text)
        found = neighbours.nearest(text, count + copies[text])
        return [train[place] for place in found if texts[place] != text][:count][::-1]

    return nearest


def _written(
    name: str, condition: Condition, fields: tuple[Field, ...]
) -> Callable[[str], list[Row]]:
    examples = written_examples(name, condition, fields)
    texts = [normalize("NFC", row["text"]) for row in examples]

    def others(text: str) -> list[Row]:
        text = normalize("NFC", text)
        return [row for row, own in zip(examples, texts, strict=True) if own != text]

    return others
