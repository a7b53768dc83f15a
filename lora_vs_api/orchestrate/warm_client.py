"""What `python` is for DVC while `run` has a worker that stays alive: it has the worker run the node.

Started by the script that lora_vs_api.orchestrate.warm writes, with `-I -S`: it has to take milliseconds. Where it
is no node that is asked for, or the worker cannot run it, the real Python does.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[2]))
from lora_vs_api.lifetime import LOOK_SECONDS, PATIENCE, starter_has_ended

SOCKET, PYTHON = "LORA_VS_API_WORKER", "LORA_VS_API_PYTHON"
STARTED = b"+"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    arguments, environment = sys.argv[1:], dict(os.environ)
    name, python = environment.pop(SOCKET, ""), environment.pop(PYTHON, sys.executable)
    # as it is without a worker
    environment["PATH"] = environment["PATH"].partition(os.pathsep)[2]
    if name and arguments[:1] == ["-m"] and arguments[1:] and arguments[1].startswith("stages."):
        asked = {
            "module": arguments[1], "arguments": arguments[2:], "folder": os.getcwd(),
            "environment": environment,
        }  # fmt: skip
        connection = _started(name, json.dumps(asked).encode())
        if connection is not None:
            _end_as(_followed(connection))
    os.execve(python, [python, *arguments], environment)


def _started(name: str, asked: bytes) -> socket.socket | None:
    """The connection to a worker that has started the node; None where it has not."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect("\0" + name)
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if struct.unpack("3i", peer)[1] == os.getuid():
            socket.send_fds(connection, [struct.pack("!Q", len(asked))], [0, 1, 2])
            connection.sendall(asked)
            if connection.recv(1) == STARTED:
                return connection
    except OSError:
        # it still imports, or has ended
        pass
    connection.close()
    return None


def _followed(connection: socket.socket) -> int | None:
    """The node's status as ``waitpid`` has it; None where its worker has died, and it with that."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: _tell(connection, number))
    told_at = None
    while True:
        if select.select([connection], [], [], LOOK_SECONDS)[0]:
            with suppress(OSError):
                said = connection.recv(4, socket.MSG_WAITALL)
                return struct.unpack("!i", said)[0] if len(said) == 4 else None
            return None
        if told_at is None and starter_has_ended():
            _tell(connection, signal.SIGTERM)
            told_at = time.monotonic()
        elif told_at is not None and time.monotonic() - told_at > PATIENCE:
            # the worker kills the node whose client is gone
            sys.exit(128 + signal.SIGTERM)


def _tell(connection: socket.socket, number: int) -> None:
    with suppress(OSError):
        connection.sendall(bytes([number]))


def _end_as(status: int | None) -> None:
    """End as the node has."""
    if status is None:
        print(
            "error: the worker that ran this node was killed, and the node with it", file=sys.stderr
        )
        sys.exit(1)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        # of a signal, not of an exit code that stands for it; a core, if any, is the node's own
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
