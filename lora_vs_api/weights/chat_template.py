"""The base model's chat template, settled once so that everyone who renders it asks what was trained.

A template may open or fill a block of thinking between where an answer is asked for and where a
conversation puts it, have no system role, write today's date, or leave the end of an answer unmarked.
Each of these makes a model answer after other tokens than those it was trained after, or not stop. They are mended
here in the template itself, in the folder of the base: training, asking, the embedded server and an
exported model then render one and the same prompt. A template that needs none of it keeps its bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, write_json
from lora_vs_api.log import say

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    Message = dict[str, str]
    Value = str | bool | int | float

# What a template gets when it asks for today: the day that Llama 3's own template falls back to. By
# strftime's codes, longer ones first.
DATE = {
    "%-d": "26", "%-m": "7", "%A": "Friday", "%B": "July", "%F": "2024-07-26", "%H": "00", "%I": "12",
    "%M": "00", "%S": "00", "%Y": "2024", "%a": "Fri", "%b": "Jul", "%d": "26", "%e": "26", "%j": "208",
    "%m": "07", "%p": "AM", "%y": "24",
}  # fmt: skip
_CODES = "".join(f" | replace('{code}', '{value}')" for code, value in DATE.items())
# Every line ends in a block tag, whose newline Jinja leaves out (trim_blocks, as transformers sets it):
# they write nothing.
PINNED_DATE = f"{{% macro strftime_now(format) %}}{{{{ format{_CODES} }}}}{{% endmacro %}}\n"
MERGED_SYSTEM = (
    "{% if messages[0]['role'] == 'system' and messages | length > 1 "
    "and messages[1]['role'] == 'user' %}\n"
    "{% set messages = [{'role': 'user', 'content': messages[0]['content'] + '\\n\\n' "
    "+ messages[1]['content']}] + messages[2:] %}\n"
    "{% endif %}\n"
)
# in a namespace, since Jinja forgets after a loop what was set in it
SPACED_ANSWERS = (
    "{% set spaced = namespace(messages=[]) %}\n"
    "{% for message in messages %}\n"
    "{% set spaced.messages = spaced.messages + [{'role': 'assistant', 'content': ' ' + message['content']} "
    "if message['role'] == 'assistant' and message['content'] is string else message] %}\n"
    "{% endfor %}\n"
    "{% set messages = spaced.messages %}\n"
)
END = "{{ '' if add_generation_prompt or messages[-1]['role'] != 'assistant' else eos_token }}"

# the conversation that a template is tried with
INSTRUCTION = "Probe this template.\nAnswer with one JSON object."
TEXTS = ("Dear probe, all is well.", "Another text,\nof two lines.")
ANSWER = '{"probe": "Zanzibar", "number": 1}'
# what templates take for more than text: switches of thinking, its marks, and what looks like space to be tidied
MORE_THAN_TEXT = (
    "/think", "/no_think", "/nothink", "<think>", "</think>", "\n\n", "\n\n\n", "\r\n", "\t", "  ",
)  # fmt: skip
# what opens or closes a block of thinking, such as <think>, [/THINK], </seed:think> or <|END_THINKING|>
_THINKING = re.compile(
    r"[<\[◁]\|?(?P<closes>/|END_)?[\w:]*(?:think|thought|reason)\w*\|?[>\]▷]", re.IGNORECASE
)
JOINED = "the tokenizer makes one token of a prompt's end and the answer"
# as Jinja says it of a variable that nothing sets
_UNDEFINED = re.compile(r"'(\w+)' is undefined")


@dataclass(frozen=True)
class Settled:
    """What is put around a model's own template.

    ``arguments`` are set as its variables. With ``merged`` the instruction becomes the beginning of the
    first user turn. With ``spaced`` answers begin with a blank. Where an answer is asked for, the last
    ``cut`` characters of the prompt are taken off and ``opening`` is put there. With ``end`` the
    end-of-sequence token is put after an answer, in the place of ``mark``, which the template ends one
    with and which is no token. With ``apart`` what the template sets, such as another eos_token, stays
    within it.
    """

    arguments: Mapping[str, Value]
    merged: bool = False
    spaced: bool = False
    cut: int = 0
    opening: str = ""
    end: bool = False
    mark: str = ""
    apart: bool = False

    def around(self, template: str) -> str:
        """``template`` with all of it; unchanged where there is nothing to do."""
        head = "".join(
            f"{{% set {name} = {_literal(value)} %}}\n" for name, value in self.arguments.items()
        )
        if "strftime_now" in template:
            head += PINNED_DATE
        if self.merged:
            head += MERGED_SYSTEM
        if self.spaced:
            head += SPACED_ANSWERS
        tail = ""
        if self.cut or self.mark or self.apart:
            head += "{% set chat_as_written %}\n"
            # the empty text keeps the white space before it, which a block at a line's start loses
            tail += "{{ '' }}{% endset %}"
            tail += f"{{{{ {self._written()} }}}}"
        if self.opening:
            tail += f"{{{{ {_literal(self.opening)} if add_generation_prompt else '' }}}}"
        if self.end:
            tail += END
        if not head and not tail:
            return template
        # Jinja leaves out the last newline of a template, and would write it now
        return head + re.sub(r"(\r\n|\r|\n)\Z", "", template) + tail

    def _written(self) -> str:
        """What is left of the text that the template wrote, as an expression."""
        found = "chat_as_written"
        if self.mark:
            found = f"chat_as_written[:-{len(self.mark)}] if messages[-1]['role'] == 'assistant' else {found}"
        if self.cut:
            return f"chat_as_written[:-{self.cut}] if add_generation_prompt else {found}"
        return f"chat_as_written if add_generation_prompt else {found}" if self.mark else found

    def in_words(self) -> Iterator[str]:
        """What a user should know of it."""
        if self.merged:
            yield "it has no system role: the instruction goes into the first user turn"
        if self.spaced:
            yield (
                "the tokenizer makes one token of a prompt's end and the answer: a blank is put before answers, "
                "in training and few-shot prompts alike"
            )
        if self.opening or self.cut:
            taken = f" instead of {self.cut} characters" if self.cut else ""
            yield f"answers are asked for after {self.opening!r}{taken}, as training has them"
        if self.mark:
            yield (
                f"it ends an answer with {self.mark.strip()[:60]!r}, which is text for this tokenizer: the "
                "end-of-sequence token is put in its place"
            )
        elif self.end:
            yield "it does not end an answer: the end-of-sequence token is put there"


@dataclass(frozen=True)
class _Rendered:
    """A conversation up to where the answer is asked for, and with what its end is after ``ANSWER``."""

    prompt: str
    whole: str

    @property
    def head(self) -> str:
        """All that stands before the answer in the whole conversation."""
        return self.whole[: max(self.whole.rfind(ANSWER), 0)]

    @property
    def tail(self) -> str:
        return self.whole[self.whole.rfind(ANSWER) + len(ANSWER) :]


def settle_chat(folder: Path, arguments: Mapping[str, Value], where: str) -> None:
    """Mend the chat template of the model in ``folder`` for training and asking alike.

    Args:
        folder: of a model with its tokenizer; gets another ``chat_template.jinja`` where the model's
            own needs mending, and another ``generation_config.json`` where that does not stop at the
            end of a turn.
        arguments: variables of the template, such as ``enable_thinking``.
        where: the setting and its value that name the model, for messages.

    Raises:
        UserError: there is no template, or none of the ways to mend it makes training and asking alike.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # of the tokenizer's own code, for a file that is missing or broken
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{where}: its tokenizer cannot be loaded: {reason}") from None
    own = _own_template(tokenizer, folder, where)
    settled = _settled(tokenizer, own, arguments, where)
    template = settled.around(own)
    if template != own or not tokenizer.chat_template:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8", newline="")
    for words in (*settled.in_words(), *_odd_words(tokenizer, template)):
        say(f"chat template: {words}")
    end = _end_of_turn(tokenizer, _render(tokenizer, template, _turns(TEXTS[0])).tail)
    assert end is not None  # it was put there if there was none, and seen there
    if _stop_at(folder, end):
        told = tokenizer.convert_ids_to_tokens(end)
        say(
            f"generation_config.json: {told!r} added to what an answer ends with, as the template has it"
        )


