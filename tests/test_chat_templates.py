"""Each family's chat template, settled: what is asked is what was trained, to the token."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace

import pytest
import torch
from transformers import AutoTokenizer
from transformers.utils import chat_template_utils

from lora_vs_api.analysis.diagnosis import recover_record
from lora_vs_api.config.sections import PathWeights
from lora_vs_api.digests import directory_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.inference.decoding import answer_text
from lora_vs_api.inference.extractor import Extractor
from lora_vs_api.inference.generate import encode_prompt, generate
from lora_vs_api.model.context import context_length
from lora_vs_api.model.loading import load_base, load_tokenizer, load_tuned
from lora_vs_api.model.runtime import Runtime
from lora_vs_api.record.fields import Field
from lora_vs_api.record.parsing import parse_record, part_thinking
from lora_vs_api.record.prompt import completion, messages
from lora_vs_api.training import train as training
from lora_vs_api.training.examples import chat_examples, check_examples, check_lengths
from lora_vs_api.training.train import TrainingPolicy, train_adapter
from lora_vs_api.weights.chat_template import settle_chat
from lora_vs_api.weights.fetch import fetch_base
from tests.chat_templates import FAMILIES, template_of, with_template
from tests.test_model import CPU, SPEC
from tests.tiny_model import build_tiny_model

INSTRUCTION = "Extract a record.\nAnswer with one JSON object."
FIELDS = (Field("who", "string", "exact"), Field("level", "integer", "exact", minimum=1, maximum=5))
ROWS = [
    {"id": f"row-{i}", "text": f"Mail {i} of Ann,\nin haste", "record": {"who": f"N{i}", "level": 1 + i}}
    for i in range(3)
]  # fmt: skip
EXAMPLES = chat_examples(ROWS, INSTRUCTION, FIELDS)
# what has to be done to a template; every other keeps its bytes
MENDED = {
    "deepseek_r1", "deepseek_v3", "gemma", "glm4", "gpt_oss", "granite", "llama3.2", "mistral",
    "mistral_v3", "nemotron3", "qwen3", "qwen3.5", "smollm3", "unmarked",
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    # rows for the markers that a template's tokenizer gets on top
    return build_tiny_model(tmp_path_factory.mktemp("tiny"), vocabulary=512, spare=200)


@pytest.fixture
def another_day(monkeypatch):
    """Today is some day in 2031 for whoever renders a template."""

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2031, 5, 17, tzinfo=tz)

    monkeypatch.setattr(chat_template_utils, "datetime", Clock)


def settled(tiny, folder, family, **arguments):
    with_template(tiny, folder, family)
    settle_chat(folder, arguments, "model.weights.path: x")
    return load_tokenizer(folder, None)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def mended(tiny, tmp_path_factory, family):
    """The family's settled folder and its tokenizer, for the tests that only read them."""
    folder = tmp_path_factory.mktemp("settled") / "m"
    return folder, settled(tiny, folder, family)


def test_what_is_asked_is_what_is_trained(mended, family, another_day):
    """To the token: the answer starts right after the prompt, and a token that stops ends it."""
    folder, tokenizer = mended
    assert (tokenizer.chat_template != template_of(family)) == (family in MENDED)
    declared = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    ends = {tokenizer.eos_token_id, *(declared if isinstance(declared, list) else [declared])}
    for row, example in zip(ROWS, EXAMPLES):
        asked = encode_prompt(tokenizer, messages(INSTRUCTION, row["text"], FIELDS))
        whole = tokenizer.apply_chat_template(
            [*example["prompt"], *example["completion"]], return_dict=False
        )
        assert whole[: len(asked)] == asked
        prompt, answer = tokenizer.decode(asked), tokenizer.decode(whole[len(asked) :])
        assert answer.lstrip().startswith(completion(row["record"], FIELDS))
        assert INSTRUCTION in prompt and row["text"] in prompt
        assert "2031" not in prompt and "17" not in prompt
        # what is learnt holds a token at which generation stops, and nothing of the record after it
        learnt = whole[len(asked) :]
        stop = next(place for place, token in enumerate(learnt) if token in ends)
        text = tokenizer.decode(learnt[:stop], skip_special_tokens=True)
        assert parse_record(text) == row["record"]


