"""A model's settings as transformers 4 reads them, beside the form that 5 writes: many servers still have it.

It would leave out where the angles of a rotary embedding stand since 5 and answer with its default for them, so
that a served model says other things than the evaluated one; and it fails at a tokenizer's settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_vs_api.files import read_json, write_json

# what 5 writes of where a tokenizer came from
_OF_THE_SAVING = ("backend", "is_local", "local_files_only")


def write_for_older(folder: Path) -> None:
    """Add to the settings of the model, or of the tokenizer alone, in ``folder`` what transformers 4 looks for."""
    config, tokenizer = folder / "config.json", folder / "tokenizer_config.json"
    if config.is_file():
        write_json(config, older_config(read_json(config)))
    if tokenizer.is_file():
        write_json(tokenizer, older_tokenizer(read_json(tokenizer)))


def older_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with the names that 4 has for the entries of ``rope_parameters`` and ``dtype``, and 5 reads too."""
    found = {**config}
    if isinstance(found.get("text_config"), dict):
        found["text_config"] = older_config(found["text_config"])
    if isinstance(found.get("dtype"), str):
        found.setdefault("torch_dtype", found["dtype"])
    rope = found.get("rope_parameters")
    if not isinstance(rope, dict):
        return found
    # a kind of layer each (Gemma 3)
    sliding = rope.get("sliding_attention")
    if isinstance(sliding, dict) and "rope_theta" in sliding:
        found.setdefault("rope_local_base_freq", sliding["rope_theta"])
    whole = rope.get("full_attention", rope)
    if not isinstance(whole, dict):
        return found
    for name in ("rope_theta", "partial_rotary_factor"):
        if name in whole:
            found.setdefault(name, whole[name])
    if whole.get("rope_type", "default") != "default":
        found.setdefault("rope_scaling", {k: v for k, v in whole.items() if k != "rope_theta"})
    return found


def older_tokenizer(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` of a tokenizer without what 4 does not know, and 5 does without."""
    found = {name: value for name, value in settings.items() if name not in _OF_THE_SAVING}
    if found.get("tokenizer_class") == "TokenizersBackend":
        found["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(found.get("extra_special_tokens"), list):
        found["additional_special_tokens"] = found.pop("extra_special_tokens")
    return found
