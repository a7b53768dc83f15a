"""Text files as programs save them: encodings, byte order marks, and what is no text, whatever it is called."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from contextlib import suppress
from pathlib import Path

from lora_vs_api.errors import UserError

# longest first: UTF-32's mark begins with UTF-16's
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# what files of other kinds begin with
_KINDS = (
    (b"PK\x03\x04", "an Excel workbook or another zip file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "a gzip file"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"FEA1", "a Feather file"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"7z\xbc\xaf", "a 7z file"),
    (b"Rar!", "a RAR file"),
    (b"%PDF-", "a PDF"),
    (b"{\\rtf", "a text with formats (RTF)"),
    (b"<?xml", "XML"),
)
# marks of letters alone may begin a text (ORCID,name), which has none of these bytes
_LETTERS = (b"PAR1", b"ARROW1", b"FEA1", b"ORC", b"BZh", b"Rar!")
_CONTROL = re.compile(rb"[\x00\x02-\x08\x0e-\x1e]")
# the beginning of a web page, in lower case
_PAGE = re.compile(
    rb"(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*(?:<!doctype html|<html|<head|<table)", re.DOTALL
)
# what no text of latin-1 has, control characters that are none of ASCII's
_C1 = re.compile("[\x80-\x9f]")
# bytes of a file that are uncompressed at most
_LONGEST = 2**29


def marked_encoding(raw: bytes) -> str | None:
    """The encoding that the file's byte order mark names; None without one."""
    return next((name for mark, name in _MARKS if raw.startswith(mark)), None)


def check_no_page(path: Path) -> None:
    """Make sure that a file is no web page, which programs export under a spreadsheet's name, nor what git-lfs puts in its place.

    A web page is also what a link to a table gives without a login.

    Raises:
        UserError: it is one.
    """
    with open(path, "rb") as stream:
        head = stream.read(1000).removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if _PAGE.match(head):
        raise UserError(
            f"{path}: is a web page (HTML), whatever its name says; open it in a spreadsheet and save the table "
            "as .xlsx or CSV, or, where it asks for a login, download the table itself"
        )
    if head.startswith(b"version https://git-lfs"):
        raise UserError(
            f"{path}: is a git-lfs pointer, and not the file itself; git lfs pull fetches that"
        )


def read_text(path: str | Path, encoding: str | None = None) -> str:
    """The text of a file, in the encoding that its byte order mark names, else ``encoding``.

    Line ends stay as they are.

    Args:
        path: of the file.
        encoding: a name that Python knows, such as latin-1; None for UTF-8.

    Raises:
        UserError: no such encoding, or bytes that it does not have, with their line.
        FileNotFoundError: no such file.
    """
    raw = _unpacked(Path(path))
    kind = _kind_of(raw)
    if kind is not None:
        raise UserError(f"{path}: is {kind}, whatever its name says; expected text")
    name = marked_encoding(raw) or encoding or "utf-8"
    wide = _wide(raw)
    # Python takes a file without a mark for little-endian
    if wide and (encoding is None or (wide == "utf-16-be" and _is_utf_16(encoding))):
        raise _without_mark(path, wide)
    try:
        text = raw.decode(name)
    except LookupError:
        raise UserError(
            f"{path}: no text encoding is called {name!r}; expected one such as latin-1, cp1252 or utf-16"
        ) from None
    except UnicodeError as error:
        line = raw.count(b"\n", 0, getattr(error, "start", 0)) + 1
        said = "UTF-8" if name.startswith("utf-8") else name
        raise UserError(
            f"{path}:{line}: not valid {said} ({getattr(error, 'reason', error)}); save it as UTF-8, "
            "or name its encoding, such as latin-1, cp1252, utf-16, gb18030 or shift_jis (--encoding, data.encoding)"
        ) from None
    if _C1.search(text) and codecs.lookup(name).name == "iso8859-1":
        # Windows' quotes and dashes, which browsers too take for meant where latin-1 is said
        with suppress(UnicodeDecodeError):
            text = raw.decode("cp1252")
    head = text[:100]
    if encoding is None and head.count("\0") * 4 > len(head):
        raise _without_mark(path, "utf-16-le or utf-16-be")
    return text


def _without_mark(path: str | Path, encoding: str) -> UserError:
    return UserError(
        f"{path}:1: holds zero bytes, as UTF-16 without a byte order mark does; save it as UTF-8, or name its encoding, "
        f"{encoding} (--encoding, data.encoding)"
    )


def _is_utf_16(encoding: str) -> bool:
    """Whether this names UTF-16 and no order of bytes."""
    try:
        return codecs.lookup(encoding).name == "utf-16"
    except LookupError:
        return False


def _wide(raw: bytes) -> str | None:
    """The kind of UTF-16 that a file without a mark seems to be, by its first letters, which are plain ones; None for another."""
    head = raw[:8]
    if marked_encoding(raw) or len(head) < 8:
        return None
    zeros = [place for place, byte in enumerate(head) if byte == 0]
    if zeros == [1, 3, 5, 7]:
        return "utf-16-le"
    return "utf-16-be" if zeros == [0, 2, 4, 6] else None


def _unpacked(path: Path) -> bytes:
    """The bytes of a file, or of the one that is compressed in it.

    Raises:
        UserError: no gzip file, one that is cut, or more in it than :data:`_LONGEST`.
    """
    if path.suffix.lower() != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as stream:
            raw = stream.read(_LONGEST + 1)
    except FileNotFoundError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path}: not readable as gzip ({error}); expected a whole gzip file, or the file itself without .gz"
        ) from None
    # a few kilobytes can hold more than the memory does
    if len(raw) > _LONGEST:
        raise UserError(
            f"{path}: holds more than {_LONGEST // 2**20:,} MiB; expected less: uncompress it (gunzip) and name that file"
        )
    return raw


def _kind_of(raw: bytes) -> str | None:
    """Which kind of file begins so; None for a text."""
    mark, kind = next(((mark, kind) for mark, kind in _KINDS if raw.startswith(mark)), (b"", None))
    return None if mark in _LETTERS and not _CONTROL.search(raw) else kind


def inner_marks(text: str) -> tuple[str, int]:
    """``text`` without byte order marks where a line begins, as joined files have them, and how many those are."""
    return re.subn(r"(?:\A|(?<=[\r\n]))\ufeff+", "", text)
