"""Slips of the pen in conf/ and in overrides: what Hydra, OmegaConf and YAML say of them, in one line.

Hydra's advice to put a ``+`` before an unknown key is passed on only where the settings take that key.
"""

from __future__ import annotations

import codecs
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import Any

import yaml

from lora_vs_api.config.explain import every_key
from lora_vs_api.config.secrets import may_be_secret
from lora_vs_api.config.yaml_keys import cut_text, misread_number, place_behind, unquoted_key
from lora_vs_api.conflicts import LEFT_TWO, TAKE_ONE, has_conflict

LOCAL = "local.yaml"
COMMANDS = ("search", "points")  # groups that commands read, and no setting chooses from
MAX_MEANT = 3  # keys that one may have been meant to be
# sections of names of one's own, which one may want none of; and what an empty {} does to one
OWN_NAMES = ("conditions", "labels", "tunings")
KEPT = "{} is added to what conf/ has there, and takes nothing out"
_UNKNOWN = re.compile(r"Could not override '([^']+)'")
_GONE = re.compile(r"Could not delete from config\. '([^']+)'")
_NO_CHOICE = re.compile(
    r"Could not find '([^']+)/([^'/]+)'\s+Available options in '[^']+':\s+(.*?)\s+Config"
)
_SEVERAL = re.compile(r"Ambiguous value for argument '([^']*)'")
_CHOSEN = re.compile(r"Multiple values for (\S+)\.")
_NO_SECTION = re.compile(r"node `([^`]+)` is not a container")
_MERGED = re.compile(r"Error merging override \+{0,2}([^=\s]+)=")
_FORM = re.compile(r"(?s)\+{0,2}[^=\s]+=.*|~[^=\s]+")
# what Hydra called it once
OLD_FORM = " (a variable of the environment is ${oc.env:NAME})"
_REFERENCE = re.compile(r"(?<!\\)\$\{")
_GRAMMAR = re.compile(
    r"LexerNoViableAlt|Error parsing override|no viable alternative|missing EQUAL|(?:mismatched|extraneous) input|"
    r"token recognition error"
)
_NO_NAME = re.compile(r"Unsupported item value in defaults ?: ?(?:int|float|bool)")
# a key within something, whatever is done to it
_WITHIN = re.compile(r"([~+]{0,2})([^=\s]+)\.([^.=\s]+)(?:=.*)?", re.S)
_DECODED = re.compile(r"oc\.decode:\s*\$\{oc\.env:\s*(\w+)")
_SWEEP = re.compile(r"Sweep parameters '([^=']+)=(.*)' requires")
_NO_GROUP = re.compile(r"Config group override must be a string|Could not find '[^'/]+/'")
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
    return f"there is no {lost}{OLD_FORM * (lost == 'env')}"


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
        if _at(settings, key):
            return f"{key}: {KEPT}; {_emptied(key)}"
    for key, value in _own(conf).items():
        added = any(text.lstrip("+").startswith(str(key)) for text in overrides)
        if key in OWN_NAMES and value == {} and not added and _at(settings, key):
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
    """The user's own list for a section, or section for a list, of which OmegaConf names no key; None for another error."""
    if "Cannot merge" not in str(error):
        return None
    own, settings = _own(conf), without_own()
    for key in _keys(own):
        given, there = _at(own, key), _at(settings, key)
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
                near = get_close_matches(str(name), list(conditions), n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                return f"{place}{key}: no such condition{hint}; expected one of {known}"
    return None


def several_choices(overrides: Sequence[str], conf: Path) -> str | None:
    """A list of files for a group, of which Hydra would take a mixture; None where there is none."""
    for text in overrides:
        name, _, value = text.partition("=")
        if value.lstrip()[:1] == "[" and _group_of(name.lstrip("+")) in _groups(conf):
            return f"{name}: expected the name of one choice, found {value}"
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


def override_slip(
    message: str,
    overrides: Sequence[str],
    conf: Path,
    with_plus: Callable[[Sequence[str]], str | None],
    composed: Callable[[], Mapping[str, Any]],
) -> str:
    """What Hydra says of ``overrides``, in the project's words where it is a slip that these know.

    Args:
        message: Hydra's, in one line.
        with_plus: what is wrong with other overrides, None where they compose.
        composed: conf/ without an override.
    """
    unknown, taken_out = _UNKNOWN.search(message), _taken_out(message, overrides, composed)
    if unknown:
        return _unknown(unknown[1], overrides, conf, with_plus, composed)
    if taken_out:
        return taken_out
    choice = _NO_CHOICE.search(message)
    if choice:
        group, found, known = choice[1], choice[2], choice[3].split()
        if (conf / group.partition("/")[0]).is_dir():
            # a file's path, of which Hydra takes the folders for groups
            group, _, more = group.partition("/")
            found = f"{more}/{found}" if more else found
        near = get_close_matches(found, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        own = "; `lora-vs-api init FILE` writes one of your own" if group == "task" else ""
        return f"{group}: expected one of {', '.join(known)}, found {found!r}{hint}{own}"
    reference = next((text for text in overrides if _REFERENCE.search(text)), None)
    unset = re.search(r"Environment variable '([^']+)' not found", message)
    if reference is not None and unset:
        key = reference.partition("=")[0]
        return f"{key}: the environment has no variable {unset[1]}"
    if reference is not None and message.startswith("Unsupported interpolation type env"):
        return f"{reference.partition('=')[0]}: there is no ${{env:…}}{OLD_FORM}"
    if reference is not None and re.match("Interpolation key|Error merging", message):
        key, _, value = reference.partition("=")
        why = (
            message
            if message.startswith("Inter")
            else "${ begins a reference, and none can be read"
        )
        escaped = _REFERENCE.sub(lambda _: r"\\\${", value.strip("\"'"))
        return f"{key}: {why}; a text with it as it stands is '{key}=\"{escaped}\"'"
    merged = _MERGED.search(message) or _NO_SECTION.search(message)
    if merged:
        there = _at(composed(), merged[1])
        if isinstance(there, dict | list):
            kind = "a section with " + ", ".join(there) if isinstance(there, dict) else "a list"
            return f"{merged[1]}: expected {kind}"
        section, _, place = merged[1].rpartition(".")
        if place.isdigit():
            return _no_place(section, place)
    chosen = _CHOSEN.search(message)
    if chosen:
        name, typed = chosen[1], any(text.lstrip("+").startswith(chosen[1]) for text in overrides)
        other = f"{name}=NAME" if typed else f"- override /{name}: NAME under defaults"
        return f"{name}: is chosen already; expected {other}, which chooses another"
    sweep = _SWEEP.search(message)
    if sweep:
        return _one_value(sweep[1], "…", sweep[2], conf, composed)
    choice_said = _of_choice(message, overrides, conf, composed)
    if choice_said is not None:
        return choice_said
    odd = [text for text in overrides if not _FORM.fullmatch(text)]
    if odd or _GRAMMAR.search(message):
        named = next(iter(odd), None) or next(filter(_is_broken, overrides), None)
        return message if named is None else _meant(named, overrides) or _unread(named, conf)
    return message


def decode_slip(message: str, overrides: Sequence[str], conf: Path) -> str | None:
    """The variable of the environment that ``${oc.decode:…}`` cannot read, and where it stands; None for another fault.

    Its value is not shown: it may be a secret.
    """
    if "resolving interpolation" not in message:
        return None
    lines = [("", text) for text in overrides]
    for file in sorted(conf.rglob("*.yaml")):
        text = file.read_text(encoding="utf-8", errors="replace")
        named = f"{conf.name}/{file.relative_to(conf)}"
        lines += [(f"{named}:{n}: ", line) for n, line in enumerate(text.splitlines(), start=1)]
    for place, line in lines:
        for name in _DECODED.findall(line):
            if not _can_be_decoded(name):
                return (
                    f"{place}{name}: what this variable of the environment holds cannot be read by ${{oc.decode:…}}; "
                    "expected a number, true, false, null or a list, or a text in quotes; without oc.decode it is a text"
                )
    return None


def _can_be_decoded(name: str) -> bool:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if name not in os.environ:
        return True
    try:
        OmegaConf.to_container(
            OmegaConf.create({"x": f"${{oc.decode:${{oc.env:{name}}}}}"}), resolve=True
        )
    except OmegaConfBaseException:
        return False
    return True


def _of_choice(
    message: str, overrides: Sequence[str], conf: Path, composed: Callable[[], Mapping[str, Any]]
) -> str | None:
    """What is wrong with a choice among files of ``conf``, or with several values where one is chosen; else None."""
    group = next((text for text in overrides if _group_of(text) in _groups(conf)), None)
    if group and _NO_GROUP.search(message):
        name, _, value = group.partition("=")
        known = sorted(path.stem for path in (conf / _group_of(group)).glob("*.yaml"))
        if value in known:
            return f"{name}: a name that looks like a number or a truth needs quotes: '{name}=\"{value}\"'"
        none = f", or {name.partition('@')[2]}=null for none" if "@" in name else ""
        return f"{name}: expected one of {', '.join(known)}{none}, found {value or 'nothing'}"
    if _NO_NAME.search(message):
        return (
            "defaults: expected names, found what looks like a number or a truth; put it in quotes, such as "
            f'- override /task: "2024", in {conf.name}/{LOCAL} or where it stands'
        )
    several = _SEVERAL.search(message)
    if several:
        name, _, value = several[1].partition("=")
        return _one_value(name, value, value, conf, composed)
    return None


def _taken_out(
    message: str, overrides: Sequence[str], composed: Callable[[], Mapping[str, Any]]
) -> str | None:
    """What is wrong with a ``~KEY``, or with a key within a list; None for nothing."""
    within = [found for text in overrides if (found := _WITHIN.fullmatch(text))]
    plain = composed() if within else {}
    for sign, whole, place in (found.groups() for found in within):
        # Python's own words for these say nothing
        if not isinstance(_at(plain, whole), list):
            continue
        if sign == "~":
            return _whole_list(whole, "nothing can be taken out of a list")
        if not place.isdigit():
            return _whole_list(whole, f"a list has places and no {place!r}")
        if sign == "++":
            return _no_place(whole, place)
    gone = _GONE.search(message)
    if gone and gone[1] in _keys(composed()):
        return f"{gone[1]}: is null already, and cannot be left out"
    if gone:
        return f"{gone[1]}: no such key to leave out{_hint(gone[1], list(_keys(composed())))}"
    return None


def _no_place(key: str, place: str) -> str:
    return _whole_list(key, f"a list has no place {place} to add")


def _whole_list(key: str, why: str) -> str:
    return f"{key}: {why}; expected the whole list, {key}=[…]"


def _one_value(
    name: str, items: str, found: str, conf: Path, composed: Callable[[], Mapping[str, Any]]
) -> str:
    """What to write instead of several values with commas between them, as what is set there now tells."""
    if (conf / _group_of(name)).is_dir():
        return f"{name}: expected the name of one choice, found {found}"
    key, plain = name.lstrip("+"), composed()
    there, known = _at(plain, key), list(_keys(plain))
    if key not in known and key not in every_key():
        return f"{key}: unknown key{_hint(key, known)}"
    if there is not None:
        # what is set there is no key to add
        name = key
    one = f"{name}: expected one value, found {found}"
    if re.search(r"\d[eE]-?\d", items):
        # a rate is a text
        items = ",".join(f'"{item.strip()}"' for item in items.split(","))
    # without the shell's quotes around them the inner ones would be lost
    mark = "'" if '"' in items else ""
    a_list, a_text = f"{mark}{name}=[{items}]{mark}", f"a text with a comma '{name}=\"…\"'"
    if isinstance(there, list):
        return f"{one}; a list is {a_list}"
    if there is None or (isinstance(there, str) and not re.search(r"\s|^best$", there)):
        # such as a name, or a list of them
        return f"{one}; a list is {a_list}, {a_text}"
    if re.fullmatch(r"-?0,\d+", found) or (
        re.fullmatch(r"-?\d+,\d+", found) and isinstance(there, float)
    ):
        one += f" (a decimal point is {name}={found.replace(',', '.')})"
    numbers = all(re.match(r"\s*[\d.]", item) for item in found.split(","))
    if numbers or not isinstance(there, str):
        return f"{one}; a run for each is `dvc exp run --queue -S '{name}={found}'`"
    return f"{one}; {a_text}"


def _meant(named: str, overrides: Sequence[str]) -> str | None:
    """The setting that ``lora.r = 32``, ``lora.r==32``, ``lora.r: 32`` or ``lora.r=32,`` was meant to be, else None.

    The shell may have cut it in parts, of which ``named`` is the first that Hydra does not take.
    """
    first = overrides.index(named) if named in overrides else 0
    # key= is a whole setting to Hydra, and sets nothing
    if first and overrides[first - 1].endswith("="):
        first -= 1
    for parts in (1, 2, 3):
        typed = " ".join(overrides[first : first + parts])
        if parts == 1 and typed[:1] == typed[-1:] == "'" and not _is_broken(typed[1:-1]):
            # the shell of Windows takes none away
            return (
                None
                if may_be_secret("", typed[1:-1])
                else f"{typed}: the quotes around it arrived with it; expected {typed[1:-1]}"
            )
        found = re.fullmatch(r"(?s)([+]{0,2}[A-Za-z_][\w./@-]*)[ \t]*(?:==?|:)[ \t]*(.+)", typed)
        if found is None:
            continue
        # a comma that ends a number ends no text
        value = re.sub(r"(?<=\d)\s*,\s*\Z", "", found[2].strip(" \t"))
        meant = f"{found[1]}={value}"
        if may_be_secret(found[1], value) or may_be_secret("", typed):
            continue
        if meant != typed and not re.search(r"[\s,]", value) and not _is_broken(meant):
            return f"{typed!r}: expected {meant}"
    return None


def _unread(named: str, conf: Path) -> str:
    """What is wrong with an override that Hydra's grammar has no place for."""
    if re.search(r"""\\['"]""", named):
        return (
            f"{named}: a backslash before a quote belongs to the quote; expected two of them, \\\\"
        )
    if named.endswith("\r"):
        return (
            f"{named!r}: ends in a carriage return, as in a script with the line ends of Windows; `sed -i 's/\\r$//'` "
            "takes them out of it"
        )
    key, equals, value = named.partition("=")
    keys = key.lstrip("+~")
    several = re.split(r"[,\s]\s*(?=[+~]*[A-Za-z_][\w.@/]*=)", named)
    if len(several) > 1 and not any(map(_is_broken, several)):
        each = " ".join(several), " ".join(f"-S {one}" for one in several)
        return f"{named!r}: expected one setting an argument: {each[0]} (of DVC's, {each[1]})"
    if equals and not value.isascii() and not _is_broken(f"{key}={value.strip()}"):
        return f"{named!r}: a blank that Hydra does not know stands in it; expected '{key}={value.strip()}'"
    in_file = f"set it in {conf.name}/{LOCAL}, where keys are as they stand in params.yaml"
    if equals and re.search(r"[^\x00-\x7f]", keys):
        return f"{keys}: Hydra reads no such letter in a key on the command line; {in_file}"
    if equals and re.match(r"\s*\{.*[^\x00-\x7f][^,:]*:", value):
        return f"{named!r}: Hydra reads no such letter in a key on the command line; {in_file}"
    if equals and re.fullmatch(r"[A-Za-z_][\w./@-]*", keys):
        dotted = keys.replace("/", ".")
        if "/" in keys and dotted in every_key():
            return f"{keys}: unknown key (did you mean {dotted}?)"
        if _is_broken(f"{keys}=1"):
            return f"{keys}: Hydra reads no such key on the command line; {in_file}"
        quoted = quoted_items(value)
        # quotes within quotes: the outer ones are the shell's
        if quoted is not None:
            return f"{named!r}: expected quotes around such values: '{key}=[{','.join(quoted)}]'"
        if value.startswith("~/"):
            return f"{named!r}: expected '{key}={os.path.expanduser(value)}'; Hydra reads no ~ without quotes"
        if not re.search(r"[\[{'\"]", value):
            return f"{named!r}: expected quotes around such a value: '{key}=\"{value.strip()}\"'"
    return (
        f"{named!r}: expected key=value, +key=value or ~key, with quotes around what a shell or Hydra reads "
        "otherwise, such as 'key=\"a, b\"'"
    )


def quoted_items(value: str) -> list[str] | None:
    """The items of a list as it is typed, each in quotes; None for anything else, and for one with quotes of its own."""
    items = re.fullmatch(r"\s*\[([^\[\]{}\"']*)\]\s*", value)
    return None if items is None else [f'"{item.strip()}"' for item in items[1].split(",")]


def _group_of(override: str) -> str:
    """The group that an override chooses from, if it chooses: prices of prices@prices_beside=published."""
    return override.partition("=")[0].partition("@")[0]


def _at(value: Any, key: str) -> Any:
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _is_broken(override: str) -> bool:
    """Whether Hydra's grammar has no place for an override."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return True
    return False


def _unknown(
    key: str,
    overrides: Sequence[str],
    conf: Path,
    with_plus: Callable[[Sequence[str]], str | None],
    composed: Callable[[], Mapping[str, Any]],
) -> str:
    if all(text.partition("=")[0] != key for text in overrides):
        # of a file's own list of defaults
        near = get_close_matches(key, _groups(conf), n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"defaults: override /{key}: no such group{hint}; expected one of {', '.join(_groups(conf))}"
    if key in COMMANDS:
        return f"{key}: no setting; the files of {conf.name}/{key}/ are for `lora-vs-api {key}`"
    group, at, _ = key.partition("@")
    if at and group in _groups(conf):
        return f"{key}: nothing is chosen so; expected {group}=NAME"
    more = [f"+{text}" if text.partition("=")[0] == key else text for text in overrides]
    refused = with_plus(more)
    if refused is None:
        added = next(text for text in more if text.partition("=")[0] == f"+{key}")
        there = _at(composed(), key)
        if isinstance(there, dict):
            return (
                f"{key}: has {', '.join(there) or 'nothing'} so far; expected {added} to add others"
            )
        return f"{key}: not set in conf/ so far; expected {added} to add it"
    known = list(_keys(composed()))
    if key in known:
        # a mapping that takes further keys: what is wrong is one of these
        return refused
    # beside its siblings the settings know best what it was to be
    if key.rpartition(".")[0] in known and ("did you mean" in refused or "belongs to" in refused):
        return refused
    # of a server or a model that another choice would have, such as api=server
    elsewhere = [name for name in every_key() if f".{name}".endswith(f".{key}")]
    hint = _hint(key, elsewhere or [*known, *_groups(conf)])
    if not hint and "unknown key" in refused:
        return refused
    return (
        f"{key}: unknown key{hint}"
        if hint
        else f"{key}: not set in conf/ so far; with it, {refused}"
    )


def _groups(conf: Path) -> list[str]:
    return sorted(path.name for path in conf.iterdir() if path.is_dir())


def _hint(key: str, known: Sequence[str]) -> str:
    """The ones of ``known`` that ``key`` may have been meant to be, as a question.

    Those that end in the same word, the one that is written alike, or those whose last word is.
    """
    last = key.rpartition(".")[2]
    ends = [name.rpartition(".")[2] for name in known]
    near = [name for name, end in zip(known, ends) if end == last and "." in name]
    near.sort(key=lambda name: -SequenceMatcher(None, name, key).ratio())
    near = near or get_close_matches(key, known, n=1, cutoff=0.8)
    if not near:
        alike = get_close_matches(last, ends, n=1, cutoff=0.8)
        near = [name for name, end in zip(known, ends) if end in alike]
    return f" (did you mean {' or '.join(near[:MAX_MEANT])}?)" if near else ""


def _keys(value: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, inner in value.items():
        yield f"{prefix}{name}"
        if isinstance(inner, dict):
            yield from _keys(inner, f"{prefix}{name}.")


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
