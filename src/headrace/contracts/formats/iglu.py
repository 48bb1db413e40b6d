"""Iglu's self-describing JSON Schemas, in and out: draft 4, with vendor, name and version of their own."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility.drafts import draft_of, is_known
from headrace.contracts.compatibility.strings import asserted
from headrace.contracts.formats.bundle import bundled
from headrace.contracts.formats.form import Exported, Imported
from headrace.contracts.refs import subschemas
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.contracts.formats.bundle import Loader

SELF_DESCRIBING = "http://iglucentral.com/schemas/com.snowplowanalytics.self-desc/schema/jsonschema/1-0-0#"
_LATER = {"if", "then", "else", "contains", "propertyNames", "minContains", "maxContains", "unevaluatedProperties",
          "unevaluatedItems", "$anchor", "$dynamicRef"}  # fmt: skip
_BESIDE = {"$ref", "$comment", "$defs", "default", "definitions", "description", "examples", "self", "title"}
"""What may stand beside a reference, since it says nothing about events."""
_VERSION = re.compile(r"[1-9][0-9]*-(0|[1-9][0-9]*)-(0|[1-9][0-9]*)")


def is_one(document: Any) -> bool:
    """Say whether a document is a self-describing schema."""
    return isinstance(document, dict) and isinstance(document.get("self"), dict) and "vendor" in document["self"]


def read(document: Mapping[str, Any], choice: str | None, place: str, load: Loader) -> Imported:  # noqa: ARG001
    """Return the schema; its name and version become its title and comment."""
    own = document["self"]
    schema = {word: part for word, part in document.items() if word not in {"self", "$schema"}}
    found = bundled(schema, "", place, load, draft="draft-04")
    name = f"iglu:{own.get('vendor')}/{own.get('name')}/{own.get('format', 'jsonschema')}/{own.get('version')}"
    return Imported({"$schema": found.pop("$schema"), "x-iglu": name, **found})


def write(schema: Mapping[str, Any], name: str, vendor: str, version: str = "1-0-0") -> Exported:
    """Return a contract as a self-describing schema of draft 4. Raises `ContractError` for a wrong version."""
    if not _VERSION.fullmatch(version):
        raise ContractError(f"{version!r} is no version of Iglu", fix="write MODEL-REVISION-ADDITION, such as 1-0-0")
    found = Exported()
    draft = draft_of(schema.get("$schema"), 2020)
    body = copy.deepcopy(dict(schema))
    body.pop("$schema", None)
    known = str(body.pop("x-iglu", ""))
    if known.startswith("iglu:") and known.count("/") == 3:
        vendor, name, _, version = known.removeprefix("iglu:").split("/")
    if "$defs" in body:
        body["definitions"] = {**body.pop("$defs"), **body.get("definitions", {})}
    for at, part in list(subschemas(body)):
        _older(part, at, found, draft)
    own = {"vendor": vendor, "name": name, "format": "jsonschema", "version": version}
    found.document = {"$schema": SELF_DESCRIBING, "self": own, **body}
    return found


def _older(part: dict[str, Any], at: str, found: Exported, draft: int) -> None:
    """Say in draft 4 what a later draft says otherwise. What that one passes over is left out."""
    part.pop("$schema", None)
    is_alone = draft <= 7 and isinstance(part.get("$ref"), str)
    for word in [word for word in part if not is_known(word, draft) or (is_alone and not _says_nothing(word))]:
        part.pop(word)
    if "const" in part:
        part["enum"] = [part.pop("const")]
    for word, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        limit = part.get(word)
        if limit is not None and not isinstance(limit, bool):
            looser = bound in part and (part[bound] > limit if bound == "minimum" else part[bound] < limit)
            if looser:
                part.pop(word)
            else:
                part[bound], part[word] = limit, True
    if "prefixItems" in part:
        rest = part.pop("items", None)
        part["items"] = part.pop("prefixItems")
        if rest is not None:
            part["additionalItems"] = rest
    if isinstance(part.get("$ref"), str):
        part["$ref"] = part["$ref"].replace("#/$defs/", "#/definitions/")
        if not all(map(_says_nothing, part)):
            # What stands beside a reference counts for nothing in draft 4.
            part["allOf"] = [{"$ref": part.pop("$ref")}, *part.get("allOf", ())]
    for word in ("allOf", "anyOf", "oneOf"):
        if word in part:
            part[word] = [_plain(each) for each in part[word]]
    if "not" in part:
        part["not"] = _plain(part["not"])
    for word in ("properties", "patternProperties", "definitions"):
        for name, each in part.get(word, {}).items():
            part[word][name] = _plain(each)
    if isinstance(part.get("items"), list):
        part["items"] = [_plain(each) for each in part["items"]]
    if isinstance(part.get("items"), bool):
        found.drop(at, f"items: {part.pop('items')}")
    _depend(part)
    if part.get("format") == "uuid" and asserted("uuid", draft):
        found.drop(at, "format: uuid, which draft 4 does not assert")
    if part.get("required") == []:
        part.pop("required")
    for word in _LATER & part.keys():
        part.pop(word)
        found.drop(at, f"{word}, which draft 4 has not")


def _says_nothing(word: str) -> bool:
    return word in _BESIDE or word.startswith("x-")


def _depend(part: dict[str, Any]) -> None:
    """Say what a property asks for in the one keyword that draft 4 has for it."""
    asked: dict[str, list[Any]] = {}
    for word in ("dependencies", "dependentSchemas", "dependentRequired"):
        for name, each in part.pop(word, {}).items():
            if each != []:
                asked.setdefault(name, []).append(_plain(each))
    if asked:
        part["dependencies"] = {
            name: found[0] if len(found) == 1 else {
                "allOf": [{"required": each} if isinstance(each, list) else each for each in found]
            }
            for name, found in asked.items()
        }  # fmt: skip


def _plain(part: Any) -> Any:
    """Return a schema that is true or false as an object: draft 4 has no other."""
    return part if not isinstance(part, bool) else {} if part else {"not": {}}
