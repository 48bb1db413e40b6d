"""JSON Schema, of any draft: itself, made whole; or a part of it that is chosen by its pointer or its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.formats.bundle import bundled, circular
from headrace.contracts.formats.form import Imported, chosen
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.contracts.formats.bundle import Loader


def is_one(document: Any) -> bool:
    """Say whether a document is a JSON Schema, and no event that looks a little like one."""
    if not isinstance(document, dict):
        return False
    said = document.get("$schema")
    if isinstance(said, str) and "json-schema.org" in said:
        return True
    words = ("properties", "$defs", "definitions", "allOf", "anyOf", "oneOf", "$ref")
    return (document.get("type") == "object" and isinstance(document.get("properties"), dict)) or (
        "$id" in document and any(word in document for word in words)
    )


def read(document: Mapping[str, Any], choice: str | None, place: str, load: Loader) -> Imported:
    """Return the schema. `choice` is a pointer (`/definitions/order`) or the name of a definition."""
    pointer = ""
    if choice and choice.startswith("/"):
        pointer = choice
    elif choice:
        named = {f"/{word}/{name}": name for word in ("$defs", "definitions") for name in document.get(word, {})}
        pointer = chosen(named, choice, "definition")
    found = bundled(document, pointer, place, load)
    loop = circular(found)
    if loop is not None:
        raise ContractError(
            f"$ref {loop!r} leads to itself", at=place, fix="let it lead to a schema that says something"
        )
    return Imported(found)
