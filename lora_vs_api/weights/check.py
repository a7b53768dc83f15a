"""Whether a folder holds a model that can be trained and asked, before anything is.

What is wrong with a copy shows late and far from its cause: half a file fails in the middle of loading,
a missing tensor is filled with random numbers, and a pointer of git-lfs looks like a file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lora_vs_api.errors import UserError
from lora_vs_api.files import read_json, write_json
from lora_vs_api.log import say

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# what a file begins with that git-lfs has not fetched
POINTER = b"version https://git-lfs"
# what every record is made of
PROBE = 'Hello World, it is 12:30. {"a": "b c", "N": [5, 6]}'
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


def check_config(folder: Path, where: str) -> None:
    """Make sure that transformers can build the model and that an adapter can be merged into it.

    Reads no more than config.json: of a model of the Hub, all else need not be there yet.

    Args:
        folder: of the model.
        where: the setting and its value that name the model, for messages.

    Raises:
        UserError: it cannot; config.json and what it says are named.
    """
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if not (folder / "config.json").is_file():
        raise UserError(f"{where}: no config.json in it; expected a transformers model folder")
    config = _json(folder / "config.json", where)
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str):
        raise UserError(f"{where}: config.json names no model_type; expected that of transformers")
    version = f"transformers {transformers.__version__}"
    if kind not in CONFIG_MAPPING:
        raise UserError(
            f"{where}: config.json: {version} has no model_type {kind} (code that comes with a model is "
            "not run); use another base model"
        )
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UserError(
            f"{where}: config.json: in {version} a {kind} model does not go on with a text (no causal "
            "language model); use one that does, such as its text-only version"
        )
    quantised = config.get("quantization_config")
    if quantised:
        method = quantised.get("quant_method", "some") if isinstance(quantised, dict) else "some"
        raise UserError(
            f"{where}: config.json: its weights are quantised ({method}), and an adapter cannot be "
            "merged into those; use the model in bfloat16 (lora.adapter.variant=qlora trains on 4 bits)"
        )


def check_files(folder: Path, where: str) -> None:
    """Make sure that every file of the model in ``folder`` is whole.

    Raises:
        UserError: one is not; it is named.
    """
    check_config(folder, where)
    for file in sorted(file for file in folder.iterdir() if file.is_file()):
        _check_pointer(file, where)
        if file.suffix == ".json":
            _json(file, where)
    names = {file.name: _tensors(file, where) for file in sorted(folder.glob("*.safetensors"))}
    if not names:
        raise UserError(f"{where}: no *.safetensors in it; pickled weights are not loaded")
    if SINGLE not in names:
        _check_index(folder, names, where)
    elif (folder / INDEX).is_file():
        _check_one_set(folder, names, where)
    for file in sorted(folder.glob("*.safetensors")):
        _check_numbers(file, where)
    rows = _check_tensors(folder, where)
    _check_tokenizer(folder, where, rows)


def _check_pointer(file: Path, where: str) -> None:
    with open(file, "rb") as stream:
        if stream.read(len(POINTER)) == POINTER:
            raise UserError(
                f"{where}: {file.name} is a git-lfs pointer and not the file itself; run `git lfs "
                "pull` where it comes from"
            )


def _json(file: Path, where: str) -> Any:
    _check_pointer(file, where)
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{where}: {file.name} is no JSON ({error}); fetch it again") from None


def _tensors(file: Path, where: str) -> set[str]:
    """Names of the tensors in a safetensors file, whose header says how long it has to be."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as weights:
            return set(weights.keys())
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{where}: {file.name} ({file.stat().st_size:,} bytes) is cut off or damaged ({reason}); "
            "fetch it again"
        ) from None


