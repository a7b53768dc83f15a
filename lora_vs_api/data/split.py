"""Dividing a corpus into train, validation and test, and checking that they are apart."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING
from unicodedata import normalize

from lora_vs_api.data.generator import masked
from lora_vs_api.data.plain import plain
from lora_vs_api.data.shares import check_shares, largest_remainder, spread
from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from lora_vs_api.config.sections.data import Split
    from lora_vs_api.record.rows import Row

# random orders of the groups that are tried, and how many groups are placed in all of them together
MAX_ORDERS, MAX_PLACED = 200, 50_000

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
    for stratum, members in strata_of(rows, by).items():
        rng.shuffle(members)
        for row in members:
            divided[next(names)].setdefault(stratum, []).append(row)
    return {name: mixed(strata, rng) for name, strata in divided.items()}


def grouped_split(
    rows: Sequence[Row],
    groups: Sequence[str],
    shares: Mapping[str, float],
    by: str | None,
    seed: int,
) -> dict[str, list[Row]]:
    """Divide rows as :func:`stratified_split` does, with every group whole in one split.

    Sizes and mix are then only as near to what is wanted as whole groups can come. Groups are taken
    in a random order; each goes to the split that misses its rows most: where it brings the counts of
    rows and of rows in each stratum nearest to their quotas, in squares and as shares of the quota.
    Of up to :data:`MAX_ORDERS` orders the one with the least squares left is kept. (scikit-learn's
    GroupShuffleSplit counts groups instead of rows, its StratifiedGroupKFold has equal folds only.)
    Within a split, groups and strata are mixed: its first rows have as many of each as can be.

    Args:
        rows, shares, by, seed: as there.
        groups: the group of each row.

    Raises:
        UserError: as there; fewer groups than splits.
    """
    check_shares(shares, "split.shares")
    strata = strata_of(rows, by)
    of_row = {row["id"]: stratum for stratum, members in strata.items() for row in members}
    members: dict[str, list[Row]] = {}
    for row, group in zip(rows, groups, strict=True):
        members.setdefault(group, []).append(row)
    if len(members) < len(shares):
        raise UserError(
            f"split.group_by: expected at least {len(shares)} groups, one for each split, found "
            f"{len(members)} among {len(rows)} rows"
        )
    rng = random.Random(seed)
    # rows of each group, all together and by stratum
    profiles = {
        group: Counter({"": len(own)}) + Counter("=" + of_row[row["id"]] for row in own)
        for group, own in members.items()
    }
    place = _best_places(profiles, shares, rng)
    divided: dict[str, list[Row]] = {}
    for name in shares:
        # by stratum and group, both spread along the split
        queues: dict[str, dict[str, list[Row]]] = {}
        for group, own in members.items():
            if place[group] == name:
                rng.shuffle(own)
                for row in own:
                    queues.setdefault(of_row[row["id"]], {}).setdefault(group, []).append(row)
        divided[name] = mixed({key: mixed(inner, rng) for key, inner in queues.items()}, rng)
    return divided


# what people call the three, in lower case
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "eval": "val",
    "evaluation": "val",
    "dev": "val",
    "development": "val",
    "test": "test",
    "testing": "test",
}


def split_named(value: object) -> str | None:
    """Which of train, val and test a cell names; None for anything else."""
    return SPLIT_WORDS.get(str(value).strip().lower())


def given_split(
    rows: Sequence[Row],
    labels: Sequence[str],
    by: str | None,
    seed: int,
    may_be_empty: Collection[str] = (),
) -> dict[str, list[Row]]:
    """Divide rows as their ``labels`` say, each split mixed as :func:`stratified_split` mixes it.

    Nodes take the first rows of a split, and a file is often sorted: in the mixed order these are a random
    sample of it, with the split's mix of ``record[by]``.

    Args:
        rows, by, seed: as there.
        labels: of each row, a word that :func:`split_named` knows.
        may_be_empty: splits that need no row.

    Raises:
        UserError: a split has no rows, or the same text is in two of them, white space aside.
    """
    divided: dict[str, list[Row]] = {"train": [], "val": [], "test": []}
    for row, label in zip(rows, labels, strict=True):
        named = split_named(label)
        if named is None:
            raise UserError(
                f"split.column: {row['id']}: expected train, val or test, found {label!r}"
            )
        divided[named].append(row)
    counts = ", ".join(f"{len(own):,} {name}" for name, own in divided.items())
    empty = [name for name, own in divided.items() if not own and name not in may_be_empty]
    if empty:
        raise UserError(
            f"split.column: expected rows for train, val and test, found {counts}; mark some rows as "
            f"{empty[0]}, or split by split.shares (split.column: null)"
        )
    _assert_apart(divided)
    rng = random.Random(seed)
    found = {}
    for name, own in divided.items():
        strata = strata_of(first_of_each_text(own), by)
        for members in strata.values():
            rng.shuffle(members)
        found[name] = mixed(strata, rng)
    return found


def _assert_apart(divided: Mapping[str, Sequence[Row]]) -> None:
    """As :func:`assert_disjoint`, white space and Unicode form aside: which of two rows to leave out is the user's to say."""
    alike: dict[str, list[Row]] = {
        name: [{**row, "text": plain(row["text"])} for row in own] for name, own in divided.items()
    }
    try:
        assert_disjoint(alike)
    except UserError as error:
        raise UserError(f"split.column: {error}; take it out of one") from None


