"""Commands around the pipeline: python -m lora_vs_api COMMAND

init | params | run | push | search | experiments | predict | compare | export
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lora_vs_api.cli import compare, experiments, export, init, params, predict, push, run, search
from lora_vs_api.entry import run_command

# in the order in which one comes to need them; each module imports torch only when it runs
COMMANDS = {
    "init": init,
    "params": params,
    "run": run,
    "push": push,
    "search": search,
    "experiments": experiments,
    "predict": predict,
    "compare": compare,
    "export": export,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lora_vs_api",
        description="Start a task from your own file, and use the model that `dvc repro` trained.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        module.add_arguments(
            commands.add_parser(name, help=module.HELP, description=module.__doc__)
        )
    given = parser.parse_args(arguments)
    run_command(lambda: COMMANDS[given.command].run(given))


if __name__ == "__main__":
    main()
