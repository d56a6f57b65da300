"""docs/wire.schema.json, for holding lines to it."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator

from tests.spored.driver import ROOT

SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "wire.schema.json").read_text())
_VALIDATORS: dict[str, Draft202012Validator] = {}


def hold(kind: str, value: object) -> None:
    """Hold `value` to one of the schema's definitions."""
    if kind not in _VALIDATORS:
        _VALIDATORS[kind] = Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]})
    errors = list(_VALIDATORS[kind].iter_errors(value))
    assert not errors, f"{value} is no {kind}: {errors[0].message}"
