"""Tokenizers made of SentencePiece's pieces: what they make of a chat, and which of their forms is the model's own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer

from lora_vs_api.errors import UserError
from lora_vs_api.inference.generate import encode_prompt
from lora_vs_api.model.loading import load_tokenizer
from lora_vs_api.record.prompt import messages
from lora_vs_api.training.examples import check_examples
from tests.test_chat_templates import EXAMPLES, FIELDS, INSTRUCTION
from tests.test_public_reports import edited, fetched
from tests.tiny_model import build_tiny_model

# Llama 2's and Mistral's form, with and without the blank that their own programs put before an answer
TURNS = (
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% elif message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}{{ ANSWER + eos_token }}{% endif %}{% endfor %}"
)
SPACED = TURNS.replace("ANSWER", "' ' + message['content']")
BARE = TURNS.replace("ANSWER", "message['content']")
TRIMMED = TURNS.replace("ANSWER", "message['content'] | trim")
# a prompt's end and an answer's beginning, as Mistral's vocabulary joins them
ACROSS = ("]", "{")
CHATS = [
    "<s>[INST] Hello", "<s> Hello", " Hello", "Hello</s>\nHello", "Hello <s><s>Hello", "</s>  Hello", "<s>\n\n[Hello",
]  # fmt: skip


@pytest.fixture
def tiny(tmp_path):
    return build_tiny_model(tmp_path / "own")


def with_pieces(
    folder: Path, template: str, *joined: tuple[str, str], normalized: bool = False, **settings: Any
) -> Path:
    """Give the tiny model in ``folder`` a tokenizer like Llama 2's; returns ``folder``.

    Args:
        joined: pairs that are one piece, besides a blank with what follows it.
        normalized: whether special tokens are looked for in what the normalizer leaves.
        settings: of tokenizer_config.json.
    """
    names = ["<unk>", "<s>", "</s>"]
    merges = [("▁", letter) for letter in "AEHNT[{"] + list(joined)
    pieces = [
        *names, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127)),
        *("".join(pair) for pair in merges),
    ]  # fmt: skip
    own = Tokenizer(
        models.BPE(
            vocab={piece: place for place, piece in enumerate(pieces)}, merges=merges, unk_token="<unk>",
            fuse_unk=True, byte_fallback=True,
        )
    )  # fmt: skip
    own.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    own.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    own.add_special_tokens([AddedToken(name, normalized=normalized) for name in names])
    own.save(str(folder / "tokenizer.json"))
    kinds = dict(zip(("unk_token", "bos_token", "eos_token"), names))
    if normalized:
        kinds = {
            kind: {"__type": "AddedToken", "content": name, "normalized": True}
            for kind, name in kinds.items()
        }
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "LlamaTokenizer", **kinds, **settings})
    )
    (folder / "chat_template.jinja").write_text(template)
    return folder


def ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("settings", [{}, {"legacy": False}, {"legacy": True}])
def test_text_around_special_tokens_is_what_the_file_makes_of_it(tiny, tmp_path, settings, capsys):
    """Llama 2, Phi-3 (huggingface/transformers#47700, huggingface/tokenizers#1613): ▁Hello, not Hello, after <s>."""
    own = with_pieces(tiny, SPACED, **settings)
    file = Tokenizer.from_file(str(own / "tokenizer.json"))
    expected = [file.encode(text, add_special_tokens=False).ids for text in CHATS]
    assert [ids(AutoTokenizer.from_pretrained(own), text) for text in CHATS] != expected
    found = load_tokenizer(fetched(own, tmp_path / "base"), None)
    assert [ids(found, text) for text in CHATS] == expected
    assert found.convert_ids_to_tokens(expected[0])[:2] == ["<s>", "▁["]
    told = "tokenizer_class LlamaTokenizer does not go with tokenizer.json"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings",
    [
        # what transformers 4 heeded too: it made the tokenizer anew then, as 5 does (huggingface/transformers#30964)
        {"legacy": False, "add_prefix_space": True},
        # huggyllama/llama-7b and Llama 2 as they came first: the file finds no </s> within a text
        {"normalized": True},
        {"normalized": True, "legacy": True},
    ],
)  # fmt: skip
def test_a_class_that_is_right_is_left(tiny, tmp_path, settings, capsys):
    own = with_pieces(tiny, SPACED, **settings)
    before = (own / "tokenizer_config.json").read_bytes()
    base = fetched(own, tmp_path / "base")
    assert (base / "tokenizer_config.json").read_bytes() == before
    assert "does not go with" not in capsys.readouterr().err
    found = load_tokenizer(base, None)
    assert ids(found, "Hello</s>Hello").count(found.eos_token_id) == 1


def test_no_blank_is_put_after_special_tokens_where_the_file_puts_none(tiny, tmp_path):
    """What transformers 4 saved of a tokenizer that it made anew by "legacy": false: its class goes with that."""
    own = with_pieces(tiny, SPACED, legacy=False)
    file = Tokenizer.from_file(str(own / "tokenizer.json"))
    file.normalizer = normalizers.Sequence([])
    file.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    file.save(str(own / "tokenizer.json"))
    before = (own / "tokenizer_config.json").read_bytes()
    base = fetched(own, tmp_path / "base")
    assert (base / "tokenizer_config.json").read_bytes() == before
    found = load_tokenizer(base, None)
    assert found.convert_ids_to_tokens(ids(found, "<s>[INST]"))[:2] == ["<s>", "["]


