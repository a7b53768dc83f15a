"""Which training texts a few-shot prompt shows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from unicodedata import normalize

from lora_vs_api.api import keys
from lora_vs_api.config.sections import Condition, FileShots, WrittenShots
from lora_vs_api.digests import file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.files import read_jsonl
from lora_vs_api.neighbours.tfidf import Neighbours
from lora_vs_api.record.fields import Field, completed
from lora_vs_api.validation.records import violations

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
    would be its own answer. Examples written by hand are the same for every text; ``fields`` are those of
    their records.

    Raises:
        UserError: there are not so many training rows, a hand-written example is none of these fields',
            or, of the chooser, it is the text that is asked.
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
    key, shots = f"{keys.condition_key(name)}.shots", condition.shots
    if isinstance(shots, FileShots):
        found, key = _from_file(shots, key), f"{key}.file"
    else:
        assert isinstance(shots, WrittenShots)
        found, key = [example.model_dump() for example in shots.examples], f"{key}.examples"
    examples = []
    for place, row in enumerate(found, 1):
        record = completed(row["record"], fields)
        wrong = violations(record, fields)
        if wrong:
            raise UserError(f"{key}: example {place}: {wrong[0]}")
        examples.append({"text": row["text"], "record": record})
    texts = [normalize("NFC", row["text"]) for row in examples]

    def same(text: str) -> list[Row]:
        if normalize("NFC", text) in texts:
            place = texts.index(normalize("NFC", text)) + 1
            raise UserError(
                f"{key}: example {place} is a text that is asked about, so its answer would be known; "
                f"expected another: {text[:80]!r}"
            )
        return examples

    return same


def _from_file(shots: FileShots, key: str) -> list[Row]:
    """The first ``k`` examples of a file whose digest is the one that the config names."""
    rows = read_jsonl(shots.file)
    digest = file_sha256(shots.file)
    if digest != shots.sha256:
        raise UserError(
            f"{key}.sha256: {shots.file} has {digest}; expected this digest here, since the file decides "
            f"what is asked; found {shots.sha256}"
        )
    if len(rows) < shots.k:
        raise UserError(
            f"{key}.k: expected at most the {len(rows)} examples of {shots.file}, found {shots.k}"
        )
    for place, row in enumerate(rows[: shots.k], 1):
        if not (
            isinstance(row, dict)
            and isinstance(row.get("text"), str)
            and row["text"]
            and isinstance(row.get("record"), dict)
        ):
            raise UserError(
                f'{key}.file: {shots.file}: line {place}: expected {{"text": …, "record": {{…}}}}'
            )
    return rows[: shots.k]