def test_examples_in_a_prompt_are_turns_of_their_own(mended):
    """Few-shot prompts, whichever roles a template allows, have the instruction and end alike."""
    _, tokenizer = mended
    shots = messages(INSTRUCTION, "the last text", FIELDS, ROWS[:2])
    found = tokenizer.apply_chat_template(shots, tokenize=False, add_generation_prompt=True)
    alone = tokenizer.apply_chat_template(
        messages(INSTRUCTION, "the last text", FIELDS), tokenize=False, add_generation_prompt=True
    )
    parts = [INSTRUCTION, *(part for row in ROWS[:2] for part in (row["text"], completion(row["record"], FIELDS)))]  # fmt: skip
    places = [found.find(part) for part in parts]
    assert -1 not in places and places == sorted(places)
    end = "the last text"
    assert found.rpartition(end)[2] == alone.rpartition(end)[2]


def test_the_default_model_keeps_its_bytes(tiny, tmp_path):
    """A template that needs nothing is not touched, and neither is anything beside it."""
    before = directory_sha256(tiny)
    fetch_base(PathWeights(source="path", path=str(tiny)), tmp_path / "base", 0.001, {})
    assert directory_sha256(tmp_path / "base") == before


@pytest.mark.parametrize("family", ["llama3.2", "smollm3", "gpt_oss", "granite"])
def test_a_prompt_is_the_same_on_any_day(tiny, tmp_path, family, request):
    """With an instruction and without one; unsettled, it would not be."""
    tokenizer = settled(tiny, tmp_path / "m", family)
    chats = [messages(INSTRUCTION, "a text", FIELDS), [{"role": "user", "content": "a text"}]]
    today = [encode_prompt(tokenizer, chat) for chat in chats]
    own = [
        tokenizer.apply_chat_template(chat, chat_template=template_of(family), tokenize=False)
        for chat in chats
    ]
    request.getfixturevalue("another_day")
    assert [encode_prompt(tokenizer, chat) for chat in chats] == today
    assert own != [
        tokenizer.apply_chat_template(chat, chat_template=template_of(family), tokenize=False)
        for chat in chats
    ]


