"""How many tokens a text has, by the tokenizer of a base model."""

from __future__ import annotations

from collections.abc import Callable


def token_counter(path: str) -> Callable[[str], int]:
    """Counts a text's tokens by the ``tokenizer.json`` at ``path``, those of a prompt's frame left out."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(path)
    # some are kept as they were used for a training, and would count every text as so long
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