def _own_template(tokenizer: PreTrainedTokenizerBase, folder: Path, where: str) -> str:
    found = tokenizer.chat_template
    # where models that read images too had it: their processor reads it, and no tokenizer does
    beside = folder / "chat_template.json"
    if not found and beside.is_file():
        content = read_json(beside)
        found = content.get("chat_template") if isinstance(content, dict) else None
    if isinstance(found, dict) and "default" not in found:
        raise UserError(
            f"{where}: has several chat templates ({', '.join(sorted(found))}) and none is called "
            "default; put the one to use into its folder as chat_template.jinja"
        )
    if not found:
        raise UserError(
            f"{where}: has no chat template (neither chat_template.jinja nor chat_template in "
            "tokenizer_config.json); expected a chat model, such as the Instruct version of a base"
        )
    return found["default"] if isinstance(found, dict) else found


def _settled(
    tokenizer: PreTrainedTokenizerBase, own: str, arguments: Mapping[str, Value], where: str
) -> Settled:
    """The least change that makes what is asked a beginning of what is trained.

    Raises:
        UserError: there is none; variables that the template cannot do without are named.
    """
    found = first = _least(tokenizer, own, arguments)
    wanted: dict[str, Value] = {}
    while isinstance(found, str) and (missing := _UNDEFINED.search(found)):
        if missing[1] in wanted:
            break
        wanted[missing[1]] = ""
        found = _least(tokenizer, own, {**arguments, **wanted})
    if isinstance(first, Settled):
        return first
    way_out = ""
    if isinstance(found, Settled):
        way_out = (
            f"; set model.template_arguments: {{{', '.join(f'{name}: …' for name in wanted)}}}"
        )
    raise UserError(f"{where}: its chat template cannot be trained with: {first}{way_out}")


