"""The embedded API: `transformers serve` on loopback, started and stopped by the node."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lora_vs_api.errors import UserError

HOST = "127.0.0.1"
# what the server must not see: it needs no key, and reaches no hub
SECRETS = ("OPENAI_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


@contextmanager
def serve(
    model_dir: str | Path,
    model_name: str,
    *,
    device: str,
    dtype: str,
    port: int | None = None,
    startup_seconds: float = 180,
    log: str | Path = "logs/serve.log",
) -> Iterator[str]:
    """Serve the model in ``model_dir`` under ``model_name``; yields the base URL.

    Args:
        port: the port to listen on; None takes a free one.
        startup_seconds: how long the server may take to answer its health check.
        log: file that the server's output goes to.

    Raises:
        UserError: the port is taken, there is no model, or the server ended or did not answer.
    """
    model_dir = Path(model_dir).resolve()
    if not (model_dir / "config.json").is_file():
        raise UserError(f"{model_dir}: no model to serve there; run `dvc repro base_model`")
    number = _free_port(port)
    log = Path(log).resolve()
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="serve-") as folder:
        # the server knows a model by its path: a link of that name in its folder makes the name
        # in each request the model's own, and no hub is asked for it
        Path(folder, model_name).symlink_to(model_dir, target_is_directory=True)
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "lora_vs_api.api.serve_child", model_name,
                 "--host", HOST, "--port", str(number), "--device", device, "--dtype", dtype],
                cwd=folder,
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            _wait_until_healthy(process, number, startup_seconds, log)
            yield f"http://{HOST}:{number}/v1"
        finally:
            _stop(process)


def _environment() -> dict[str, str]:
    environment = {key: value for key, value in os.environ.items() if key not in SECRETS}
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
    return environment


def _free_port(port: int | None) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port or 0))
        except OSError:
            raise UserError(
                f"api.port: {port} on {HOST} is taken; free it, or set api.port to null for any"
            ) from None
        return probe.getsockname()[1]


def _wait_until_healthy(
    process: subprocess.Popen[bytes], port: int, seconds: float, log: Path
) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise UserError(f"the embedded API ended while starting: {_last_line(log)} (see {log})")
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise UserError(
        f"the embedded API did not answer within {seconds:g} s: {_last_line(log)} (see {log})"
    )


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
