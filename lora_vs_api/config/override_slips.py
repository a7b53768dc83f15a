"""Slips of the pen in overrides: what Hydra says of them, in one line that works once it is typed.

Hydra's advice to put a ``+`` before an unknown key is passed on only where the settings take that key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import Any

from lora_vs_api.config.dotted import keys_of, value_at
from lora_vs_api.config.explain import every_key
from lora_vs_api.config.renamed import of_others
from lora_vs_api.config.secrets import may_be_secret
from lora_vs_api.config.slips import LOCAL, OLD_FORM, of_environment
from lora_vs_api.shown import did_you_mean

COMMANDS = ("search", "points")  # groups that commands read, and no setting chooses from
MAX_MEANT = 3  # keys that one may have been meant to be
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
_EACH = "a run for each is `dvc exp run --queue -S '{}'`"
_NO_GROUP = re.compile(r"Config group override must be a string|Could not find '[^'/]+/'")


def several_choices(overrides: Sequence[str], conf: Path) -> str | None:
    """A list of files for a group, of which Hydra would take a mixture; None where there is none."""
    for text in overrides:
        name, _, value = text.partition("=")
        if value.lstrip()[:1] == "[" and _group_of(name.lstrip("+")) in _groups(conf):
            return f"{name}: expected the name of one choice, found {value}"
    return None


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
        hint = did_you_mean(found, known)
        own = "; `lora-vs-api init FILE` writes one of your own" if group == "task" else ""
        return f"{group}: expected one of {', '.join(known)}, found {found!r}{hint}{own}"
    referred = _of_reference(message, overrides, with_plus)
    if referred is not None:
        return referred
    merged = _MERGED.search(message) or _NO_SECTION.search(message)
    if merged:
        there = value_at(composed(), merged[1])
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
    accepted = _accepted(overrides, with_plus)
    if sweep:
        return _one_value(sweep[1], "…", sweep[2], conf, composed, accepted)
    choice_said = _of_choice(message, overrides, conf, composed, accepted)
    if choice_said is not None:
        return choice_said
    odd = [text for text in overrides if not _FORM.fullmatch(text)]
    if odd or _GRAMMAR.search(message):
        named = next(iter(odd), None) or next(filter(_is_broken, overrides), None)
        return (
            message
            if named is None
            else _meant(named, overrides) or _unread(named, overrides, conf, with_plus)
        )
    return message


def _of_reference(
    message: str,
    overrides: Sequence[str],
    with_plus: Callable[[Sequence[str]], str | None],
) -> str | None:
    """What is wrong with a ``${`` in an override; None for another error."""
    reference = next((text for text in overrides if _REFERENCE.search(text)), None)
    if reference is None:
        return None
    unset = re.search(r"Environment variable '([^']+)' not found", message)
    if unset:
        key = reference.partition("=")[0]
        return f"{key}: the environment has no variable {unset[1]}"
    if message.startswith("Unsupported interpolation type env"):
        return f"{reference.partition('=')[0]}: there is no ${{env:…}}{OLD_FORM}"
    if message.startswith("Unsupported interpolation type"):
        return f"{reference.partition('=')[0]}: there is no ${{{message.rpartition(' ')[2]}:…}}; of other settings it is ${{key}}, of the environment ${{oc.env:NAME}}"
    if re.match("Interpolation key|Error merging", message):
        key, _, value = reference.partition("=")
        why = (
            message
            if message.startswith("Inter")
            else "${ begins a reference, and none can be read"
        )
        lost = re.match("Interpolation key '(.*?)' not found", message)
        why += of_environment(lost[1]) if lost else ""
        escaped = _REFERENCE.sub(lambda _: r"\\\${", value.strip("\"'"))
        as_text = f'{key}="{escaped}"'
        if with_plus([as_text if text == reference else text for text in overrides]):
            # not of a list or a number
            return f"{key}: {why}"
        return f"{key}: {why}; a text with it as it stands is '{as_text}'"
    return None


def resolver_slip(message: str, overrides: Sequence[str], conf: Path) -> str | None:
    """The variable of the environment that ``${oc.decode:…}`` cannot read, or Hydra's own setting, and where it stands.

    The variable's value is not shown: it may be a secret.

    Returns:
        None for another fault.
    """
    if "resolving interpolation" not in message:
        return None
    lines = [("", text) for text in overrides]
    for file in sorted(conf.rglob("*.yaml")):
        text = file.read_text(encoding="utf-8", errors="replace")
        named = f"{conf.name}/{file.relative_to(conf)}"
        lines += [(f"{named}:{n}: ", line) for n, line in enumerate(text.splitlines(), start=1)]
    for place, line in lines:
        if "HydraConfig was not set" in message and "${hydra:" in line:
            where = place or f"{line.partition('=')[0]}: "
            return f"{where}Hydra's own settings, ${{hydra:…}}, have no value here, where it composes params.yaml and runs nothing; write the value itself"
        for name in _DECODED.findall(line):
            if not _can_be_decoded(name):
                return (
                    f"{place}{name}: what this variable of the environment holds cannot be read by ${{oc.decode:…}}; "
                    "expected a number, true, false, null or a list, or a text in quotes; without oc.decode it is a text"
                )
    # of another kind of reference OmegaConf has no more than its own error's name
    for place, line in lines:
        if found := re.search(r"\$\{(?!oc\.(?:env|decode):)[\w.]+:[^}]*\}?", line):
            where = place or f"{line.partition('=')[0]}: "
            return f"{where}{found[0]} has no value here; write the value itself, or ${{oc.env:NAME}} for a variable of the environment"
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
    message: str,
    overrides: Sequence[str],
    conf: Path,
    composed: Callable[[], Mapping[str, Any]],
    accepted: Callable[[str], bool],
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
        return _one_value(name, value, value, conf, composed, accepted)
    return None


def _taken_out(
    message: str, overrides: Sequence[str], composed: Callable[[], Mapping[str, Any]]
) -> str | None:
    """What is wrong with a ``~KEY``, or with a key within a list; None for nothing."""
    within = [found for text in overrides if (found := _WITHIN.fullmatch(text))]
    plain = composed() if within else {}
    for sign, whole, place in (found.groups() for found in within):
        # Python's own words for these say nothing
        if not isinstance(value_at(plain, whole), list):
            continue
        if sign == "~":
            return _whole_list(whole, "nothing can be taken out of a list")
        if not place.isdigit():
            return _whole_list(whole, f"a list has places and no {place!r}")
        if sign == "++":
            return _no_place(whole, place)
    gone = _GONE.search(message)
    if gone and gone[1] in keys_of(composed()):
        return f"{gone[1]}: is null already, and cannot be left out"
    if gone:
        return f"{gone[1]}: no such key to leave out{_hint(gone[1], list(keys_of(composed())))}"
    return None


def _no_place(key: str, place: str) -> str:
    return _whole_list(key, f"a list has no place {place} to add")


def _whole_list(key: str, why: str) -> str:
    return f"{key}: {why}; expected the whole list, {key}=[…]"


def _accepted(
    overrides: Sequence[str], with_plus: Callable[[Sequence[str]], str | None]
) -> Callable[[str], bool]:
    """Whether a setting would do in the place of what is set of its key."""

    def accepted(setting: str) -> bool:
        key = setting.partition("=")[0].lstrip("+")
        others = [text for text in overrides if text.partition("=")[0].lstrip("+") != key]
        return with_plus([*others, setting]) is None

    return accepted


def _one_value(
    name: str,
    items: str,
    found: str,
    conf: Path,
    composed: Callable[[], Mapping[str, Any]],
    accepted: Callable[[str], bool],
) -> str:
    """What to write instead of several values with commas between them, as what is set there now tells."""
    if (conf / _group_of(name)).is_dir():
        return f"{name}: expected the name of one choice, found {found}"
    key, plain = name.lstrip("+"), composed()
    there, known = value_at(plain, key), list(keys_of(plain))
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
        ways = [
            *[f"a list is {a_list}"] * accepted(f"{name}=[{items}]"),
            *[a_text] * accepted(f'{name}="{found}"'),
        ]
        if ways:
            return f"{one}; {', '.join(ways)}"
    sweep = re.match(r"(\w+)\(.*\)\Z", found)
    if sweep:
        # DVC has no values of an interval, and its ends are two
        found = found[len("interval(") : -1] if sweep[1] == "interval" else found
        return f"{one}; {_EACH.format(f'{name}={found}')}"
    point = f"{name}={found.replace(',', '.')}"
    if re.fullmatch(r"-?0,\d+", found) or (
        re.fullmatch(r"-?\d+,\d+", found)
        and (isinstance(there, float) or (there is None and accepted(point)))
    ):
        one += f" (a decimal point is {point})"
    numbers = all(re.match(r"\s*[\d.]", item) for item in found.split(","))
    if numbers or not isinstance(there, str):
        return f"{one}; {_EACH.format(f'{name}={found}')}"
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


def _unread(
    named: str,
    overrides: Sequence[str],
    conf: Path,
    with_plus: Callable[[Sequence[str]], str | None],
) -> str:
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
    names = [*every_key(), *_groups(conf)]
    # a text may have currency=EUR in it
    known = all(_group_of(one).lstrip("+~") in names for one in several)
    if len(several) > 1 and known and not any(map(_is_broken, several)):
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
        odd = _odd_comma(named, overrides, with_plus)
        if odd is not None:
            return odd
        quoted = quoted_items(value)
        # quotes within quotes: the outer ones are the shell's
        if quoted is not None:
            return f"{named!r}: expected quotes around such values: '{key}=[{','.join(quoted)}]'"
        if value.startswith("~/"):
            return f"{named!r}: expected '{key}={os.path.expanduser(value)}'; Hydra reads no ~ without quotes"
        whole = f'{key}="{value.strip()}"'
        if not re.search(r"[\[{'\"]", value) or (
            _REFERENCE.match(value) and '"' not in value and not _is_broken(whole)
        ):
            refused = with_plus([whole if text == named else text for text in overrides])
            # what is refused for another reason needs no quotes
            if refused and refused.startswith(f"{keys}: "):
                return refused
            return f"{named!r}: expected quotes around such a value: '{whole}'"
    return (
        f"{named!r}: expected key=value, +key=value or ~key, with quotes around what a shell or Hydra reads "
        "otherwise, such as 'key=\"a, b\"'"
    )


def _odd_comma(
    named: str,
    overrides: Sequence[str],
    with_plus: Callable[[Sequence[str]], str | None],
) -> str | None:
    """What to type instead of a list with a comma too many, such as [8,16,]; None for anything else."""
    key, _, value = named.partition("=")
    fewer = _without_odd_commas(value)
    meant = f"{key}={fewer}"
    if fewer == value or _is_broken(meant):
        return None
    refused = with_plus([meant if text == named else text for text in overrides])
    if refused and refused.startswith(key.lstrip("+")):
        return f"{named!r}: a comma too many, and {refused}"
    return f"{named!r}: a comma too many; expected '{meant}'"


def _without_odd_commas(value: str) -> str:
    """``value`` without commas of a list or an object that no item stands before or behind."""
    fewer = re.sub(r"(?<=[\[{])(?:\s*,)+\s*|\s*,(?=\s*[,\]}])", "", value)
    return re.sub(r"\s+(?=[\]}]\s*\Z)", "", fewer) if fewer != value else value


def quoted_items(value: str) -> list[str] | None:
    """The items of a list as it is typed, each in quotes; None for anything else, and for one with quotes of its own."""
    items = re.fullmatch(r"\s*\[([^\[\]{}\"']*)\]\s*", value)
    if items is None:
        return None
    # a comma too many makes no item
    return [f'"{item.strip()}"' for item in items[1].split(",") if item.strip()]


def _group_of(override: str) -> str:
    """The group that an override chooses from, if it chooses: prices of prices@prices_beside=published."""
    return override.partition("=")[0].partition("@")[0]


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
        hint = did_you_mean(key, _groups(conf))
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
        there = value_at(composed(), key)
        if isinstance(there, dict):
            return (
                f"{key}: has {', '.join(there) or 'nothing'} so far; expected {added} to add others"
            )
        return f"{key}: not set in conf/ so far; expected {added} to add it"
    meant = of_others(key)
    if meant is not None:
        return f"{key}: unknown key (did you mean {meant}?)"
    known = list(keys_of(composed()))
    if key in known:
        # a mapping that takes further keys: what is wrong is one of these
        return refused
    # beside its siblings the settings know best what it was to be
    above = key.rpartition(".")[0]
    told = ("did you mean" in refused, "belongs to" in refused, refused.startswith(f"{above}: "))
    if above in known and any(told):
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
