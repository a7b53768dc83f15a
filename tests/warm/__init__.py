"""Programs of a clone as forks of a process that has imported the libraries: python -m …, and dvc.

Most of what a node of a tiny pipeline takes is importing torch and transformers: some seconds of each
of dozens of nodes. Here one process imports them for all tests. What the project's code is, folder,
environment and arguments are a program's own, and it ends, and is ended, as one that was started.

What is about starting and being killed does without: the whole pipeline, node by node, in
test_pipeline_faults.py (a library that a node forgets to import is missed there), test_orphans.py,
test_executors.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# a folder with the two programs, which goes in front of PATH
VARIABLE = "LORA_VS_API_TESTS_WARM"
HERE = Path(__file__).parent


class Warm:
    """The process, and the folder of its programs. It imports nothing until it is first asked to."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lora-vs-api-warm-"))
        client = f"#!{sys.executable} -IS\n{(HERE / 'client.py').read_text()}"
        for name in ("python", "dvc"):
            (self.folder / name).write_text(client)
            (self.folder / name).chmod(0o755)
        # -P: the project's own packages are each clone's and none of this folder's
        command = [sys.executable, "-P", str(HERE / "server.py"), str(self.folder / "socket")]
        self.process = subprocess.Popen(
            # pipes, as those of its forks are: what Python noted of a file would be wrong for them
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd="/", start_new_session=True,
            # tiny models: a second thread has nothing to do but to wait. Read when torch is imported
            env={"OMP_NUM_THREADS": "1"} | os.environ,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.process.stdout.readline()  # it listens
        os.environ[VARIABLE] = str(self.folder)

    def close(self) -> None:
        """Its stdin ends, and with it the process; as it does when this one is killed."""
        os.environ.pop(VARIABLE, None)
        said = self.process.communicate()[0].decode(errors="replace")
        if self.process.returncode:
            print(said, file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)


def python() -> str:
    """What runs `-m` of the project and of dvc as a fork, and all else as this Python does."""
    folder = os.environ.get(VARIABLE)
    return str(Path(folder, "python")) if folder else sys.executable


def in_front(path: str) -> str:
    """``path`` with the folder of the programs in front of it, where there is one."""
    return os.pathsep.join(filter(None, (os.environ.get(VARIABLE), path)))
