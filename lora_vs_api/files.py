"""Reading and writing node outputs: byte-identical for equal content, never half-written.

Every writer fills a temporary sibling and renames it, so that an interrupted node leaves
either the old file or the new one; what a killed one left of the sibling is taken away by the next.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from lora_vs_api.errors import UserError
from lora_vs_api.shown import visible

if TYPE_CHECKING:
    from lora_vs_api.record.rows import Row


# of an error of a disk that has no room for what is written, or none for this user
DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text with ``\\n`` line ends, through a temporary name."""
    _write_pieces(path, [text])


def _write_pieces(path: str | Path, pieces: Iterable[str]) -> None:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary = temporary_sibling(path)
    try:
        # half a character, as a model may write it, is written as JSON escapes it: \ud83d
        with open(
            temporary, "x", encoding="utf-8", errors="backslashreplace", newline="\n"
        ) as stream:
            stream.writelines(pieces)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        # of a write that finds no room, it does not know the file
        raise OSError(error.errno, error.strerror, str(path)) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def json_text(value: Any, indent: int | None = None) -> str:
    """``value`` as JSON that can be shown: control characters, and what cannot be written, as escapes."""
    return visible(json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False))


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON, indented, keys in the order given, NaN refused, nothing in it unseen."""
    write_text(path, json_text(value, indent=2) + "\n")


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line; of an iterator's rows, one at a time is in memory.

    Without rows it is one empty line: of a file of no bytes DVC warns at each node that reads it.
    """
    lines = (json_text(row) + "\n" for row in rows)
    _write_pieces(path, itertools.chain([next(lines, "\n")], lines))


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: {_unreadable(error)}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: {_unreadable(error)}") from None


def _unreadable(error: Exception) -> str:
    """Why Python's reader does not take a JSON text."""
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error.msg}"
    if isinstance(error, RecursionError):
        return "JSON that is nested too deeply to be read"
    return "JSON with a number of more digits than can be read"


def read_jsonl(path: str | Path, most: int | None = None) -> list[dict[str, Any]]:
    """Read one JSON object a line, the first ``most`` where that is given.

    Raises:
        UserError: naming ``file:line`` of the first line that is not a JSON object.
    """
    return list(itertools.islice(iterate_jsonl(path), most))


def read_last(path: str | Path, most: int) -> list[dict[str, Any]]:
    """The last ``most`` rows of :func:`read_jsonl`, or all where there are fewer; errors as there."""
    return read_jsonl(path)[-most:]


def read_rows(path: str | Path, most: int | None = None) -> list[Row]:
    """Labelled texts that a node of the pipeline wrote; see :func:`read_jsonl`."""
    return cast("list[Row]", read_jsonl(path, most))


def iterate_jsonl(path: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of :func:`read_jsonl` one by one, for files that are not to be held in memory.

    One empty line alone is a file without rows.
    """
    try:
        # as in text with universal newlines: JSON strings may hold U+2028, which ends no line here
        stream = open(path, encoding="utf-8")  # noqa: SIM115  (closed below)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    with stream:
        lines = _decoded(stream, path)
        for number, line in enumerate(lines, start=1):
            if number == 1 and line == "\n" and next(lines, None) is None:
                return
            try:
                row = json.loads(line.removesuffix("\n"))
            # ValueError: no JSON, or a number of more digits than Python reads
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}:{number}: {_unreadable(error)}") from None
            if not isinstance(row, dict):
                found = type(row).__name__
                raise UserError(f"{path}:{number}: expected a JSON object, found {found}")
            yield row


def _not_utf8(path: str | Path, error: UnicodeDecodeError) -> UserError:
    mend = (
        "uncompress it (gunzip) and name that file"
        if Path(path).suffix == ".gz"
        else "save it as UTF-8"
    )
    return UserError(f"{path}: not valid UTF-8 ({error.reason}); {mend}")


def _decoded(stream: Iterable[str], path: str | Path) -> Iterator[str]:
    try:
        yield from stream
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from None


@contextmanager
def new_directory(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary directory that becomes ``path`` when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary = temporary_sibling(path)
    old = Path(f"{temporary}.old")
    try:
        temporary.mkdir(0o700)
        yield temporary
        os.chmod(temporary, 0o755)
        for file in temporary.rglob("*"):
            # safetensors writes 0600; outputs carry the permissions git and DVC expect
            os.chmod(file, 0o755 if file.is_dir() else 0o644)
        if path.exists():
            # not deleted where it is: killed meanwhile, this would leave half of it under its name
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def temporary_sibling(path: Path) -> Path:
    """A new temporary name beside ``path``, in which stands whose it is.

    The caller makes it inside its ``try``: :mod:`tempfile` makes it before it says the name, and
    what a signal ends in between is left behind.
    """
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")


def _sweep(path: Path) -> None:
    """Take away what processes of this machine that are no more have left half-written of ``path``."""
    form = re.compile(rf"\.{re.escape(path.name)}\.(\d{{1,9}})\.[a-z0-9_]{{8}}(\.old)?")
    for sibling in path.parent.iterdir():
        found = form.fullmatch(sibling.name)
        if found and has_died(int(found[1])):
            if sibling.is_dir():
                shutil.rmtree(sibling, ignore_errors=True)
            else:
                with suppress(OSError):
                    sibling.unlink()


def has_died(pid: int) -> bool:
    """Whether there is no process ``pid`` on this machine any more."""
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it is another user's, and alive
    return False
