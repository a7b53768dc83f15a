"""The process behind `lora_vs_api.serving.vllm`: it becomes vLLM's server, tied to its parent.

Not meant to be started by hand; see `lora_vs_api.api.serve_child`, whose ways it has. It runs under this
project's Python and then becomes a program of another environment, of which nothing is imported here.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

from lora_vs_api.api.serve_child import announce

HOST = "127.0.0.1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="scratch folder; removed when the process ends")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the server, but for --port")
    arguments = parser.parse_args()
    guard(arguments.folder)
    # nobody else is given the port while it is bound here, and the server, which asks for reuse, gets it
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((HOST, 0))
    held.set_inheritable(True)
    port = held.getsockname()[1]
    announce(arguments.folder, port)
    # What it compiles for this model goes with the folder; in ~/.cache/vllm nobody would clean it up.
    os.environ.setdefault("VLLM_CACHE_ROOT", str(arguments.folder.resolve() / "cache"))
    # where the link to the model is
    os.chdir(arguments.folder)
    command = [*arguments.command, "--host", HOST, "--port", str(port)]
    os.execv(command[0], command)


def guard(folder: Path) -> None:
    """Have all processes of this one's group end as soon as the parent does: the server has several.

    A process of its own does that, which lives on while the server's have all ended or hang.
    """
    if os.fork():
        return
    try:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        # this process is of the group too, so no other can have got its number
        os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
