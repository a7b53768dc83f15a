"""Kinds of chat templates that models and collections of templates have, each cut down to what is special in it."""

from __future__ import annotations

import shutil

import pytest
import torch

from lora_vs_api.errors import UserError
from lora_vs_api.inference.extractor import Extractor
from lora_vs_api.inference.generate import encode_prompt
from lora_vs_api.model.loading import load_base, load_tokenizer
from lora_vs_api.model.runtime import Runtime
from lora_vs_api.record.prompt import completion, messages
from lora_vs_api.training.examples import chat_examples, check_examples, within_length
from lora_vs_api.weights.chat_template import settle_chat
from tests.chat_templates import FAMILIES, template_of, with_template
from tests.test_chat_templates import FIELDS, INSTRUCTION, ROWS
from tests.tiny_model import build_tiny_model

TURNS = "{% for m in messages %}{{ m.role + ': ' + m.content + 'MARK' }}{% endfor %}"
ASKS = "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
# the last answer taken out of the conversation and written after it
LAST_APART = (
    "{% set last = '' %}{% if messages[-1].role == 'assistant' %}"
    "{% set last = messages[-1].content %}{% set messages = messages[:-1] %}{% endif %}"
    "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
    "{% if add_generation_prompt or last %}{{ 'assistant: ' }}{% endif %}{{ last }}"
)
NO_MARK, IN_PLACE = "it does not end an answer", "which is text for this tokenizer"
OPENED = (
    "{% for m in messages %}{{ m.role + ('\nMARK\n' if m.role == 'assistant' else '\n') "
    "+ m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant\nMARK\n' }}{% endif %}"
)
SWITCHED = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content.replace('/think', '')"
    ".replace('/no_think', '').strip() + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TIDIED = (
    "{% for m in messages %}{{ '\n\n' + m.role + ': ' + m.content.replace('\\r\\n', '\n').replace('\n\n', '\n') | trim }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '\n\nassistant:' }}{% endif %}"
)
TOOLS = (
    "{% set ns = namespace(asked=false) %}{% for m in messages if m.role == 'user' and not "
    "(m.content.startswith('<tool_response>') and m.content.endswith('</tool_response>')) %}"
    "{% set ns.asked = true %}{% endfor %}"
    "{% if not ns.asked %}{{ raise_exception('No user query found in messages.') }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
FUNCTIONS = (
    "{% set suffix = 'Functions: ' + functions + '\nToday is ' + datetime + '.\n' %}{{ suffix }}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("tiny"), vocabulary=512, spare=200)


@pytest.fixture
def settled(tiny, tmp_path):
    """Settles a template of the tiny model, whose only tokens of its own are ChatML's two; its tokenizer."""

    def settle(template, **arguments):
        folder = tmp_path / "m"
        shutil.copytree(tiny, folder)
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8", newline="")
        settle_chat(folder, arguments, "model.weights.path: x")
        return load_tokenizer(folder, None)

    return settle


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{% set eos_token = '<seed:eos>' %}" + TURNS.replace("MARK", "\n") + ASKS, NO_MARK),
        ("{% set eos_token = '<seed:eos>' %}" + TURNS.replace("'MARK'", "eos_token") + ASKS, IN_PLACE),
        (LAST_APART, NO_MARK),
        (LAST_APART + "{% set messages = [] %}", NO_MARK),
        (LAST_APART + "{{ '' if add_generation_prompt else '\n<SPECIAL_12>\n' }}", IN_PLACE),
        (TURNS.replace("MARK", "<|end_of_turn|>") + ASKS, IN_PLACE),
        (TURNS.replace("MARK", "<turn|>\n") + ASKS, IN_PLACE),
        (TURNS.replace("MARK", "[|endofturn|]\n") + ASKS, IN_PLACE),
        (TURNS.replace("MARK", "<｜end▁of▁sentence｜>") + ASKS, IN_PLACE),
        (TURNS.replace("MARK", "\n<|EOT|>\n") + ASKS, IN_PLACE),
        # a mark before a token, and an answer that is asked for whether it was or not
        (TURNS.replace("MARK", "<|end|>\n") + "{{ '' if add_generation_prompt else eos_token }}" + ASKS, IN_PLACE),
        (TURNS.replace("MARK", "<|eot|>") + "{{ 'assistant: ' }}", IN_PLACE),
        # what is asked otherwise than trained, besides
        (TURNS.replace("MARK", "<|eot|>") + ASKS.replace("'assistant: '", "'assistant: <think>\n'"), IN_PLACE),
        (TURNS.replace("MARK", "\n") + ASKS, NO_MARK),
    ],
)  # fmt: skip
def test_a_record_is_learnt_with_a_token_that_stops_and_nothing_between(
    settled, capsys, template, told
):
    """ByteDance-Seed-OSS and Nemotron-Nano-v2 (llama.cpp's models/templates); openchat-3.5 (chujiezheng's
    chat_templates), Gemma 4, EXAONE 4 (axolotl), DeepSeek-V3, deepseek-coder, Phi-3.5 (TRL), dolphin-llama3
    (huggingface.js), whose marks are text where a tokenizer does not have them."""
    tokenizer = settled(template)
    assert told in capsys.readouterr().err
    examples = chat_examples(ROWS, INSTRUCTION, FIELDS)
    check_examples(tokenizer, examples)
    for row, example in zip(ROWS, examples):
        asked = encode_prompt(tokenizer, messages(INSTRUCTION, row["text"], FIELDS))
        whole = tokenizer.apply_chat_template(
            [*example["prompt"], *example["completion"]], return_dict=False
        )
        assert whole[: len(asked)] == asked and whole[-1] == tokenizer.eos_token_id
        learnt = tokenizer.decode(whole[len(asked) : -1])
        assert learnt.strip() == completion(row["record"], FIELDS)
        assert row["text"] in tokenizer.decode(asked)
    # a text is asked as the template has it, whatever ends an answer
    shots = messages(INSTRUCTION, "the last text", FIELDS, ROWS[:2])
    assert "the last text" in tokenizer.decode(encode_prompt(tokenizer, shots))


