"""Dividing a corpus into train, validation and test, and checking that they are apart."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lora_vs_api.data.generator import masked
from lora_vs_api.data.shares import check_shares, largest_remainder, spread
from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row

_SENTENCE_END = re.compile(r"(?<=[.?!])\s+|\n+")


def stratified_split(
    rows: Sequence[Row], shares: Mapping[str, float], by: str | None, seed: int
) -> dict[str, list[Row]]:
    """Divide rows at random into splits that each have the corpus's mix of ``record[by]``.

    Sizes follow the shares exactly (largest remainder), and so does each stratum where its
    quotas are whole numbers, otherwise to within a few rows. Within a split the order is random
    but keeps the mix: its first k rows are a stratified random sample too, in which a stratum
    appears as soon as k reaches about 1 / its share.

    Args:
        rows: corpus rows.
        shares: split name → share, summing to 1.
        by: the record's field to stratify by; ``None`` for a plain random split.
        seed: decides the rest.

    Returns:
        Split name → its rows, in the order of ``shares``.

    Raises:
        UserError: shares that are not shares, a split that would be empty, or a ``by`` that no
            record has.
    """
    check_shares(shares, "split.shares")
    if by is not None and not any(by in row["record"] for row in rows):
        raise UserError(
            f"split.stratify_by: no record has a field {by!r}; expected a field or null"
        )
    sizes = largest_remainder(len(rows), shares)
    for name, size in sizes.items():
        if size == 0:
            raise UserError(
                f"split.shares.{name}: expected a share that gives at least one of the "
                f"{len(rows)} rows, found {shares[name]!r}"
            )
    rng = random.Random(seed)
    # position by position, an even sequence of split names gives every stratum its share
    names = iter(spread(sizes))
    divided: dict[str, dict[str, list[Row]]] = {name: {} for name in sizes}
    for stratum, members in _strata(rows, by).items():
        rng.shuffle(members)
        for row in members:
            divided[next(names)].setdefault(stratum, []).append(row)
    return {name: _mixed(strata, rng) for name, strata in divided.items()}


def _strata(rows: Sequence[Row], by: str | None) -> dict[str, list[Row]]:
    """Rows by the value of ``record[by]``, strata in order of first appearance."""
    strata: dict[str, list[Row]] = {}
    for row in rows:
        value = None if by is None else row["record"].get(by)
        # as JSON, because a list or an object cannot be a key
        strata.setdefault(json.dumps(value, sort_keys=True), []).append(row)
    return strata


def _mixed(strata: Mapping[str, list[Row]], rng: random.Random) -> list[Row]:
    """Interleave strata at random, each evenly along the whole list."""
    queues = {stratum: iter(members) for stratum, members in strata.items()}
    order = spread({stratum: len(members) for stratum, members in strata.items()}, rng)
    return [next(queues[stratum]) for stratum in order]


def first_of_each_text(rows: Sequence[Row]) -> list[Row]:
    """Rows without those whose text has occurred before, white space aside, in their order.

    A text that stands in train and in test would be scored from memory.
    """
    seen: set[str] = set()
    kept = []
    for row in rows:
        key = " ".join(row["text"].split())
        if key not in seen:
            seen.add(key)
            kept.append(row)
    return kept


def without_first(test: Sequence[Row], set_aside: int) -> list[Row]:
    """The test rows but for the first ``set_aside``, which earlier runs have scored.

    Raises:
        UserError: fewer than two rows are left, and nothing can be told from one.
    """
    if len(test) < 2:
        raise UserError(
            f"split.shares.test: expected a share that gives at least 2 test texts, found {len(test)}"
        )
    if len(test) - set_aside < 2:
        raise UserError(
            f"split.set_aside: expected at most {len(test) - 2} of the {len(test)} test texts, so that "
            f"2 are left, found {set_aside}; 0 keeps all"
        )
    return list(test[set_aside:])


def assert_disjoint(splits: Mapping[str, Sequence[Row]]) -> None:
    """Check that no text is in two splits.

    Raises:
        UserError: naming the first such text's ids and splits, and how many more there are.
    """
    first_use: dict[str, tuple[str, str]] = {}
    shared = []
    for name, rows in splits.items():
        for row in rows:
            split, row_id = first_use.setdefault(row["text"], (name, row["id"]))
            if split != name:
                shared.append(f"{row_id} in {split} and {row['id']} in {name} have the same text")
    if shared:
        more = f" (and {len(shared) - 1} more)" if len(shared) > 1 else ""
        raise UserError(f"splits overlap: {shared[0]}{more}; expected each text in one split")


def masked_sentence_overlap(
    splits: Mapping[str, Sequence[Row]], train: str = "train", test: str = "test"
) -> float:
    """Share of the test emails' sentences (0..1) that after `masked` also occur in train.

    In a template corpus it is near 1 although no whole text is repeated: how much of the wording
    train and test share. A sentence ends at ``.``, ``?`` or ``!`` before a space, or at a line
    end; repeated sentences count each time.
    """
    known = {sentence for row in splits[train] for sentence in _sentences(row["text"])}
    tested = [sentence for row in splits[test] for sentence in _sentences(row["text"])]
    return sum(sentence in known for sentence in tested) / len(tested)


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in _SENTENCE_END.split(masked(text)) if sentence.strip()]
