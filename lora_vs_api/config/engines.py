"""Whether the environment of ``serving.python`` has what will be asked for, seen before anything is trained."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from lora_vs_api.config.inherited import SECRET, environment_of
from lora_vs_api.config.sections import Params, VllmServing
from lora_vs_api.errors import UserError
from lora_vs_api.paths import SERVED, seed_folder

DOCS = "docs/serving.md"
SECONDS = 60
# what vLLM reads beside what every server does: its own settings, and the compilers that it calls
READS = re.compile(r"VLLM_|(CC|CXX)$")
# vLLM itself looks up its name and version like that, and takes another device where they are not there
_ASK = (
    "import importlib.util as u, importlib.metadata as m\n"
    "print('no' if u.find_spec('vllm') is None else m.metadata('vllm')['Version'] or '')"
)
# what its server imports: what does not fit together shows here
IMPORTS = "vllm.v1.engine.async_llm, vllm.entrypoints.cli.main"


def interpreter(serving: VllmServing) -> str:
    """The Python that runs vLLM."""
    return serving.python or sys.executable


def vllm_version(serving: VllmServing, device: str) -> str:
    """The version of vLLM in its environment, such as 0.32.0+cpu.

    Raises:
        UserError: there is no such interpreter, no vLLM in it, or one that is built for another device.
    """
    python, key = interpreter(serving), "serving.python"
    if not (Path(python).is_file() and os.access(python, os.X_OK)):
        raise UserError(f"{key}: {python}: no program there; expected a Python that has vLLM")
    said, problem = run_in(python, _ASK)
    if problem == "" and said == "no":
        where = python if serving.python else f"null, which is {python},"
        raise UserError(
            f"{key}: {where} has no vLLM; expected the path of one that has ({DOCS}), or "
            "-S serving=llama_cpp"
        )
    if problem or not said:
        raise UserError(
            f"{key}: {python}: vLLM's version cannot be read "
            f"({problem or 'its METADATA file names none'}); {DOCS} says how to install it"
        )
    # as vLLM tells its own builds apart
    built = "cpu" if "cpu" in said else "cuda"
    if built != device:
        raise UserError(
            f"{key}: {python} has vLLM {said}, which is not built for runtime.device: {device}"
        )
    return said


def vllm_environment() -> dict[str, str]:
    """What a process under ``serving.python`` gets of this one's environment: no key of an API."""
    own = {n: v for n, v in os.environ.items() if READS.match(n) and not SECRET.search(n)}
    return environment_of(os.environ) | own


def run_in(python: str, code: str, seconds: float = SECONDS) -> tuple[str, str]:
    """The last line that ``code`` prints under the interpreter ``python``, and what it ended by; or ""."""
    # -I: neither this folder nor this environment's PYTHONPATH is any of its business
    command = [python, "-I", "-c", code]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env=vllm_environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", " ".join(str(error).split())[:200]
    lines = (done.stdout if done.returncode == 0 else done.stderr or done.stdout).split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return (last, "") if done.returncode == 0 else ("", last or f"exit code {done.returncode}")


def check_engine(params: Params) -> None:
    """See that vLLM is there, where the fine-tune is to be asked behind it.

    Half an hour of training must not end in a path that is misspelt. Nodes that neither train nor serve do without:
    results that are there can be read where the environment has gone.

    Raises:
        UserError: as :func:`vllm_version`.
    """
    if isinstance(params.serving, VllmServing):
        vllm_version(params.serving, params.runtime.device)


def all_served(params: Params) -> bool:
    """Whether the folder of every seed holds what vLLM was once given."""
    return all(map(_is_served, params.seeds))


def _is_served(seed: int) -> bool:
    record = Path(seed_folder(SERVED, seed), "served.json")
    try:
        return json.loads(record.read_text(encoding="utf-8"))["outtype"] in ("bfloat16", "float32")
    except (OSError, ValueError, KeyError):
        return False
