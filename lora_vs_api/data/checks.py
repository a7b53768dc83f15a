"""What a look at the data can tell before anything is trained or paid for."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict
from unicodedata import normalize

from lora_vs_api.data.plain import plain
from lora_vs_api.errors import UserError
from lora_vs_api.neighbours.tfidf import Neighbours
from lora_vs_api.record.fields import Field
from lora_vs_api.record.prompt import completion
from lora_vs_api.record.words import words

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row

ALIKE = 0.8  # Jaccard similarity of word triples from which two texts are near duplicates
RARE, DOMINANT = 0.02, 0.8  # shares of a label that are worth a warning
MAX_SHOWN = 10
CHAT_TOKENS = 32  # of a chat template around a prompt, roughly
OTHER_TOKENIZER = 1.2  # times as many tokens another model's tokenizer may make of a text, roughly
# standard deviations of one text's score: a typical one, and the largest that 0..1 allows
SPREADS = {"typical": 0.3, "largest": 0.5}
HALF_WIDTHS = (0.05, 0.02)


class FieldCheck(TypedDict):
    """A field's values in all splits: the share that is null (0..1), and how many differ.

    What says nothing (:meth:`Field.holds`) counts as null.
    """

    null: float
    different: int
    # label → split → rows, of enums and booleans alone
    labels: NotRequired[dict[str, dict[str, int]]]
    # of objects alone: slot that may be empty, dotted where it lies deeper → share of rows without it
    slots: NotRequired[dict[str, float]]


class Likeness(TypedDict):
    """Near duplicates at a Jaccard similarity (0..1); examples are ids (train row, test row)."""

    similarity: float
    train_rows_like_an_earlier_one: int
    test_rows_like_a_train_row: int
    examples: list[list[str]]


class Spread(TypedDict):
    """Tokens: mean, 95th percentile and maximum."""

    mean: float
    p95: int
    max: int


class Lengths(TypedDict):
    """Tokens of prompts and answers, and what the model holds (``context``)."""

    prompt_tokens: Spread
    answer_tokens: Spread
    few_shot_prompt_tokens: int
    shots: int
    context: int | None
    max_new_tokens: int


class Precision(TypedDict):
    """What a number of test rows allows; scores are in 0..1."""

    rows: int
    available: int
    # of a mean score's interval, by kind of spread
    half_width: dict[str, float]
    # by half width
    rows_needed: dict[str, int]


class DataCheck(TypedDict):
    """metrics/data_check.json"""

    fields: dict[str, FieldCheck]
    # groups of ids whose texts are the same and whose records differ
    conflicts: list[list[str]]
    likeness: Likeness
    lengths: Lengths
    precision: Precision
    # one sentence each
    warnings: list[str]


def check_fields(
    splits: Mapping[str, Sequence[Row]], fields: Sequence[Field]
) -> dict[str, FieldCheck]:
    """By field: the share that is null, how many different values, and labels' counts by split."""
    found: dict[str, FieldCheck] = {}
    rows = [row for split in splits.values() for row in split]
    for field in fields:
        given = [row["record"][field.name] for row in rows]
        values = [
            json.dumps(value if field.holds(value) else None, sort_keys=True) for value in given
        ]
        found[field.name] = {
            "null": round(values.count("null") / len(values), 4),
            "different": len(set(values) - {"null"}),
        }
        if slots := _empty_slots(field, given):
            found[field.name]["slots"] = slots
        if field.type in ("enum", "boolean"):
            labels = [json.dumps(value) for value in field.values] or ["false", "true"]
            counts = {
                name: Counter(json.dumps(row["record"][field.name]) for row in split)
                for name, split in splits.items()
            }
            found[field.name]["labels"] = {
                json.loads(label) if field.values else label: {
                    name: counts[name][label] for name in splits
                }
                for label in labels
            }
    return found


# words of an instruction that are meant as keys: between backticks or double quotes, with _ in them, or in a
# list of them as `init` writes it, each before its form in brackets
_MEANT_AS_KEYS = (
    re.compile(r"`([^`\s]+)`"),
    re.compile(r'"([^"\s]+)"(?=\s*:)'),
    re.compile(r"(?<![\w/.@-])([^\W_]\w*_\w*[^\W_])(?![\w/@-])"),
    re.compile(r"(?:[Kk]eys: |; )(\w+) \("),
)


