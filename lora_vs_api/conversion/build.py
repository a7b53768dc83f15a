"""What answers for one seed of the fine-tune: a model file that was found to agree, or the adapter."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lora_vs_api.api.child_server import ServerEnded
from lora_vs_api.config.engines import vllm_version
from lora_vs_api.config.sections import VllmServing
from lora_vs_api.config.sections.serving import Conversion
from lora_vs_api.conversion.check import (
    ODD_TEXTS,
    Agreement,
    check_odd_texts,
    check_probabilities,
    check_prompts,
)
from lora_vs_api.conversion.convert import ENVIRONMENT, NotConverted, convert, converter_folder
from lora_vs_api.conversion.older import write_for_older
from lora_vs_api.files import new_directory, read_json, write_json
from lora_vs_api.inference.decoding import end_tokens
from lora_vs_api.inference.extractor import extractor_of
from lora_vs_api.log import say
from lora_vs_api.model.loading import load_tokenizer, load_tuned
from lora_vs_api.model.runtime import Runtime, resolve_runtime
from lora_vs_api.paths import BASE
from lora_vs_api.serving.asking import ask_tuned, endpoints_of, prompt_of, serve_tuned
from lora_vs_api.serving.endpoints import Unanswerable
from lora_vs_api.serving.served import GGUF, MERGED, Served
from lora_vs_api.serving.vllm import ModelRefused

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from lora_vs_api.api.types import Answer
    from lora_vs_api.config.sections import Params
    from lora_vs_api.inference.generate import Generation


def build_served(
    params: Params, trained: str | Path, rows: Sequence[dict[str, Any]], out: str | Path
) -> Served:
    """Merge, convert and check the adapter in ``trained``; the result into the folder ``out``.

    The folder gets the model (for vLLM merged, for llama.cpp one file) and the record of its checks.
    Where the model cannot be converted, or does not agree with transformers, it gets the adapter, with
    the reason in the record.

    Args:
        rows: validation texts whose answers are compared.

    Raises:
        UserError: what could be mended here, such as a package that is missing.
    """
    trained, serving = Path(trained), params.serving
    version = None
    # before minutes of work
    if isinstance(serving, VllmServing):
        version = vllm_version(serving, params.runtime.device)
    else:
        converter_folder()
    runtime = resolve_runtime(params.runtime.device, params.runtime.dtype)
    model = load_tuned(BASE, trained, Runtime(runtime.device, torch.float32))
    with new_directory(out) as folder:
        try:
            if isinstance(serving, VllmServing):
                target = folder / MERGED
                dtype = getattr(torch, serving.server.dtype)
                write_merged(params, load_tuned(BASE, trained, Runtime("cpu", dtype)), target)
                # the environment that is named may have any transformers
                write_for_older(target)
            else:
                # rounded once, by the converter
                target = folder / GGUF
                write_gguf(params, serving.conversion, model, target)
            served = agreement(params, model, target, rows, version)
        except NotConverted as refusal:
            served = Served("transformers", params.serving.precision, reason=str(refusal))
            (folder / GGUF).unlink(missing_ok=True)
            shutil.rmtree(folder / MERGED, ignore_errors=True)
            for file in sorted(trained.iterdir()):
                shutil.copyfile(file, folder / file.name)
        served.write(folder)
    _tell(served, trained.name)
    return served


def write_gguf(
    params: Params, conversion: Conversion, model: PreTrainedModel, target: Path
) -> None:
    """``model`` with the base's tokenizer and chat template as one file.

    Raises:
        NotConverted: llama.cpp's converter does not take it.
    """
    merged = target.parent / MERGED
    try:
        write_merged(params, model, merged)
        convert(
            merged,
            target,
            outtype=conversion.outtype,
            pre_tokenizer=conversion.pre_tokenizer,
        )
    finally:
        shutil.rmtree(merged, ignore_errors=True)


def write_merged(params: Params, model: PreTrainedModel, merged: Path) -> None:
    """``model`` with the base's tokenizer and chat template as the folder ``merged``, without code."""
    tokenizer = load_tokenizer(BASE, params.runtime.pad_token)
    model.save_pretrained(merged)
    for file in sorted(Path(BASE).iterdir()):
        # config and weights are the model's own, the rest is the base's
        if "safetensors" not in file.name and not (merged / file.name).exists():
            shutil.copyfile(file, merged / file.name)
    for name in ("config.json", "tokenizer_config.json"):
        _without_code(merged / name)
    _end_at(merged, _end_of_turn(model, tokenizer))


