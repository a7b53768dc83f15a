"""A Python that has imported the nodes' libraries, and forks a process for each node that asks for one.

    python warm_server.py SOCKET MODULE ...

Started by lora_vs_api.orchestrate.warm, as a file: it imports nothing of the project, whose code may be
edited while it lives. A node is asked for by warm_client.py, which takes the node's place under DVC: it
hands over its command, folder, environment, stdin, stdout and stderr, passes signals on and ends as the
node ends. A node dies with its client and with this process; this process ends with its starter, whose
end closes its stdin, once no node is left.

Libraries are imported and nothing is computed: threads of OpenMP, and CUDA, do not survive a fork. Linux only.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Any

# no library reads them while it is imported, or, as the count of spins, each node sets the same
MAY_DIFFER = frozenset(
    ("CUDA_VISIBLE_DEVICES", "GOMP_SPINCOUNT", "OLDPWD", "PATH", "PWD", "SHLVL", "_")
)
# of DVC and Ray, which tell a node who and where it is
OF_STARTERS = ("DVC_", "RAY_")
# asked for a GPU while it is imported, torch then asks the driver's library and leaves CUDA alone
NVML = "PYTORCH_NVML_BASED_CUDA_CHECK"
STARTED, COLD = b"+", b"-"
PATIENCE = 10.0  # seconds that a client may take to say what it wants
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl


class Node:
    """A node as it was asked for, in its own process."""

    def __init__(self, asked: dict, files: list[int], connection: socket.socket) -> None:
        self.module, self.arguments = asked["module"], asked["arguments"]
        self.folder, self.environment = asked["folder"], asked["environment"]
        self.files, self.server = files, os.getpid()
        # open until the node's end: its client waits for that
        self.connection = connection


class Server:
    """Listens, forks, tells how nodes ended."""

    def __init__(self, name: str, modules: list[str]) -> None:
        self.before = {key: value for key, value in os.environ.items() if key != NVML}
        os.environ[NVML] = "1"
        for module in modules:
            if _has_ended(0):
                sys.exit(0)
            try:
                importlib.import_module(module)
            except Exception as error:
                # one that is missing or broken is the node's to complain of; here it says why nodes are slow
                _say(f"{module}: {type(error).__name__}: {error}")
        if NVML not in self.before:
            del os.environ[NVML]
        # what libraries have set while they were imported
        self.set = {k: v for k, v in os.environ.items() if self.before.get(k) != v}
        self.nodes: dict[int, socket.socket] = {}
        self.children, self.waking = socket.socketpair()
        for one in (self.children, self.waking):
            one.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.waking.fileno(), warn_on_full_buffer=False)
        gc.collect()
        # a node's collector then leaves these pages to both
        gc.freeze()
        self.listening: socket.socket | None = socket.socket(socket.AF_UNIX)
        # a name of the kernel's: no file to leave behind
        self.listening.bind("\0" + name)
        self.listening.listen(64)

    def serve(self) -> Node | None:
        """Until nobody can ask any more: None. In the process of a node: the node."""
        while self.listening or self.nodes:
            watched: list[Any] = [self.children, *self.nodes.values()]
            watched += [self.listening, sys.stdin] if self.listening else []
            for ready in select.select(watched, [], [])[0]:
                if ready is sys.stdin:
                    if self.listening and not os.read(0, 1024):
                        self.listening.close()
                        self.listening = None
                elif ready is self.listening:
                    node = self._accept(self.listening)
                    if node is not None:
                        return node
                elif ready is self.children:
                    self._reap()
                else:
                    self._pass_on(ready)
        return None

    def _accept(self, listening: socket.socket) -> Node | None:
        # whatever is wrong with one that asks, or with a fork: the nodes that run go on
        try:
            connection, _ = listening.accept()
        except OSError:
            # no file left, say: it is asked again
            time.sleep(0.1)
            return None
        try:
            node = self._asked(connection)
        except Exception as error:
            _say(f"not understood: {type(error).__name__}: {error}")
            node = None
        pid = None if node is None else self._forked(node)
        if node is None or pid is None:
            with suppress(OSError):
                connection.sendall(COLD)
            connection.close()
            return None
        if not pid:
            self._forget()
            return node
        with suppress(OSError):
            # here and in the node: whoever is first
            os.setpgid(pid, pid)
        for file in node.files:
            os.close(file)
        self.nodes[pid] = connection
        with suppress(OSError):
            connection.sendall(STARTED)
        return None

    def _forked(self, node: Node) -> int | None:
        """As `os.fork`; None where the system gives no process or memory."""
        try:
            sys.stdout.flush()
            sys.stderr.flush()
            return os.fork()
        except OSError as error:
            _say(f"{node.module}: not forked: {error}")
            for file in node.files:
                os.close(file)
            return None

    def _asked(self, connection: socket.socket) -> Node | None:
        """What is asked for; None where it has to start by itself, or only looks whether this listens."""
        connection.settimeout(PATIENCE)
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if struct.unpack("3i", peer)[1] != os.getuid():
            return None
        head, files, _, _ = socket.recv_fds(connection, 8, 3)
        if not head:
            return None
        try:
            (size,) = struct.unpack("!Q", head)
            said = b""
            while len(said) < size:
                part = connection.recv(size - len(said))
                if not part:
                    raise ValueError("broken off")
                said += part
            asked = json.loads(said)
            given = asked["environment"]
            if len(files) == 3 and self._knows(given):
                connection.settimeout(None)
                asked["environment"] = {**given, **self.set}
                return Node(asked, files, connection)
        except BaseException:
            for file in files:
                os.close(file)
            raise
        for file in files:
            os.close(file)
        return None

    def _knows(self, environment: dict[str, str]) -> bool:
        """Whether the libraries would come out the same, imported in this ``environment``."""
        return all(
            self.before.get(key) == environment.get(key)
            for key in self.before.keys() | environment.keys()
            if key not in MAY_DIFFER and not key.startswith(OF_STARTERS)
        )

    def _forget(self) -> None:
        """In a node: nothing of this process or of other nodes is kept open."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if self.listening:
            self.listening.close()
        for one in (self.children, self.waking, *self.nodes.values()):
            one.close()

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            while self.children.recv(4096):
                pass
        for pid in list(self.nodes):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                connection = self.nodes.pop(pid)
                with suppress(OSError):
                    connection.sendall(struct.pack("!i", status))
                connection.close()

    def _pass_on(self, connection: socket.socket) -> None:
        """A signal for a node; the end of its client is as kill -9 to it."""
        pid = next((pid for pid, its in self.nodes.items() if its is connection), None)
        if pid is None:
            return
        try:
            said = connection.recv(16)
        except OSError:
            said = b""
        for number in said or [signal.SIGKILL]:
            with suppress(OSError):
                os.killpg(pid, number)
        if not said:
            # its end is awaited all the same
            self.nodes[pid] = _closed(connection)


