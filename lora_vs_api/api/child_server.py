"""A server as a process of its own on loopback, for as long as a block runs.

What all servers that a node starts have in common: they are told apart by their command alone.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from lora_vs_api.api import keys
from lora_vs_api.api.serve_child import PORT_FILE
from lora_vs_api.errors import UserError

HOST = "127.0.0.1"
# loopback is never behind the proxy that the environment may name
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerEnded(UserError):
    """A server ended of its own accord, with an exit code and not by a signal, before it was healthy."""


@contextmanager
def running(
    command: Callable[[Path], Sequence[str]],
    model_name: str,
    environment: Mapping[str, str],
    *,
    port: int | None,
    startup_seconds: float,
    log: str | Path,
) -> Iterator[str]:
    """Run a server while the block runs.

    The process ends with the block however that ends, and with this process even when it is
    killed (SIGKILL): it watches a pipe that the kernel closes then.

    Args:
        command: of a scratch folder, what starts the server. It writes its port into ``PORT_FILE``
            there, and removes the folder where it ends before this process does.
        model_name: for messages.
        environment: all of the server's; see :func:`lora_vs_api.config.inherited.environment_of`.
        port: the one that the command asks for, None for any free one.
        startup_seconds: how long the server may take until it is healthy.
        log: gets what the server prints; replaced.

    Yields:
        The base URL for an OpenAI client, such as ``http://127.0.0.1:43211/v1``.

    Raises:
        UserError: the port is taken, the process ended, be it while it was asked (:class:`ServerEnded`
            where it did so itself), or did not get healthy in time; the last two with the end of its log.
    """
    if port is not None:
        _check_port(port)
    log = Path(log)
    log.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="lora-vs-api-"))
    process = None
    try:
        started = command(folder)
        with open(log, "wb") as output:
            process = subprocess.Popen(
                started,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                # Ctrl-C reaches this process alone, which then stops the server
                start_new_session=True,
            )
        url = _wait_until_healthy(process, folder, model_name, port, startup_seconds, log)
        try:
            yield url
        except (UserError, OSError):
            _check_it_lives(process, model_name, log)
            raise
    finally:
        if process is not None:
            _stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def check_name(name: str) -> None:
    """``@`` and ``:….gguf`` mean a revision and a file to a server; a path must stay inside.

    Raises:
        UserError: it is no name to serve a model under.
    """
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
                kind = ServerEnded if process.returncode > 0 else UserError
                raise kind(
                    f"the server of {model_name} ended {_how(process.returncode)} before "
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


def _check_it_lives(process: subprocess.Popen[bytes], model_name: str, log: Path) -> None:
    """Say so where what was asked of the server failed because it has ended.

    Raises:
        UserError: how it ended, with the end of its log.
    """
    try:
        # its connections break a moment before it is gone
        code = process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return
    raise UserError(
        f"the server of {model_name} ended {_how(code)} while it was asked; run again, nothing "
        f"was scored; {log} ends: {_tail(log.read_text(errors='replace'))}"
    ) from None


def _how(code: int) -> str:
    """How a process ended: a negative code is the signal that ended it."""
    if code >= 0:
        return f"with exit code {code}"
    known = {number.value: number.name for number in signal.Signals}
    memory = ", as for want of memory," if -code == getattr(signal, "SIGKILL", None) else ""
    return f"by signal {known.get(-code, -code)}{memory}"


def _healthy(url: str) -> bool:
    try:
        with direct.open(url + "/health", timeout=5) as response:
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