def _check_numbers(file: Path, where: str) -> None:
    """Make sure that every weight is a number: one that is none makes every answer and loss none.

    A training that diverged leaves such weights, and a conversion to float16 those that are infinite. Reads
    one tensor at a time.
    """
    import torch
    from safetensors import safe_open

    with safe_open(file, framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118
            tensor = weights.get_tensor(name)
            # those of fewer bits are quantised
            if not tensor.is_floating_point() or tensor.element_size() < 2:
                continue
            # in a sum whatever is no number stays; one pass, where a look at each takes many
            if tensor.sum(dtype=torch.float32).isfinite():
                continue
            # a mask that is stored beside the weights may be infinite
            wrong = tensor.isfinite().logical_not() if name.endswith("weight") else tensor.isnan()
            if wrong.any():
                raise UserError(
                    f"{where}: {file.name}: {int(wrong.sum()):,} of the {tensor.numel():,} weights in {name} "
                    "are no finite numbers (NaN or infinite); the model is damaged where it comes from: use "
                    "another one, or another copy"
                )


def _check_index(folder: Path, names: dict[str, set[str]], where: str) -> None:
    """Make sure that the index of a model in several files names files and tensors that are there."""
    if not (folder / INDEX).is_file():
        raise UserError(f"{where}: neither {SINGLE} nor {INDEX} in it; fetch the whole model")
    index = _json(folder / INDEX, where)
    files = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(files, dict) or not files:
        raise UserError(f"{where}: {INDEX} has no weight_map; fetch it again")
    for tensor, name in files.items():
        if name not in names:
            raise UserError(f"{where}: {INDEX} names {name}, which is not there; fetch it too")
        if tensor not in names[name]:
            raise UserError(f"{where}: {INDEX} puts {tensor} into {name}, which does not have it")


def _check_one_set(folder: Path, names: dict[str, set[str]], where: str) -> None:
    """Make sure that one file and several do not each hold a model: programs differ in which they load.

    An index whose files are not there is a left-over.
    """
    index = _json(folder / INDEX, where)
    listed = index.get("weight_map") if isinstance(index, dict) else None
    files = {str(name) for name in listed.values()} if isinstance(listed, dict) else set()
    if files and SINGLE not in files and files <= names.keys():
        raise UserError(
            f"{where}: holds two sets of weights, {SINGLE} and the {len(files)} files of {INDEX}; expected "
            "one: leave the other out (of a model of the Hub, in a copy that model.weights.path names)"
        )


def _check_tensors(folder: Path, where: str) -> int:
    """Make sure that the weights are those of the model that config.json describes, all of them.

    By names and shapes alone, in a fraction of a second. transformers would draw at random what is
    missing, and say so in passing. Returns how many tokens its embeddings have rows for.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        model, report = cast(Any, AutoModelForCausalLM).from_pretrained(
            folder,
            device_map="meta",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            # named below
            ignore_mismatched_sizes=True,
        )
    except Exception as error:  # each kind of model checks its config in its own way
        raise UserError(
            f"{where}: config.json and the weights do not make a model ({_reason(error, folder)}); fetch both "
            "again"
        ) from None
    finally:
        logging.set_verbosity(verbosity)
    other = sorted(
        (str(name), tuple(has), tuple(needs)) for name, has, needs in report["mismatched_keys"]
    )
    if other:
        name, has, needs = other[0]
        raise UserError(
            f"{where}: config.json and the weights do not make a model ({name} is of shape {has} in the "
            f"weights and of {needs} by config.json); fetch both again"
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise UserError(
            f"{where}: its *.safetensors lack {len(missing)} tensors of the model that config.json "
            f"describes, such as {missing[0]}; fetch the whole model"
        )
    return int(model.get_input_embeddings().weight.shape[0])


def _reason(error: Exception, folder: Path) -> str:
    """What an error says of config.json, with the entry at fault where it gives no more than a word of it."""
    reason = " ".join(str(error).split())[:300]
    if isinstance(error, KeyError) and error.args and len(reason.split()) == 1:
        missing = error.args[0]
        # a name that transformers has nothing for, or one that an entry lacks
        for key, value in _json(folder / "config.json", str(folder)).items():
            if missing in (value.values() if isinstance(value, dict) else [value]):
                return f"it knows no {reason} in {key}"
        return f"{reason} is missing"
    return reason


def _check_tokenizer(folder: Path, where: str, rows: int) -> None:
    """Load the tokenizer; its fast form is written where the model comes with another alone."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    file = folder / "tokenizer.json"
    others = ("tokenizer.model", "vocab.json", "vocab.txt")
    if not file.is_file() and not any((folder / name).is_file() for name in others):
        raise UserError(f"{where}: no tokenizer.json in it; a model needs its own tokenizer")
    try:
        if file.is_file():
            Tokenizer.from_file(str(file))
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # tokenizers raises Exception itself
        reason = " ".join(str(error).split())[:200]
        name = file.name if file.is_file() else "its tokenizer"
        if "custom code" in reason:
            raise UserError(
                f"{where}: its tokenizer comes with code of its own, which is not run; use another base model"
            ) from None
        raise UserError(f"{where}: {name} cannot be read ({reason}); fetch it again") from None
    tokenizer = _check_kept(tokenizer, folder, where)
    _check_rows(tokenizer, rows, where)
    if not file.is_file():
        if not tokenizer.is_fast:
            raise UserError(f"{where}: no tokenizer.json in it, and none can be made of the rest")
        tokenizer.backend_tokenizer.save(str(file))


def _check_kept(
    tokenizer: PreTrainedTokenizerBase, folder: Path, where: str
) -> PreTrainedTokenizerBase:
    """Make sure that the tokenizer gives back what it is given.

    Some models name a class that replaces how tokenizer.json splits words, and transformers takes the
    class's word for it: blanks are lost then. Where tokenizer.json by itself keeps them, the name is
    mended in the folder.

    Returns:
        The tokenizer that does.

    Raises:
        UserError: none does: such a model could not write a record.
    """
    from transformers import PreTrainedTokenizerFast

    found = _given_back(tokenizer)
    if found == PROBE:
        return tokenizer
    if (folder / "tokenizer.json").is_file():
        plain = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        if _given_back(plain) == PROBE:
            file = folder / "tokenizer_config.json"
            settings = read_json(file) if file.is_file() else {}
            write_json(file, {**settings, "tokenizer_class": "PreTrainedTokenizerFast"})
            say(
                f"tokenizer_config.json: tokenizer_class {settings.get('tokenizer_class')} does not go "
                "with tokenizer.json, which is used as it is"
            )
            return plain
    raise UserError(
        f"{where}: its tokenizer does not give back what it is given ({PROBE!r} comes back as "
        f"{found!r:.80}), so the model cannot write a record; use another base model"
    )


def _given_back(tokenizer: PreTrainedTokenizerBase) -> str:
    ids = tokenizer(PROBE, add_special_tokens=False)["input_ids"]
    return str(tokenizer.decode(ids, clean_up_tokenization_spaces=False)).strip()


def _check_rows(tokenizer: PreTrainedTokenizerBase, rows: int, where: str) -> None:
    """Make sure that the model knows every token that a chat is made of.

    A tokenizer may have more, such as one for images, as long as no text has them.

    Raises:
        UserError: the template or the end of an answer needs a token that the embeddings have no row for.
    """
    written = f"{tokenizer.chat_template} {tokenizer.eos_token} {tokenizer.bos_token}"
    unknown = sorted(
        token
        for token, place in tokenizer.get_vocab().items()
        if place >= rows and token in written
    )
    if unknown:
        raise UserError(
            f"{where}: its tokenizer has {len(tokenizer):,} tokens and its embeddings {rows:,} rows, none of "
            f"them for {', '.join(unknown[:3])}, which its chats need; take both from one model, or resize "
            "the embeddings to the tokenizer and save the model again"
        )
