"""Which lines of a table of texts are its header and its rows, and what of them is neither.

Spreadsheets and the programs that write CSV leave lines behind that nobody meant as a row: empty ones, the
header once more where files were joined, a total below.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from lora_vs_api.data.written import FEW, UNSPACED_LETTER, called_written, is_missing
from lora_vs_api.errors import UserError
from lora_vs_api.shown import count, in_quotes

Lines = list[tuple[int, list[str]]]

# of a file that has a title, a person's or a sheet's, above its header
BELOW = "the header seems to be the line below {!r}: take out the lines above it"
# of rows that agree before it is told that one of them does not
MOSTLY = 0.9
# rows that are enough to tell that one of them is unlike the others, or the header like them
MIN_ROWS = 10
# columns that are never empty from which on a table is wide
MIN_WIDE = 3
# words of a column's name, at most, where those of texts are more
NAME_WORDS = 3
MAX_NAME = 200  # characters
MAX_BROKEN = 0.1  # of the rows
# what some programs put between cells, and no column is called by
_OTHER_SEPARATORS = (
    "\t",
    ";",
    ",",
    "|",
    "^",
    "~",
    "\x01",
    "\x1f",
    "\u00a7",
    "\u00a6",
    ":",
    "#",
    "@",
    "/",
)


def without_empty(lines: Sequence[tuple[int, list[str]]], notes: list[str]) -> Lines:
    """``lines`` without those whose cells are all empty, as spreadsheets save rows that were cleared.

    In a table of one column an empty cell is a row whose text is missing.
    """
    if not lines or len(lines[0][1]) == 1:
        return list(lines)
    found = [(line, cells) for line, cells in lines if any(cell.strip() for cell in cells)]
    left_out = sum(len(cells) > 1 for _, cells in lines) - sum(len(cells) > 1 for _, cells in found)
    if left_out:
        notes.append(f"{left_out:,} rows without anything in them, left out")
    return found


def without_headers(header: Sequence[str], rest: Lines, notes: list[str]) -> Lines:
    """``rest`` without the header's repetitions, which joined files have; below one in another order, in its order."""
    known = [name.strip() for name in header]
    # in a table of one column a cell may well be called as the column is
    if len(known) < 2:
        return rest
    # place of each column in the lines that are being read
    order = list(range(len(known)))
    again, found = [], []
    for line, cells in rest:
        plain = [cell.strip().lstrip("\ufeff") for cell in cells]
        if plain == known or (sorted(plain) == sorted(known) and len(set(known)) == len(known)):
            order = [plain.index(name) for name in known]
            again.append((line, plain != known))
        elif len(cells) == len(known):
            found.append((line, [cells[place] for place in order]))
        else:
            found.append((line, cells))
    if again:
        others = [str(line) for line, is_other in again if is_other]
        how = (
            f", in another order in line {', '.join(others[:3])}, as the rows below are read"
            if others
            else ""
        )
        notes.append(f"the header once more in {count(len(again), 'line')}, left out{how}")
    return found


_KINDS_OF_ANSWERS = ("Response", "Open-Ended Response")


def without_survey_lines(rest: Lines, notes: list[str]) -> Lines:
    """``rest`` without the lines below the header that survey programs put there: Qualtrics' questions and ids, SurveyMonkey's kinds of answers."""
    if rest and any(rest[0][1]) and all(cell in _KINDS_OF_ANSWERS for cell in rest[0][1] if cell):
        notes.append(
            "SurveyMonkey's line below the header (Open-Ended Response, Response): left out"
        )
        return rest[1:]
    if len(rest) < 2 or not any(rest[1][1]):
        return rest
    if not all(cell.startswith('{"ImportId":') for cell in rest[1][1] if cell):
        return rest
    notes.append("Qualtrics' questions and ImportIds below the header: 2 lines, left out")
    return rest[2:]


