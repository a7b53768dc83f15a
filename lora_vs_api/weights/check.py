"""Whether a folder holds a model that can be trained and asked, before anything is.

What is wrong with a copy shows late and far from its cause: half a file fails in the middle of loading,
a missing tensor is filled with random numbers, and a pointer of git-lfs looks like a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lora_vs_api.errors import UserError
from lora_vs_api.log import say
from lora_vs_api.shown import count
from lora_vs_api.weights.tokenizer import check_tokenizer

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# what a file begins with that git-lfs has not fetched
POINTER = b"version https://git-lfs"
# beside weights of early quantisations, whose config.json says nothing of it
QUANTISED_BY = {"quantize_config.json": "gptq", "quant_config.json": "awq"}
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
        if (folder / "adapter_config.json").is_file():
            raise UserError(
                f"{where}: holds a PEFT adapter and no model; expected a transformers model folder: merge the adapter "
                "into its base (merge_and_unload), save model and tokenizer (save_pretrained) and name that folder"
            )
        check_link(folder / "config.json", where)
        kept = sorted(file.parent for file in folder.glob("snapshots/*/config.json"))
        if kept:
            raise UserError(
                f"{where}: a cache of the Hub's, which has the model in {' or '.join(map(str, kept[:3]))}; name that"
            )
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
    if config.get("is_encoder_decoder") is True:
        raise UserError(
            f"{where}: config.json: a {kind} model is an encoder and a decoder (is_encoder_decoder: true), and does not go on "
            "with a text; use a model that does, a decoder alone"
        )
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UserError(
            f"{where}: config.json: in {version} a {kind} model does not go on with a text (no causal "
            "language model); use one that does, such as its text-only version"
        )
    for section in (config, config.get("text_config")):
        _check_pad(section if isinstance(section, dict) else {}, where)
    quantised = config.get("quantization_config")
    if quantised:
        method = quantised.get("quant_method", "some") if isinstance(quantised, dict) else "some"
        raise _quantised(f"{where}: config.json", method)


def _quantised(where: str, method: str) -> UserError:
    return UserError(
        f"{where}: its weights are quantised ({method}), and an adapter cannot be "
        "merged into those; use the model in bfloat16 (lora.adapter.variant=qlora trains on 4 bits)"
    )


def _check_pad(section: Mapping[str, Any], where: str) -> None:
    """Make sure that the token for padding is one of the model's: none is needed here."""
    pad, tokens = section.get("pad_token_id"), section.get("vocab_size")
    if isinstance(pad, int) and isinstance(tokens, int) and pad >= tokens:
        raise UserError(
            f"{where}: config.json: pad_token_id is {pad}, and its {tokens:,} tokens (vocab_size) end before; set it to "
            "null, since no padding is needed here, or resize the embeddings and save the model again"
        )


def check_link(file: Path, where: str) -> None:
    """Make sure that a file of the model is no link to nowhere, as in a Hub's cache that was copied without its blobs.

    Raises:
        UserError: it is one.
    """
    if file.is_symlink() and not file.exists():
        raise UserError(
            f"{where}: {file.name} is a link to {file.readlink()}, which is not there; fetch the model again"
        )


def check_files(folder: Path, where: str) -> None:
    """Make sure that every file of the model in ``folder`` is whole.

    Raises:
        UserError: one is not; it is named.
    """
    check_config(folder, where)
    for name, method in QUANTISED_BY.items():
        if (folder / name).is_file():
            raise _quantised(f"{where}: {name}", method)
    for file in sorted(file for file in folder.iterdir() if file.is_file()):
        _check_pointer(file, where)
        if file.suffix == ".json":
            _json(file, where)
    names = {file.name: _tensors(file, where) for file in sorted(folder.glob("*.safetensors"))}
    if not names:
        raise UserError(
            f"{where}: no *.safetensors of a model in it; an adapter is none, and pickled weights are not loaded"
        )
    if SINGLE not in names:
        _check_index(folder, names, where)
    elif (folder / INDEX).is_file():
        _check_one_set(folder, names, where)
    for file in sorted(folder.glob("*.safetensors")):
        _check_numbers(file, where)
    rows = _check_tensors(folder, where)
    check_tokenizer(folder, where, rows)


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
            if not tensor.is_floating_point() or tensor.element_size() < 2:
                # transformers would take them as they are, without their scales
                if (
                    name.endswith(".weight")
                    and tensor.element_size() == 1
                    and tensor.dtype != torch.bool
                ):
                    kind = str(tensor.dtype).removeprefix("torch.")
                    raise UserError(
                        f"{where}: {file.name}: {name} is quantised ({kind}), which config.json does not say, and "
                        "an adapter cannot be merged into it; use the model in bfloat16"
                    )
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
            raise UserError(
                f"{where}: {INDEX} names {name}, which is not there; fetch it too, or take the index away where it is "
                "not of these files"
            )
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
    others = sorted(report["unexpected_keys"])
    _check_no_adapter(others, where)
    if missing:
        headless = not others and set(missing) <= {"lm_head.weight", "lm_head.bias"}
        meant = _renamed(missing, others) or (
            f"{missing[0]}; {NO_HEAD if headless else _not_whole(others)}"
        )
        raise UserError(
            f"{where}: its *.safetensors lack {count(len(missing), 'tensor')} of the model that config.json "
            f"describes, such as {meant}"
        )
    _check_left_over(model, others, where)
    _check_direction(model.config, where)
    return int(model.get_input_embeddings().weight.shape[0])


