"""A schema as its draft reads it: what a draft does not know is left out, so that nothing else need ask.

The validator is the judge of what a draft knows: `dependencies` binds in every draft, `if` since 7, `uuid` since 2019.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

from headrace.contracts.compatibility import strings

YEARS = {"draft-04": 4, "draft-06": 6, "draft-07": 7, "draft/2019-09": 2019, "draft/2020-12": 2020}
_SINCE = {
    "const": 6, "contains": 6, "propertyNames": 6, "if": 7, "then": 7, "else": 7, "$recursiveRef": 2019,
    "dependentRequired": 2019, "dependentSchemas": 2019, "minContains": 2019, "maxContains": 2019,
    "unevaluatedItems": 2019, "unevaluatedProperties": 2019, "prefixItems": 2020, "$dynamicRef": 2020,
}  # fmt: skip
_UNTIL = {"additionalItems": 2019, "$recursiveRef": 2019}
_ONE = frozenset({
    "additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
    "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
})  # fmt: skip
_LIST = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_MAP = frozenset({"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"})
_ANCHORS = ("$anchor", "$dynamicAnchor")


def draft_of(declared: Any, otherwise: int) -> int:
    """Return the draft that a `$schema` names."""
    return next((year for word, year in YEARS.items() if f"/{word}/" in str(declared)), otherwise)


def is_known(word: str, draft: int) -> bool:
    """Whether a keyword binds in a draft; what is no keyword of any is known to all."""
    return _SINCE.get(word, 0) <= draft <= _UNTIL.get(word, draft)


def as_read(schema: Any, draft: int, base: str | None = None, *, root: bool = True) -> Any:
    """Return a copy of a schema without what its draft does not know.

    Beneath an identifier of its own a reference means another place: there it is made whole, so that nobody follows it
    at the root. What such a part says in another draft is left out with all that is beside it.
    """
    if not isinstance(schema, dict):
        return schema
    own = None if root else identifier(schema, draft)
    base = base if own is None else urljoin(base or "", own)
    if base is not None and not root and draft_of(schema.get("$schema", ""), draft) != draft:
        return {"$ref": f"{base}#"}
    found: dict[str, Any] = {}
    for word, value in schema.items():
        if not is_known(word, draft) or (base is not None and word in _ANCHORS):
            continue
        if word == "format" and isinstance(value, str) and not strings.asserted(value, draft):
            continue
        if word == "$ref" and base is not None and isinstance(value, str):
            found[word] = f"{base or '?'}#{value}"
        elif word in _ONE and isinstance(value, dict):
            found[word] = as_read(value, draft, base, root=False)
        elif word in _LIST and isinstance(value, list):
            found[word] = [as_read(item, draft, base, root=False) for item in value]
        elif word in _MAP and isinstance(value, dict):
            found[word] = {name: as_read(item, draft, base, root=False) for name, item in value.items()}
        else:
            found[word] = value
    return found


def identifier(schema: Any, draft: int) -> str | None:
    """Return the identifier that makes a part a resource of its own; None where it has none."""
    found = schema.get("id" if draft == 4 else "$id") if isinstance(schema, dict) else None
    return found if isinstance(found, str) and not found.startswith("#") else None