def check_no_second_header(path: Path, header: Sequence[str], rest: Lines) -> None:
    """Make sure that the line below the header is a row, and no line of questions, types or units.

    Raises:
        UserError: in every column of numbers, days or labels, at least two, it is none of these, but words.
    """
    if len(rest) < MIN_ROWS:
        return
    (line, cells), *others = rest
    # a title above the header leaves its other cells empty
    kinds = [
        _kind([row[place].strip() for _, row in others]) if name else None
        for place, name in enumerate(header)
    ]
    typed = [(cell.strip(), kind) for cell, kind in zip(cells, kinds) if kind is not None]
    # a label that is new is one more; what stands among numbers and is none tells
    if len(typed) < 2 or not any(kind == _NUMBERS for _, kind in typed):
        return
    words = [bool(re.search(r"[^\W\d_]", cell)) and not is_missing(cell) for cell, _ in typed]
    # what needs no second name has none there
    blank = len(typed) > 2 and all(word or not cell for (cell, _), word in zip(typed, words))
    if (all(words) or (blank and any(words))) and not any(_is_of(*each) for each in typed):
        raise UserError(
            f"{path}:{line}: expected a row, found what seems to be a second line of names: "
            f"{', '.join(cell for cell, _ in typed):.60}; take it out"
        )


_NUMBERS = re.compile(
    r"[+-]?[\d.,]*\d%?|\d{4}-\d\d?-\d\d?.*|\d\d?[./]\d\d?[./]\d{2,4}.*|\d\d?:\d\d.*"
)


def _kind(cells: Sequence[str]) -> re.Pattern[str] | frozenset[str] | None:
    """What all cells of a column are that hold anything: numbers or moments, one of few labels, or None of these."""
    present = [cell for cell in cells if cell]
    if 2 * len(present) < len(cells):
        return None
    if all(map(_NUMBERS.fullmatch, present)):
        return _NUMBERS
    counts = Counter(present)
    # each stands in several rows
    few = len(counts) > 1 and 3 * len(counts) <= len(present) and min(counts.values()) > 1
    return frozenset(counts) if few else None


def _is_of(cell: str, kind: re.Pattern[str] | frozenset[str]) -> bool:
    return cell in kind if isinstance(kind, frozenset) else kind.fullmatch(cell) is not None


# the last columns of Mechanical Turk's results, for which its rows have no cells before somebody decides
_UNDECIDED = ("Approve", "Reject")


def as_wide_as(
    path: Path, first: int, header: Sequence[str], rest: Lines, notes: list[str]
) -> Lines:
    """``rest`` with as many cells in each row as ``header`` has.

    Raises:
        UserError: a row has more or fewer, with its line and what may be the reason.
    """
    width = len(header)
    if tuple(header[-2:]) == _UNDECIDED and {len(cells) for _, cells in rest} == {width - 2}:
        rest = [(line, [*cells, "", ""]) for line, cells in rest]
    beyond = [cell for _, cells in rest for cell in cells[width:]]
    if beyond and not any(cell.strip() for cell in beyond):
        notes.append("cells behind the last column: empty, left out")
        rest = [(line, cells[:width]) for line, cells in rest]
    for place, (line, cells) in enumerate(rest):
        if len(cells) != width:
            raise UserError(
                f"{path}:{line}: expected {width} cells as in the header, found {len(cells)}"
                f"{_why_of_another_width(first, header, rest, place)}"
            )
    mark = _separator_of(first, header, rest) if len(rest) > 1 else None
    if mark is not None:
        raise UserError(f"{path}:{first}: expected cells, found one in every line{_names_it(mark)}")
    return rest


def _stands_again(header: Sequence[str], rest: Lines) -> str | None:
    """A cell of the first line that is one of the labels below it; None where there is none."""
    for place, name in enumerate(map(str.strip, header)):
        cells = [row[place].strip() for _, row in rest if len(row) > place]
        if name and cells.count(name) > 1:
            return name
    return None


