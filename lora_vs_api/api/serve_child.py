"""`transformers serve`, in a process that dies with the one that started it.

Standard input is a pipe whose other end the node keeps. However the node ends, killed with
SIGKILL included, the pipe closes and this process leaves.
"""

from __future__ import annotations

import os
import sys
import threading


def _leave_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    from transformers.cli.transformers import main as transformers_main

    sys.argv = ["transformers", "serve", *sys.argv[1:]]
    transformers_main()


if __name__ == "__main__":
    main()
