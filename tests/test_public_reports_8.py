"""Further public reports: each a kind of file, server, model or setting, and what it must come to."""

from __future__ import annotations

import pytest

from lora_vs_api.config.compose import compose
from lora_vs_api.errors import UserError


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["lora.r = 32"], "'lora.r = 32': expected lora.r=32"),
        (["lora.r", "=", "32"], "'lora.r = 32': expected lora.r=32"),
        (["lora.r=", "32"], "'lora.r= 32': expected lora.r=32"),
        (["lora.r==32"], "'lora.r==32': expected lora.r=32"),
        (["lora.r:", "32"], "'lora.r: 32': expected lora.r=32"),
        (["lora.dropout:0.1"], "'lora.dropout:0.1': expected lora.dropout=0.1"),
        (["lora.r=32,"], "'lora.r=32,': expected lora.r=32"),
        (["task_title=Tickets, 2024,"], "expected quotes around such a value: 'task_title=\"Tickets, 2024,\"'"),
        (["train.warmup_ratio=0,5"], "found 0,5 (a decimal point is train.warmup_ratio=0.5)"),
        (["lora.r=8,16"], "found 8,16; a run for each"),
    ],
)  # fmt: skip
def test_a_setting_that_is_typed_as_elsewhere_is_written_out(typed, told):
    """Python's ==, YAML's colon, a comma at the end, blanks around the sign, a decimal comma."""
    with pytest.raises(UserError) as caught:
        compose(typed)
    assert told in str(caught.value)
