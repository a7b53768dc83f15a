"""Python imports this at its start, where this folder is on PYTHONPATH: it times all imports.

The time in which any thread is importing, from the first import of the program to its last, also
those inside functions; with it the interpreter's own start. Written to the log while it grows, as a
server may be ended by a signal.
"""

import _frozen_importlib
import json
import os
import threading
import time

_LEAST = 0.01  # seconds that are worth a line
_find = _frozen_importlib._find_and_load
_guard = threading.RLock()
_state = {"depth": 0, "since": 0.0, "unwritten": 0.0}


def _timed(name, import_):
    with _guard:
        if _state["depth"] == 0:
            _state["since"] = time.monotonic()
        _state["depth"] += 1
    try:
        return _find(name, import_)
    finally:
        with _guard:
            _state["depth"] -= 1
            if _state["depth"] == 0:
                _add(time.monotonic() - _state["since"])


def _add(seconds):
    _state["unwritten"] += seconds
    if _state["unwritten"] >= _LEAST:
        line = json.dumps({"importing": _state["unwritten"]}) + "\n"
        _state["unwritten"] = 0.0
        with open(os.environ["BENCHMARK_LOG"], "a") as stream:
            stream.write(line)


if "BENCHMARK_LOG" in os.environ:
    # taken away: of a node's own children only their imports are known
    _spawned = os.environ.pop("BENCHMARK_SPAWNED", None)
    if _spawned:
        _add(time.monotonic() - float(_spawned))
    _frozen_importlib._find_and_load = _timed
