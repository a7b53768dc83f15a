"""Send to the DVC remote what was ever run here, for colleagues to take over: `dvc repro --pull`.

`dvc push --run-cache` tells the remote what every setting gave, but sends the files of the present
dvc.lock alone, and of those not the ones kept in git: elsewhere another setting would run again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from lora_vs_api.errors import UserError
from lora_vs_api.stage import say

if TYPE_CHECKING:
    from dvc.repo import Repo

HELP = "dvc push, with the results of every setting that was run here"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-r", "--remote", help="name of the DVC remote (default: core.remote)")


def run(given: argparse.Namespace) -> None:
    from dvc.repo import Repo, lock_repo

    try:
        with Repo() as repo, lock_repo(repo):
            runs = _runs_with_results(repo)
            sent = failed = 0
            # results before the entries that name them: an entry alone is of no use
            for objects in repo.stage_cache.get_used_objs(runs).values():
                result = repo.cloud.push(objects, remote=given.remote)
                sent, failed = sent + len(result.transferred), failed + len(result.failed)
            if failed:
                raise UserError(
                    f"{failed} of {sent + failed} files could not be sent; run this again"
                )
            sent += repo.push(remote=given.remote, run_cache=True)
    except UserError:
        raise
    except Exception as error:  # DVC's own, and that of whatever library speaks to the remote
        raise UserError(" ".join(str(error).split()) or repr(error)) from None
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