def _check_no_adapter(others: Sequence[str], where: str) -> None:
    """Make sure that no adapter lies beside the weights, which would be left out without it."""
    adapter = next((name for name in others if re.search(r"\.lora_\w+", name)), None)
    if adapter is not None:
        raise UserError(
            f"{where}: holds an adapter that is not merged ({adapter}), and without it the model is another; merge it "
            "(PEFT's merge_and_unload) and save the model again"
        )


def _check_left_over(model: Any, others: Sequence[str], where: str) -> None:
    """Make sure that what the weights have beyond the model is no part of it; what is none is told.

    A part is what belongs to a module that the model has, such as the bias of a layer without one. What has a module of its
    own may be of use elsewhere: an encoder of images, a further layer that guesses several tokens.
    """
    # not of one without weights of its own: GPT-2's attention has been saved with its mask
    layers = {name.rpartition(".")[0] for name, _ in model.named_parameters()}
    part = next((name for name in others if name.rpartition(".")[0] in layers), None)
    if part is not None:
        raise UserError(
            f"{where}: {part} is in the weights, and the model that config.json describes has no place for it ({len(others)} "
            "such); take the config.json that belongs to these weights"
        )
    if others:
        say(
            f"{where}: {count(len(others), 'tensor')} of no part of the model that config.json describes, such as "
            f"{others[0]}, left out"
        )


NO_HEAD = (
    "without an output layer no text can be written: so AutoModel saves a model, and so models of embeddings are; fetch the model "
    'that writes text, or, where its output layer is that of its embeddings, set "tie_word_embeddings": true in its config.json'
)


def _not_whole(others: Sequence[str]) -> str:
    """What to do about tensors that are not there; ``others`` are there and belong to none."""
    if not others:
        return "fetch the whole model"
    if any(other.endswith(("qweight", "scales", "qzeros", "absmax")) for other in others):
        return f"they are quantised ({others[0]}), which config.json does not say; use the model in bfloat16"
    return (
        f"{others[0]} is there and in no such model (of {len(others)} such): fetch a model that transformers "
        "itself has saved, or rename them"
    )


def _renamed(missing: Sequence[str], others: Iterable[str]) -> str | None:
    """A tensor that is there under a longer or shorter name, and what that means; None where there is none.

    As of a model that reads images, merged and given the config of its text part alone.
    """
    for name in missing:
        for other in sorted(others):
            if (wrapper := other.removesuffix(f".{name}")) in ("module", "_orig_mod"):
                return (
                    f"{name}, which they call {other}: so torch names what it wraps; rename them without {wrapper}., or save "
                    "the model that is wrapped"
                )
            if other.endswith(f".{name}") or name.endswith(f".{other}"):
                return (
                    f"{name}, which they call {other}: config.json is that of another form of this model; take "
                    "the config.json that belongs to these weights, or rename them"
                )
    return None


def _check_direction(config: PretrainedConfig, where: str) -> None:
    """Make sure that no token sees those after it, which it would learn to copy.

    Encoders (BERT and its like) load as language models all the same, and see the whole text unless told
    otherwise.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    # XLM has another word for it
    reads_forward = getattr(config, "is_decoder", getattr(config, "causal", True))
    if config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not reads_forward:
        raise UserError(
            f"{where}: config.json: a {config.model_type} model that is no decoder (is_decoder: false) sees the "
            "text after each token and cannot go on with one; use a model that was trained to"
        )


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
