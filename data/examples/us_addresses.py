"""Make us_addresses.jsonl from the labelled addresses that usaddress was trained on.

python data/examples/us_addresses.py usaddress-0.5.16.tar.gz

The archive is the source distribution on PyPI (pip download --no-deps --no-binary :all:
usaddress==0.5.16); README.md beside this file says what the data is and how it was made.
"""

from __future__ import annotations

import hashlib
import sys
import tarfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

from lora_vs_api.entry import run_command
from lora_vs_api.errors import UserError
from lora_vs_api.files import write_jsonl
from lora_vs_api.log import say

SHA256 = "f7e614e2489c159cf85be1b6f86edbfaf329dbeedef4d002a025757afd1ec6c6"
MEMBER = "usaddress-0.5.16/training/labeled.xml"
OUT = Path(__file__).with_name("us_addresses.jsonl")

# label of a word → field of the record; an object's fields are dotted
FIELDS = {
    "Recipient": "recipient",
    "BuildingName": "building",
    "LandmarkName": "building",
    "AddressNumberPrefix": "street.number",
    "AddressNumber": "street.number",
    "AddressNumberSuffix": "street.number",
    "StreetNamePreDirectional": "street.before",
    "StreetNamePreModifier": "street.name",
    "StreetNamePreType": "street.name",
    "StreetName": "street.name",
    "StreetNamePostType": "street.type",
    "StreetNamePostDirectional": "street.after",
    "StreetNamePostModifier": "street.after",
    "OccupancyType": "unit.type",
    "SubaddressType": "unit.type",
    "OccupancyIdentifier": "unit.number",
    "SubaddressIdentifier": "unit.number",
    "USPSBoxType": "",
    "USPSBoxID": "po_box",
    "PlaceName": "city",
    "StateName": "state",
    "ZipCode": "zip",
    "ZipPlus4": "zip",
    "Null": "",
}
KEYS = ["recipient", "building", "street", "unit", "po_box", "city", "state", "zip"]
INNER = {"street": ["number", "before", "name", "type", "after"], "unit": ["type", "number"]}


def main() -> None:
    if len(sys.argv) != 2:
        raise UserError("expected one argument, the path of usaddress-0.5.16.tar.gz")
    archive = Path(sys.argv[1])
    if not archive.is_file():
        raise UserError(f"{archive}: no such file")
    if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
        raise UserError(f"{archive}: not the archive of usaddress 0.5.16: its SHA-256 differs")
    with tarfile.open(archive) as opened:
        content = opened.extractfile(MEMBER).read()
    rows, dropped = convert(content)
    write_jsonl(OUT, rows)
    say(f"{OUT}: {len(rows):,} addresses; left out: {dict(dropped)}")


def convert(content: bytes) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Rows of the labelled XML in its order, and why addresses were left out.

    Raises:
        UserError: not the XML of labelled addresses.
    """
    # no document type: nothing that the reader could expand
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise UserError("labelled addresses: expected XML without a document type")
    try:
        root = ET.fromstring(content)
    except ET.ParseError as error:
        raise UserError(f"labelled addresses: not valid XML: {error}") from None
    rows: list[dict[str, Any]] = []
    dropped: Counter[str] = Counter()
    seen = set()
    for address in root.iter("AddressString"):
        text = " ".join("".join(address.itertext()).split())
        if text in seen:
            dropped["text already there"] += 1
            continue
        seen.add(text)
        record, reason = record_of(address)
        if reason:
            dropped[reason] += 1
        else:
            rows.append({"id": f"address-{len(rows) + 1:04d}", "text": text, "record": record})
    return rows, dropped


def record_of(address: ET.Element) -> tuple[dict[str, Any], str]:
    """The record of one labelled address, or why it has none."""
    found: dict[str, str] = {}
    previous = ""
    for word in address:
        if word.tag not in FIELDS:
            return {}, f"label {word.tag}"
        name = FIELDS[word.tag]
        if name:
            if name in found and previous != name:
                # two cities, or one that is interrupted: which one is meant is not labelled
                return {}, "a field in two places"
            found[name] = found.get(name, "") + (word.text or "") + (word.tail or "")
            previous = name
        elif word.tag != "Null":
            previous = word.tag
    values = {name: " ".join(value.split()).strip(" ,;.()") for name, value in found.items()}
    values = {name: value for name, value in values.items() if value}
    if len(values) < 2:
        return {}, "fewer than two fields"
    text = " ".join("".join(address.itertext()).split())
    if any(value not in text for value in values.values()):
        return {}, "a value that the text does not hold"
    record: dict[str, Any] = {}
    for key in KEYS:
        inner = {name: values.get(f"{key}.{name}") for name in INNER.get(key, ())}
        if key in INNER:
            record[key] = inner if any(inner.values()) else None
        else:
            record[key] = values.get(key)
    return record, ""


if __name__ == "__main__":
    run_command(main)