def test_template_arguments_are_variables_of_the_template(tiny, tmp_path):
    """Whoever renders it has them, a server that knows nothing of the setting too."""

    def prompt(folder, family, **arguments):
        tokenizer = settled(tiny, tmp_path / folder, family, **arguments)
        ids = encode_prompt(tokenizer, messages(INSTRUCTION, "a text", FIELDS))
        return tokenizer.decode(ids)

    assert "Reasoning Mode: /think" in prompt("a", "smollm3")
    quiet = prompt("b", "smollm3", enable_thinking=False)
    assert "Reasoning Mode: /no_think" in quiet and quiet.endswith("<think>\n\n</think>\n")
    date = 'the "1st" of\nMay ☀'
    assert f"Today Date: {date}" in prompt("c", "llama3.2", date_string=date)
    assert "Today Date: 26 Jul 2024" in prompt("d", "llama3.2")
    # both ways to an empty block of thinking come to one prompt
    assert prompt("e", "qwen3") == prompt("f", "qwen3", enable_thinking=False)
    assert prompt("g", "qwen3").endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (None, r"^model\.weights\.path: x: has no chat template \(.* expected a chat model"),
        ({"rag": "a", "tool_use": "b"}, r"several chat templates \(rag, tool_use\).* chat_template\.jinja"),
        ("{{ raise_exception('only\ntools') }}", "cannot be trained with: it says 'only tools'"),
        ("{% if %}", "cannot be trained with: it says"),
        ("{% for m in messages %}{{ m.content | upper }}{% endfor %}", "leaves out or changes 'Probe"),
        ("{% for m in messages %}{{ m.role + m.content | replace('{', '[') }}{% endfor %}", "otherwise"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_mended_is_one_line(tiny, tmp_path, template, said):
    """Before any training, in the words of the template where it has some."""
    folder = with_template(tiny, tmp_path / "m", "qwen2")
    (folder / "chat_template.jinja").unlink()
    if template is not None:
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        settings["chat_template"] = (
            template
            if isinstance(template, str)
            else [{"name": name, "template": text} for name, text in template.items()]
        )
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    before = directory_sha256(folder)
    with pytest.raises(UserError, match=said) as error:
        settle_chat(folder, {}, "model.weights.path: x")
    assert "\n" not in str(error.value) and directory_sha256(folder) == before


def test_the_default_of_several_templates_is_taken(tiny, tmp_path):
    """As transformers and servers do; what is written beside them is what they then read."""
    folder = with_template(tiny, tmp_path / "m", "gemma")
    (folder / "chat_template.jinja").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["chat_template"] = [
        {"name": "default", "template": template_of("gemma")},
        {"name": "rag", "template": "{{ raise_exception('no') }}"},
    ]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    settle_chat(folder, {}, "x")
    prompt = encode_prompt(
        AutoTokenizer.from_pretrained(folder), messages("Do it.", "text", FIELDS)
    )
    assert "user\nDo it.\n\ntext" in AutoTokenizer.from_pretrained(folder).decode(prompt)


def test_settling_again_changes_nothing(tiny, tmp_path):
    """A base whose folder is exported and taken as a base again."""
    for family in sorted(MENDED):
        folder = with_template(tiny, tmp_path / family, family)
        settle_chat(folder, {}, "x")
        once = encode_prompt(load_tokenizer(folder, None), messages("Do it.", "text", FIELDS))
        settle_chat(folder, {}, "x")
        again = load_tokenizer(folder, None)
        assert encode_prompt(again, messages("Do it.", "text", FIELDS)) == once, family


@pytest.mark.parametrize(
    "family",
    [
        "qwen3",
        *(pytest.param(f, marks=pytest.mark.slow) for f in ("deepseek_r1", "gemma", "mistral_v3", "unmarked")),
    ],
)  # fmt: skip
def test_an_overfitted_model_answers_what_it_learnt(tiny, tmp_path, family, monkeypatch):
    """Through training, merging and asking: a model with no loss left makes no mistake."""
    seen = []
    build = training.CompletionTrainer.__init__

    def spy(self, *arguments, **options):
        build(self, *arguments, **options)
        seen.extend(self.train_dataset)

    monkeypatch.setattr(training.CompletionTrainer, "__init__", spy)
    folder = with_template(tiny, tmp_path / "m", family)
    settle_chat(folder, {}, "x")
    spec = replace(
        SPEC, method="full", learning_rate=5e-3, max_steps=40, epochs=40, batch_size=3, pad_token=None,
        scheduler="constant",
    )  # fmt: skip
    run = train_adapter(folder, EXAMPLES, spec, CPU, tmp_path / "a", TrainingPolicy("test"))
    tokenizer = load_tokenizer(folder, None)
    prompts = [messages(INSTRUCTION, row["text"], FIELDS) for row in ROWS]
    for example, prompt in zip(seen, prompts):
        asked = encode_prompt(tokenizer, prompt)
        assert example["input_ids"][: len(asked)] == asked
        assert example["labels"][: len(asked)] == [-100] * len(asked)
        assert example["labels"][len(asked) :] == example["input_ids"][len(asked) :]
    assert run.losses[-1] < 0.05
    model = load_tuned(folder, tmp_path / "a", CPU)
    answers = generate(
        model, tokenizer, prompts, max_new_tokens=60, batch_size=2, description="overfitted"
    )
    assert [parse_record(answer.output) for answer in answers] == [row["record"] for row in ROWS]
    assert not any(answer.truncated for answer in answers)


def test_a_record_that_the_template_changes_is_named(tiny, tmp_path):
    """Qwen3 cuts an answer at a mark of thinking: one such row must not be learnt by half."""
    folder = with_template(tiny, tmp_path / "m", "qwen3")
    settle_chat(folder, {}, "x")
    rows = [*ROWS, {**ROWS[0], "record": {"who": "a </think> b", "level": 1}}]
    with pytest.raises(UserError, match=r"training text 4: .* does not write its record as it is"):
        train_adapter(
            folder, chat_examples(rows, INSTRUCTION, FIELDS), SPEC, CPU, tmp_path / "a",
            TrainingPolicy("test"),
        )  # fmt: skip


def test_a_token_across_the_border_of_prompt_and_record_is_refused(tiny, tmp_path):
    """Trained after a prompt without its last token, the model would be asked after the whole."""
    folder = with_template(tiny, tmp_path / "m", "qwen2")
    settle_chat(folder, {}, "x")
    tokenizer = load_tokenizer(folder, None)
    check_examples(tokenizer, EXAMPLES)
    tokenizer.add_tokens(['\n{"who'])
    with pytest.raises(
        UserError, match=r"^task\.fields: the tokenizer makes one token of .* another name"
    ):
        check_examples(tokenizer, EXAMPLES)


def test_a_prompt_ends_before_what_the_tokenizer_would_join_with_the_answer(tiny, tmp_path):
    """A space before every answer is the model's to write where it is one token with the brace."""
    folder = with_template(tiny, tmp_path / "m", "unmarked")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([' {"'])
    tokenizer.save_pretrained(folder)
    settle_chat(folder, {}, "x")
    tokenizer = load_tokenizer(folder, None)
    check_examples(tokenizer, EXAMPLES)
    asked = encode_prompt(tokenizer, messages(INSTRUCTION, "a text", FIELDS))
    assert tokenizer.decode(asked).endswith("\n\nAssistant:")


# --- thinking that comes all the same ---------------------------------------------------------------

RECORD, DRAFT = '{"who": "Ann", "level": 2}', '{"who": "a draft", "level": 1}'
THOUGHTS = [
    f"<think>\n{DRAFT}\n</think>\n\n",
    "<think>\n\n</think>\n\n",
    f"\n<thinking>so {DRAFT}</thinking>",
    f"{DRAFT} or so\n</think>\n\n",
    f"[THINK]{DRAFT}[/THINK]",
    f"<|channel>thought\n{DRAFT}<channel|>",
    f"<|START_THINKING|>{DRAFT}<|END_THINKING|><|START_RESPONSE|>",
    f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>",
    f"Here is my thought process:\n{DRAFT}\nHere is my response:\n",
    f"<seed:think>{DRAFT}</seed:think>",
]


@pytest.mark.parametrize("thought", THOUGHTS)
def test_thinking_is_parted_from_the_record(thought):
    """The record is that of the answer, never the draft."""
    assert parse_record(thought + RECORD) == json.loads(RECORD)
    assert recover_record(thought + RECORD) is None
    # what is wrong with the answer is still wrong
    assert parse_record(thought + f"Sure: {RECORD}") is None
    assert recover_record(thought + f"Sure: {RECORD}").record == json.loads(RECORD)
    assert recover_record(thought + "I cannot say.") is None
    assert "</think>" not in (part_thinking(thought + RECORD).answer or "")


@pytest.mark.parametrize("thought", [t for t in THOUGHTS if not t.startswith("{")])
def test_thinking_that_never_ends_is_no_answer(thought):
    """The limit came first: a draft in it is neither a record nor recoverable."""
    cut = thought[: thought.find(DRAFT) + len(DRAFT)] if DRAFT in thought else thought[:8]
    assert parse_record(cut) is None and recover_record(cut) is None
    assert part_thinking(cut).answer is None


def test_marks_within_a_record_are_its_text():
    """An email about a model that thinks."""
    for text in ("</think>", "<think>", "[THINK] x", "<response>"):
        record = json.dumps({"who": text})
        assert parse_record(record) == {"who": text}
        assert parse_record(f"<think>hm</think>{record}") == {"who": text}
        assert parse_record(f"<think>{record}</think>{record}") == {"who": text}
        assert recover_record(f"Sure: {record}").record == {"who": text}


def test_special_tokens_that_mark_thinking_are_not_lost(tiny, tmp_path):
    """Decoded without them, a thought would be prose before the record."""
    tokenizer = AutoTokenizer.from_pretrained(with_template(tiny, tmp_path / "m", "gemma4"))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|channel>", "<channel|>", "[THINK]", "[/THINK]"]})  # fmt: skip
    for opening, closing in (("<|channel>thought\n", "<channel|>"), ("[THINK]", "[/THINK]")):
        ids = tokenizer(f"{opening}hm {DRAFT}{closing}{RECORD}<|im_end|>")["input_ids"]
        text = answer_text(tokenizer, ids)
        assert text == f"{opening}hm {DRAFT}{closing}{RECORD}"
        assert parse_record(text) == json.loads(RECORD)
    plain = tokenizer(f"{RECORD}<|im_end|>")["input_ids"]
    assert (
        answer_text(tokenizer, plain) == RECORD == tokenizer.decode(plain, skip_special_tokens=True)
    )


# --- texts that do not fit --------------------------------------------------------------------------


def test_the_context_is_found_in_any_config():
    assert context_length({"max_position_embeddings": 8192}) == 8192
    assert context_length({"n_positions": 1024, "n_ctx": 1024}) == 1024
    assert context_length({"vision_config": {}, "text_config": {"max_position_embeddings": 9}}) == 9
    assert context_length({"model_type": "mamba2"}) is None


@pytest.mark.parametrize(
    ("rope", "held"),
    [
        # as Qwen's cards say; and Llama 3.1, whose number counts it in
        ({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}, 1024),
        ({"rope_type": "llama3", "factor": 2.0, "original_max_position_embeddings": 64}, 256),
        # of these it cannot be told
        ({"type": "linear", "factor": 4.0}, 256),
        ({"full_attention": {"rope_type": "yarn"}}, 256),
        (None, 256),
    ],
)
def test_a_rotation_that_is_stretched_holds_more(rope, held):
    for name in ("rope_scaling", "rope_parameters"):
        assert context_length({"max_position_embeddings": 256, name: rope}) == held


def test_a_text_that_does_not_fit_is_named_before_any_is_asked(tiny):
    """Row, tokens and limit; a text that just fits is asked."""
    model, tokenizer = load_base(tiny, Runtime("cpu", torch.float32)), load_tokenizer(tiny, None)
    around = len(encode_prompt(tokenizer, messages("Do.", "", FIELDS)))
    model.config.max_position_embeddings = around + 100 + 20
    fits, long = "x" * 100, "x" * 101
    extractor = Extractor(model, tokenizer, "Do.", FIELDS, max_new_tokens=20, batch_size=2)
    # every x may be a token of its own or not: what counts is what the tokenizer makes of them
    took = len(encode_prompt(tokenizer, messages("Do.", fits, FIELDS)))
    model.config.max_position_embeddings = took + 20
    extractor.check_texts([fits], ["a"])
    assert len(extractor.answers([fits], "t")) == 1
    more = long * 3
    tokens = len(encode_prompt(tokenizer, messages("Do.", more, FIELDS)))
    with pytest.raises(
        UserError,
        match=rf"^row-7: its prompt of {tokens} tokens .* 20 .* more than the {took + 20} tokens",
    ):
        extractor.check_texts([fits, more], ["row-6", "row-7"])
    record = {"who": "A", "level": 1}
    with pytest.raises(UserError, match="^row-8: "):
        extractor.check_room([{"id": "row-8", "text": more, "record": record}])


def test_a_training_text_that_does_not_fit_is_named():
    check_lengths([[1] * 8, [1] * 9], 9)
    check_lengths([[1] * 8], None)
    with pytest.raises(UserError, match=r"^training text 2: takes 10 tokens .* more than the 9"):
        check_lengths([[1] * 8, [1] * 10], 9)