def _say(what: str) -> None:
    """Into the log, where its disk is not full."""
    with suppress(OSError):
        print(what, flush=True)


def _closed(connection: socket.socket) -> socket.socket:
    """In its place, one on which nothing comes."""
    connection.close()
    kept, other = socket.socketpair()
    other.detach()
    return kept


def _has_ended(file: int) -> bool:
    """Whether the other end of a pipe is closed."""
    return bool(select.select([file], [], [], 0)[0]) and not os.read(file, 1024)


def become(node: Node) -> None:
    """Make this process what `python -m` would have started."""
    # the kernel's promise, also of a node that is in the middle of a library's code
    ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != node.server:
        os._exit(128 + signal.SIGKILL)
    with suppress(OSError):
        os.setpgid(0, 0)
    for place, file in enumerate(node.files):
        os.dup2(file, place)
        os.close(file)
    os.chdir(node.folder)
    os.environ.clear()
    os.environ.update(node.environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda._is_in_bad_fork():
        # a library has woken CUDA: it has to start by itself
        node.connection.set_inheritable(True)
        os.execv(sys.executable, [sys.executable, "-m", node.module, *node.arguments])
    sys.argv = [node.module, *node.arguments]
    sys.path.insert(0, node.folder)


def main() -> Node | None:
    # the folder of this file
    del sys.path[0]
    # kept for a node that is told to end before it has begun
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    return Server(sys.argv[1], sys.argv[2:]).serve()


if __name__ == "__main__":
    ASKED = main()
    if ASKED is not None:
        become(ASKED)
        # here, so that the process ends as any other: by its exit code, or with a traceback
        runpy.run_module(ASKED.module, run_name="__main__", alter_sys=True)
