"""References inside one schema: `$ref` to a pointer, a `$defs` entry or an anchor, never to another document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_INDEX = re.compile(r"[0-9]{1,9}")
_ONE = (
    "additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
    "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_LIST = ("allOf", "anyOf", "items", "oneOf", "prefixItems")
_MAP = ("$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties")
_IN_ONE, _IN_LIST, _IN_MAP = frozenset(_ONE), frozenset(_LIST), frozenset(_MAP)
_WITHIN = _IN_ONE | _IN_LIST | _IN_MAP


def escaped(name: str) -> str:
    """Return a name as a step of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def unescaped(step: str) -> str:
    """Return the name that a step of a JSON pointer stands for."""
    return step.replace("~1", "/").replace("~0", "~")


def subschemas(schema: object, at: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema object within a schema, itself first, each with its JSON pointer.

    Only places where JSON Schema expects a schema are entered: a property named `type` is not a type.
    """
    waiting: list[tuple[str, Any]] = [(at, schema)]
    while waiting:
        at, part = waiting.pop()
        if not isinstance(part, dict):
            continue
        yield at, part
        if _WITHIN.isdisjoint(part):
            continue
        below = [(f"{at}/{word}", part[word]) for word in _ONE if isinstance(part.get(word), dict)]
        for word in _LIST:
            if isinstance(part.get(word), list):
                below += [(f"{at}/{word}/{index}", item) for index, item in enumerate(part[word])]
        for word in _MAP:
            if isinstance(part.get(word), dict):
                below += [(f"{at}/{word}/{key}", item) for key, item in part[word].items()]
        waiting += reversed(below)


def schemas_in(schema: object) -> list[dict[str, Any]]:
    """Return every schema object within a schema, itself first: as `subschemas`, where nobody asks for the places."""
    found: list[dict[str, Any]] = []
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if not isinstance(part, dict):
            continue
        found.append(part)
        for word, value in part.items():
            if word in _IN_ONE and isinstance(value, dict):
                waiting.append(value)
            elif word in _IN_LIST and isinstance(value, list):
                waiting += value
            elif word in _IN_MAP and isinstance(value, dict):
                waiting += value.values()
    return found


def target(reference: str, root: Mapping[str, Any]) -> Any:
    """Return what a local reference points at.

    Raises:
        ContractError: it points outside of the schema, or at nothing.
    """
    if not reference.startswith("#"):
        raise ContractError(
            f"$ref {reference!r} points outside of the schema",
            fix="copy the schema it names into '$defs' and refer to it as '#/$defs/<name>'",
        )
    pointer = unquote(reference[1:])
    if not pointer:
        return root
    if not pointer.startswith("/"):
        for _, schema in subschemas(root):
            if schema.get("$anchor") == pointer or schema.get("$id") == reference or schema.get("id") == reference:
                return schema
        raise ContractError(f"$ref {reference!r} names no anchor of the schema", fix=f"add '$anchor: {pointer}'")
    try:
        return followed(root, pointer)
    except LookupError:
        raise ContractError(
            f"$ref {reference!r} points at nothing", fix="check its spelling, or add it to '$defs'"
        ) from None


def followed(document: Any, pointer: str) -> Any:
    """Return what a JSON pointer (RFC 6901) that begins with a slash leads to; `LookupError` where it leads nowhere."""
    node = document
    for part in pointer.split("/")[1:]:
        word = unescaped(part)
        if isinstance(node, dict) and word in node:
            node = node[word]
        elif isinstance(node, list) and _INDEX.fullmatch(word) and int(word) < len(node):
            node = node[int(word)]
        else:
            raise LookupError(word)
    return node
