"""The text of conf/task/NAME.yaml that ``lora-vs-api init`` writes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_vs_api.cli.date_forms import one_form
from lora_vs_api.config.literal import key_text, shown, yaml_text
from lora_vs_api.data.infer import Inferred, few_labels
from lora_vs_api.data.perturbation import KINDS
from lora_vs_api.record.fields import Field
from lora_vs_api.validation.records import expected

# with fewer rows there are not more training texts than the largest of the laptop profile's curve
FEW_ROWS = 240
# a field counts as copied where so many rows have it, and so many of these have it verbatim in the text
MIN_COPIED, COPIED = 10, 0.9


@dataclass(frozen=True)
class TaskConfig:
    """What goes into a task's config.

    ``origin`` is where the ``rows`` came from, ``left_out`` column → why it is no field. ``longest`` counts
    the characters of the longest record, ``fullest`` those of one with each field at its longest, ``tokens`` what decoding may take for it. ``forms`` says of
    the dotted paths of some fields how their values are written. ``instruction`` is the user's own; None to write one.
    """

    name: str
    noun: str
    source: Mapping[str, Any]
    origin: str
    inferred: Mapping[str, Inferred]
    fields: Sequence[Field]
    left_out: Mapping[str, str]
    forms: Mapping[str, str]
    instruction: str | None
    group_by: str | None
    split: str | None
    tokens: int
    longest: int
    fullest: int
    kind: str
    rows: int

    @property
    def stratify(self) -> str | None:
        return next((field.name for field in self.fields if field.type == "enum"), None)

    @property
    def prompt(self) -> str:
        """What every model is told, but for the fields' descriptions."""
        if self.instruction is not None:
            return self.instruction
        told = "; ".join(_told(field, self.forms) for field in self.fields)
        return (
            f"Extract a record from the {self.noun}. Answer with one JSON object on one line and "
            f"nothing else. Keys: {told}."
        )


def config_text(task: TaskConfig) -> str:
    """The file, on what each line of it rests as a comment."""
    source, stratify = task.source, task.stratify
    title = f"{task.noun.capitalize()} to a {len(task.fields)}-field record"
    lines = [
        "# @package _global_",
        f"# Written by `lora-vs-api init` from {task.rows:,} rows of {shown(task.origin)}; yours to edit.",
        *(f"# left out: {shown(name)}: {shown(why)}" for name, why in task.left_out.items()),
        "data:",
        "  source: file",
        f"  path: {yaml_text(source['path'])}",
        f"  text: {yaml_text(source['text'])}   # a column, or a Jinja template over columns",
        f"  record: {yaml_text(source['record'])}   # column with the record; null: one column a field",
        f"  id: {yaml_text(source['id'])}   # column; null: by position",
        *([f"  encoding: {yaml_text(source['encoding'])}"] if source["encoding"] else []),
        *(
            [f"  drop: {yaml_text(source['drop'])}   # what is left out of the record"]
            if source["drop"]
            else []
        ),
        f"task_name: {yaml_text(task.name)}",
        f"task_title: {yaml_text(title)}",
        "task:",
        "  # type: string, enum, integer, number, boolean, list (items: …) or object (fields: …);",
        "  # optional: true where the value may be null, omit where it then has no key. score: exact,",
        "  # normalised or token_f1 for strings; exact or tolerance (tolerance: 0.5) for numbers; set_f1 for lists; slot_f1",
        "  # for objects. description: what every model is told of it, in prompt and JSON Schema.",
        "  fields:",
    ]
    for field, found in task.inferred.items():
        lines.append(f"    # {shown(found.why)}")
        lines.append(f"    {key_text(field)}: {yaml_text(found.spec)}")
    lines += [
        "  # The same words for every condition, local or API. Say what a stranger would not know.",
        f"  instruction: {yaml_text(task.prompt)}",
        f"  group_by: {yaml_text(task.group_by)}   # a column (customer, thread) whose texts are alike; or null",
        "split:",
        *(
            [
                f"  column: {yaml_text(task.split)}   # says train, val or test; null: split.shares and chance do"
            ]
            if task.split
            else []
        ),
        f"  stratify_by: {yaml_text(stratify)}   # a field, so that every split has its mix; or null",
        "contamination:",
        f"  field: {yaml_text(stratify)}   # an enum field the untuned base is asked for; or null",
        "decoding:",
        f"  # the longest record has {task.longest:,} characters, one with each field at its longest {task.fullest:,};",
        "  # tokens too few for a record stop the run",
        f"  max_new_tokens: {task.tokens}",
        "robustness:",
        "  texts:",
        "    # The test texts once more, perturbed. mail, chat or snippet, guessed: mail where half of",
        "    # them have several lines and begin with a greeting or a header, chat where half of them",
        "    # say I, we, you or please. It decides what they are perturbed by; perturbations: [...]",
        "    # beside it names it, whatever the profile says. What would change a record is left out text by text.",
        f"    kind: {task.kind}   # {', '.join(KINDS[task.kind])}",
    ]
    if task.rows < FEW_ROWS:
        lines += [
            "learning_curve:",
            "  sizes: []   # numbers of training texts; they are too few for those of profile=laptop",
        ]
    return "\n".join(lines) + "\n"


