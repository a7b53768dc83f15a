"""Slips of the pen in the files of conf/: what Hydra, OmegaConf and YAML say of them, in one line."""

from __future__ import annotations

import codecs
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from lora_vs_api.config.dotted import keys_of, value_at
from lora_vs_api.config.yaml_keys import cut_text, misread_number, place_behind, unquoted_key
from lora_vs_api.conflicts import LEFT_TWO, TAKE_ONE, has_conflict
from lora_vs_api.shown import did_you_mean

LOCAL = "local.yaml"
# sections of names of one's own, which one may want none of; and what an empty {} does to one
OWN_NAMES = ("conditions", "labels", "tunings")
KEPT = "{} is added to what conf/ has there, and takes nothing out"
# what Hydra called it once
OLD_FORM = " (a variable of the environment is ${oc.env:NAME})"


def of_environment(name: str) -> str:
    """How a setting refers to a variable that the environment has, as a hint; empty for one that it has not."""
    return f" (that of the environment is ${{oc.env:{name}}})" if name in os.environ else ""


# blanks and marks that look like none or like a plain blank, where YAML takes them for part of a key
_BLANKS = "\u00a0\u1680\u2000-\u200d\u202f\u205f\u2060\u3000\ufeff"
UNSEEN = re.compile(f"[{_BLANKS}\uff1a]")
# what stands before a line's words, and one word with its colon: more is a text
_IN_KEY = re.compile(
    rf"[ \t-]*[{_BLANKS}][ \t{_BLANKS}]*(?=[^#\s{_BLANKS}])|[ \t-]*[\w./{_BLANKS}-]+(?::(?=\s|$)|\uff1a)"
)


def yaml_slip(error: Exception, conf: Path) -> str | None:
    """A file of ``conf`` that is no YAML, as file, line, column and what is wrong; None for another error."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        said = " ".join(str(error.problem or error).split())
        if has_conflict(Path(mark.name)):
            return f"{_shown(Path(mark.name), conf)}: {LEFT_TWO}; {TAKE_ONE}"
        hint = "; a text with a colon and a blank in it is put in quotes" * (
            "mapping values" in said
        )
        return f"{_shown(Path(mark.name), conf)}:{mark.line + 1}:{mark.column + 1}: not valid YAML: {said}{hint}"
    if isinstance(error, yaml.YAMLError | UnicodeDecodeError | RecursionError):
        return next((slip for path in _files(conf) if (slip := _slip_of(path, conf))), None)
    return None


def no_mapping(conf: Path) -> str | None:
    """The user's own file where it holds no settings: Hydra would pass over a list in silence."""
    path = conf / LOCAL
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        # composing says which
        return None
    if found is None or isinstance(found, dict):
        return None
    return f"{_shown(path, conf)}: expected settings, key: value, found a {type(found).__name__}"


def hydra_slip(overrides: Sequence[str], conf: Path) -> str | None:
    """A setting of Hydra's own, which it would take in silence; None where there is none."""
    typed = (re.match(r"[+~]{0,2}(hydra(?:[./@][^=]*)?)(?:=|\Z)", text) for text in overrides)
    key = next((found[1] for found in typed if found), None)
    place = ""
    if key is None and "hydra" in _own(conf):
        key, place = "hydra", place_of("hydra", conf)
    if key is None:
        return None
    return f"{place}{key}: Hydra's own settings have no use here, where it composes params.yaml and runs nothing; leave it out"


def mark_slip(conf: Path) -> str | None:
    """A file of ``conf`` with a byte order mark before ``# @package``, which Hydra then does not see."""
    path = next(_marked(conf), None)
    if path is None:
        return None
    return f"{_shown(path, conf)}:1:1: a byte order mark hides what stands behind it, # @package; save it as UTF-8 without one"


