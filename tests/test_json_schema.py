"""The JSON Schema that strict mode enforces accepts what the record's own check accepts."""

from __future__ import annotations

import json

import jsonschema
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lora_vs_api.record.fields import fields_from_config
from lora_vs_api.record.json_schema import json_schema
from lora_vs_api.validation.records import violations
from tests.imports import ROOT

FIELDS = fields_from_config(yaml.safe_load((ROOT / "params.yaml").read_text())["task"]["fields"])
SCHEMA = json_schema(FIELDS)


def test_strict_mode_can_take_it():
    """Every field required, none besides, only types that strict structured outputs know."""
    assert SCHEMA["required"] == list(SCHEMA["properties"]) == [field.name for field in FIELDS]
    assert SCHEMA["additionalProperties"] is False
    assert {spec["type"] for spec in SCHEMA["properties"].values()} <= {
        "string", "integer", "array",
    }  # fmt: skip
    json.dumps(SCHEMA)


VALUE = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 7), st.text(max_size=3),
    st.sampled_from(["billing", "negative"]), st.lists(st.text(max_size=2), max_size=2),
)  # fmt: skip


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*SCHEMA["properties"], "unknown"], VALUE)))
def test_both_checks_agree(record):
    """A record is valid under the schema exactly when the scorer's check finds no violation."""
    valid = jsonschema.Draft202012Validator(SCHEMA).is_valid(record)
    assert valid == (violations(record, FIELDS) == [])
