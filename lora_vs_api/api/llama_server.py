"""llama.cpp's own server for a GGUF file on this disk, for as long as a block runs.

It comes prebuilt in the package xllamacpp and is started as a process of its own by
`lora_vs_api.api.llama_child`. On the same processor and with as many threads a server that has just
started gives the same bytes to the same questions in the same order: it answers one at a time, and
what it knows of earlier prompts depends on them alone.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from lora_vs_api.api.child_server import check_name, running
from lora_vs_api.config.inherited import environment_of
from lora_vs_api.digests import file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.threads import spin_briefly

PACKAGE = "xllamacpp"


def serve_gguf(
    gguf: str | Path,
    model_name: str,
    *,
    sha256: str | None,
    context: int,
    threads: int | None = None,
    port: int | None = None,
    startup_seconds: float = 180,
    log: str | Path = "logs/serve.log",
    asked_by: str = "api.server.kind=llama_cpp",
    instead: str = "api=embedded",
) -> AbstractContextManager[str]:
    """Serve the model file ``gguf`` under ``model_name`` while the block runs.

    Args:
        gguf: read by C++ code, so by nothing before its digest is known to be ``sha256``; None for
            a file that was made here.
        context: the most tokens of a prompt and its answer together.
        threads: None for as many as this process may use processors.
        port, startup_seconds, log: as :func:`lora_vs_api.api.child_server.running` has them, which
            also says how the process ends and what it raises. It gets no API key.
        asked_by, instead: for messages, the setting that wants this server and one that does not.

    Returns:
        While it is entered, the base URL for an OpenAI client, such as ``http://127.0.0.1:43211/v1``.

    Raises:
        UserError: besides, the file is missing or another one, or the package is.
    """
    gguf = Path(gguf)
    check_name(model_name)
    if importlib.util.find_spec(PACKAGE) is None:
        raise UserError(
            f"{asked_by} needs the package {PACKAGE}, which is not installed: "
            f"pip install {PACKAGE}; where no wheel of it fits, {instead} does without"
        )
    if not gguf.is_file():
        node = "served" if sha256 is None else f"opponent@{gguf.stem}"
        raise UserError(f"{gguf}: no model to serve there; run `dvc repro {node}`")
    found = None if sha256 is None else file_sha256(gguf)
    if found != sha256:
        raise UserError(
            f"{gguf}: has SHA-256 {found}, expected {sha256} (opponents.{gguf.stem}.sha256); it is "
            "not served"
        )

    def command(folder: Path) -> list[str]:
        return [
            *(sys.executable, "-m", "lora_vs_api.api.llama_child", str(folder)),
            *(str(gguf.resolve()), model_name, "--port", str(port or 0)),
            *("--context", str(context), "--threads", str(threads or processors())),
        ]

    return running(
        command,
        model_name,
        threads_share(environment_of(os.environ)),
        port=port,
        startup_seconds=startup_seconds,
        log=log,
    )


def threads_share(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` with threads that neither spin for long nor sleep at once.

    A PASSIVE wait doubles the time of an answer, so the server does not inherit it.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if (name, value.strip().upper()) != ("OMP_WAIT_POLICY", "PASSIVE")
    }
    spin_briefly(kept)
    return kept


def processors() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
