"""One experiment of a search in a process of its own: python -m lora_vs_api.search.trial NAME SETTING ...

Not meant to be started by hand. `dvc exp run --temp` puts what it is to run aside and takes the newest of what
lies there: two that start at the same time may take each other's. So each holds a claim, on whatever
machine, until DVC says that it has taken its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lora_vs_api.orchestrate.claims import Claim, wait_until_taken
from lora_vs_api.search.study import experiment_command

# no node is called so
STARTING = "search-starts"


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
            for line in process.stdout or ():
                print(line, end="", flush=True)
                if line.startswith("Reproducing experiment"):
                    claim.release()
        code = process.returncode
    finally:
        claim.release()
    sys.exit(code)


if __name__ == "__main__":
    main()
