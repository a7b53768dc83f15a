"""The process behind `lora_vs_api.api.llama_server`: llama.cpp's server, tied to its parent.

Not meant to be started by hand; see `lora_vs_api.api.serve_child`, whose ways it has.
"""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

from lora_vs_api.api.serve_child import announce, tie_to_parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="scratch folder; removed when the process ends")
    parser.add_argument("gguf", help="the model file")
    parser.add_argument("model", help="the name that it is served under")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    # before the model is read: a parent that dies meanwhile must not leave this process behind
    tie_to_parent(arguments.folder)

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = arguments.gguf
    # else /v1/models and every answer show the file's full path
    params.model_alias = {arguments.model}
    params.port = arguments.port
    # one at a time: an answer's bytes may depend on what is computed together with it
    params.n_parallel = 1
    params.n_ctx = arguments.context
    params.cpuparams.n_threads = arguments.threads
    params.cpuparams_batch.n_threads = arguments.threads
    # the processor alone, as it says: nothing is moved to what else there is, and nothing fitted
    params.n_gpu_layers = 0
    params.no_op_offload = True
    params.fit_params = False
    # no copies of earlier prompts' states, which may take 8 GB
    params.cache_ram_mib = 0
    params.ui = False
    params.endpoint_slots = False
    params.offline = True
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        # llama.cpp has said why before; a traceback would hide that
        sys.exit(f"{arguments.gguf}: {error}")
    announce(arguments.folder, urlsplit(server.listening_address).port or 0)
    # until the parent ends
    threading.Event().wait()


if __name__ == "__main__":
    main()