def agreement(
    params: Params,
    model: PreTrainedModel,
    target: Path,
    rows: Sequence[dict[str, Any]],
    version: str | None,
) -> Served:
    """What the server says of the model in ``target``, against ``model`` in this process.

    Args:
        version: of vLLM where that is the server.

    Raises:
        NotConverted: the server does not load it, or something differs that must not.
    """
    constrained = params.decoding.constrained
    extractor = extractor_of(params, model, constrained=constrained)
    texts = [row["text"] for row in rows]
    chat = partial(prompt_of, params)
    prompts = [chat(text) for text in (*texts, *ODD_TEXTS)]
    try:
        with serve_tuned(params, target, version=version) as url:
            endpoints = endpoints_of(params, url)
            check_prompts(extractor.tokenizer, endpoints, prompts[: len(texts)])
            otherwise = check_odd_texts(extractor.tokenizer, endpoints, chat)
            found: Agreement = check_probabilities(
                model, extractor.tokenizer, endpoints, prompts, params.serving.precision
            )
            asked = ask_tuned(
                params, url, rows, f"validation texts, {endpoints.engine}", constrained=constrained
            )
    except ModelRefused as error:
        raise NotConverted(str(error)) from None
    except ServerEnded as error:
        if any(word in str(error) for word in ENVIRONMENT):
            raise
        raise NotConverted("llama.cpp does not load the file that its converter made") from None
    except Unanswerable as error:
        raise NotConverted(str(error)) from None
    ours = extractor.answers(texts, "validation texts, transformers")
    _check_ends(asked.answers, ours, endpoints.engine)
    same = sum(
        answer.reply.output == own.output for answer, own in zip(asked.answers, ours, strict=True)
    )
    serving = params.serving
    return Served(
        serving.engine,
        params.serving.precision,
        texts=len(texts),
        same=same,
        probed=found.probed,
        difference=found.difference,
        version=version,
        read_otherwise=otherwise,
    )


def _end_of_turn(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The token that the chat template puts after an answer; None where that ends it by none."""
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    try:
        ids = tokenizer.apply_chat_template(turns, return_dict=False)
    # a template that insists on a system turn
    except Exception:
        return None
    ends = end_tokens(model, tokenizer)
    found = next((token for token in reversed(list(ids)) if token in ends), None)
    return None if found is None else str(tokenizer.convert_ids_to_tokens(found))


def _end_at(merged: Path, end: str | None) -> None:
    """Have the model in ``merged`` end with the token ``end``.

    transformers stops at several; llama.cpp at the one end of a sequence, and at others whose name it knows.
    """
    file = merged / "tokenizer_config.json"
    settings = read_json(file) if file.is_file() else {}
    if end is not None and settings.get("eos_token") != end:
        write_json(file, {**settings, "eos_token": end})


def _check_ends(theirs: Sequence[Answer], ours: Sequence[Generation], engine: str) -> None:
    """See that the server goes on with no answer that is at its end.

    Raises:
        NotConverted: it does with one.
    """
    for answer, own in zip(theirs, ours, strict=True):
        reply = answer.reply
        if (
            not own.truncated
            and reply.outcome == "truncated"
            and reply.output.startswith(own.output)
        ):
            raise NotConverted(f"{engine} does not stop at the token that ends an answer")


def _without_code(path: Path) -> None:
    """Let a settings file name no Python code: the converter would look for it and run it."""
    if path.is_file():
        settings = read_json(path)
        if settings.pop("auto_map", None) is not None:
            write_json(path, settings)


def _tell(served: Served, name: str) -> None:
    if served.engine == "transformers":
        say(f"{name}: transformers answers for it: {served.reason}")
    else:
        say(
            f"{name}: {served.same} of {served.texts} validation texts are answered alike, "
            f"log-probabilities differ by {served.difference:g} at most"
        )
        if served.read_otherwise:
            marks = ", ".join(served.read_otherwise)
            say(f"{name}: the server reads {marks} otherwise; a text that holds one is refused")
