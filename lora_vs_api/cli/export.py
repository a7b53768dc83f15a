"""The base model with the adapter merged in, as a folder that servers and converters take."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from lora_vs_api.cli.local_model import adapter_folder, served_file
from lora_vs_api.config.load import load_params
from lora_vs_api.errors import UserError
from lora_vs_api.files import new_directory
from lora_vs_api.log import say
from lora_vs_api.paths import BASE
from lora_vs_api.record.prompt import system_prompt


def export_merged(target: Path, seed: int | None) -> None:
    """Write base and adapter as one model to ``target``, and say how to serve it.

    Where evaluation asked a model file behind llama.cpp's server, that very file goes along.

    Raises:
        UserError: ``target`` is not empty, or the adapter is not here.
    """
    params = load_params()
    adapter = adapter_folder(params, seed)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UserError(f"{target}: is not empty; name a new folder")

    from lora_vs_api.model.loading import load_tokenizer, load_tuned
    from lora_vs_api.model.runtime import resolve_runtime

    gguf = served_file(params, adapter)
    # the precision that transformers evaluates in, so that a server's answers are those of the report
    model = load_tuned(BASE, adapter, resolve_runtime(params.runtime.device, params.runtime.dtype))
    with new_directory(target) as folder:
        model.cpu().save_pretrained(folder)
        load_tokenizer(BASE, params.runtime.pad_token).save_pretrained(folder)
        if gguf is not None:
            shutil.copyfile(gguf, folder / gguf.name)
    where = shlex.quote(str(target))
    say(f"{target}: {adapter.name} merged into {params.model.name}. To serve it:")
    print(f"  transformers serve {where}")
    print(f"  vllm serve {where}")
    if gguf is None:
        print(
            f"  python convert_hf_to_gguf.py {where}   # of llama.cpp; then Ollama's FROM model.gguf"
        )
    else:
        # the file that was evaluated
        print(f"  llama-server -m {shlex.quote(str(target / gguf.name))}   # what was evaluated")
    told, fields = params.task.instruction, params.task.record_fields
    more = (
        "" if system_prompt(told, fields) == told else " and the fields' descriptions, a line each"
    )
    say(
        f"The system prompt is task.instruction of params.yaml{more}, the user turn the text alone."
    )