def _least(
    tokenizer: PreTrainedTokenizerBase, own: str, arguments: Mapping[str, Value]
) -> Settled | str:
    """As :func:`_settled`, or what is wrong where nothing helps."""
    found = _first(tokenizer, own, [Settled(arguments, merged) for merged in (False, True)])
    if found != JOINED:
        return found
    # The makers of Mistral 7B Instruct have one there, ▁Hi after [/INST] (mistralai/mistral-common#3), and its
    # published template has none. The prompt stays as it is, and the model learns to write the blank.
    found = _first(
        tokenizer, own, [Settled(arguments, merged, spaced=True) for merged in (False, True)]
    )
    if isinstance(found, Settled):
        return found
    return (
        f"{JOINED}, with a blank between them too; put a line end before the answer in the template"
    )


def _first(
    tokenizer: PreTrainedTokenizerBase, own: str, plains: Sequence[Settled]
) -> Settled | str:
    """The first of ``plains``, or of them with another opening, that does; else what is wrong with the last."""
    problem = ""
    for plain in plains:
        for settled in (plain, *_openings(tokenizer, own, plain)):
            try:
                return _ended(tokenizer, own, settled)
            except _UnusableError as error:
                problem = str(error)
    return problem


def _ended(tokenizer: PreTrainedTokenizerBase, own: str, settled: Settled) -> Settled:
    """``settled``, with an end of an answer where the template has none.

    Raises:
        _UnusableError: what is asked is no beginning of what is trained, or no end can be put there.
    """
    if _check(tokenizer, settled.around(own)) is not None:
        return settled
    if tokenizer.eos_token is None:
        raise _UnusableError("no token marks the end of an answer, and there is no eos_token")
    for ended in _endings(tokenizer, own, settled):
        with suppress(_UnusableError):
            if _check(tokenizer, ended.around(own)) is not None:
                return ended
    raise _UnusableError(
        "no token marks the end of an answer, and the eos_token cannot be put there"
    )


def _endings(tokenizer: PreTrainedTokenizerBase, own: str, settled: Settled) -> Iterator[Settled]:
    """Ways to put the end-of-sequence token after an answer."""
    tail = _render(tokenizer, settled.around(own), _turns(TEXTS[0])).tail
    ended = replace(settled, end=True)
    if tail.strip():
        # a mark that is learnt before the token would be part of every answer
        yield replace(ended, mark=tail)
    else:
        yield ended
        yield replace(ended, apart=True)


def _odd_words(tokenizer: PreTrainedTokenizerBase, template: str) -> Iterator[str]:
    """What a user should know of a template that is left so."""
    found = _render(tokenizer, template, _turns(TEXTS[0]))
    if opened := _left_open(found.prompt):
        yield (
            f"it leaves {opened!r} open before an answer, in training and asking alike; expected a switch that "
            "closes it where the model has one, such as model.template_arguments: {enable_thinking: false} or "
            "/no_think in task.instruction"
        )
    odd = []
    for piece in MORE_THAN_TEXT:
        text = f"Dear probe, all{piece}is well."
        try:
            prompt = _render(tokenizer, template, _turns(text)).prompt
        except _UnusableError:
            prompt = ""
        if prompt != found.prompt.replace(TEXTS[0], text):
            odd.append(piece)
    if odd:
        yield (
            f"it takes {', '.join(map(repr, odd))} in a text for more than text: a model is shown such texts "
            "otherwise than they are, in training and asking alike"
        )


