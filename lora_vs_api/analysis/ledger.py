"""Under which settings which test texts have been scored: metrics/scored_slices.json.

Whoever has seen scores on a slice and changes a setting has chosen by them, and no interval shows
it. So `analyze` adds its settings to the slice's entry each time it runs, and the file is committed
with the results. It is an output that DVC keeps while the node runs (``persist``), since the node
reads what it wrote before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from lora_vs_api.analysis.results import Result
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_json

LEDGER = "metrics/scored_slices.json"
Key = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
Setting = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]


class ScoredSlice(Result):
    """Texts of a task, by the first digits of their SHA-256, and the settings they were scored under."""

    task: str
    texts: tuple[Key, ...]
    settings: tuple[Setting, ...]


Ledger = tuple[ScoredSlice, ...]


@dataclass(frozen=True)
class OtherSettings:
    """``settings``: how many other ones have been scored on any of a slice's texts; ``texts``: on how
    many of these."""

    settings: int
    texts: int


def text_keys(texts: Iterable[str]) -> tuple[str, ...]:
    """The first 8 hexadecimal digits of each text's SHA-256."""
    return tuple(sha256(text.encode()).hexdigest()[:8] for text in texts)


def read_ledger(path: str | Path = LEDGER) -> Ledger:
    """The entries so far; none where there is no file.

    Raises:
        UserError: the file holds something else. Making it again would forget what was scored.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        return TypeAdapter(Ledger).validate_json(text)
    except FileNotFoundError:
        return ()
    except UnicodeDecodeError:
        found = "not UTF-8"
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        found = f"{place}: {first['msg']}" if place else first["msg"]
    raise UserError(
        f"{path}: expected a list of entries with task, texts and settings, found {found}; "
        f"`git checkout HEAD {path}` brings back the committed one"
    )


def with_setting(ledger: Ledger, task: str, keys: Sequence[str], setting: str) -> Ledger:
    """The ledger with ``setting`` in the entry of exactly these texts; the same if it is there."""
    for place, entry in enumerate(ledger):
        if (entry.task, set(entry.texts)) == (task, set(keys)):
            if setting in entry.settings:
                return ledger
            more = entry.model_copy(update={"settings": (*entry.settings, setting)})
            return (*ledger[:place], more, *ledger[place + 1 :])
    return (*ledger, ScoredSlice(task=task, texts=tuple(keys), settings=(setting,)))


def other_settings(ledger: Ledger, keys: Sequence[str], setting: str) -> OtherSettings:
    """What the ledger knows of ``keys`` under any setting but ``setting``, slices that overlap too."""
    found: set[str] = set()
    scored: set[str] = set()
    for entry in ledger:
        shared, others = set(keys) & set(entry.texts), set(entry.settings) - {setting}
        if shared and others:
            found |= others
            scored |= shared
    return OtherSettings(len(found), len(scored))


def write_ledger(ledger: Ledger, path: str | Path = LEDGER) -> None:
    write_json(path, [entry.model_dump(mode="json") for entry in ledger])
