"""The program that stands for `python` or `dvc`: has the server fork, and lives and dies with that fork."""

import json
import os
import signal
import socket
import struct
import sys


def module_of(name, arguments):
    """What to run and its arguments; None for what has to be a Python of its own."""
    if name == "dvc":
        return "dvc", arguments
    if arguments[:1] == ["-m"] and arguments[1].split(".")[0] in ("stages", "lora_vs_api", "dvc"):
        return arguments[1], arguments[2:]
    return None


def read(connection):
    found = b""
    while len(found) < 4:
        more = connection.recv(4 - len(found))
        if not more:
            sys.exit("the tests' warm process has ended")
        found += more
    return struct.unpack("!i", found)[0]


def main():
    folder, name = os.path.split(sys.argv[0])
    wanted = module_of(name, sys.argv[1:])
    if wanted is None:
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    module, arguments = wanted
    job = json.dumps([module, arguments, os.getcwd(), dict(os.environ)]).encode()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.path.join(folder, "socket"))
    socket.send_fds(connection, [struct.pack("!i", len(job))], [0, 1, 2])
    connection.sendall(job)
    fork = read(connection)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: os.kill(fork, number))
    code = read(connection)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


main()