def _left_open(prompt: str) -> str | None:
    """The last mark of thinking between a text and the answer where that opens a block, else None."""
    marks = list(_THINKING.finditer(prompt, prompt.rfind(TEXTS[0])))
    return marks[-1].group() if marks and not marks[-1]["closes"] else None


class _UnusableError(Exception):
    """A template does not do what is needed; the message says what."""


def _openings(tokenizer: PreTrainedTokenizerBase, own: str, plain: Settled) -> Iterator[Settled]:
    """Ways to ask for an answer right where a whole conversation has it.

    The second leaves out the white space before the answer, for a tokenizer that makes one token of
    both: the model then writes it.
    """
    try:
        found = _render(tokenizer, plain.around(own), _turns(TEXTS[0]))
    except _UnusableError:
        return
    for target in (found.head, found.head.rstrip()):
        same = takewhile(lambda pair: pair[0] == pair[1], zip(found.prompt, target))
        common = target[: sum(1 for _ in same)]
        if TEXTS[0] in common and INSTRUCTION in common:
            yield replace(plain, cut=len(found.prompt) - len(common), opening=target[len(common) :])


def _check(tokenizer: PreTrainedTokenizerBase, template: str) -> int | None:
    """The token that ends an answer, None where there is none.

    Raises:
        _UnusableError: what is asked is not a beginning of what is trained.
    """
    end: int | None = None
    for turns in (_turns(TEXTS[0]), _turns(TEXTS[1]), _shots()):
        try:
            found = _render(tokenizer, template, turns)
        except _UnusableError:
            if turns == _shots():
                # only few-shot prompts have several turns, and no training
                continue
            raise
        missing = [turn["content"] for turn in turns if turn["content"].strip() not in found.prompt]
        if missing:
            raise _UnusableError(f"it leaves out or changes {missing[0]!r}")
        rest = found.whole.removeprefix(found.prompt)
        if len(rest) == len(found.whole) or not rest.lstrip().startswith(ANSWER):
            raise _UnusableError("it writes a conversation otherwise when an answer is asked for")
        asked, trained = _ids(tokenizer, found.prompt), _ids(tokenizer, found.whole)
        if trained[: len(asked)] != asked:
            raise _UnusableError(JOINED)
        end = _end_of_turn(tokenizer, found.tail)
        if end is None:
            return None
    return end


def _turns(text: str) -> list[Message]:
    return [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": text}]


def _shots() -> list[Message]:
    return [
        *_turns(TEXTS[0]),
        {"role": "assistant", "content": ANSWER},
        {"role": "user", "content": TEXTS[1]},
    ]


def _render(
    tokenizer: PreTrainedTokenizerBase, template: str, turns: Sequence[Message]
) -> _Rendered:
    def text(messages: Sequence[Message], asks: bool) -> str:
        rendered: Any = tokenizer.apply_chat_template(
            list(messages), chat_template=template, tokenize=False, add_generation_prompt=asks
        )
        return str(rendered)

    try:
        return _Rendered(
            prompt=text(turns, True),
            whole=text([*turns, {"role": "assistant", "content": ANSWER}], False),
        )
    except Exception as error:  # a template is a program: it may fail in any way
        reason = " ".join(str(error).split())
        raise _UnusableError(f"it says {reason!r}") from None


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _end_of_turn(tokenizer: PreTrainedTokenizerBase, tail: str) -> int | None:
    """The first token of ``tail`` that is not of a text; None where there is none, or after more than white space."""
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    ids = _ids(tokenizer, tail)
    place = next((place for place, token in enumerate(ids) if token in special), None)
    if place is None or str(tokenizer.decode(ids[:place])).strip():
        return None
    return ids[place]


def _stop_at(folder: Path, end: int) -> bool:
    """Have whoever generates with the model in ``folder`` stop at the token ``end``; whether it was to be added."""
    file, config = folder / "generation_config.json", read_json(folder / "config.json")
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    inner = {**(config.get("text_config") or {}), **config}
    settings = (
        read_json(file)
        if file.is_file()
        else {name: inner[name] for name in names if inner.get(name) is not None}
    )
    declared = settings.get("eos_token_id")
    known = declared if isinstance(declared, list) else [] if declared is None else [declared]
    if end in known:
        return False
    write_json(file, {**settings, "eos_token_id": [*known, end]})
    return True


def _literal(value: Value) -> str:
    """``value`` as Jinja reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)
