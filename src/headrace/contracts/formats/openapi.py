"""OpenAPI 3 and Swagger 2: the schema of a component or of a body that is posted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.formats.bundle import bundled
from headrace.contracts.formats.form import Imported, chosen, nullable

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
    named = {base + _escaped(name): name for name in components}
    bodies = dict(_bodies(document))
    if choice and choice.startswith("/") and choice not in bodies.values():
        pointer = choice
    else:
        every = {name: at for at, name in named.items()} | bodies
        likely = next(iter(bodies)) if len(bodies) == 1 else None
        pointer = every[chosen(every, choice, "schema", likely=likely)]
    modern = str(document.get("openapi", "")).startswith("3.1")
    found = bundled(document, pointer, place, load, draft="draft/2020-12", mend=_quiet if modern else _modern)
    return Imported(found)


def _bodies(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what may be posted: `POST /orders`, with the pointer of its schema."""
    for path, item in (document.get("paths") or {}).items():
        for method in _METHODS if isinstance(item, dict) else ():
            operation = item.get(method)
            if not isinstance(operation, dict):
                continue
            at = f"/paths/{_escaped(path)}/{method}"
            content = (operation.get("requestBody") or {}).get("content", {})
            for kind, body in content.items():
                if "json" in kind and isinstance(body, dict) and "schema" in body:
                    yield f"{method.upper()} {path}", f"{at}/requestBody/content/{_escaped(kind)}/schema"
                    break
            for index, parameter in enumerate(operation.get("parameters", ())):
                if isinstance(parameter, dict) and parameter.get("in") == "body" and "schema" in parameter:
                    yield f"{method.upper()} {path}", f"{at}/parameters/{index}/schema"


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


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
