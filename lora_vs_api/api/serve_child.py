"""The process behind `lora_vs_api.api.local_server`: transformers' own server, tied to its parent.

Not meant to be started by hand. Its stdin is a pipe of which the parent keeps the other end, so
end-of-file there means that the parent is done or dead, whatever it died of; the process then
ends at once. Once the server listens, its port is written to the file ``.port``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path

PORT_FILE = ".port"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="scratch folder; removed when the process ends")
    parser.add_argument("model", help="name in `folder` of the link to the model's directory")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dtype", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--continuous-batching", action="store_true")
    arguments = parser.parse_args()
    # before the slow imports: a parent that dies during them must not leave this process behind
    tie_to_parent(arguments.folder)

    # from_pretrained takes an existing relative path for what it is; so the name that requests
    # give is the name of a link here, and no hub is asked
    os.chdir(arguments.folder)
    _announce_port()
    dtype = arguments.dtype if arguments.dtype != "auto" else _dtype(arguments.device)
    from transformers.cli.serve import Serve

    # not through the command line's main(), which asks PyPI for a newer release
    Serve(
        force_model=arguments.model,
        host="127.0.0.1",
        port=arguments.port,
        dtype=dtype,
        device=arguments.device,
        continuous_batching=arguments.continuous_batching,
        trust_remote_code=False,
    )


def tie_to_parent(folder: Path) -> None:
    """Have this process end as soon as its parent does, and leave no ``folder`` behind.

    To be called before anything slow: a parent that dies meanwhile must not leave it running.
    """
    if hasattr(os, "fork"):
        _guard_from_outside(folder)
    threading.Thread(target=end_with_parent, args=(folder,), daemon=True).start()


def end_with_parent(folder: Path) -> None:
    """Wait for the end of the parent, then end at once and leave no folder behind."""
    _wait_for_parents_end()
    shutil.rmtree(folder, ignore_errors=True)
    # not sys.exit: that would wait for a generation that nobody reads any more
    os._exit(0)


def _guard_from_outside(folder: Path) -> None:
    """A child that does the same: while C++ code reads a model, no thread of the server has its turn."""
    server = os.getpid()
    if os.fork():
        return
    try:
        _wait_for_parents_end()
        # its number may be another process's once it has ended by itself
        if os.getppid() == server:
            os.kill(server, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os._exit(0)


def _wait_for_parents_end() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass


def _dtype(device: str) -> str:
    """The precision that the device computes well, as ``lora_vs_api.model.runtime`` has it.

    Said again here: an API's answers must not depend on the package that loads local models.
    """
    import torch

    if device == "cuda":
        supported = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    else:
        supported = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bfloat16" if supported else "float32"


def announce(folder: Path, port: int) -> None:
    """Write down the port that the server got, whole or not at all."""
    (folder / (PORT_FILE + ".new")).write_text(str(port))
    os.replace(folder / (PORT_FILE + ".new"), folder / PORT_FILE)


def _announce_port() -> None:
    """Have uvicorn write down the port it got: chosen by the kernel, so never taken meanwhile."""
    import uvicorn

    class AnnouncingServer(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            port = self.servers[0].sockets[0].getsockname()[1]
            announce(Path.cwd(), port)

    uvicorn.Server = AnnouncingServer  # type: ignore[misc]


if __name__ == "__main__":
    main()
