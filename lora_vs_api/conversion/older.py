"""A model's settings as transformers 4 reads them, beside the form that 5 writes: many servers still have it.

It would leave out where the angles of a rotary embedding stand since 5 and answer with its default for them, so
that a served model says other things than the evaluated one; and it fails at a tokenizer's settings.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_vs_api.files import read_json, write_json

# what 5 writes of where a tokenizer came from
_OF_THE_SAVING = ("backend", "is_local", "local_files_only")
# kinds of models for which 4 has names of their own, beside those that servers look for
_OWN_NAMES = {
    kind: {"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"}
    for kind in ("gpt_neox", "gpt_neox_japanese")
}


def write_for_older(folder: Path) -> None:
    """Add to the settings of the model, or of the tokenizer alone, in ``folder`` what transformers 4 looks for."""
    config, tokenizer = folder / "config.json", folder / "tokenizer_config.json"
    if config.is_file():
        write_json(config, older_config(read_json(config)))
    if tokenizer.is_file():
        write_json(tokenizer, older_tokenizer(read_json(tokenizer)))


def older_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with the names that 4 has for the entries of ``rope_parameters`` and ``dtype``, and 5 reads too.

    Of a kind of model that 4 has not, 5 may fail at the older names (Gemma 4) or take one layer's for all: it
    keeps its own alone.
    """
    found = {**config}
    if isinstance(found.get("text_config"), dict):
        found["text_config"] = older_config(found["text_config"])
    if isinstance(found.get("dtype"), str):
        found.setdefault("torch_dtype", found["dtype"])
    # what stands there already stays
    added = {**found, **_angles(found), **found}
    return added if _same_angles(found, added) else found


def _angles(config: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of ``rope_parameters`` under their older names."""
    found: dict[str, Any] = {}
    rope = config.get("rope_parameters")
    if not isinstance(rope, dict):
        return found
    # a kind of layer each (Gemma 3)
    sliding = rope.get("sliding_attention")
    if isinstance(sliding, dict) and "rope_theta" in sliding:
        found["rope_local_base_freq"] = sliding["rope_theta"]
    whole = rope.get("full_attention", rope)
    if not isinstance(whole, dict):
        return found
    own = _OWN_NAMES.get(str(config.get("model_type")), {})
    for name in ("rope_theta", "partial_rotary_factor"):
        if name in whole:
            found[name] = found[own.get(name, name)] = whole[name]
    if whole.get("rope_type", "default") != "default":
        found["rope_scaling"] = {k: v for k, v in whole.items() if k != "rope_theta"}
    return found


def _same_angles(config: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether 5 reads the same of both; settings without a kind of model are read by nobody."""
    if "model_type" not in config or config == other:
        return True
    try:
        return _read(config) == _read(other)
    # every kind of model says in its own way that it does not take them
    except Exception:
        return False


def _read(settings: Mapping[str, Any]) -> object:
    """The angles that 5 makes of ``settings``, through a file: there alone it reads an infinite number."""
    from transformers import AutoConfig

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # that names are old is meant
        warnings.simplefilter("ignore")
        write_json(Path(folder, "config.json"), settings)
        found: object = AutoConfig.from_pretrained(folder, local_files_only=True).rope_parameters
    return found


def older_tokenizer(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` of a tokenizer without what 4 does not know, and 5 does without."""
    found = {name: value for name, value in settings.items() if name not in _OF_THE_SAVING}
    if found.get("tokenizer_class") == "TokenizersBackend":
        found["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(found.get("extra_special_tokens"), list):
        found["additional_special_tokens"] = found.pop("extra_special_tokens")
    return found
