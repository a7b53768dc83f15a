"""One experiment of a search in a process of its own: python -m lora_vs_api.search.trial NAME SETTING ...

Not meant to be started by hand. `dvc exp run --temp` puts what it is to run aside and takes the newest of what
lies there: two that start at the same time may take each other's. So each holds a claim, on whatever
machine, until DVC says that it has taken its own; a start that another has taken over ends.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from lora_vs_api.orchestrate.claims import BEAT_SECONDS, STARTING, Claim, wait_until_taken
from lora_vs_api.search.study import experiment_command

PATIENCE = 20.0  # seconds between asking and killing


def main() -> None:
    name, *settings = sys.argv[1:]
    claim = Claim(Path.cwd(), STARTING)
    wait_until_taken(claim, pause=0.5)
    code = 1
    try:
        with subprocess.Popen(
            [sys.executable, "-u", "-m", *experiment_command(name, settings)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace",
        ) as process:  # fmt: skip
            started = threading.Event()
            renewing = threading.Thread(target=_renew, args=(claim, process, started), daemon=True)
            renewing.start()
            for line in process.stdout or ():
                print(line, end="", flush=True)
                if line.startswith("Reproducing experiment"):
                    # renewed after its release, it would be taken again
                    started.set()
                    renewing.join()
                    claim.release()
            started.set()
            renewing.join()
        code = process.returncode
    finally:
        claim.release()
    sys.exit(code)


def _renew(claim: Claim, process: subprocess.Popen[str], started: threading.Event) -> None:
    """Say that this start goes on, which may take minutes; end it where another has taken the claim over."""
    while not started.wait(BEAT_SECONDS):
        if claim.renew():
            continue
        print("error: another trial has taken this one's start over: search again", flush=True)
        for number in (signal.SIGINT, signal.SIGKILL):
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
        return


if __name__ == "__main__":
    main()
