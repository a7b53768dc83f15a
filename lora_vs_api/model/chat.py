"""A chat as the model's own template writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lora_vs_api.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from lora_vs_api.record.prompt import Message


def chat_text(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Message], *, asks: bool) -> str:
    """``turns`` by the tokenizer's chat template; with ``asks`` up to where the assistant's answer begins.

    Raises:
        UserError: the template refuses them, as Qwen3.5's does a text that looks like what a tool said.
    """
    try:
        rendered: Any = tokenizer.apply_chat_template(
            list(turns), tokenize=False, add_generation_prompt=asks
        )
    except Exception as error:  # a template is a program: it may fail in any way
        reason = " ".join(str(error).split())[:200]
        text = next((turn["content"] for turn in reversed(turns) if turn["role"] == "user"), "")
        shown = text if len(text) <= 60 else f"{text[:60]}…"
        raise UserError(
            f"the model's chat template refuses {shown!r} ({reason}); leave the text out, or use another model"
        ) from None
    return str(rendered)
