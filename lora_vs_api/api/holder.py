"""Who asks: the name under which a process claims what it is asking, and whether it still lives."""

from __future__ import annotations

import os
import socket
import uuid

from lora_vs_api import files


def new_holder() -> str:
    """A name that no other holder has, of this process on this machine."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex}"


def has_died(holder: str) -> bool:
    """Whether the holder was a process of this machine that is no more."""
    host, number, _ = holder.split("/")
    return host == socket.gethostname() and files.has_died(int(number))
