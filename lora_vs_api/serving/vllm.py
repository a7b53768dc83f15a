"""vLLM's server for a merged model on this disk, for as long as a block runs.

It runs in an environment of its own, that of ``serving.python``, which only has to have vLLM. One request
is computed at a time and nothing of an earlier one is kept: the same bytes to the same question.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lora_vs_api.api.child_server import ServerEnded, check_name, running
from lora_vs_api.api.llama_server import processors, threads_share
from lora_vs_api.config.engines import DOCS, interpreter, vllm_environment
from lora_vs_api.config.sections import VllmServer, VllmServing
from lora_vs_api.errors import UserError

GIB = 2**30
# it compiles before it listens: 106 s on two cores
STARTUP_SECONDS = 900
# what it says of a model that it does not take, and of one that holds less; anything else is the environment's fault
REFUSED = re.compile(
    r"Model architectures .{0,200}?not supported|The checkpoint .{0,100}does not recognize this architecture"
)
TOO_LONG = re.compile(r"User-specified max_model_len .{0,200}")
TOO_SMALL = re.compile(
    r"[\d.]+ GiB KV cache is needed, which is larger than [^(\n]{0,100}\([\d.]+ GiB\)"
)
ERROR = re.compile(
    r"^(?:\([^)]*\) )?(?:ERROR [^\]]*\] )? *"
    r"((?:(?!pydantic)[\w.]*(?:Error|Exception): |Value error, ).+)$",
    re.MULTILINE,
)


class ModelRefused(UserError):
    """vLLM is there and does not take this model."""


@contextmanager
def serve_merged(serving: VllmServing, model: Path, name: str, *, log: str | Path) -> Iterator[str]:
    """Serve the merged model in the folder ``model`` under ``name`` while the block runs.

    Whether vLLM is there is for the caller to ask (``vllm_version``).

    Args:
        log: as :func:`lora_vs_api.api.child_server.running` has it, which also says how the server ends.

    Yields:
        The base URL for an OpenAI client, such as ``http://127.0.0.1:43211/v1``.

    Raises:
        UserError: no model there, or what ``running`` raises, with the first
            error that the server told; :class:`ModelRefused` where it does not take the model.
    """
    check_name(name)
    if not (model / "config.json").is_file():
        raise UserError(f"{model}: no model to serve there; run `dvc repro served`")

    def command(folder: Path) -> list[str]:
        # by a name that is the same each time: what vLLM has compiled once it keeps by that
        (folder / name).symlink_to(model.resolve(), target_is_directory=True)
        return [
            *(sys.executable, "-m", "lora_vs_api.serving.vllm_child", str(folder)),
            *(interpreter(serving), *arguments(serving.server, name)),
        ]

    try:
        with running(
            command,
            name,
            threads_share(vllm_environment()) | settings(serving.server),
            port=None,
            startup_seconds=STARTUP_SECONDS,
            log=log,
        ) as url:
            yield url
    except ServerEnded as error:
        said = Path(log).read_text(errors="replace")
        refused = REFUSED.search(said)
        if refused:
            raise ModelRefused(f"vLLM does not take it: {refused.group()}") from None
        too_long = TOO_LONG.search(said)
        if too_long:
            raise UserError(
                f"serving.server.context: expected no more than the model holds; vLLM: {too_long.group()}"
            ) from None
        too_small = TOO_SMALL.search(said)
        if too_small:
            server = serving.server
            raise UserError(
                f"serving.server.kv_cache_gib: {server.kv_cache_gib or 'null'} is too little for "
                f"serving.server.context: {server.context}; vLLM: {too_small.group()}"
            ) from None
        # the last lines of its log only say that another of its processes has failed
        first = ERROR.search(said)
        found = f"the first error there: {first.group(1)}" if first else str(error)
        raise UserError(
            f"vLLM did not start ({DOCS} has its traps); {log}: {found[:400]}"
        ) from None


def arguments(server: VllmServer, name: str) -> list[str]:
    """Of the interpreter that has vLLM, in the folder with the model ``name``, but for host and port."""
    return [
        # -I: it sees neither this project's folder nor what this environment has on PYTHONPATH
        *("-I", "-m", "vllm.entrypoints.cli.main", "serve", name),
        *("--served-model-name", name),
        *("--dtype", server.dtype, "--max-model-len", str(server.context)),
        # one at a time, with nothing known of earlier prompts: what is computed depends on the text alone
        *("--max-num-seqs", "1", "--no-enable-prefix-caching"),
        # else penalties and temperatures in the model's own file change what is most likely
        *("--generation-config", "vllm"),
        "--disable-log-stats",
        *(
            ["--kv-cache-memory-bytes", str(server.kv_cache_gib * GIB)]
            if server.kv_cache_gib is not None
            else []
        ),
    ]


def settings(server: VllmServer) -> dict[str, str]:
    """Variables that vLLM reads for what it has no arguments for."""
    return {
        # By itself it leaves a core to others. Tied to cores, servers side by side would all have the same ones.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(server.threads or processors()),
        "VLLM_NO_USAGE_STATS": "1",
    }
