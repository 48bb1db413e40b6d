"""From a schema document, as a user wrote it, to a contract."""

from __future__ import annotations

import difflib
import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal, cast

from headrace import words
from headrace.contracts import fields
from headrace.contracts.contract import Column, Contract
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DRAFTS = {
    "draft-04": "http://json-schema.org/draft-04/schema#",
    "draft-06": "http://json-schema.org/draft-06/schema#",
    "draft-07": "http://json-schema.org/draft-07/schema#",
    "draft/2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft/2020-12": "https://json-schema.org/draft/2020-12/schema",
}
_LONGEST_FAULT = 500
_LATEST = "draft/2020-12"
_CLOSING = ("additionalProperties", "unevaluatedProperties")
_SELF_DESCRIBING = "com.snowplowanalytics.self-desc/schema/jsonschema/1-0-"
_WORDS = ("array", "boolean", "integer", "null", "number", "object", "string")
_MEANT = {
    "bool": "boolean", "date": "string", "datetime": "string", "decimal": "number", "dict": "object",
    "double": "number", "float": "number", "int": "integer", "int64": "integer", "list": "array", "long": "integer",
    "map": "object", "none": "null", "record": "object", "str": "string", "struct": "object", "text": "string",
    "timestamp": "string", "uuid": "string", "varchar": "string",
}  # fmt: skip
_TAKEN = {name.lower() for name in (*words.ENVELOPE, words.EXTRA, words.EVENT_DATE, words.ROW)}


class Validators:
    """The validators of schemas that are asked for again, each compiled once. Nothing outlives the object."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Mapping[str, Any], Any]] = {}

    def of(self, schema: Mapping[str, Any]) -> Any:
        """Return what `compiled` returns; the same one for the very same schema, which nobody changes meanwhile."""
        if id(schema) not in self._known:
            self._known[id(schema)] = schema, compiled(schema)
        return self._known[id(schema)][1]


def load_contract(
    name: str,
    document: Mapping[str, Any],
    *,
    validation: str = "strict",
    required: Sequence[str] = (),
    version: str = "1",
    at: str = "",
    validators: Validators | None = None,
) -> Contract:
    """Return the contract that a schema document describes: JSON Schema (draft 4 to 2020-12) or the `fields` form.

    `required` names columns that must be there and not null whatever the document says (keys, event time); `version`
    is the contract's number where the document declares none. `lenient` allows unknown fields at the top level, which
    validation keeps apart. `validators` keeps what the schema is compiled into, for those who validate with it later.

    Raises:
        ContractError: with `at` and what to type, for a schema that cannot be used.
    """
    from headrace.contracts.versions import said_version  # pydantic is long to import, and a comparison needs none

    if validation not in {"strict", "lenient"}:
        near = difflib.get_close_matches(validation, ("strict", "lenient"), n=1) or ["strict"]
        raise ContractError(f"unknown validation {validation!r}", at=at, fix=f"did you mean {near[0]!r}?")
    try:
        schema = _schema(document, at=at)
        _check(schema)
        if validation == "lenient":
            schema = {word: said for word, said in schema.items() if word not in _CLOSING or said is not False}
        _require(schema, required)
        (validators or Validators()).of(schema)
        columns = _columns(schema)
    except ContractError as error:
        raise ContractError(error.message, at=error.at or at, fix=error.fix) from error
    mode = cast("Literal['strict', 'lenient']", validation)
    said = said_version(document)
    declared = version if said is None else said
    return Contract(name, f"{declared}-{_digest(schema, mode)}", schema, mode, columns)


def other_word(contract: Contract, document: Mapping[str, Any]) -> str:
    """Return what a contract's version would be under the other validation; `document` is what it was loaded from."""
    closing = {word: False for word in _CLOSING if _schema(document, at="").get(word) is False}
    bare = {word: said for word, said in contract.schema.items() if word not in closing}
    number = contract.version.rpartition("-")[0]
    if contract.validation == "strict":
        return f"{number}-{_digest(bare, 'lenient')}"
    return f"{number}-{_digest(bare | closing, 'strict')}"


