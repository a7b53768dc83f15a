"""An OpenAI-compatible server for a model on this disk, for as long as a block runs.

The server is `transformers serve` on loopback, started as a process of its own by
`lora_vs_api.api.serve_child`. It is the stand-in for a hosted API where there is no account.
"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from lora_vs_api.api.child_server import check_name, running
from lora_vs_api.config.inherited import environment_of
from lora_vs_api.errors import UserError


def serve(
    model_dir: str | Path,
    model_name: str,
    *,
    device: str,
    dtype: str,
    port: int | None = None,
    continuous_batching: bool = False,
    startup_seconds: float = 180,
    log: str | Path = "logs/serve.log",
) -> AbstractContextManager[str]:
    """Serve the model in ``model_dir`` under ``model_name`` while the block runs.

    The process ends with the block however that ends, and with this process even when it is
    killed (SIGKILL): it watches a pipe that the kernel closes then. It gets no API key and no
    access to a hub, and runs no code from the model's directory.

    Args:
        model_dir: config, safetensors and tokenizer with a chat template.
        model_name: what a request's ``model`` has to say; any other is refused (400).
        device: cpu or cuda.
        dtype: auto, bfloat16 or float32.
        port: None for any free one.
        continuous_batching: answer concurrent requests together instead of one after another.
        startup_seconds: how long the server may take until it is healthy.
        log: gets what the server prints; replaced.

    Returns:
        While it is entered, the base URL for an OpenAI client, such as ``http://127.0.0.1:43211/v1``.

    Raises:
        UserError: no model there, the port is taken, the process ended or did not get healthy
            in time; the last two with the end of its log.
    """
    model_dir = Path(model_dir)
    if not (model_dir / "config.json").is_file():
        raise UserError(
            f"{model_dir}: no model to serve there (no config.json in it); "
            "run `dvc repro base_model`"
        )
    check_name(model_name)

    def command(folder: Path) -> list[str]:
        link = folder / model_name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(model_dir.resolve(), target_is_directory=True)
        return [
            *(sys.executable, "-m", "lora_vs_api.api.serve_child", str(folder), model_name),
            *("--port", str(port or 0), "--dtype", dtype, "--device", device),
            *(["--continuous-batching"] if continuous_batching else []),
        ]

    return running(
        command,
        model_name,
        environment_of(os.environ),
        port=port,
        startup_seconds=startup_seconds,
        log=log,
    )
