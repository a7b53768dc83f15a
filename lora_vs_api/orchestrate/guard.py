"""Run a command that ends when its starter does: python -m lora_vs_api.orchestrate.guard COMMAND ...

Not meant to be started by hand. Its stdin is a pipe of which the starter keeps the other end:
end-of-file there means that the starter is done or dead, whatever it died of. The command, with
all that it started, is then interrupted, and killed if that does not end it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

PATIENCE = 20.0  # seconds between asking and killing


def main() -> None:
    # what guards is a child's child in a session of its own: Ray kills the children and the process
    # group of a worker that ends, and nothing would be left to end the command
    inner = os.fork()
    if inner:
        os.close(sys.stdin.fileno())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _, status = os.waitpid(inner, 0)
        sys.exit(abs(os.waitstatus_to_exitcode(status)))
    os.setsid()
    # what the command inherits: a starter that blocks interrupts, as Ray's workers do, would
    # otherwise have it blind to them too
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # a starter that dies now must not leave a command behind: nothing slow before the thread
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_with_starter, args=(child,), daemon=True).start()
    # the starter's terminal sends Ctrl-C here too; what is to be done then comes through stdin
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(abs(child.wait()))


def _end_with_starter(child: subprocess.Popen[bytes]) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            # the group and not the process alone: dvc's command is its child
            os.killpg(child.pid, number)
            child.wait(PATIENCE)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    os._exit(130)


if __name__ == "__main__":
    main()