def _best_places(
    profiles: Mapping[str, Counter[str]], shares: Mapping[str, float], rng: random.Random
) -> dict[str, str]:
    """Group → split, the best of several orders; see :func:`grouped_split`."""
    total: Counter[str] = Counter()
    for profile in profiles.values():
        total += profile
    quotas = {
        name: {key: share * number for key, number in total.items()}
        for name, share in shares.items()
    }
    order, found = list(profiles), []
    for _ in range(max(1, min(MAX_ORDERS, MAX_PLACED // len(order)))):
        rng.shuffle(order)
        found.append(_places(order, profiles, quotas))
    return min(found, key=lambda tried: tried[0])[1]


def _places(
    order: Sequence[str],
    profiles: Mapping[str, Counter[str]],
    quotas: Mapping[str, Mapping[str, float]],
) -> tuple[float, dict[str, str]]:
    """Group → split for one order, and the squares that it leaves."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in quotas}
    place: dict[str, str] = {}
    for number, group in enumerate(order):
        empty = [name for name, own in counts.items() if not own]
        # no split stays without a group
        open_ = empty if len(order) - number <= len(empty) else list(quotas)
        place[group] = name = min(
            open_, key=lambda name: _added(counts[name], profiles[group], quotas[name])
        )
        counts[name] += profiles[group]
    left = sum(
        (counts[name][key] - quota) ** 2 / quota
        for name, own in quotas.items()
        for key, quota in own.items()
    )
    return left, place


def _added(
    counts: Mapping[str, int], profile: Mapping[str, int], quotas: Mapping[str, float]
) -> float:
    """How much the squares of one split grow with a group; negative where it was missed."""
    return sum(
        number * (2 * (counts[key] - quotas[key]) + number) / quotas[key]
        for key, number in profile.items()
    )


def strata_of(rows: Sequence[Row], by: str | None) -> dict[str, list[Row]]:
    """Rows by the value of ``record[by]``, strata in order of first appearance."""
    strata: dict[str, list[Row]] = {}
    for row in rows:
        value = None if by is None else row["record"].get(by)
        # as JSON, because a list or an object cannot be a key
        strata.setdefault(json.dumps(value, sort_keys=True), []).append(row)
    return strata


def mixed(strata: Mapping[str, list[Row]], rng: random.Random) -> list[Row]:
    """Interleave strata at random, each evenly along the whole list."""
    queues = {stratum: iter(members) for stratum, members in strata.items()}
    order = spread({stratum: len(members) for stratum, members in strata.items()}, rng)
    return [next(queues[stratum]) for stratum in order]


def first_of_each_text(rows: Sequence[Row]) -> list[Row]:
    """Rows without those whose text has occurred before, white space and Unicode form aside, in their order.

    A text that stands in train and in test would be scored from memory.
    """
    seen: set[str] = set()
    kept = []
    for row in rows:
        key = plain(row["text"])
        if key not in seen:
            seen.add(key)
            kept.append(row)
    return kept


def labels_of(rows: Sequence[Row], column: str, key: str) -> list[str]:
    """What each row of the corpus belongs to by ``column``.

    Raises:
        UserError: a row has no value there; the message names it and the config ``key``.
    """
    for row in rows:
        if column not in row.get("meta", {}):
            known = ", ".join(row.get("meta", {})) or "none"
            raise UserError(
                f"{key}: {row['id']} of data/corpus.jsonl has no {column!r}; its columns to group "
                f"by: {known}"
            )
    return [row["meta"][column] for row in rows]


def for_training(
    unlabelled: Sequence[Row], splits: Mapping[str, Sequence[Row]], settings: Split
) -> list[dict[str, str]]:
    """Id and text of each row without a record, for a teacher to label: first ones of a text, of none in a split.

    Raises:
        UserError: one is marked as val or test, where a score needs a record; or groups are kept whole,
            and nothing says that its group is training's.
    """
    if not unlabelled:
        return []
    if settings.column is None and settings.group_by is not None:
        raise UserError(
            f"split.group_by: {unlabelled[0]['id']} has no record and may be of a group that is tested; "
            "expected split.column, which says train of it"
        )
    if settings.column is not None:
        named = labels_of(unlabelled, settings.column, "split.column")
        for row, label in zip(unlabelled, named, strict=True):
            if split_named(label) != "train":
                raise UserError(
                    f"split.column: {row['id']} has no record; expected train of it, found {label!r}: "
                    "val and test are scored"
                )
    if settings.group_by is not None:
        whole = settings.group_by
        tested = {
            label
            for name in ("val", "test")
            for label in labels_of(splits[name], whole, "split.group_by")
        }
        for row, label in zip(unlabelled, labels_of(unlabelled, whole, "split.group_by")):
            if label in tested:
                raise UserError(
                    f"split.group_by: {row['id']} has no record and is of {label!r}, which val or test "
                    "has too; take one of them out"
                )
    known = {plain(row["text"]) for own in splits.values() for row in own}
    return [
        {"id": row["id"], "text": row["text"]}
        for row in first_of_each_text(unlabelled)
        if plain(row["text"]) not in known
    ]


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


def assert_disjoint(
    splits: Mapping[str, Sequence[Row]], group_of: Mapping[str, str] | None = None
) -> None:
    """Check that no text is in two splits, or with ``group_of`` (row's id → its group) no group.

    Raises:
        UserError: naming the first such rows' ids and splits, and how many more texts or groups
            there are.
    """
    what = "text" if group_of is None else "group"
    first_use: dict[str, tuple[str, str]] = {}
    shared: dict[str, str] = {}
    for name, rows in splits.items():
        for row in rows:
            value = normalize("NFC", row["text"]) if group_of is None else group_of[row["id"]]
            split, row_id = first_use.setdefault(value, (name, row["id"]))
            if split != name:
                which = "" if group_of is None else f", {value!r}"
                shared.setdefault(
                    value,
                    f"{row_id} in {split} and {row['id']} in {name} have the same {what}{which}",
                )
    if shared:
        more = f" (and {len(shared) - 1} more)" if len(shared) > 1 else ""
        raise UserError(
            f"splits overlap: {next(iter(shared.values()))}{more}; expected each {what} in one split"
        )


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
