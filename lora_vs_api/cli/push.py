"""Send to the DVC remote what was ever run here, for colleagues to take over: `dvc repro --pull`.

`dvc push --run-cache` tells the remote what every setting gave, but sends the files of the present
dvc.lock alone, and of those not the ones kept in git: elsewhere another setting would run again.
It also takes a file that arrived by half for the file; here such a one is sent again.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from lora_vs_api.errors import UserError
from lora_vs_api.log import say
from lora_vs_api.shown import one_line

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc_data.hashfile.db import HashFileDB
    from dvc_data.hashfile.hash_info import HashInfo


def push_results(name: str | None) -> None:
    """Push what the runs of the run cache gave, then what `dvc push --run-cache` pushes.

    Args:
        name: the DVC remote's; None takes core.remote.

    Raises:
        UserError: no such remote, a file that could not be sent, or a damaged one.
    """
    from dvc.repo import Repo, lock_repo

    from lora_vs_api.cli.run import mend

    mend()
    try:
        with Repo() as repo, lock_repo(repo):
            remote = repo.cloud.get_remote_odb(name, "push")
            runs = _runs_with_results(repo)
            sent = failed = 0
            # results before the entries that name them: an entry alone is of no use
            for objects in repo.stage_cache.get_used_objs(runs).values():
                _remove_halves(repo.cache.local, remote, objects)
                result = repo.cloud.push(objects, odb=remote)
                sent, failed = sent + len(result.transferred), failed + len(result.failed)
            if failed:
                raise UserError(f"{failed} of {sent + failed} files were not sent; run this again")
            sent += repo.push(remote=name, run_cache=True)
    except UserError:
        raise
    except Exception as error:  # DVC's own, and that of whatever library speaks to the remote
        raise UserError(one_line(error) or repr(error)) from None
    say(f"the results of {len(runs)} runs are in the remote; {sent} files sent")


def _runs_with_results(repo: Repo) -> list[tuple[str, str]]:
    """Entries of the run cache (key, value) whose outputs are all in the cache here."""
    found = []
    for path in sorted(Path(repo.stage_cache.cache_dir).glob("*/*/*")):
        if path.suffix == ".tmp":
            # left by a process that was killed
            continue
        outs = yaml.safe_load(path.read_text(encoding="utf-8"))["outs"]
        if all(repo.cache.local.exists(out["md5"]) for out in outs):
            found.append((path.parent.name, path.name))
    return found


def _remove_halves(cache: HashFileDB, remote: HashFileDB, objects: Iterable[HashInfo]) -> None:
    """Remove from the remote what is not as long as it is here, for the push to send it.

    DVC takes a directory whose listing is there for complete: with a file of it missing or
    truncated, the listing goes too.
    """
    from dvc_data.hashfile.tree import Tree

    # an object without a digest is one that was never saved
    by_digest = {one.value: one for one in objects if one.value}
    paths = {digest: remote.oid_to_path(digest) for digest in sorted(by_digest)}
    found = remote.fs.info(list(paths.values()), return_exceptions=True)
    there = {}
    for digest, entry in zip(paths, found):
        if isinstance(entry, dict):
            there[digest] = entry["size"]
        elif not isinstance(entry, FileNotFoundError):
            raise entry
    whole = {digest for digest, size in there.items() if _length(cache, digest) in (None, size)}
    wrong = there.keys() - whole
    for digest in sorted(wrong):
        _check_here(cache, digest)
    for digest, one in by_digest.items():
        if one.isdir and any(file.value not in whole for _, _, file in Tree.load(cache, one)):
            wrong |= {digest} & there.keys()
    if wrong:
        remote.fs.remove([paths[digest] for digest in sorted(wrong)])


def _length(cache: HashFileDB, digest: str) -> int | None:
    """Bytes of a file in the cache; None where a pull was refused it."""
    try:
        return Path(cache.oid_to_path(digest)).stat().st_size
    except FileNotFoundError:
        return None


def _check_here(cache: HashFileDB, digest: str) -> None:
    """The damaged one of two may be the one here: what is in the remote then stays."""
    from dvc_data.hashfile.hash import hash_file

    path = cache.oid_to_path(digest)
    _, actual = hash_file(path, cache.fs, cache.hash_name)
    if actual.value != digest.removesuffix(".dir"):
        raise UserError(f"{path}: damaged, its MD5 is {actual.value}; delete it, then `dvc pull`")
