"""An OpenAI-compatible server for a model on this disk, for as long as a block runs.

The server is `transformers serve` on loopback, started as a process of its own by
`lora_vs_api.api.serve_child`. It is the stand-in for a hosted API where there is no account.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from lora_vs_api.api import keys
from lora_vs_api.api.serve_child import PORT_FILE
from lora_vs_api.errors import UserError

HOST = "127.0.0.1"
# loopback is never behind the proxy that the environment may name
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
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
) -> Iterator[str]:
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

    Yields:
        The base URL for an OpenAI client, such as ``http://127.0.0.1:43211/v1``.

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
    _check_name(model_name)
    if port is not None:
        _check_port(port)
    log = Path(log)
    log.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="lora-vs-api-"))
    process = None
    try:
        link = folder / model_name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(model_dir.resolve(), target_is_directory=True)
        with open(log, "wb") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "lora_vs_api.api.serve_child", str(folder), model_name),
                    *("--port", str(port or 0), "--dtype", dtype, "--device", device),
                    *(["--continuous-batching"] if continuous_batching else []),
                ],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(os.environ),
                # Ctrl-C reaches this process alone, which then stops the server
                start_new_session=True,
            )
        yield _wait_until_healthy(process, folder, model_name, port, startup_seconds, log)
    finally:
        if process is not None:
            _stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _check_name(name: str) -> None:
    """``@`` and ``:….gguf`` mean a revision and a file to the server; a path must stay inside."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith(("/", ".")) or ".." in parts or "@" in name or ":" in name:
        raise UserError(
            f"conditions: model: {name!r} cannot be served; "
            "expected a name such as SmolLM2-135M-Instruct or owner/name"
        )


def _check_port(port: int) -> None:
    """Fail before the model is loaded, as far as that can be told now."""
    with socket.socket() as probe:
        # as the server will: a port whose last connections are still winding down is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(_port_message(port, error.strerror or str(error))) from None


def _port_message(port: int, reason: str) -> str:
    return (
        f"{keys.PORT}: cannot listen on port {port} of {HOST} ({reason}); "
        "expected a free port, or null for any free one"
    )


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The server's environment: this one without secrets, hub access and telemetry."""
    kept = {
        name: value
        for name, value in environ.items()
        if not name.endswith("_API_KEY") and name not in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
    }
    root = str(Path(__file__).resolve().parents[2])
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, [root, environ.get("PYTHONPATH")])),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _wait_until_healthy(
    process: subprocess.Popen[bytes],
    folder: Path,
    model_name: str,
    port: int | None,
    seconds: float,
    log: Path,
) -> str:
    started = time.monotonic()
    announced = folder / PORT_FILE
    description = f"starting the server of {model_name}"
    with tqdm(desc=description, bar_format="{desc}: {elapsed}", mininterval=1) as progress:
        while True:
            if process.poll() is not None:
                text = log.read_text(errors="replace")
                if port is not None and "address already in use" in text:
                    raise UserError(_port_message(port, "Address already in use"))
                raise UserError(
                    f"the server of {model_name} ended with exit code {process.returncode} before "
                    f"it was healthy; {log} ends: {_tail(text)}"
                )
            if announced.exists():
                url = f"http://{HOST}:{announced.read_text()}"
                if _healthy(url):
                    return url + "/v1"
            if time.monotonic() - started > seconds:
                raise UserError(
                    f"the server of {model_name} was not healthy within {seconds:g} s; "
                    f"{log} ends: {_tail(log.read_text(errors='replace'))}"
                )
            time.sleep(0.1)
            progress.update()


def _healthy(url: str) -> bool:
    try:
        with _direct.open(url + "/health", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _tail(log: str, lines: int = 3) -> str:
    """The last lines that say something, as one."""
    kept = [line.strip() for line in log.replace("\r", "\n").split("\n") if line.strip()]
    return " | ".join(kept[-lines:]) or "(it is empty)"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End of file tells the process to end; one that does not notice is killed."""
    assert process.stdin is not None  # a pipe, as it was started
    process.stdin.close()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    except BaseException:
        # a second Ctrl-C while waiting
        process.kill()
        process.wait()
        raise