def instruction_warnings(instruction: str, fields: Sequence[Field]) -> list[str]:
    """Where instruction and fields name different keys, one sentence each.

    A field that is not named is one that untuned models have to guess; a name that is no field asks for what
    no record has. Words are compared as they are written, since keys are.
    """
    names, labels = _named(fields)
    said = [
        f"task.instruction does not name {name}: a model that is not tuned has to guess that key."
        for name in names
        if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", instruction)
    ]
    meant = [word for form in _MEANT_AS_KEYS for word in form.findall(instruction)]
    for word in dict.fromkeys(meant):
        if word not in names and word not in labels:
            near = get_close_matches(word, list(names), n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            said.append(f"task.instruction names {word}, which is no field{hint}.")
    return said


def _named(fields: Sequence[Field]) -> tuple[dict[str, None], set[str]]:
    """Names of the fields and of those within, in their order, and all labels of enums."""
    names: dict[str, None] = {}
    labels: set[str] = set()
    for field in fields:
        names[field.name] = None
        labels |= set(field.values)
        for inner in (field.items,) if field.items is not None else ():
            labels |= set(inner.values)
            found, more = _named(inner.fields)
            names, labels = names | found, labels | more
        found, more = _named(field.fields)
        names, labels = names | found, labels | more
    return names, labels


def _empty_slots(field: Field, values: Sequence[Any]) -> dict[str, float]:
    """For each of an object's slots that may be empty, the share of values that say nothing there."""
    found: dict[str, float] = {}
    for slot in field.fields if field.type == "object" else ():
        inner = [value.get(slot.name) if isinstance(value, dict) else None for value in values]
        if slot.may_be_empty:
            empty = sum(not slot.holds(value) for value in inner)
            found[slot.name] = round(empty / len(inner), 4)
        deeper = _empty_slots(slot, inner)
        found |= {f"{slot.name}.{name}": share for name, share in deeper.items()}
    return found


def field_warnings(found: Mapping[str, FieldCheck]) -> list[str]:
    """What of :func:`check_fields` a user should know, one sentence each."""
    said = []
    for name, facts in found.items():
        if facts["different"] == 0:
            said.append(f"{name} is always null: nothing to learn and nothing to score.")
        elif facts["null"] > DOMINANT:
            said.append(
                f"{name} is null in {facts['null']:.1%} of the texts, and being right about that "
                "counts for nothing."
            )
        elif facts["different"] == 1 and facts["null"] == 0:
            said.append(f"{name} always has the same value: any model learns it, none is tested.")
        for slot, share in facts.get("slots", {}).items():
            if share == 1 and facts["different"]:
                said.append(f"{name}.{slot} is always null: nothing to learn and nothing to score.")
        labels = facts.get("labels", {})
        total = sum(sum(counts.values()) for counts in labels.values())
        for label, counts in labels.items():
            share = sum(counts.values()) / total if total else 0.0
            if not sum(counts.values()):
                said.append(f"{name}: {label} never occurs.")
            elif not counts.get("train") and any(each.get("train") for each in labels.values()):
                said.append(f"{name}: {label} is not in train, so it cannot be learned.")
            elif share < RARE:
                said.append(f"{name}: {label} is rare ({share:.1%}).")
            elif share > DOMINANT:
                said.append(
                    f"{name}: {label} is {share:.0%} of all that have one."
                    if facts["null"]
                    else f"{name}: {label} is {share:.0%} of all; always saying it scores that."
                )
    return said


def conflicts(rows: Sequence[Row]) -> list[list[str]]:
    """Groups of ids whose texts are the same but for white space, with different records.

    In whichever Unicode form either is written.
    """
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        record = normalize("NFC", json.dumps(row["record"], sort_keys=True, ensure_ascii=False))
        groups[plain(row["text"])].setdefault(record, row["id"])
    return [list(ids.values()) for ids in groups.values() if len(ids) > 1]


def near_duplicates(texts: Sequence[str], threshold: float = ALIKE) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of texts whose word triples have a Jaccard similarity ≥ threshold.

    Exact, without comparing all pairs: of two sets so alike, one of the rarest few triples of
    each is in the other (prefix filter; Bayardo, Ma and Srikant, Scaling Up All Pairs Similarity
    Search (2007)). Texts of fewer than three words count as one piece.
    """
    sets = [_triples(text) for text in texts]
    frequency = Counter(piece for pieces in sets for piece in pieces)
    by_piece: dict[tuple[str, ...], list[int]] = defaultdict(list)
    pairs = []
    for index, pieces in enumerate(sets):
        rarest = sorted(pieces, key=lambda piece: (frequency[piece], piece))
        prefix = rarest[: len(pieces) - math.ceil(threshold * len(pieces) - 1e-9) + 1]
        candidates = {other for piece in prefix for other in by_piece[piece]}
        for other in sorted(candidates):
            shared = len(pieces & sets[other])
            if shared >= threshold * (len(pieces) + len(sets[other]) - shared) - 1e-9:
                pairs.append((other, index))
        for piece in prefix:
            by_piece[piece].append(index)
    return sorted(pairs)


def _triples(text: str) -> frozenset[tuple[str, ...]]:
    found = words(normalize("NFC", text).lower())
    return frozenset(tuple(found[i : i + 3]) for i in range(max(1, len(found) - 2)))


def check_likeness(splits: Mapping[str, Sequence[Row]], unlabelled: Sequence[Row] = ()) -> Likeness:
    """Near duplicates among the training rows, and test rows that have one among them.

    Args:
        splits: name → rows.
        unlabelled: rows that a teacher labels, which are trained on too.
    """
    train, test = [*splits["train"], *unlabelled], splits["test"]
    pairs = near_duplicates([row["text"] for row in (*train, *test)])
    within = [(i, j) for i, j in pairs if j < len(train)]
    across = [(i, j - len(train)) for i, j in pairs if i < len(train) <= j]
    return {
        "similarity": ALIKE,
        "train_rows_like_an_earlier_one": len({j for _, j in within}),
        "test_rows_like_a_train_row": len({j for _, j in across}),
        "examples": [[train[i]["id"], test[j]["id"]] for i, j in across[:MAX_SHOWN]],
    }


def check_lengths(
    splits: Mapping[str, Sequence[Row]],
    fields: Sequence[Field],
    instruction: str,
    count: Callable[[str], int],
    *,
    max_new_tokens: int,
    context: int | None,
    shots: int,
    nearest: int = 0,
    written: Sequence[Sequence[Mapping[str, Any]]] = (),
) -> Lengths:
    """Tokens of prompts and answers against what the model may read and write.

    Args:
        splits: name → rows.
        fields: of the record.
        instruction: that every prompt begins with.
        count: tokens of a text, by the base model's tokenizer.
        max_new_tokens: the limit of an answer.
        context: tokens that the model can hold; None where its config names no limit.
        shots: most examples that a condition's prompt shows, the same ones for every text.
        nearest: most examples that one shows which are chosen for each text, as those most like it.
        written: of each condition that has some, the hand-written examples: text and record of each.

    Raises:
        UserError: rows do not fit, naming the longest and the setting to change.
    """
    rows = [row for split in splits.values() for row in split]
    answers = [count(completion(row["record"], fields)) + 1 for row in rows]
    prompts = [count(instruction) + count(row["text"]) + CHAT_TOKENS for row in rows]
    longest = max(range(len(rows)), key=answers.__getitem__)
    if answers[longest] > max_new_tokens:
        too_long = sum(answer > max_new_tokens for answer in answers)
        raise UserError(
            f"decoding.max_new_tokens: {max_new_tokens} is too few for {too_long:,} of "
            f"{len(rows):,} records; the longest, of {rows[longest]['id']}, takes "
            f"{answers[longest]} tokens"
        )
    widest = max(range(len(rows)), key=prompts.__getitem__)
    if context is not None and prompts[widest] + max_new_tokens > context:
        too_long = sum(prompt + max_new_tokens > context for prompt in prompts)
        raise UserError(
            f"{too_long:,} of {len(rows):,} texts do not fit into the model's {context:,} tokens "
            f"with decoding.max_new_tokens={max_new_tokens}; the longest, {rows[widest]['id']}, "
            f"takes about {prompts[widest]:,}: leave such rows out, or use a model that holds more "
            "(max_position_embeddings in its config.json says how many)"
        )
    few_shot = few_shot_tokens(splits, fields, instruction, count, shots=shots)
    if nearest:
        with_nearest = few_shot_tokens(splits, fields, instruction, count, nearest=nearest)
        few_shot = max(few_shot, with_nearest)
    for own in written:
        with_own = few_shot_tokens(splits, fields, instruction, count, written=own)
        few_shot = max(few_shot, with_own)
    return {
        "prompt_tokens": _spread(prompts),
        "answer_tokens": _spread(answers),
        "few_shot_prompt_tokens": few_shot,
        "shots": max(shots, nearest, *map(len, written)),
        "context": context,
        "max_new_tokens": max_new_tokens,
    }


def few_shot_tokens(
    splits: Mapping[str, Sequence[Row]],
    fields: Sequence[Field],
    instruction: str,
    count: Callable[[str], int],
    *,
    shots: int = 0,
    nearest: int = 0,
    written: Sequence[Mapping[str, Any]] = (),
) -> int:
    """About how many tokens the longest prompt takes, with its examples: see :func:`check_lengths`.

    Args:
        written: the examples themselves, where somebody wrote them by hand.
    """
    if nearest:
        return _widest_with_nearest(splits, fields, instruction, count, nearest)
    rows = [row for split in splits.values() for row in split]
    texts = [count(row["text"]) + CHAT_TOKENS for row in rows]
    answers = sum(count(completion(row["record"], fields)) + 1 for row in rows)
    per_shot = (sum(texts) + answers) / len(rows)
    own = sum(
        count(row["text"]) + CHAT_TOKENS + count(completion(row["record"], fields)) + 1
        for row in written
    )
    return round(count(instruction) + max(texts) + shots * per_shot + own)


def context_warnings(
    prompts: Mapping[str, int],
    limits: Mapping[str, int],
    context: int,
    key: str,
    *,
    other_tokenizer: bool,
) -> list[str]:
    """Conditions whose prompts and answers may not fit into what their server holds.

    No error: tokens of the base model's tokenizer are not those that another model counts.

    Args:
        prompts: condition → tokens of its longest prompt, by the base model's tokenizer.
        limits: condition → the most tokens of its answer.
        context: tokens that a prompt and its answer may have together.
        key: of params.yaml that sets it, or what else does.
        other_tokenizer: whether the model that is asked has one of its own.
    """
    said = []
    for name, prompt in prompts.items():
        margin = OTHER_TOKENIZER if other_tokenizer else 1.0
        wanted = round(prompt * margin) + limits[name]
        if wanted > context:
            counted = "by the base model's tokenizer" + (
                f", {OTHER_TOKENIZER - 1:.0%} more by another's" if other_tokenizer else ""
            )
            said.append(
                f"conditions.{name} may not fit: its longest prompt takes about {prompt:,} tokens ({counted}), "
                f"its answer up to {limits[name]:,}, and {key} is {context:,}; expected {wanted:,} or more "
                f"there, fewer conditions.{name}.shots or shorter texts."
            )
    return said


def _widest_with_nearest(
    splits: Mapping[str, Sequence[Row]],
    fields: Sequence[Field],
    instruction: str,
    count: Callable[[str], int],
    k: int,
) -> int:
    """Most tokens of a test text's prompt with its ``k`` nearest training texts as examples.

    Counted and not estimated by the mean: what is most like a long text is long.
    """
    train = splits["train"]
    neighbours = Neighbours([row["text"] for row in train])
    tokens = [count(row["text"]) + count(completion(row["record"], fields)) for row in train]
    return max(
        count(instruction)
        + count(row["text"])
        + CHAT_TOKENS
        + sum(tokens[place] + CHAT_TOKENS for place in neighbours.nearest(row["text"], k))
        for row in splits["test"]
    )


def _spread(values: Sequence[int]) -> Spread:
    ordered = sorted(values)
    return {
        "mean": round(sum(values) / len(values), 1),
        "p95": ordered[math.ceil(0.95 * len(ordered)) - 1],
        "max": ordered[-1],
    }


def token_warnings(splits: Mapping[str, Sequence[Row]], special: Collection[str]) -> list[str]:
    """What a model reads otherwise than it is written: texts that hold tokens of its chat format.

    Args:
        special: the tokenizer's own tokens, such as the one that ends a turn.
    """
    said = []
    for token in sorted(filter(None, special)):
        held = [row["id"] for rows in splits.values() for row in rows if token in row["text"]]
        if held:
            said.append(
                f"{len(held):,} texts hold {token}, such as {held[0]}: the base model reads it as a token of "
                "its own, as if a turn began or ended there."
            )
    return said


def size_warnings(wanted: int, available: int) -> list[str]:
    """What is to be known where the test split has fewer rows than are to be evaluated."""
    if available >= wanted:
        return []
    return [
        f"evaluate.test_rows asks for {wanted:,} test texts; {available:,} are there, and all of them "
        "are evaluated."
    ]


def check_precision(rows: int, available: int, z: float) -> Precision:
    """How exact a mean score over ``rows`` test rows can be, in the normal approximation.

    Args:
        rows: that are evaluated.
        available: rows of the test split.
        z: standard errors on each side, 1.96 for a confidence of 95 %.
    """
    return {
        "rows": rows,
        "available": available,
        "half_width": {
            name: round(z * spread / math.sqrt(rows), 4) for name, spread in SPREADS.items()
        },
        "rows_needed": {
            f"{wanted:g}": math.ceil((z * SPREADS["typical"] / wanted) ** 2)
            for wanted in HALF_WIDTHS
        },
    }
