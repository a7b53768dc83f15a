"""The process that has imported the libraries and forks: python server.py SOCKET. It ends with its stdin."""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress

# what dvc and the commands import, and what nodes do; the project's own packages are each clone's
COMMANDS = (
    "dvc.cli.parser", "dvc.commands.experiments.run", "dvc.repo", "dvc.repo.experiments",
    "dvc.repo.experiments.queue.workspace", "dvc.repo.reproduce", "dvc.stage.run", "hydra",
    "dvc_data.index", "genai_prices", "numpy", "pydantic", "yaml",
)  # fmt: skip
NODES = (
    "torch", "torch.utils.data", "transformers.generation.utils",
    "transformers.models.llama.modeling_llama", "accelerate", "datasets", "huggingface_hub", "jinja2",
    "llguidance.hf", "matplotlib.pyplot", "openai.resources.chat", "openai.resources.responses",
    "pandas", "peft", "pyarrow.parquet", "scipy.optimize", "scipy.stats", "seaborn",
    "sklearn.feature_extraction.text", "sklearn.isotonic", "tokenizers", "trl",
    "trl.trainer.sft_trainer",
)  # fmt: skip


class Job:
    """A fork and who waits for it."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid, self.connection = pid, connection
        self.ended = os.pidfd_open(pid)


def receive(connection: socket.socket) -> tuple[list, list[int]]:
    """What is asked for, and the asker's stdin, stdout and stderr.

    Raises:
        ValueError: who asks was killed in the middle of it.
    """
    head, streams, _, _ = socket.recv_fds(connection, 4, 3)
    content = b""
    try:
        if len(head) < 4:
            raise ValueError("broken off")
        (length,) = struct.unpack("!i", head)
        while len(content) < length:
            part = connection.recv(length - len(content))
            if not part:
                raise ValueError("broken off")
            content += part
        return json.loads(content), streams
    except (OSError, ValueError):
        for stream in streams:
            os.close(stream)
        raise


def import_libraries(names: Sequence[str]) -> None:
    if not names:
        return
    for name in names:
        importlib.import_module(name)
    gc.collect()
    # a fork that collects garbage would else copy every page
    gc.freeze()


def serve(path: str) -> tuple[str, list[str]]:
    """Fork for whoever asks. Returns in a fork alone, with the module to run and its arguments."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    print("listening", flush=True)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    running: set[Job] = set()
    missing = {"nodes": NODES, "commands": COMMANDS}
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                for job in running:
                    os.kill(job.pid, signal.SIGTERM)
                sys.exit()
            if key.fileobj is not listener:
                job = key.data
                if job not in running:
                    continue
                # the pipe of who waits ends before the fork does: it was killed, and so is the fork
                if key.fileobj is job.connection:
                    os.kill(job.pid, signal.SIGKILL)
                    selector.unregister(job.connection)
                    continue
                _, status = os.waitpid(job.pid, 0)
                running.remove(job)
                with suppress(OSError):
                    job.connection.sendall(struct.pack("!i", os.waitstatus_to_exitcode(status)))
                selector.unregister(job.ended)
                with suppress(KeyError):
                    selector.unregister(job.connection)
                os.close(job.ended)
                job.connection.close()
                continue
            connection, _ = listener.accept()
            try:
                (module, arguments, folder, environment), streams = receive(connection)
            except (OSError, ValueError):
                # of one test: the others go on
                connection.close()
                continue
            for kind in ("commands", "nodes") if module.startswith("stages.") else ("commands",):
                import_libraries(missing.pop(kind, ()))
            pid = os.fork()
            if pid == 0:
                selector.close()
                for open_one in (listener, connection, *(job.connection for job in running)):
                    open_one.close()
                for job in running:
                    os.close(job.ended)
                become(folder, environment, streams)
                return module, arguments
            for stream in streams:
                os.close(stream)
            connection.sendall(struct.pack("!i", pid))
            job = Job(pid, connection)
            running.add(job)
            selector.register(job.ended, selectors.EVENT_READ, job)
            selector.register(connection, selectors.EVENT_READ, job)


def become(folder: str, environment: dict[str, str], streams: list[int]) -> None:
    """The process that was asked for: its streams, folder, environment and modules' path."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    given = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [folder, *(path for path in given if path and path not in sys.path)]
    importlib.invalidate_caches()
    # found out at the first need: it may have been another's
    tempfile.tempdir = None


def run() -> int:
    """Run the module as `python -m` does; the exit code."""
    module, arguments = serve(sys.argv[1])
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, int | None):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    # as lora_vs_api has it before torch is imported
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    code = run()
    # what the interpreter does at its end, but for taking down all that was imported: half a second
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
