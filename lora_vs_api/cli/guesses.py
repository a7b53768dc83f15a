"""What ``lora-vs-api init`` says of its guesses, with rows as they will be taught."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import mean
from typing import Any

from lora_vs_api.cli.roles import Roles
from lora_vs_api.cli.task_config import TaskConfig
from lora_vs_api.cli.task_fields import DROPPED, omitting
from lora_vs_api.cli.task_source import TaskSource
from lora_vs_api.config.fields import checked_fields
from lora_vs_api.config.literal import shown
from lora_vs_api.data.checks import conflicts
from lora_vs_api.data.infer import Inferred, keys_told
from lora_vs_api.data.split import first_of_each_text
from lora_vs_api.data.templates import in_template, is_template
from lora_vs_api.data.written import EXPECTED, UNSPACED_LETTER, is_called_record, plain_name
from lora_vs_api.errors import UserError
from lora_vs_api.log import say
from lora_vs_api.record.fields import Field
from lora_vs_api.record.prompt import completion, messages, system_prompt
from lora_vs_api.record.rows import Row
from lora_vs_api.shown import count

MAX_TOLD = 600  # characters of the system prompt that are shown
MAX_SHOWN = 200  # of a text or record that is shown as an example
_GAP = " [...] "  # where it is cut
# words by which people call what they expect, and why
_TOLD = EXPECTED | {"reason", "rationale", "explanation"}
MIN_ROWS = 20  # of a file, and different texts in these: a run has three splits
A_WORD = 1.5  # words of a text, on average: from there down a line says so
MUCH_OF_NULLS = 0.2  # of the records' characters: from here on --omit-nulls is worth a line


def say_what_was_guessed(
    given: TaskSource, task: TaskConfig, roles: Roles, corpus: Sequence[Row], target: Path
) -> None:
    say(f"{task.rows:,} rows read from {task.source['path']}; {target} written:")
    say(f"  text    {shown(roles.text)}")
    if roles.record and not given.record:
        say(f"  record  {shown(roles.record)}; other columns are no fields")
    if roles.id and not given.id:
        say(
            f"  id      {shown(roles.id)}, which tells rows apart and is no field"
            + ("" if roles.record else "; --fields can name it as one")
        )
    if roles.split:
        say(f"  split   {shown(roles.split)}, which says train, val or test; --drop leaves it out")
    # what the user named, or the only field, is to be found
    asks = len(task.inferred) > 1 and not given.fields
    twice = _twice(task, corpus)
    for field, found in task.inferred.items():
        say(
            f"  {field:<22} {found.spec['type']:<8} {found.why}{_another_text(field, found, roles, corpus) if asks else ''}{twice.get(field, '')}"
        )
    if roles.record and (told := keys_told([row["record"] for row in corpus])):
        say(f"  {len(task.inferred)} keys of {shown(roles.record)}, {told}")
    for name, why in task.left_out.items():
        say(f"  {name:<22} left out ({shown(why)})")
    if given.group_by:
        say(f"  group   {shown(given.group_by)}, whose rows belong together")
    guessed = any(why != DROPPED for why in task.left_out.values())
    if guessed and not given.fields and not roles.record:
        say(
            "  --fields NAME,NAME,… names the record's columns, those that were left out among them"
        )
    firsts = first_of_each_text(corpus)
    if repeated := _repeated(corpus, firsts):
        say(repeated)
    _show_examples(task, corpus, firsts)
    texts = [row["text"] for row in corpus]
    # some scripts have no blanks between words
    spaced = [text for text in texts if not UNSPACED_LETTER.search(text)]
    if 2 * len(spaced) > len(texts) and mean(len(text.split()) for text in spaced) < A_WORD:
        say(
            "Most texts are one word: if rows are the words of texts, write a row for each text, with its labels"
        )
    if (share := _share_of_nulls(task, corpus)) >= MUCH_OF_NULLS:
        say(
            f"Of the records' characters {share:.0%} say that something is null; --omit-nulls leaves these keys out, "
            "which makes training and answers shorter"
        )
    say(
        "Read it and mend what was guessed wrong; the instruction is what every model is told. "
        f'`make quick-look SET="task={task.name}"` is a try in some five minutes; the whole run:'
    )
    print(f'  make params SET="task={task.name}" && dvc repro')
    say(
        "The report and metrics/answers.jsonl quote test texts, and `dvc exp run` keeps both in git"
        f"{_rows_in_git(task.source['path'])} (docs/tasks.md)"
    )


def _twice(task: TaskConfig, corpus: Sequence[Row]) -> dict[str, str]:
    """What to say of each field that says what one before it says, in every row."""
    columns: dict[str, list[Any]] = {}
    told: dict[str, str] = {}
    for field in task.inferred if len(corpus) >= MIN_ROWS else ():
        values = [row["record"].get(field) for row in corpus]
        same = next((other for other, held in columns.items() if held == values), None)
        if same is not None:
            told[field] = f"; the same as {same} in every row: --drop {field} leaves it out"
        columns[field] = values
    return told


def _another_text(field: str, found: Inferred, roles: Roles, corpus: Sequence[Row]) -> str:
    """What to ask about a field of many words that the text does not hold: of a pair of sentences it is the other one."""
    name = found.spec.get("from", field)
    told = not _TOLD.isdisjoint(plain_name(name).split("_"))
    if found.spec.get("score") != "token_f1" or roles.record or told or is_called_record(name):
        return ""
    pairs = [(value, row["text"]) for row in corpus if (value := row["record"].get(field))]
    if 2 * sum(value in text for value, text in pairs) > len(pairs) or is_template(roles.text):
        return ""
    return f"; is it to be read and not to be found? --text '{in_template(roles.text)}\\n\\n{in_template(name)}' joins them"


def _show_examples(task: TaskConfig, corpus: Sequence[Row], firsts: list[Row]) -> None:
    """Show what every model is told, and two of the rows that the run will read, each with its answer."""
    told = " ".join(system_prompt(task.prompt, task.fields).split())
    say(f"Every model is told: {_in_short(told, MAX_TOLD)}")
    for place in _telling(corpus, firsts):
        row = corpus[place]
        say(f"Row {place + 1:,} of {len(corpus):,}, as it will be taught:")
        text = messages(task.prompt, row["text"], task.fields)[-1]["content"]
        # in quotes, so that blanks and line ends show
        say(f"  text    {json.dumps(_in_short(text, MAX_SHOWN), ensure_ascii=False)}")
        say(f"  record  {_record_in_short(row['record'], task.fields)}")


def _telling(corpus: Sequence[Row], firsts: list[Row]) -> list[int]:
    """The places of two rows that show a wrong guess: the first row, and that whose record fills most.

    Where that is the first itself, the next one with another text; of one text, only its first row is taught.
    """
    filled = [_filled(row["record"]) for row in firsts]
    fullest = filled.index(max(filled))
    told = firsts[: 2 if fullest == 0 else 1] + firsts[fullest : fullest + (fullest > 0)]
    return [place for place, row in enumerate(corpus) if any(row is each for each in told)]


def _repeated(corpus: Sequence[Row], firsts: list[Row]) -> str:
    """What to say of texts that stand in several rows, such as one for each who labelled them; else empty."""
    if len(firsts) == len(corpus):
        return ""
    differ = len(conflicts(corpus))
    more = count(len(corpus) - len(firsts), "row repeats", "rows repeat")
    said = f"{more} the text of another: of each text its first row alone is used"
    if len(firsts) < MIN_ROWS:
        said += f"; {count(len(firsts), 'text is', 'texts are')} too few for a run: is the text another column, or several? --text names them"
    if differ:
        texts = count(differ, "text has", "texts have")
        said += f"; {texts} rows with different records: if several people labelled them, write one record a text; if they lack another column's words, --text joins these"
    return said


def _filled(value: Any) -> int:
    """How many values a record has, those within objects one by one; a list counts as one."""
    if isinstance(value, Mapping):
        return sum(map(_filled, value.values()))
    return int(value not in (None, "", []))


def _record_in_short(record: dict[str, Any], fields: Sequence[Field]) -> str:
    """A record with all its keys, long texts within it cut where it is long."""
    whole = completion(record, fields)
    for longest in (60, 30, 15):
        if len(whole) <= MAX_SHOWN:
            break
        whole = completion(_cut(record, longest), fields)
    return _in_short(whole, 2 * MAX_SHOWN)


def _cut(value: Any, longest: int) -> Any:
    """``value`` without the middles of longer texts, and the ends of longer lists."""
    if isinstance(value, str):
        half = (longest - len(_GAP)) // 2
        return value if len(value) <= longest else f"{value[:half]}{_GAP}{value[-half:]}"
    if isinstance(value, Mapping):
        return {key: _cut(inner, longest) for key, inner in value.items()}
    if isinstance(value, list):
        more = [f"[... {len(value) - 3:,} more ...]"] if len(value) > 4 else []
        return [_cut(item, longest) for item in value[: 3 if more else None]] + more
    return value


def _in_short(said: str, longest: int) -> str:
    """``said`` without its middle where it is longer, and how much is missing there; in ASCII, as any terminal has it."""
    if len(said) <= longest:
        return said
    # a tenth less, so that the words about what is missing are shorter than that is
    kept = longest * 9 // 10
    begins, ends = kept - kept // 3, kept // 3
    return f"{said[:begins]} [... {len(said) - kept:,} characters ...] {said[-ends:]}"


def _share_of_nulls(task: TaskConfig, corpus: Sequence[Row]) -> float:
    """What part of the records' characters is saved where keys of nulls are left out."""
    shorter = checked_fields({name: omitting(found.spec) for name, found in task.inferred.items()})
    taken, left = (
        sum(len(completion(row["record"], fields)) for row in corpus)
        for fields in (task.fields, shorter)
    )
    return 1 - left / taken


def _rows_in_git(path: str) -> str:
    """What to say of data that neither git nor DVC has; empty where one of them does.

    An experiment takes such a file into its commit, so that it can be redone, unless it is made in a copy of the
    project, which lacks it.
    """
    from lora_vs_api.search.study import way_into_copies

    # outside of a repository, of a file outside of this one, or without git, no command helps
    with suppress(UserError, OSError):
        if commands := way_into_copies(path):
            return (
                f", and all of {shown(path)} with them; `{commands}` keeps the rows out of git, and copies of the project "
                "(--temp, --queue, search) need it"
            )
    return ""