def _digest(schema: Mapping[str, Any], mode: str) -> str:
    canonical = json.dumps([schema, mode], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def plain_schema(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of either form as JSON Schema. Raises `ContractError` where it is neither."""
    return _schema(document, at="")


def compiled(schema: Mapping[str, Any]) -> Any:
    """Return the full validator (jsonschema_rs, formats asserted, of the schema's draft).

    Raises:
        ContractError: the schema is not valid.
    """
    import jsonschema_rs

    drafts = {
        DRAFTS["draft-04"]: jsonschema_rs.Draft4Validator,
        DRAFTS["draft-06"]: jsonschema_rs.Draft6Validator,
        DRAFTS["draft-07"]: jsonschema_rs.Draft7Validator,
        DRAFTS["draft/2019-09"]: jsonschema_rs.Draft201909Validator,
    }
    validator = drafts.get(schema.get("$schema", ""), jsonschema_rs.Draft202012Validator)
    try:
        return validator(dict(schema), validate_formats=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        path = "/".join(str(part) for part in getattr(error, "instance_path", ()))
        text = getattr(error, "message", None) or str(error)
        text = text if len(text) <= _LONGEST_FAULT else f"{text[:_LONGEST_FAULT]}…"
        raise ContractError(f"the schema is not valid at #/{path}: {text}", fix="correct the schema there") from error


def _schema(document: Mapping[str, Any], *, at: str) -> dict[str, Any]:
    if fields.is_fields_form(document):
        return {"$schema": DRAFTS[_LATEST]} | fields.json_schema(document, at=at)
    declared = document.get("$schema", DRAFTS[_LATEST])
    if isinstance(declared, str) and _SELF_DESCRIBING in declared:
        declared = DRAFTS["draft-04"]  # Iglu's: draft 4, and `self`
    draft = next((uri for word, uri in DRAFTS.items() if isinstance(declared, str) and f"/{word}/" in declared), None)
    if draft is None:
        raise ContractError(
            f"$schema {declared!r} is no draft that is known",
            fix=f"leave it out, or write {DRAFTS[_LATEST]!r} (drafts 4, 6, 7, 2019-09 and 2020-12 are known)",
        )
    return {"$schema": draft} | {word: said for word, said in document.items() if word != "$schema"}


def _check(schema: dict[str, Any]) -> None:
    """Look for what users most often get wrong, before the validator says it in its own words."""
    from headrace.contracts.pii import WORDS, tag_of
    from headrace.contracts.refs import subschemas, target

    for pointer, part in subschemas(schema):
        if not part.keys().isdisjoint(WORDS):
            tag_of(part, where=pointer)
        types = part.get("type", [])
        for word in [types] if isinstance(types, str) else types if isinstance(types, list) else [types]:
            if word not in _WORDS:
                near = difflib.get_close_matches(str(word).lower(), _WORDS, n=1)
                meant = _MEANT.get(str(word).lower()) or (near[0] if near else None)
                fix = f"did you mean {meant!r}?" if meant else "use one of " + ", ".join(_WORDS)
                raise ContractError(f"{pointer}/type: unknown type {word!r}", fix=fix)
        if isinstance(part.get("$ref"), str):
            target(part["$ref"], schema)
    types = schema.get("type", "object")
    if "object" not in ([types] if isinstance(types, str) else types):
        raise ContractError(f"the schema describes {types}, and an event is an object", fix="set its type to object")


def _require(schema: dict[str, Any], names: Sequence[str]) -> None:
    from headrace.contracts.flat import flattened
    from headrace.contracts.unfolding import arrow_of

    known = (flattened(schema, schema) or schema).get("properties", {})
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, list(known), n=1)
            fix = f"did you mean {near[0]!r}?" if near else f"add {name!r} to the schema's properties"
            raise ContractError(f"the schema has no field {name!r}", fix=fix)
        if name not in schema.get("required", ()):
            schema["required"] = [*schema.get("required", ()), name]
        if arrow_of(known[name], schema).nullable:
            # What is within is the document's own, and stays as it was written.
            schema["properties"] = {**schema.get("properties", {}), name: _without_null(known[name])}


def _without_null(part: Any) -> Any:
    if isinstance(part, dict) and isinstance(part.get("type"), list) and "enum" not in part:
        types = [word for word in part["type"] if word != "null"]
        return part | {"type": types[0] if len(types) == 1 else types}
    return {"allOf": [part, {"not": {"type": "null"}}]}


def _columns(schema: dict[str, Any]) -> tuple[Column, ...]:
    from headrace.contracts.flat import flattened
    from headrace.contracts.unfolding import arrow_of_all

    flat = flattened(schema, schema)
    if flat is None:
        raise ContractError("the schema refers to itself without end", fix="give the root properties of its own")
    required, seen, columns = set(flat.get("required", ())), dict[str, str](), []
    parts = {name: part for name, part in flat.get("properties", {}).items() if part is not False}  # which is never
    for name in parts:
        low = name.lower()
        if not name:
            raise ContractError("a property has no name, and a column needs one", fix="remove the property ''")
        if low in _TAKEN:
            raise ContractError(
                f"property {name!r} has the name of an envelope column", fix=f"rename it, say to {name.lstrip('_')!r}"
            )
        if low in seen:
            raise ContractError(f"properties {seen[low]!r} and {name!r} differ only in case", fix="rename one of them")
        seen[low] = name
    for (name, part), found in zip(parts.items(), arrow_of_all(list(parts.values()), schema), strict=True):
        description = str(part.get("description", "")) if isinstance(part, dict) else ""
        nullable = found.nullable or name not in required
        columns.append(Column(name, found.type, nullable, description, json=found.json))
    return tuple(columns)
