"""What stands in a case for personal data of the row that it was made from: a value of the same form, of nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.pii import WORD

if TYPE_CHECKING:
    from collections.abc import Mapping

_BY_FORMAT = {
    "email": "someone@example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/someone",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "date": "1970-01-01",
    "date-time": "1970-01-01T00:00:00Z",
}
_BY_TYPE = {"datetime": "1970-01-01T00:00:00", "time": "00:00:00"}
_BY_KIND = {"email": "someone@example.com", "phone": "+15550100", "ip": "192.0.2.1", "name": "Someone"}


def without_persons(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a value with stand-ins where its schema, an inferred one, says that it is personal."""
    if value is None or value == "":
        return value
    if schema.get(WORD):
        return _stand_in(value, schema)
    if isinstance(value, dict):
        known: Mapping[str, Any] = schema.get("properties", {})
        other = schema.get("additionalProperties")
        rest = other if isinstance(other, dict) else {}
        return {name: without_persons(each, known.get(name, rest)) for name, each in value.items()}
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [without_persons(each, schema["items"]) for each in value]
    return value


def _stand_in(value: Any, schema: Mapping[str, Any]) -> Any:
    if isinstance(value, (dict, list)):
        return type(value)()
    if isinstance(value, bool) or not isinstance(value, str):
        return type(value)(0) if isinstance(value, (bool, int)) else value * 0
    if "enum" in schema:
        return schema["enum"][0]
    form = _BY_FORMAT.get(str(schema.get("format"))) or _BY_TYPE.get(str(schema.get("x-type")))
    return form or _BY_KIND.get(str(schema[WORD]), "***")
