"""OpenAPI 3 and Swagger 2: the schema of a component or of a body that is posted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.formats.bundle import Part, bundled, meant
from headrace.contracts.formats.form import Imported, chosen, nullable
from headrace.contracts.refs import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headrace.contracts.formats.bundle import Loader

_METHODS = ("post", "put", "patch")
_SILENT = ("example", "xml", "externalDocs", "discriminator", "readOnly", "writeOnly", "deprecated")


def is_one(document: Any) -> bool:
    """Say whether a document describes an API."""
    return isinstance(document, dict) and ("openapi" in document or "swagger" in document)


def read(document: Mapping[str, Any], choice: str | None, place: str, load: Loader) -> Imported:
    """Return the schema of a component `choice`; else of the only one, or of the only body that is posted."""
    old = "swagger" in document
    components = document.get("definitions", {}) if old else (document.get("components") or {}).get("schemas", {})
    base = "/definitions/" if old else "/components/schemas/"
    named = {base + escaped(name): name for name in components}
    every = {name: Part(document, place, at) for at, name in named.items()}
    if choice and choice.startswith("/"):
        part = Part(document, place, choice)
    elif choice in every:
        part = every[choice]
    else:
        bodies = dict(_bodies(document, place, load))
        likely = next(iter(bodies)) if len(bodies) == 1 else None
        every |= bodies
        part = every[chosen(every, choice, "schema", likely=likely)]
    modern = not old and not str(document.get("openapi", "")).startswith("3.0")
    mend = _quiet if modern else _modern
    return Imported(bundled(part.document, part.pointer, part.place, load, draft="draft/2020-12", mend=mend))


def _bodies(document: Mapping[str, Any], place: str, load: Loader) -> Iterator[tuple[str, Part]]:
    """Yield what may be posted, to this API or by its webhooks: `POST /orders`, `POST newOrder`, with its schema."""
    for word in ("paths", "webhooks"):
        for path in document.get(word) or {}:
            item = meant(Part(document, place, f"/{word}/{escaped(path)}"), load)
            for method in _METHODS:
                schema = _posted(item._replace(pointer=f"{item.pointer}/{method}"), load)
                if schema is not None:
                    yield f"{method.upper()} {path}", schema


def _posted(operation: Part, load: Loader) -> Part | None:
    """Return the schema of what an operation takes; None where it takes no JSON, or is not there."""
    said = operation.value
    if not isinstance(said, dict):
        return None
    body = meant(operation._replace(pointer=f"{operation.pointer}/requestBody"), load)
    content = body.value.get("content") if isinstance(body.value, dict) else None
    for kind, each in (content or {}).items():
        if "json" in kind and isinstance(each, dict) and "schema" in each:
            return body._replace(pointer=f"{body.pointer}/content/{escaped(kind)}/schema")
    for index in range(len(said.get("parameters") or ())):
        parameter = meant(operation._replace(pointer=f"{operation.pointer}/parameters/{index}"), load)
        value = parameter.value
        if isinstance(value, dict) and value.get("in") == "body" and "schema" in value:
            return parameter._replace(pointer=f"{parameter.pointer}/schema")
    return None


def _quiet(part: dict[str, Any]) -> None:
    for word in _SILENT:
        part.pop(word, None)


def _modern(part: dict[str, Any]) -> None:
    """Say in the latest draft what OpenAPI 3.0 and Swagger say in words of their own."""
    _quiet(part)
    for word, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        exclusive = part[word] if isinstance(part.get(word), bool) else None
        if exclusive is not None:
            part.pop(word)
        if exclusive and bound in part:
            part[word] = part.pop(bound)
    may_be_null = part.pop("nullable", False) or part.pop("x-nullable", False)
    if part.get("type") == "file" or (part.get("type") == "string" and part.get("format") in {"binary", "byte"}):
        part["type"] = "string"
        part.pop("format", None)
    if may_be_null and ("type" in part or "enum" in part):
        changed = nullable(dict(part))
        part.clear()
        part.update(changed)
    elif may_be_null and ({"$ref", "allOf", "oneOf", "anyOf"} & part.keys()):
        inner = {word: part.pop(word) for word in ("$ref", "allOf", "oneOf", "anyOf") if word in part}
        part["anyOf"] = [inner, {"type": "null"}]
