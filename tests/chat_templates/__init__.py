"""Chat templates of model families, and a tokenizer that has their tokens."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

HERE = Path(__file__).parent
# by family: the file in TRL's folder of templates, or None for one of this folder
FAMILIES = {
    "cohere": "cohere", "cohere2": "cohere2", "deepseek_r1": "deepseek_r1_distill",
    "deepseek_v3": "deepseekv3", "gemma": "gemma", "gemma3": "gemma3", "gemma4": "gemma4",
    "glm4": "glm4moe", "gpt_oss": "gptoss", "granite": None, "lfm2": "lfm2", "llama3": "llama3",
    "llama3.2": "llama3_2", "mistral": None, "mistral_v3": None, "nemotron3": "nemotron_3_nano",
    "olmo2": None, "phi3": "phi3", "qwen2": "qwen2_5", "qwen3": "qwen3", "qwen3.5": "qwen3_5_think",
    "smollm3": None, "unmarked": None,
}  # fmt: skip
# what looks like a token of its own in a template
_MARKER = re.compile(r"<\|?[A-Za-z_/][^<>\s|'\"{}]{0,40}\|?>|\[/?[A-Z_]+\]|<｜[^｜]*｜>")


def template_of(family: str) -> str:
    """The family's template, byte for byte."""
    import trl

    theirs = FAMILIES[family]
    file = (
        HERE / f"{family}.jinja"
        if theirs is None
        else Path(trl.__file__).parent / "chat_templates" / f"{theirs}.jinja"
    )
    with open(file, encoding="utf-8", newline="") as stream:
        return stream.read()


def give_template(folder: Path, template: str) -> Path:
    """Make ``template`` that of the tiny model in ``folder``, its markers tokens; returns ``folder``.

    Markers of thinking become ordinary added tokens, as most models have them, all others special
    ones. The model has rows for them only if its vocabulary is larger than its tokenizer's.
    """
    from transformers import AddedToken, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    markers = sorted(set(_MARKER.findall(template)))
    tokenizer.add_tokens(
        [AddedToken(marker, special="think" not in marker, normalized=False) for marker in markers]
    )
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


def with_template(tiny: Path, folder: Path, family: str) -> Path:
    """A copy in ``folder`` of the tiny model with the family's template."""
    shutil.copytree(tiny, folder)
    return give_template(folder, template_of(family))