UNKNOWN = {
    "BPE": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "unk_token": "<unk>"},
    "WordLevel": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "<unk>"},
    "WordPiece": {
        "type": "WordPiece", "vocab": {"a": 0}, "unk_token": "<unk>", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    },
    "Unigram": {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": None},
}  # fmt: skip


@pytest.mark.parametrize("kind", UNKNOWN)
def test_an_unknown_token_that_is_none_is_one_line(tiny, tmp_path, kind):
    """microsoft/onnxruntime-genai's multimodal-decoder-no-input-ids: found only when a text is encoded."""
    content = json.loads((tiny / "tokenizer.json").read_text())
    content |= {"model": UNKNOWN[kind], "added_tokens": [], "pre_tokenizer": None, "decoder": None}
    (tiny / "tokenizer.json").write_text(json.dumps(content))
    edited(tiny / "tokenizer_config.json", unk_token=None, bos_token=None, eos_token=None, pad_token=None)  # fmt: skip
    with pytest.raises(
        UserError, match=r"^model\.weights\.path: .*: tokenizer\.json fails at a text \(.+\); fetch"
    ) as error:
        fetched(tiny, tmp_path / "base")
    assert "\n" not in str(error.value)


def test_a_blank_parts_a_prompt_from_an_answer_that_would_be_one_token(tiny, tmp_path, capsys):
    """Mistral 7B Instruct 0.1 and 0.2 ("]{" is a token; mistralai/mistral-common#3: ▁Hi stands after [/INST])."""
    own = with_pieces(tiny, BARE, ACROSS, legacy=False)
    found = load_tokenizer(fetched(own, tmp_path / "base"), None)
    told = "the tokenizer makes one token of a prompt's end and the answer: a blank is put before answers"
    assert told in capsys.readouterr().err
    check_examples(found, EXAMPLES)
    for example in EXAMPLES:
        asked = encode_prompt(found, example["prompt"])
        whole = found.apply_chat_template(
            [*example["prompt"], *example["completion"]], tokenize=False
        )
        trained = ids(found, whole)
        assert trained[: len(asked)] == asked
        rest = found.convert_ids_to_tokens(trained[len(asked) :])
        assert (rest[0], rest[-1]) == ("▁{", "</s>") and found.decode(asked).endswith("[/INST]")
    # examples in a prompt have it too, and it is the template's with the blank of its own
    shots = [*EXAMPLES[0]["prompt"], *EXAMPLES[0]["completion"]]
    shots += messages(INSTRUCTION, "a text", FIELDS)[1:]
    spaced = load_tokenizer(fetched(with_pieces(own, SPACED, ACROSS), tmp_path / "spaced"), None)
    assert encode_prompt(found, shots) == encode_prompt(spaced, shots)


@pytest.mark.parametrize("template", [SPACED, BARE])
def test_no_blank_is_put_where_nothing_is_joined(tiny, tmp_path, template, capsys):
    fetched(with_pieces(tiny, template), tmp_path / "base")
    assert "a blank is put" not in capsys.readouterr().err


def test_what_a_blank_does_not_part_a_line_end_does(tiny, tmp_path):
    """A template that takes blanks off an answer leaves no other way, and the line says this one."""
    with pytest.raises(UserError, match="one token of .*; put a line end before the answer"):
        fetched(with_pieces(tiny, TRIMMED, ACROSS), tmp_path / "base")
    own = with_pieces(tiny, TRIMMED.replace("{{ message", r"{{ '\n' + message"), ACROSS)
    check_examples(load_tokenizer(fetched(own, tmp_path / "base"), None), EXAMPLES)


@pytest.mark.parametrize(
    ("normalizer", "said"),
    [
        (normalizers.NFKC(), "'½' as '1⁄2'"),
        (normalizers.Replace(Regex(r"\s+"), " "), r"'\n' as ' '"),
        (None, None),
    ],
)
def test_signs_that_a_tokenizer_writes_otherwise_are_said(tiny, tmp_path, capsys, normalizer, said):
    """LAION-AI/Anh#11: XGLM's loses line ends, and NFKC makes 1⁄2 of ½: a right answer was no gold, without a word."""
    file = tiny / "tokenizer.json"
    own = Tokenizer.from_file(str(file))
    if normalizer is not None:
        own.normalizer = normalizer
    own.save(str(file))
    fetched(tiny, tmp_path / "base")
    told = capsys.readouterr().err
    assert (said or "its tokenizer writes") in told if said else "its tokenizer writes" not in told


def test_a_file_of_other_tokenizers_is_told_with_the_version(tiny, tmp_path):
    """allenai/open-instruct#738: fetched again it is the same file."""
    file = tiny / "tokenizer.json"
    own = json.loads(file.read_text())
    file.write_text(json.dumps({**own, "pre_tokenizer": {"type": "Future"}}))
    with pytest.raises(
        UserError,
        match=rf"cannot be read by tokenizers {re.escape(tokenizers.__version__)} .* use another base model",
    ):
        fetched(tiny, tmp_path / "base")