def _why_of_another_width(first: int, header: Sequence[str], rest: Lines, place: int) -> str:
    """What may be the reason that the row at ``place`` is not as wide as the header."""
    width, found = len(header), len(rest[place][1])
    usual, n = Counter(len(cells) for _, cells in rest).most_common(1)[0]
    mark = _separator_of(first, header, rest, cut=True)
    if mark is not None:
        return _names_it(mark)
    widths = {len(cells) for _, cells in rest[place:]}
    if place and widths == {found} and found > 1 and len(rest) - place > 2:
        return "; so have all rows below it: is it another table? then make a file of it, or take it out"
    if sum(_has_single_quotes(cells) for _, cells in rest) > 1 and found > 1:
        return """; do single quotes stand around cells? then write " in their place"""
    if usual == width or n < MOSTLY * len(rest) or len(rest) < 2:
        again = _stands_again(header, rest)
        if again is not None:
            return (
                f"; {again!r:.40} of line {first} stands again below: is that line a row? then put a line with names above it, as many "
                "as the longest row has cells, and give the other rows as many; several labels in one cell have ; between them"
            )
        if found > width:
            return "; a cell that holds the separator needs quotes around it"
        following = rest[place + 1][1] if place + 1 < len(rest) else []
        short = sum(len(cells) < width for _, cells in rest)
        # a row that was broken in two is one of few
        if (
            found < width
            and found + len(following) - 1 == width
            and short <= MAX_BROKEN * len(rest)
        ):
            return "; does its last cell go on in the next line? then put quotes around that cell"
        below = place >= len(rest) - 3 and rest[place][0] > 1
        if below and found == 1:
            return "; is it a note below the table? then take it out"
        return "; an empty cell needs its separator, at the end of a line too"
    if usual > width and _are_names(
        rest, next(n for n, row in enumerate(rest) if len(row[1]) == usual)
    ):
        return f"; {BELOW.format(', '.join(header)[:60])}"
    if usual == width + 1 and _are_numbers([cells[0] for _, cells in rest if cells]):
        return "; the first column has no name, as R writes row names: put one before the header"
    if usual > width:
        return "; a cell that holds the separator needs quotes around it"
    return ""


def _are_names(rest: Lines, place: int) -> bool:
    """Whether the cells of a row may be names: all of them different, none a number and none there again below."""
    cells = [cell.strip() for cell in rest[place][1]]
    below = [set(map(str.strip, row)) for _, row in rest[place + 1 :]]
    return (
        len(set(cells)) == len(cells)
        and all(cell and not cell[0].isdigit() for cell in cells)
        and not any(cell in row for cell in cells for row in below)
    )


def _has_single_quotes(cells: Sequence[str]) -> bool:
    """Whether a cell begins with such a quote, and a later one ends with it: what stands between was cut."""
    # of a list that Python wrote each item has both
    begins = next(
        (
            place
            for place, cell in enumerate(cells)
            if re.match(r"\s*'(?!.*'\s*\Z)", cell, re.DOTALL)
        ),
        None,
    )
    return begins is not None and any(cell.rstrip().endswith("'") for cell in cells[begins + 1 :])


def _separator_of(first: int, header: Sequence[str], rest: Lines, cut: bool = False) -> str | None:
    """What stands between the cells of a file that seems to have one column; None where nothing does.

    Args:
        cut: commas have cut its lines into more cells than the header has.
    """
    if any(header[1:]) or len(rest) < 2:
        return None
    lines = [",".join(cells) for _, cells in rest]
    for mark in _OTHER_SEPARATORS:
        times = header[0].count(mark)
        counts = [line.count(mark) for line in lines]
        # a column of texts may be called with one, such as "last, first" and "Subject: text"
        least = (
            2 if mark in ";,|:#/" and not (cut and mark in ";|#" and len(set(counts)) == 1) else 1
        )
        # a text may hold it, too; times and links do so in every line
        even = len(set(counts)) == 1 if mark in ":#/" else True
        if times >= least and min(counts) >= times and even:
            return mark
    return None