def test_an_eos_token_that_is_none_is_one_line(settled):
    """Set by the user, as ByteDance-Seed-OSS sets its own."""
    with pytest.raises(UserError, match=r"no token marks the end of an answer, and the eos_token cannot") as error:  # fmt: skip
        settled(TURNS.replace("MARK", "\n") + ASKS, eos_token="<seed:eos>")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        ("<think>", "<think>"),
        ("<seed:think>", "<seed:think>"),
        ("[THINK]", "[THINK]"),
        ("<|START_THINKING|>", "<|START_THINKING|>"),
        ("<think></think><reasoning>", "<reasoning>"),
        ("<think>\\n</think>", None),
        ("<|START_THINKING|><|END_THINKING|>", None),
        ("</think>", None),
        ("<assistant>", None),
    ],
)
def test_a_block_of_thinking_that_is_left_open_is_told(settled, capsys, mark, told):
    """Nemotron-Nano-v2 writes its last answer after <think> (llama.cpp's models/templates)."""
    tokenizer = settled(OPENED.replace("MARK", mark))
    check_examples(tokenizer, chat_examples(ROWS, INSTRUCTION, FIELDS))
    said = capsys.readouterr().err
    assert "open before" not in said if told is None else f"leaves {told!r} open before" in said


@pytest.mark.parametrize(
    ("template", "told"),
    [(SWITCHED, "'/think', '/no_think', '</think>'"), (TIDIED, r"'\n\n', '\n\n\n', '\r\n'")],
)
def test_a_template_that_changes_some_texts_is_told(settled, capsys, template, told):
    """Nemotron-Nano-v2's switches (llama.cpp's models/templates), falcon-instruct (chujiezheng's chat_templates)."""
    settled(template)
    assert f"it takes {told} in a text for more than text" in capsys.readouterr().err


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_told_of_a_template_that_does_neither(tiny, tmp_path, family, capsys):
    settle_chat(with_template(tiny, tmp_path / "m", family), {}, "x")
    said = capsys.readouterr().err
    assert "more than text" not in said and "open before" not in said, template_of(family)


def test_a_text_that_the_template_refuses_is_one_line_with_its_name(settled, tiny):
    """Qwen3.5, 3.6 and 3.8 take such a text for what a tool said (Qwen/Qwen3.5-4B, TRL's chat_templates)."""
    tokenizer = settled(TOOLS)
    said = r"refuses '<tool_response>\\nx\\n</tool_response>' \(No user query found in messages\.\); leave the text out"
    odd = "<tool_response>\nx\n</tool_response>"
    rows = [ROWS[0], {**ROWS[1], "text": odd}, ROWS[2]]
    examples = chat_examples(rows, INSTRUCTION, FIELDS)
    with pytest.raises(UserError, match=f"^training text 2: .*{said}") as error:
        check_examples(tokenizer, examples)
    assert "\n" not in str(error.value)
    for cut in (True, False):
        with pytest.raises(UserError, match=f"^training text 2: .*{said}"):
            within_length(tokenizer, examples, 10_000, cut=cut)
    with pytest.raises(UserError, match=said):
        encode_prompt(tokenizer, messages(INSTRUCTION, odd, FIELDS))
    model = load_base(tiny, Runtime("cpu", torch.float32))
    extractor = Extractor(model, tokenizer, INSTRUCTION, FIELDS, max_new_tokens=8, batch_size=2)
    extractor.check_texts([ROWS[0]["text"]], ["row-1"])
    model.config.max_position_embeddings = 20
    with pytest.raises(UserError, match=f"^row-2: .*{said}") as error:
        extractor.check_texts([odd, odd], ["row-2", "row-3"])
    assert [line.split(":")[0] for line in str(error.value).split("\n")] == ["row-2", "row-3"]


def test_variables_that_a_template_cannot_do_without_are_named(settled):
    """firefunction-v2 (huggingface.js's templates of Ollama's models)."""
    said = r"it says \"'functions' is undefined\"; set model\.template_arguments: \{functions: …, datetime: …\}$"
    with pytest.raises(UserError, match=said):
        settled(FUNCTIONS)


def test_with_them_it_is_settled(settled):
    tokenizer = settled(FUNCTIONS, functions="none", datetime="1 May")
    check_examples(tokenizer, chat_examples(ROWS, INSTRUCTION, FIELDS))


def test_variables_that_would_not_help_are_not_named(settled):
    """shieldgemma asks for a guideline and writes no conversation."""
    with pytest.raises(UserError, match=r"it says \"'guideline' is undefined\"$"):
        settled("{{ guideline + 'x' }}{{ messages[0].content }}")
