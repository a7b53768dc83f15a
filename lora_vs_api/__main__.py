"""``python -m lora_vs_api COMMAND``: the same as ``lora-vs-api COMMAND``."""

from __future__ import annotations

from lora_vs_api.cli.app import main

if __name__ == "__main__":
    main()