def _names_it(mark: str) -> str:
    if mark in "\t;,|":
        return f"; with {mark!r} in it, do whole lines stand between quotes? then take these out"
    return (
        f"; is {mark!r} the separator? then name it in a line above the header, sep={mark}"
        if mark.isprintable()
        else f"; is {mark!r} the separator? then save the file with commas or tabs"
    )


def _are_numbers(cells: Sequence[str]) -> bool:
    return all(re.fullmatch(r"\d+", cell.strip(), re.ASCII) for cell in cells)


def check_header(path: Path, first: int, header: Sequence[str], rest: Lines) -> str | None:
    """Make sure that the first line names the columns and is no row like the others; or what to say of it.

    Raises:
        UserError: each of its cells is like those below it, and what stands in it stands again there, in columns
            enough.
    """
    # of a few rows a cell may be called as its column is
    if len(rest) < MIN_ROWS:
        return None
    again, long, columns, open_ = [], [], 0, False
    for place, name in enumerate(map(str.strip, header)):
        cells = [cell for _, row in rest if (cell := row[place].strip())]
        # a column for each label is marked by its own name, in some of its rows
        if not name or (not set(cells) - {name} and len(cells) < len(rest)):
            continue
        columns += 1
        if name in cells:
            again.append(name)
        elif _are_texts(cells) and not _are_texts([name]) and not _is_name(name):
            open_ = True
        elif not _is_like(name, cells):
            if _is_name(name) or _are_numbers_or_few(cells):
                return None
            # words of a text, one in each row, of which many stand twice
            open_ = True
        elif _are_texts([name]) and _are_texts(cells):
            long.append(name)
    # questions of a survey are as long as its answers
    if not again and (not long or open_):
        return None
    found = (
        f"{in_quotes(again[0])} stands again in the lines below"
        if again
        else f"{in_quotes(long[0])} is as long as what stands below it"
    )
    sure = len(again) >= max(2, columns / 2) and not open_
    if sure or any(len(name) > MAX_NAME for name in long):
        raise UserError(
            f"{path}:{first}: expected the names of the columns, found what seems to be a row: {found}; "
            "put a line with names above it"
        )
    return f"line {first}, which names the columns, may be a row: {found}; if it is, put a line with names above it"


def _are_numbers_or_few(cells: Sequence[str]) -> bool:
    """Whether cells are numbers or labels, above which one that is none of them is a name."""
    return _have_digits(cells) or FEW * len(set(cells)) <= len(cells)


def _have_digits(cells: Sequence[str]) -> bool:
    return all(any(map(str.isdigit, cell)) for cell in cells)


def _is_name(name: str) -> bool:
    """Whether a few words above texts or words are how people call these, and none of them."""
    called = called_written(name) != 1 or name.lower() in ("word", "words", "token", "tokens")
    return called or ("_" in name and name.isidentifier())


def _is_like(name: str, cells: Sequence[str]) -> bool:
    """Whether ``name`` may be one more of a column's ``cells``, which do not hold it."""
    if _are_texts(cells):
        return _are_texts([name])
    if _have_digits(cells) and not _have_digits([name]):
        return False
    # of labels, each stands in several rows
    return 2 * len(set(cells)) > len(cells)


def _are_texts(cells: Sequence[str]) -> bool:
    """Whether cells have more words than names do; of a script without blanks two characters are a word."""
    marks = sum(len(UNSPACED_LETTER.findall(cell)) for cell in cells) / 2
    return marks + sum(len(cell.split()) for cell in cells) > NAME_WORDS * len(cells)


# what stands before the sums below a table
_TOTAL = re.compile(
    r"(?:(?:grand|sub|overall)[ -]?)?totals?(?: general| général)?:?|sums?:?|(?:gesamt|summe|insgesamt|totaal|suma|somme|totale|"
    r"ogółem|razem|итого|всего|合计|总计|合計|総計):?",
    re.IGNORECASE,
)


