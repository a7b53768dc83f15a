"""The example data is what its converter says it is."""

from __future__ import annotations

import importlib.util

import pytest
import yaml

from lora_vs_api.config.compose import compose
from lora_vs_api.data.source import read_source
from lora_vs_api.errors import UserError
from lora_vs_api.record.fields import fields_from_config
from tests.imports import ROOT

PATH = ROOT / "data/examples/us_addresses.py"
SPEC = importlib.util.spec_from_file_location("us_addresses", PATH)
CONVERTER = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(CONVERTER)


def test_the_rows_are_of_the_task_and_stand_in_their_texts(monkeypatch):
    """A label that the text does not hold could not be extracted by anyone."""
    monkeypatch.chdir(ROOT)
    params = yaml.safe_load(compose(["task=us_addresses"]))
    fields = fields_from_config(params["task"]["fields"])
    data = params["data"]
    rows = read_source(data["path"], fields, data["text"], data["record"], data["id"])
    assert len(rows) == len({row["text"] for row in rows}) == 1301
    for row in rows:
        values = [
            value
            for part in row["record"].values()
            for value in (part.values() if isinstance(part, dict) else [part])
            if value is not None
        ]
        assert len(values) >= 2 and all(value in row["text"] for value in values)
    # of another shape than the emails: parts that are mostly absent, and objects
    assert sum(row["record"]["po_box"] is None for row in rows) > 1000
    assert sum(row["record"]["street"] is None for row in rows) > 50


XML = """<AddressCollection>
<AddressString><AddressNumber>8</AddressNumber> <StreetName>King,</StreetName> <StreetName>Jr</StreetName>
 <StreetNamePostType>Ave.,</StreetNamePostType> <OccupancyIdentifier># 4</OccupancyIdentifier></AddressString>
<AddressString><PlaceName>Troy</PlaceName> <StateName>MI</StateName> <PlaceName>Rome</PlaceName></AddressString>
<AddressString><PlaceName>Troy</PlaceName></AddressString>
<AddressString><CornerOf>at</CornerOf></AddressString>
</AddressCollection>"""


def test_words_become_values_and_doubtful_labels_are_left_out():
    """Each rule of the converter, on rows made for it."""
    rows, dropped = CONVERTER.convert(XML.encode())
    assert [row["text"] for row in rows] == ["8 King, Jr Ave., # 4"]
    record = rows[0]["record"]
    assert record["street"] == {
        "number": "8", "before": None, "name": "King, Jr", "type": "Ave", "after": None,
    }  # fmt: skip
    assert record["unit"] == {"type": None, "number": "# 4"} and record["city"] is None
    assert dropped == {
        "a field in two places": 1, "fewer than two fields": 1, "label CornerOf": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<AddressCollection>", "not valid XML"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "without a document type"),
    ],
)
def test_other_files_are_refused(content, message):
    """A converter that reads whatever it is given writes labels of nothing."""
    with pytest.raises(UserError, match=message):
        CONVERTER.convert(content)