@contextmanager
def copied(conf: Path) -> Iterator[Path]:
    """A copy of ``conf`` to change."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(conf, Path(folder).resolve() / conf.name))


@contextmanager
def without_marks(conf: Path) -> Iterator[Path]:
    """A copy of ``conf`` without such marks."""
    with copied(conf) as copy:
        for path in _marked(copy):
            path.write_bytes(path.read_bytes().removeprefix(codecs.BOM_UTF8))
        yield copy


def _marked(conf: Path) -> Iterator[Path]:
    for path in _files(conf):
        with open(path, "rb") as stream:
            head = stream.read(512)
        # what stands in conf/ itself needs no such line
        inner = path.parent != conf
        if inner and head.startswith(codecs.BOM_UTF8) and b"# @package" in head:
            yield path


def key_slip(conf: Path) -> str | None:
    """A key in a file of ``conf`` that YAML reads as something else than a text, such as on, no or null."""
    return _first_slip(conf, unquoted_key)


def value_slip(conf: Path) -> str | None:
    """A value in a file of ``conf`` that YAML takes for another one than it says: 010, 12:30, a text with #5 in it."""
    return _first_slip(conf, lambda text: misread_number(text) or cut_text(text))


def _first_slip(conf: Path, find: Callable[[str], tuple[int, int, str] | None]) -> str | None:
    """What ``find`` says of the first file that it finds something in; files that cannot be read are told elsewhere."""
    for path in _files(conf):
        try:
            found = find(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            continue
        if found is not None:
            line, column, said = found
            return f"{_shown(path, conf)}:{line}:{column}: {said}"
    return None


def package_slip(conf: Path, overrides: Sequence[str]) -> str | None:
    """The chosen task's file without the line that says where its keys go: Hydra puts all of them under ``task``."""
    try:
        own = (conf / LOCAL).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        own = ""
    for path in sorted((conf / "task").glob("*.yaml")):
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            continue
        chosen = f"task={path.stem}" in overrides or re.search(rf"/?task: *{path.stem}\b", own)
        if chosen and "@package" not in text and re.search(r"(?m)^(?:task|data|task_name):", text):
            return f"{_shown(path, conf)}:1:1: expected # @package _global_ as the first line, which `init` writes"
    return None


def unseen_slips(conf: Path) -> Iterator[tuple[str, Path, str]]:
    """Files of ``conf`` where a blank of another kind, as web pages and chats have them, seems to be part of a key.

    Each as what is wrong with its place, the file, and its text as it would be with all such places mended.
    """
    for path in _files(conf):
        try:
            raw = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        text = raw.removeprefix("\ufeff")
        found = sorted(set(_unseen_places(text))) if UNSEEN.search(text) else []
        if not found:
            continue
        odd, (line, column) = text[found[0]], place_behind(text[: found[0]])
        name = "a full-width colon" if odd == "\uff1a" else "a blank or mark that is not seen"
        slip = (
            f"{_shown(path, conf)}:{line}:{column}: {name} (U+{ord(odd):04X}), as text that was copied "
            "has it; type this place anew"
        )
        marks = {place: _typed(text[place]) for place in found}
        mended = "".join(marks.get(place, sign) for place, sign in enumerate(text))
        yield slip, path, raw.removesuffix(text) + mended


def _typed(odd: str) -> str:
    """What a person would have typed where ``odd`` stands."""
    known = {"\uff1a": ": ", "\u3000": "  "} | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", "")
    return known.get(odd, " ")


def _unseen_places(text: str) -> Iterator[int]:
    """Where ``text`` has such signs within its keys, or what was to be one; quoted texts and block scalars hold none."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        for start, line in _outside_blocks(text):
            yield from _unseen_in_line(start, line)
        return
    for scalar, is_key, _ in _placed(root, ()) if root else ():
        if scalar.style:
            continue
        start, end = scalar.start_mark.index, scalar.end_mark.index
        if is_key:
            yield from (start + found.start() for found in UNSEEN.finditer(text[start:end]))
            continue
        # without its colon a line that was to be a key is a text
        start = text.rfind("\n", 0, start) + 1
        for line in text[start:end].split("\n"):
            yield from _unseen_in_line(start, line)
            start += len(line) + 1


def _unseen_in_line(start: int, line: str) -> Iterator[int]:
    key = _IN_KEY.match(line)
    yield from (start + found.start() for found in UNSEEN.finditer(key[0] if key else ""))


def _outside_blocks(text: str) -> Iterator[tuple[int, str]]:
    """Lines with where they begin, but those of block scalars, of a file that is no YAML as a whole."""
    start, block = 0, None
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip(" "))
        if block is not None and line.strip(" ") and indent <= block:
            block = None
        if block is None:
            yield start, line
            if re.search(r"(?:^|[\s:])[|>][+-]?\d?[+-]?[ \t]*(?:#.*)?$", line):
                block = indent
        start += len(line) + 1


def _placed(
    node: yaml.Node, path: tuple[str, ...], above: tuple[int, ...] = ()
) -> Iterator[tuple[yaml.ScalarNode, bool, tuple[str, ...]]]:
    """All scalars below ``node``, whether they are keys, and the keys that lead to them."""
    if id(node) in above:
        return
    above = (*above, id(node))
    if isinstance(node, yaml.ScalarNode):
        yield node, False, path
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield key, True, path
            yield from _placed(value, (*path, str(key.value)), above)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _placed(value, (*path, str(number)), above)


def reference_slip(error: Exception, conf: Path) -> str | None:
    """Where a file of ``conf`` has the ``${`` that OmegaConf cannot follow; None for another error."""
    said = " ".join(str(error).split())
    named = re.search(
        r"Interpolation key '([^']+)'|Environment variable '([^']+)'|Unsupported interpolation type (\S+)",
        said,
    )
    lost = next(filter(None, named.groups())) if named else None
    recursive = "Recursive interpolation" in said
    if lost is None and said and not recursive:
        return None
    for path in _files(conf):
        try:
            text = path.read_text(encoding="utf-8").removeprefix("\ufeff")
            root = yaml.compose(text, Loader=yaml.SafeLoader) if "${" in text else None
        except (OSError, ValueError, yaml.YAMLError, RecursionError):
            continue
        package = () if path.parent == conf or "@package _global_" in text else (path.parent.name,)
        for scalar, is_key, keys in _placed(root, package) if root else ():
            span = text[scalar.start_mark.index : scalar.end_mark.index]
            for start, reference in () if is_key else _references(span):
                why = (
                    _why_lost(reference, lost, said)
                    if lost is not None
                    else _why_itself(reference, keys)
                    if recursive
                    else _why_unread(reference)
                )
                if why is not None:
                    line, column = place_behind(text[: scalar.start_mark.index + start])
                    where = f"{_shown(path, conf)}:{line}:{column}"
                    what = f"${{ begins a reference to another setting, and {why}"
                    return f"{where}: {what}; a text with it as it stands is written \\\\\\${{ in single quotes"
    return None


def _references(text: str) -> Iterator[tuple[int, str]]:
    """Each outermost ``${`` of ``text`` that is not escaped, to its end, or the text's where it has none."""
    start = 0
    while found := re.search(r"(?<!\\)\$\{", text[start:]):
        begin, depth, end = start + found.start(), 0, len(text)
        for brace in re.finditer(r"[{}]", text[begin:]):
            depth += 1 if brace[0] == "{" else -1
            if depth == 0:
                end = begin + brace.end()
                break
        yield begin, text[begin:end]
        start = end


def _why_lost(reference: str, lost: str, said: str) -> str | None:
    if re.search(rf"(?<![\w.])\.*{re.escape(lost)}(?![\w.])", reference) is None:
        return None
    if f"Environment variable '{lost}'" in said:
        return f"the environment has no variable {lost}"
    hint = OLD_FORM if lost == "env" else of_environment(lost)
    return f"there is no {lost}{hint}"


def _why_itself(reference: str, keys: tuple[str, ...]) -> str | None:
    own = {".".join(keys), f".{keys[-1]}"} if keys else set()
    return "this one leads back to itself" if reference[2:-1].strip() in own else None


def _why_unread(reference: str) -> str | None:
    from omegaconf.errors import GrammarParseError
    from omegaconf.grammar_parser import parse

    try:
        parse(reference)
    except GrammarParseError:
        closed = reference.count("{") == reference.count("}")
        return f"none is written {reference:.60}" if closed else "this one has no end"
    return None


def kept_slip(overrides: Sequence[str], conf: Path, settings: Mapping[str, Any]) -> str | None:
    """An empty ``{}`` for a section that has settings: composing adds it to them, and takes none out."""
    given = [
        text.partition("=")[0] for text in overrides if re.fullmatch(r"[^=]+=\s*\{\s*\}\s*", text)
    ]
    for key in given:
        if value_at(settings, key):
            return f"{key}: {KEPT}; {_emptied(key)}"
    for key, value in _own(conf).items():
        added = any(text.lstrip("+").startswith(str(key)) for text in overrides)
        if key in OWN_NAMES and value == {} and not added and value_at(settings, key):
            return f"{place_of(key, conf)}{key}: {KEPT}; {_emptied(key)}"
    return None


def _emptied(key: str) -> str:
    return "api=none asks no API" if key == "conditions" else f"'~{key}' '+{key}={{}}' empties it"


def _own(conf: Path) -> dict[Any, Any]:
    """What the user's own file sets; nothing where it cannot be read, which is told elsewhere."""
    try:
        own = yaml.safe_load((conf / LOCAL).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    return own if isinstance(own, dict) else {}


def list_slip(
    error: Exception, conf: Path, without_own: Callable[[], Mapping[str, Any]]
) -> str | None:
    """What the user's own file has for a section or a list and is none; None for another error.

    OmegaConf names no key, or one within it that something else refers to.
    """
    no_section = re.search(r"node `([^`]+)` is not a container", str(error))
    if no_section is None and "Cannot merge" not in str(error):
        return None
    own, settings = _own(conf), without_own()
    if no_section:
        key, there = no_section[1], value_at(settings, no_section[1])
        if key not in keys_of(own) or not isinstance(there, dict):
            return None
        return f"{place_of(key, conf)}{key}: expected a section with {', '.join(there)}, found {value_at(own, key)!r}"
    for key in keys_of(own):
        given, there = value_at(own, key), value_at(settings, key)
        if isinstance(given, list) and isinstance(there, dict):
            return f"{place_of(key, conf)}{key}: expected a section with {', '.join(there)}, found a list"
        if isinstance(given, dict) and isinstance(there, list):
            return f"{place_of(key, conf)}{key}: expected a list, found a section"
    return None


def condition_slip(overrides: Sequence[str], conf: Path, conditions: Collection[str]) -> str | None:
    """A price or a label that the user gives to no condition; those of conf/ may be of one that was taken out."""
    own = _own(conf)
    for section in ("priced_as", "labels"):
        typed = [
            found[1]
            for text in overrides
            if (found := re.match(rf"[+]{{0,2}}{section}\.([^.=]+)", text))
        ]
        in_file = own.get(section)
        for name in [*typed, *(in_file if isinstance(in_file, dict) else ())]:
            if name not in conditions:
                key = f"{section}.{name}"
                place = "" if name in typed else place_of(key, conf)
                known = ", ".join(conditions) or "none, since conditions is empty"
                hint = did_you_mean(str(name), conditions)
                return f"{place}{key}: no such condition{hint}; expected one of {known}"
    return None


def label_slip(overrides: Sequence[str], conf: Path) -> str | None:
    """A label set by hand to what a choice would set with all that belongs to it: profile_name=quick changes nothing else."""
    given = {text.lstrip("+").partition("=")[0]: text.partition("=")[2] for text in overrides}
    own = _own(conf)
    for group in ("profile", "task"):
        key = f"{group}_name"
        value = given.get(key, own.get(key))
        if value is None or not (conf / group / f"{value}.yaml").is_file():
            continue
        place = "" if key in given else place_of(key, conf)
        other = (
            f"{group}={value}" if key in given else f"- override /{group}: {value} under defaults"
        )
        return f"{place}{key}: is a label of what is chosen, and chooses nothing; expected {other}"
    return None


def choice_slip(problem: str, conf: Path) -> str:
    """How a file of a group is chosen, where its name stands as the value of the group's key; else empty."""
    key = problem.partition(":")[0]
    found = re.search(r", found '([^']+)'$", problem)
    if not (conf / key).is_dir() or key.startswith("."):
        return ""
    if found is None and not re.match(rf"{re.escape(key)}: unknown key", problem):
        return ""
    name = found[1] if found else "NAME"
    return f"; a file of {conf.name}/{key}/ is chosen under defaults: - override /{key}: {name}"


def with_choice(problem: str, conf: Path, *, in_file: bool) -> str:
    """``problem`` with how a file of a group is chosen, where that is what was wanted."""
    choice = choice_slip(problem, conf)
    if choice and ": unknown key" in problem:
        # no setting of that name, and none that is called a little otherwise
        return re.sub(r"unknown key.*", "no setting, but a choice", problem, flags=re.S) + choice
    return problem + choice * in_file


def _files(conf: Path) -> list[Path]:
    """The user's own file first."""
    return sorted(conf.rglob("*.yaml"), key=lambda path: (path.name != LOCAL, path))


def _slip_of(path: Path, conf: Path) -> str | None:
    raw, name = path.read_bytes(), _shown(path, conf)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = place_behind(raw[: error.start].decode("utf-8", "replace"))
        return f"{name}:{line}:{column}: not valid UTF-8; save it as UTF-8"
    try:
        yaml.safe_load(text)
    except yaml.reader.ReaderError as error:
        line, column = place_behind(text[: error.position])
        return f"{name}:{line}:{column}: not valid YAML: a control character"
    except yaml.MarkedYAMLError as error:
        return yaml_slip(error, conf)
    except (ValueError, RecursionError):
        return None
    alias = re.search(r"(?m)^(?!\s*#).*?[\s\[{,](\*[\w-]+)", text)
    if alias and _holds_itself(yaml.safe_load(text)):
        line, column = place_behind(text[: alias.start(1)])
        return f"{name}:{line}:{column}: expected settings, found {alias[1]} within itself"
    return None


def _holds_itself(value: Any, above: tuple[int, ...] = ()) -> bool:
    if not isinstance(value, dict | list):
        return False
    if id(value) in above:
        return True
    inner = value.values() if isinstance(value, dict) else value
    return any(_holds_itself(item, (*above, id(value))) for item in inner)


def _shown(path: Path, conf: Path) -> str:
    """``path`` as the user calls it: from the folder that conf/ stands in."""
    try:
        return str(Path(conf.name, path.resolve().relative_to(conf.resolve())))
    except ValueError:
        return str(path)


def place_of(key: str, conf: Path) -> str:
    """Where the user's own file sets the dotted ``key``, as ``conf/local.yaml:7: ``; empty where it does not."""
    found = _own_pair(key, conf)
    return "" if found is None else f"{_shown(conf / LOCAL, conf)}:{found[0].start_mark.line + 1}: "


def written_as(key: str, conf: Path) -> str:
    """What the user's own file has for the dotted ``key``, as it stands there; empty where it has no such scalar."""
    found = _own_pair(key, conf)
    return str(found[1].value) if found and isinstance(found[1], yaml.ScalarNode) else ""


def _own_pair(key: str, conf: Path) -> tuple[yaml.Node, yaml.Node] | None:
    """Name and value of the dotted ``key`` in the user's own file; None where that does not set it."""
    try:
        node = yaml.compose((conf / LOCAL).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    whole = next((pair for pair in pairs if pair[0].value == key and "." in key), None)
    found: tuple[yaml.Node, yaml.Node] | None = whole
    # of seeds[0] that of seeds
    for part in key.partition("[")[0].split(".") if whole is None else ():
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((name, value) for name, value in pairs if name.value == part), None)
        if found is None:
            return None
        node = found[1]
    return found