def last_row_note(header: Sequence[str], rest: Lines) -> str | None:
    """What to say of a last row that is empty where no other row is, as a total is, or that says so; else None."""
    if len(rest) < MIN_ROWS:
        return None
    line, last = rest[-1]
    filled = [
        place
        for place in range(len(header))
        if header[place] and all(cells[place].strip() for _, cells in rest[:-1])
    ]
    empty = [header[place] for place in filled if not last[place].strip()]
    # in a wide table one more that is missing says nothing
    if not empty or len(empty) < (2 if len(filled) > MIN_WIDE else 1):
        return _total_note(rest)
    return (
        f"the last row, in line {line}, has nothing in {' and '.join(map(repr, empty[:3]))}, where every other row has "
        "something: if it is a total or a note below the table, take it out"
    )


def _total_note(rest: Lines) -> str | None:
    """What to say of a last row in which a cell says that it is the total, as no other of its column does."""
    line, last = rest[-1]
    for place, cell in enumerate(last):
        others = (cells[place].strip() for _, cells in rest[:-1])
        if _TOTAL.fullmatch(cell.strip()) and not any(map(_TOTAL.fullmatch, others)):
            return f"the last row, in line {line}, says {cell.strip()!r}: if it is the total of the others, take it out"
    return None


def _cells_with(form: re.Pattern[str], columns: Mapping[str, Sequence[str]]) -> str:
    """Each column that has such cells, with their number; empty where none has."""
    counts = {name: sum(map(bool, map(form.search, cells))) for name, cells in columns.items()}
    return ", ".join(f"{name} ({n:,})" for name, n in counts.items() if n)


def lost_note(columns: Mapping[str, Sequence[str]]) -> str | None:
    """What to say of cells in which a program has put a sign for letters that it could not read; else None."""
    told = _cells_with(re.compile("\ufffd"), columns)
    if not told:
        return None
    return f"\ufffd in place of letters that a program could not read, in cells of {told}: read as it stands"


# what stands in Windows-1252 for a byte of UTF-8 behind a first one; closing quotes may stand behind a capital as well
_SECOND = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ•–—˜™š›œžŸ"
_ANY = f"{_SECOND}‘’“”"
_MISREAD = re.compile(
    rf"Ã[{_SECOND}]|Â[\u00a0-\u00bf]|Å[{_SECOND}]|â[{_ANY}]{{2}}|ðŸ[{_ANY}]{{2}}|(?:[ÐÑ][{_ANY}]){{2}}|(?:[ä-é][{_ANY}]{{2}}){{2}}"
)


def misread_note(columns: Mapping[str, Sequence[str]]) -> str | None:
    """What to say of cells whose letters were decoded by the wrong encoding before they came into the file; else None."""
    told = _cells_with(_MISREAD, columns)
    if not told:
        return None
    return f"UTF-8 that a program took for Windows-1252 (Ã© for é) in cells of {told}: read as they stand"


def escapes_note(columns: Mapping[str, Sequence[str]]) -> str | None:
    """What to say of cells in which a line end or a tab is written as a backslash and a letter; else None."""
    # of a path such as C:\new small letters follow
    written = re.compile(r"\\[nt](?![a-z])")
    told = _cells_with(written, columns)
    if not told:
        return None
    return rf"\n or \t as a backslash and a letter in cells of {told}: read as they stand"


def entities_note(columns: Mapping[str, Sequence[str]]) -> str | None:
    """What to say of cells with HTML's names of characters or its tags, as web pages have them; else None."""
    entity = re.compile(
        r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,6}|#x[0-9a-fA-F]{2,5});|"
        r"</?(?:p|br|div|span|b|i|em|strong|a|li|ul|ol|t[dr])(?: [^<>]*)?/?>",
        re.IGNORECASE,
    )
    told = _cells_with(entity, columns)
    if not told:
        return None
    return f"HTML's names of characters or tags (&amp;, <p>) in cells of {told}: they are read as they stand"
