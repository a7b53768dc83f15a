"""The base model with the adapter merged in, as a folder that servers and converters take."""

from __future__ import annotations

import shlex
import shutil
import warnings
from pathlib import Path

from lora_vs_api.cli.local_model import adapter_folder, served_model, unserved_reason
from lora_vs_api.config.load import load_params
from lora_vs_api.config.sections import Params, VllmServing
from lora_vs_api.conversion.older import write_for_older
from lora_vs_api.errors import UserError
from lora_vs_api.files import new_directory, write_json, write_text
from lora_vs_api.log import say
from lora_vs_api.paths import BASE
from lora_vs_api.record.json_schema import json_schema
from lora_vs_api.record.prompt import system_prompt
from lora_vs_api.shown import visible

# how to ask the model, beside its weights
PROMPT, SCHEMA, CLIENT = "prompt.txt", "schema.json", "client.py"
_CLIENT = '''"""Ask the served model for the record of a text: python client.py "a text" [http://localhost:8000/v1]"""
import json, pathlib, sys, urllib.request
if len(sys.argv) < 2:
    sys.exit(__doc__)
here = pathlib.Path(__file__).parent
url = sys.argv[2] if len(sys.argv) > 2 else "http://localhost:8000/v1"
body = {{
{body}
    "messages": [{{"role": "system", "content": (here / "{prompt}").read_text(encoding="utf-8")}},
                 {{"role": "user", "content": sys.argv[1]}}]}}
request = urllib.request.Request(url + "/chat/completions", json.dumps(body).encode(), {{"Content-Type": "application/json"}})
try:
    print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
except OSError as error:
    sys.exit(f"{{url}}: {{error}}; is the server running there?")
'''


def export_merged(target: Path, seed: int | None) -> None:
    """Write base and adapter as one model to ``target``, and say how to serve it.

    With the prompt, the JSON Schema and a client beside the weights. Where evaluation asked a model file behind
    llama.cpp's server, that very file goes along; where it asked vLLM, its weights are written.

    Raises:
        UserError: ``target`` is not empty, or the adapter is not here.
    """
    params = load_params()
    adapter = adapter_folder(params, seed)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        what = "is not empty" if target.is_dir() else "is a file"
        raise UserError(f"{target}: {what}; name a new folder")

    served = served_model(params, adapter)
    gguf = served if served is not None and served.is_file() else None
    with new_directory(target) as folder:
        if served is not None and gguf is None:
            shutil.copytree(served, folder, dirs_exist_ok=True)
        else:
            _write_merged(params, adapter, folder)
        write_for_older(folder)
        if gguf is not None:
            shutil.copyfile(gguf, folder / gguf.name)
        _write_how_to_ask(folder, params, str(target))
    where = shlex.quote(str(target))
    say(f"{target}: {adapter.name} merged into {params.model.name}. To serve it:")
    print(f"  transformers serve {where}")
    print(f"  {_vllm_command(params, where, evaluated=served is not None and gguf is None)}")
    refused = unserved_reason(params, adapter)
    if refused is not None:
        print(f"  (no llama.cpp or Ollama: {visible(refused)})")
    elif gguf is None:
        print(
            f"  python convert_hf_to_gguf.py {where}   # of llama.cpp; then Ollama's FROM model.gguf"
        )
    else:
        # the file that was evaluated, where the client asks; before December 2025 the server's default was no
        # --jinja, without which it reads no chat_template_kwargs
        jinja = " --jinja" if params.model.template_arguments else ""
        print(
            f"  llama-server -m {shlex.quote(str(target / gguf.name))} --port 8000{jinja}   # what was evaluated"
        )
    print(f'  python {shlex.quote(str(target / CLIENT))} "a text"   # asks that server')
    say(
        f"Beside it: {PROMPT} (the system prompt; the user turn is the text alone), {SCHEMA} and {CLIENT}."
    )


def _write_merged(params: Params, adapter: Path, folder: Path) -> None:
    from lora_vs_api.conversion.build import write_merged
    from lora_vs_api.model.loading import load_tuned
    from lora_vs_api.model.runtime import resolve_runtime

    # transformers and peft disagree about a name that nobody here uses
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
    # the precision that transformers evaluates in, so that a server's answers are those of the report
    model = load_tuned(BASE, adapter, resolve_runtime(params.runtime.device, params.runtime.dtype))
    write_merged(params, model, folder)


def _vllm_command(params: Params, where: str, *, evaluated: bool) -> str:
    """How to start vLLM; as it was started for evaluation, but for many requests at a time, where it was."""
    if not evaluated or not isinstance(params.serving, VllmServing):
        return f"vllm serve {where}"
    server = params.serving.server
    return (
        f"vllm serve {where} --dtype {server.dtype} --max-model-len {server.context} "
        "--generation-config vllm   # what was evaluated"
    )


def _write_how_to_ask(folder: Path, params: Params, served_as: str) -> None:
    """Write prompt, JSON Schema and a client that asks as the model was evaluated."""
    told, fields = params.task.instruction, params.task.record_fields
    write_text(folder / PROMPT, system_prompt(told, fields))
    write_json(folder / SCHEMA, json_schema(fields))
    body = [
        f'    "model": {served_as!r},',
        f'    "temperature": 0, "max_tokens": {params.decoding.max_new_tokens},',
    ]
    if params.decoding.constrained:
        schema = f'json.loads((here / "{SCHEMA}").read_text(encoding="utf-8"))'
        body.append(
            '    "response_format": {"type": "json_schema", "json_schema": {"name": "record", "strict": True,'
            f' "schema": {schema}}}}},'
        )
    if params.model.template_arguments:
        body.append(f'    "chat_template_kwargs": {dict(params.model.template_arguments)!r},')
    write_text(folder / CLIENT, _CLIENT.format(prompt=PROMPT, body="\n".join(body)))
