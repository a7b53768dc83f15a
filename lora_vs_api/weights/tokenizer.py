"""Whether a model's tokenizer is the one that its weights were trained with, and can write a record."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, write_json
from lora_vs_api.log import say

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# the vocabulary alone, as SentencePiece or tiktoken writes it
PIECES = "tokenizer.model"
# what every record is made of
PROBE = 'Hello World, it is 12:30. {"a": "b c", "N": [5, 6]}'
_PLACEHOLDER = re.compile(r"<.*>|\[.*\]", re.DOTALL)
# what ways to split words differ in, besides
SPLIT = (
    f"{PROBE} 2023 650841823 it's HTTPServer fooBar x²+y²=z² Ünïcödé “q” 日本語 🙂  --!!\n\n\tend"
)
# what a normalizer writes otherwise
CHANGED = ("\n", "½", "№", "Ａ", "²")
# what a chat is made of: text … before, between and after special tokens <>, with and without white space
CHAT = " …<>…<> …<>\n… <>\n\n…\n<><>…"


def check_tokenizer(folder: Path, where: str, rows: int) -> None:
    """Make sure that the tokenizer is whole and the model's own; its fast form is written where that lacks.

    Args:
        rows: how many tokens the model's embeddings have rows for.

    Raises:
        UserError: it is not; the file at fault is named.
    """
    import tokenizers
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    file = folder / "tokenizer.json"
    others = (PIECES, "vocab.json", "vocab.txt")
    if not file.is_file() and not any((folder / name).is_file() for name in others):
        raise UserError(f"{where}: no tokenizer.json in it; a model needs its own tokenizer")
    name = file.name if file.is_file() else "its tokenizer"
    try:
        if file.is_file():
            Tokenizer.from_file(str(file))
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # tokenizers raises Exception itself
        reason = _in_a_line(error)
        if "custom code" in reason:
            raise UserError(
                f"{where}: its tokenizer comes with code of its own, which is not run; use another base model"
            ) from None
        if not file.is_file() and (missing := _missing_reader(folder / PIECES)):
            raise UserError(
                f"{where}: no tokenizer.json in it, and {PIECES} is read by {' and '.join(missing)}, which "
                f"this Python has not; pip install {' '.join(missing)}, or fetch the model's tokenizer.json too"
            ) from None
        raise UserError(
            f"{where}: {name} cannot be read by tokenizers {tokenizers.__version__} ({reason}); fetch it again, or use another base model"
        ) from None
    try:
        tokenizer = _check_kept(tokenizer, folder, where)
    except UserError:
        raise
    except Exception as error:  # as above: an unknown token that is none shows at a text alone
        raise UserError(
            f"{where}: {name} fails at a text ({_in_a_line(error)}); fetch it again, or use another base model"
        ) from None
    _check_rows(tokenizer, rows, where)
    if not file.is_file():
        if not tokenizer.is_fast:
            raise UserError(f"{where}: no tokenizer.json in it, and none can be made of the rest")
        tokenizer.backend_tokenizer.save(str(file))


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _missing_reader(pieces: Path) -> list[str]:
    """The libraries by which transformers makes a tokenizer of that file, as far as they are not here.

    It asks for tiktoken whatever the file is.
    """
    if not pieces.is_file():
        return []
    # a protocol buffer begins with the number of its first field, tiktoken's lines with base64
    with open(pieces, "rb") as stream:
        is_pieces = stream.read(1) == b"\n"
    needed = (
        {"sentencepiece": "sentencepiece", "protobuf": "google.protobuf"}
        if is_pieces
        else {"tiktoken": "tiktoken"}
    )
    return [name for name, module in needed.items() if not _can_import(module)]


def _can_import(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False


def _check_kept(
    tokenizer: PreTrainedTokenizerBase, folder: Path, where: str
) -> PreTrainedTokenizerBase:
    """Make sure that the tokenizer splits words as tokenizer.json does, and gives back what it is given.

    Some models name a class that replaces how tokenizer.json splits words, and transformers takes the
    class's word for it: blanks are lost then, or texts become other tokens than the model was trained on
    (Granite, OLMo 2 and Yi; Llama 2 and Phi-3 after a special token). The name is mended in the folder.

    Returns:
        The tokenizer that does.

    Raises:
        UserError: none gives back what it is given: such a model could not write a record.
    """
    from transformers import PreTrainedTokenizerFast

    found, file = _given_back(tokenizer), folder / "tokenizer_config.json"
    settings = read_json(file) if file.is_file() else {}
    if (folder / "tokenizer.json").is_file():
        plain = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        # a space before every text is a setting that the class heeds and the file does not have
        same = settings.get("add_prefix_space") or (
            _ids(tokenizer, SPLIT) == _ids(plain, SPLIT) and _same_in_chats(tokenizer, plain)
        )
        if _given_back(plain) == PROBE and not (same and found == PROBE):
            write_json(file, {**settings, "tokenizer_class": "PreTrainedTokenizerFast"})
            say(
                f"tokenizer_config.json: tokenizer_class {settings.get('tokenizer_class')} does not go "
                "with tokenizer.json, which is used as it is"
            )
            _say_what_changes(plain)
            return plain
    if found == PROBE:
        _say_what_changes(tokenizer)
        return tokenizer
    raise UserError(
        f"{where}: its tokenizer does not give back what it is given ({PROBE!r} comes back as "
        f"{found!r:.80}), so the model cannot write a record; use another base model"
    )


def _say_what_changes(tokenizer: PreTrainedTokenizerBase) -> None:
    """Say which signs and line ends the tokenizer writes otherwise (NFKC): an answer that copies them is not the gold."""
    changed = []
    for sign in CHANGED:
        whole = tokenizer.decode(_ids(tokenizer, f"a{sign}b"), clean_up_tokenization_spaces=False)
        found = str(whole).strip().removeprefix("a").removesuffix("b")
        # one that the vocabulary lacks is another matter
        if found != sign and found.strip("\ufffd") and str(tokenizer.unk_token) not in found:
            changed.append(f"{sign!r} as {found!r}")
    if changed:
        say(
            f"its tokenizer writes {', '.join(changed[:4])}: values with such signs cannot be written as the gold has them"
        )


def _same_in_chats(tokenizer: PreTrainedTokenizerBase, plain: PreTrainedTokenizerBase) -> bool:
    """Whether both make the same tokens of text around each special token that a chat is made of.

    transformers 5 makes LlamaTokenizer anew from the vocabulary, by a setting ("legacy": false) that the fast
    tokenizers of transformers 4 did not heed: a text after a special token then begins without the ▁ that the
    file puts there, and a blank at a text's beginning is lost (huggingface/transformers#25700 and #47700,
    huggingface/tokenizers#1613). The file is what the models were made and are served with: Llama 2's own
    program encodes a turn as a text of its own, ▁ and all, and llama.cpp puts one after each special token.

    Early files (Llama 2's of July 2023, "normalized": true) find no special token within a text, where the class
    does: that says nothing against the class, since a turn has to end in a token.
    """
    written = f"{plain.chat_template} {plain.eos_token} {plain.bos_token}"
    same = True
    for place, token in plain.added_tokens_decoder.items():
        if str(token) not in written:
            continue
        text = CHAT.replace("<>", str(token)).replace("…", PROBE)
        found = _ids(plain, text)
        if found.count(place) < text.count(str(token)):
            return True
        same = same and _ids(tokenizer, text) == found
    return same


def _given_back(tokenizer: PreTrainedTokenizerBase) -> str:
    return str(tokenizer.decode(_ids(tokenizer, PROBE), clean_up_tokenization_spaces=False)).strip()


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _check_rows(tokenizer: PreTrainedTokenizerBase, rows: int, where: str) -> None:
    """Make sure that the model knows every token that a chat is made of, and every word that was added.

    A tokenizer may have more, such as one for images or for padding, as long as no text has them.

    Raises:
        UserError: the template, the end of an answer or a text may need a token that the embeddings have no row for.
    """
    special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    beyond = {token for token, place in tokenizer.get_vocab().items() if place >= rows}
    # <unused7> is one that no text is cut into
    words = sorted(token for token in beyond - special if not _PLACEHOLDER.fullmatch(token))
    if words:
        raise UserError(
            f"{where}: its tokenizer has {len(tokenizer):,} tokens and its embeddings {rows:,} rows, none of them for "
            f"{', '.join(words[:3])}, which a text may hold; resize the embeddings to the tokenizer "
            "(resize_token_embeddings) and save the model again"
        )
    written = f"{tokenizer.chat_template} {tokenizer.eos_token} {tokenizer.bos_token}"
    unknown = sorted(token for token in beyond if token in written)
    if unknown:
        raise UserError(
            f"{where}: its tokenizer has {len(tokenizer):,} tokens and its embeddings {rows:,} rows, none of "
            f"them for {', '.join(unknown[:3])}, which its chats need; take both from one model, or resize "
            "the embeddings to the tokenizer and save the model again"
        )
