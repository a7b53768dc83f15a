"""SHA-256 of files and folders: what a node's output is known by."""

from __future__ import annotations

import hashlib
from pathlib import Path


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def directory_sha256(folder: str | Path) -> str:
    """SHA-256 over the names and contents of the files directly in ``folder``."""
    digest = hashlib.sha256()
    for file in sorted(Path(folder).iterdir()):
        if file.is_file():
            digest.update(f"{file.name} {file_sha256(file)}\n".encode())
    return digest.hexdigest()
