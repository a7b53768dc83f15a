"""Run a command that ends when its starter does: python -m lora_vs_api.orchestrate.guard ADDRESS COMMAND ...

Not meant to be started by hand. Its stdin is a pipe of which the starter keeps the other end:
end-of-file there means that the starter is done or dead, whatever it died of. The command, with
all that it started, is then interrupted, and killed if that does not end it. While it runs, the guard
holds the node's claim, so that it runs nowhere else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from lora_vs_api.orchestrate.claims import BEAT_SECONDS, Claim, wait_until_taken

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
    guarded = _Guarded(Claim(Path.cwd(), sys.argv[1]))
    # a starter that dies now must not leave a command behind: nothing slow before the thread
    threading.Thread(target=guarded.end_with_starter, daemon=True).start()
    sys.exit(guarded.run(sys.argv[2:]))


class _Guarded:
    """The command and its claim."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self._child: subprocess.Popen[bytes] | None = None
        self._ending = False
        self._lock = threading.Lock()

    def run(self, command: list[str]) -> int:
        """Run the command once nobody else does; its exit code."""
        try:
            wait_until_taken(self.claim)
        except OSError as error:
            # no room, or not ours to write: DVC says it better
            print(f"no claim on the node: {error}", flush=True)
        try:
            with self._lock:
                if self._ending:
                    return 130
                self._child = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, start_new_session=True
                )
            # the starter's terminal sends Ctrl-C here too; what is to be done then comes through stdin
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            threading.Thread(target=self._renew, daemon=True).start()
            code = abs(self._child.wait())
            self._wait_for_group(self._child.pid)
            return code
        finally:
            self.claim.release()

    def end_with_starter(self) -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        self._end()

    def _renew(self) -> None:
        never = threading.Event()
        while not never.wait(BEAT_SECONDS):
            if not self.claim.renew():
                print("its claim has been taken over: this one ends", flush=True)
                self._end()

    def _end(self) -> None:
        with self._lock:
            self._ending = True
        if self._child is not None:
            for number in (signal.SIGINT, signal.SIGKILL):
                try:
                    # the group and not the process alone: dvc's command is its child
                    os.killpg(self._child.pid, number)
                    self._child.wait(PATIENCE)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue
            self._wait_for_group(self._child.pid)
        self.claim.release()
        os._exit(130)

    @staticmethod
    def _wait_for_group(group: int) -> None:
        """Until the node has ended too: one that has lost its dvc does so within seconds, or here."""
        deadline = time.monotonic() + PATIENCE
        with suppress(ProcessLookupError):
            while time.monotonic() < deadline:
                os.killpg(group, 0)
                time.sleep(0.1)
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