def written_forms(
    fields: Sequence[Field], records: Sequence[Any], texts: Sequence[str], prefix: str = ""
) -> dict[str, str]:
    """Path → how its texts, or list of texts, are written: as their row's text has them, or as dates or times of one form.

    Nearly all of them, so that one row that does not is a slip of the pen, and in rows enough to tell. A path
    has a dot before what an object holds, and ``[]`` after a list.
    """
    found: dict[str, str] = {}
    for field in fields:
        path = f"{prefix}{field.name}"
        pairs = [
            (value, text)
            for record, text in zip(records, texts)
            if isinstance(record, Mapping) and (value := record.get(field.name)) is not None
        ]
        holder, inner = field, f"{path}."
        if field.type == "list" and field.items is not None and field.items.type == "object":
            pairs = [(item, text) for value, text in pairs for item in value]
            holder, inner = field.items, f"{path}[]."
        if holder.type == "object":
            values = [value for value, _ in pairs]
            found |= written_forms(holder.fields, values, [text for _, text in pairs], inner)
            continue
        parts = [(part, text) for value, text in pairs for part in _strings(value, field)]
        stands = sum(_stands(part, text) for part, text in parts)
        if len(parts) < MIN_COPIED:
            continue
        each = "each " if field.type == "list" else ""
        if stands >= COPIED * len(parts):
            found[path] = f"{each}copied from the text"
        elif (example := one_form([part for part, _ in parts])) is not None:
            found[path] = f"{each}written like {example}"
        elif each and (labels := few_labels([part for part, _ in parts])):
            # told, and no rule of the schema: the lists seen so far may lack one
            found[path] = f"each one of {_in_a_row(labels)}"
    return found


def _stands(part: str, text: str) -> bool:
    """In the text, a short one as a word of its own: every text has an a."""
    return part in text and (
        len(part) > 2 or bool(re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text))
    )


def _strings(value: Any, field: Field) -> Iterator[str]:
    if field.type == "string" and isinstance(value, str) and value.strip():
        yield value
    if field.type == "list" and field.items is None and isinstance(value, list):
        yield from (item for item in value if isinstance(item, str) and item.strip())


def _told(field: Field, forms: Mapping[str, str], prefix: str = "") -> str:
    """A field as the instruction names it, with what lies within it."""
    path = f"{prefix}{field.name}"
    said = _kind(field, forms, path) + (", or null" if field.optional and not field.omitted else "")
    if path in forms:
        said += f", {forms[path]}"
    return f"{field.name} ({said})"


def _in_a_row(labels: Sequence[str]) -> str:
    # one label that has a comma would read as two
    return ", ".join(json.dumps(v, ensure_ascii=False) if "," in v else v for v in labels)


def _kind(field: Field, forms: Mapping[str, str], path: str) -> str:
    if field.type == "enum":
        return f"one of {_in_a_row(field.values)}"
    if field.type == "list":
        return "list of " + _several(field.items, forms, path)
    if field.type == "object":
        inner = ", ".join(_told(each, forms, f"{path}.") for each in field.fields)
        return f"object with {inner}"
    plain = expected(field).removesuffix(" or null")
    return plain.removeprefix("an ").removeprefix("a ")


def _several(items: Field | None, forms: Mapping[str, str], path: str) -> str:
    if items is None:
        return "strings"
    words = _kind(items, forms, f"{path}[]") + (", or null" if items.optional else "")
    return words.replace("object with", "objects with", 1) if items.type == "object" else words
