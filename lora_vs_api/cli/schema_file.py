"""A JSON Schema in a file, or that of a pydantic model of the user's own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_vs_api.data.json_values import json_value
from lora_vs_api.errors import UserError

# what a JSON Schema of an object has at its top, and what stands around one in requests to OpenAI, Anthropic and Gemini
SCHEMA_KEYS = {"properties", "$ref", "allOf", "anyOf", "oneOf"}
WRAPPERS = (
    "json_schema",
    "schema",
    "function",
    "parameters",
    "input_schema",
    "inputSchema",
    "json",
    "responseSchema",
)


def read_schema(given: str) -> Mapping[str, Any]:
    """The JSON Schema in the file ``given``, or that of the pydantic model ``module:Class``.

    Raises:
        UserError: neither of the two can be read.
    """
    path = Path(given)
    if path.suffix == ".json":
        try:
            found = json_value(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise UserError(f"--schema: {path}: no such file") from None
        except OSError as error:
            raise UserError(f"--schema: {path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError as error:
            raise UserError(f"--schema: {path}: not valid UTF-8 ({error.reason})") from None
        except ValueError as error:
            raise UserError(f"--schema: {path}: {error}") from None
    else:
        found = _schema_of_model(given)
    if not isinstance(found, Mapping):
        raise UserError(f"--schema: {given}: expected a JSON Schema, an object")
    return _unwrapped(found)


def _unwrapped(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema within what a request to an API puts around it: a format of answers or a function's parameters."""
    while not SCHEMA_KEYS & schema.keys():
        inner = next(
            (schema[key] for key in WRAPPERS if isinstance(schema.get(key), Mapping)), None
        )
        if inner is None:
            break
        schema = inner
    return schema


def _schema_of_model(given: str) -> Any:
    module, _, name = given.partition(":")
    if not all(map(str.isidentifier, (*module.split("."), name))):
        raise UserError(f"--schema: expected a .json file or module:Class, found {given!r}")
    # a model of the user's own, in the folder they stand in
    sys.path.insert(0, str(Path.cwd()))
    try:
        return getattr(importlib.import_module(module), name).model_json_schema()
    # a module of the user's own may do anything while it is imported, ending the program included
    except (Exception, SystemExit) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"--schema: {given}: {said:.200}; expected a pydantic model") from None
