"""The fast path of validation: a contract compiled to one SELECT that says for which events it is certain.

It reads decode's `fields`, where each member is proven to be what it seems: a text column was a string, JSON text is as
the exact path writes it, each name is there once, null is `decode_counts.NULL_TEXT` or `NULL_RAW`. What `fields` leaves
out, unknown members and the null of an object or array, is told by the bits of `strangers` and `nulls`. "Certain" errs
on one side only: a false here sends the event to the exact path, a true must be what the full validator says, with the
values of the exact path. Columns of text that hold no null are values already; they stay where they are, and are only
looked at where a rule says something of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from headrace.contracts.contract import is_json
from headrace.contracts.load import DRAFTS
from headrace.contracts.refs import target
from headrace.contracts.types import duckdb_type, quoted
from headrace.stages.decode import FIELDS, NULLS, STRANGERS
from headrace.stages.decode_shape import is_text, place, place_mark, placed_fields
from headrace.stages.validate_columns import PROVEN, column_of, is_absent, is_all_text, is_within, member_of, null_mark
from headrace.stages.validate_numbers import (
    EXACT_IN_DOUBLE,
    bound_rules,
    cast,
    fits_rule,
    keeps_digits,
    may_lose_digits,
    step_rule,
)
from headrace.stages.validate_texts import OF_NUMBERS, NotCompiled, format_rule, literal, pattern_rule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from headrace.contracts.contract import Contract

_IGNORED = {
    "$schema", "$id", "id", "$anchor", "$comment", "$defs", "definitions", "title", "description", "default",
    "examples", "deprecated", "readOnly", "writeOnly", "$vocabulary",
}  # fmt: skip
_ASSERTING = {
    "$dynamicRef", "$recursiveRef", "$ref", "additionalItems", "additionalProperties", "allOf", "anyOf", "const",
    "contains", "contentEncoding", "contentMediaType", "contentSchema", "dependencies", "dependentRequired",
    "dependentSchemas", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "if", "items", "maxContains",
    "maxItems", "maxLength", "maxProperties", "maximum", "minContains", "minItems", "minLength", "minProperties",
    "minimum", "multipleOf", "not", "oneOf", "pattern", "patternProperties", "prefixItems", "properties",
    "propertyNames", "required", "then", "else", "type", "unevaluatedItems", "unevaluatedProperties", "uniqueItems",
}  # fmt: skip
_OF_OBJECTS = {"properties", "required", "additionalProperties", "unevaluatedProperties"}
_OF_ARRAYS = {"items", "minItems", "maxItems", "uniqueItems", "additionalItems", "unevaluatedItems"}
_OF_STRINGS = {"minLength", "maxLength", "pattern", "format"}
_OF_NUMBERS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_DEPTH = 32
_FORMATS = {"TIMESTAMPTZ": "date-time", "TIMESTAMP": "datetime", "DATE": "date", "TIME": "time-of-day"}


class Rules(NamedTuple):
    """The SELECT over `events` (`fields`, `strangers`, `nulls`, `doc`): `_sure`, then the values of `columns`.

    `reads` are the members of `fields` that it needs, and `doc` where it needs the text itself.
    """

    sql: str
    columns: tuple[str, ...]
    reads: frozenset[str]


def compile_rules(contract: Contract, unmarked: AbstractSet[str] = frozenset()) -> Rules | None:
    """Return the rules of a contract, None where nothing compiles.

    `unmarked` names columns that `is_unmarked` says true of. Of these, the ones that are text are values already, and
    not among those that the rules return.
    """
    try:
        return _Compiler(contract.schema, unmarked).select(contract)
    except NotCompiled:
        return None


class _Compiler:
    """Walks a schema beside the Arrow type that it was given; `at` is always the SQL of the value in hand."""

    def __init__(self, root: Mapping[str, Any], unmarked: AbstractSet[str]) -> None:
        self._root = root
        self._unmarked = unmarked
        self._places = tuple(map(column_of, unmarked))
        self._draft = root.get("$schema")
        self._names = 0
        self._closed = 0  # the places where unknown members are not certainly valid
        self._asserted: dict[str, set[str]] = {}  # by value: the conditions that hold of it unless it is null

    def select(self, contract: Contract) -> Rules:
        if not contract.columns:
            raise NotCompiled
        columns = placed_fields(contract)
        sure = [PROVEN, self._object(self._root, FIELDS, columns, depth=0, here=0)]
        if self._closed:
            sure.append(f"{STRANGERS} & {self._closed} = 0")
        sure += [self._fits(field, member_of(FIELDS, field)) for field in columns]
        if any(may_lose_digits(field.type) for field in columns):
            sure.append(keeps_digits("doc"))
        computed = [field for field in columns if field.name not in self._unmarked or not is_all_text(field)]
        values = [f"{self._value(field, member_of(FIELDS, field))} AS {quoted(field.name)}" for field in computed]
        certain = " AND ".join(f"COALESCE({each}, false)" for each in sure if each != "true")
        sql = f"SELECT {', '.join([f'{certain} AS _sure', *values])} FROM events AS {FIELDS}"
        reads = {field.name for field in columns if is_within(column_of(field.name), sql)}
        return Rules(sql, tuple(field.name for field in computed), frozenset(reads))

    def _is_unmarked(self, at: str) -> bool:
        return any(is_within(place, at) for place in self._places)

    # What the schema says of a value that is there and not null.

    def _check(self, schema: object, at: str, field: pa.Field, depth: int) -> str:
        """Return an SQL condition: this value, there and not null, is valid."""
        if schema is True:
            return "true"
        if not isinstance(schema, dict):
            raise NotCompiled
        if depth > _DEPTH:
            raise NotCompiled
        schema = self._own(schema)
        if pa.types.is_struct(field.type) and not is_json(field):
            return self._object(schema, at, list(field.type), depth, place(field))
        checks = self._combined(schema, at, field, depth)
        said = schema.keys() & _ASSERTING - {"$ref", "allOf", "anyOf", "oneOf"}
        if is_json(field):
            self._only(said - _open_words(schema), {"type"})
            return _all([*checks, self._json_type(schema, at)])
        if pa.types.is_list(field.type):
            return _all([*checks, *self._array(schema, at, field, depth, said)])
        checks += [self._type(schema, field)] if "type" in schema else []
        if is_text(field):
            # Keywords of other types say nothing of a string.
            checks += self._string(schema, at, said)
        elif pa.types.is_boolean(field.type):
            if said & {"enum", "const"}:
                raise NotCompiled
        else:
            checks += self._number(schema, at, field, said)
        self._only(said, _OF_OBJECTS | _OF_ARRAYS | _OF_STRINGS | _OF_NUMBERS | {"type", "enum", "const"})
        self._asserted.setdefault(at, set()).update(checks)
        return _all(checks)

    def _own(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return what asserts: up to draft 7, nothing beside `$ref` does."""
        if "$ref" in schema and self._draft in (DRAFTS["draft-04"], DRAFTS["draft-06"], DRAFTS["draft-07"]):
            return {"$ref": schema["$ref"]}
        return schema

    def _combined(self, schema: Mapping[str, Any], at: str, field: pa.Field, depth: int) -> list[str]:
        """Return the conditions of `$ref`, `allOf`, and of `anyOf` or `oneOf` with one branch for null."""
        parts = list(schema.get("allOf", ()))
        if "$ref" in schema:
            parts.append(target(schema["$ref"], self._root))
        parts += [_beside_null(schema[word]) for word in ("anyOf", "oneOf") if word in schema]
        return [self._check(part, at, field, depth + 1) for part in parts]

    def _only(self, said: set[str], known: set[str]) -> None:
        if said - known:
            raise NotCompiled

    def _type(self, schema: Mapping[str, Any], field: pa.Field) -> str:
        words = _words(schema["type"])
        type_ = field.type
        if is_text(field):
            return _sql(value="string" in words)
        if pa.types.is_boolean(type_):
            return _sql(value="boolean" in words)
        if pa.types.is_floating(type_) or (pa.types.is_decimal(type_) and type_.scale):
            return _sql(value="number" in words)
        return _sql(value="integer" in words or "number" in words)

    def _json_type(self, schema: Mapping[str, Any], at: str) -> str:
        if "type" not in schema:
            return "true"
        words = _words(schema["type"])
        kinds = [("string", f"starts_with({at}, '\"')"), ("boolean", f"{at} IN ('true', 'false')")]
        kinds += [("object", f"starts_with({at}, '{{')"), ("array", f"starts_with({at}, '[')")]
        checks = [sql for word, sql in kinds if word in words]
        if "number" in words:
            checks.append(f"regexp_matches({at}, '^[0-9-]')")
        elif "integer" in words:
            checks.append(f"regexp_full_match({at}, '-?[0-9]+')")
        return "(" + (" OR ".join(checks) or "false") + ")"

    def _string(self, schema: Mapping[str, Any], at: str, said: set[str]) -> list[str]:
        checks = []
        if "minLength" in said:
            checks.append(f"length({at}) >= {_count(schema['minLength'])}")
        if "maxLength" in said:
            checks.append(f"length({at}) <= {_count(schema['maxLength'])}")
        if "pattern" in said:
            checks.append(pattern_rule(schema["pattern"], at))
        if "format" in said:
            checks.append(format_rule(schema["format"], at))
        for values in _choices(schema):
            texts = [literal(value) for value in values if isinstance(value, str)]
            checks.append(f"{at} IN ({', '.join(texts)})" if texts else "false")
        return checks

    def _number(self, schema: Mapping[str, Any], at: str, field: pa.Field, said: set[str]) -> list[str]:
        checks = bound_rules(schema, at, field.type)
        if "multipleOf" in said:
            checks.append(step_rule(schema["multipleOf"], at, field.type))
        for values in _choices(schema):
            whole = [value for value in values if type(value) is int and abs(value) < EXACT_IN_DOUBLE]
            # The text of an integer is its own; 1.0 equals 1 too, but that is for the exact path to know.
            texts = ", ".join(f"'{value}'" for value in whole)
            checks.append(f"{at} IN ({texts})" if whole else "false")
        if "format" in said and schema["format"] not in OF_NUMBERS:
            raise NotCompiled
        return checks

    def _array(self, schema: Mapping[str, Any], at: str, field: pa.Field, depth: int, said: set[str]) -> list[str]:
        self._only(said, _OF_OBJECTS | _OF_STRINGS | _OF_NUMBERS | _OF_ARRAYS | {"type"})
        if schema.get("uniqueItems") is True or said & {"unevaluatedItems"}:
            raise NotCompiled
        checks = [_sql(value="array" in _words(schema["type"]))] if "type" in schema else []
        if "minItems" in said:
            checks.append(f"len({at}) >= {_count(schema['minItems'])}")
        if "maxItems" in said:
            checks.append(f"len({at}) <= {_count(schema['maxItems'])}")
        if "items" in said:
            self._names += 1
            item = f"x{self._names}"
            check = self._check(schema["items"], item, field.type.value_field, depth + 1)
            if check != "true":
                checks.append(_every(at, item, check))
        return checks

    def _object(self, schema: object, at: str, fields: list[pa.Field], depth: int, here: int) -> str:
        """Return the condition of the object at a place; its unknown members are for the place's bit to tell."""
        if schema is True:
            return "true"
        if not isinstance(schema, dict) or depth > _DEPTH:
            raise NotCompiled
        schema = self._own(schema)
        whole = pa.field("", pa.struct(fields), metadata=place_mark(here))
        checks = self._combined(schema, at, whole, depth)
        said = schema.keys() & _ASSERTING - {"$ref", "allOf", "anyOf", "oneOf"}
        self._only(said, _OF_OBJECTS | _OF_ARRAYS | _OF_STRINGS | _OF_NUMBERS | {"type"})
        if "type" in schema:
            checks.append(_sql(value="object" in _words(schema["type"])))
        properties, required = schema.get("properties", {}), set(schema.get("required", ()))
        closed = any(schema.get(word, True) is not True for word in ("additionalProperties", "unevaluatedProperties"))
        names = {field.name for field in fields}
        if closed and names - properties.keys():
            raise NotCompiled  # what it says of members that other parts of the schema know is too subtle for here
        if (closed or properties.keys() - names) and here >= 0:
            self._closed |= 1 << here
        if depth == 0 and required - names:
            raise NotCompiled
        if required - names:
            checks.append("false")
        for field in fields:
            if field.name in properties or field.name in required:
                part = properties.get(field.name, True)
                checks.append(self._member(part, member_of(at, field), field, depth, required=field.name in required))
        return _all(checks)

    def _member(self, schema: object, at: str, field: pa.Field, depth: int, *, required: bool) -> str:
        check = self._check(schema, at, field, depth + 1)
        missing = _sql(value=not required)
        unmarked = self._is_unmarked(at)
        if pa.types.is_nested(field.type) and not is_json(field):
            if unmarked and pa.types.is_struct(field.type):
                return check  # it is there
            if place(field) >= 0 and at.startswith(FIELDS):
                admits = self._admits_null(schema, 0)
                bit = f"{NULLS} & {1 << place(field)}"
                missing = _sql(value=admits) if admits is not required else f"{bit} {'<>' if required else '='} 0"
            return f"CASE WHEN {is_absent(at, field)} THEN {missing} ELSE {check} END"
        if unmarked:
            there = _all([f"{at} IS NOT NULL", check])
            return there if required else "true" if check == "true" else f"({at} IS NULL OR {check})"
        absent = f"WHEN {is_absent(at, field)} THEN {missing}"
        null = f"WHEN {at} = {null_mark(field)} THEN {_sql(value=self._admits_null(schema, 0))}"
        return f"CASE {absent} {null} ELSE {check} END"

    def _admits_null(self, schema: object, depth: int) -> bool:
        """Say whether null is certainly valid."""
        if not isinstance(schema, dict) or depth > _DEPTH:
            return schema is True
        schema = self._own(schema)
        if "type" in schema and "null" not in _words(schema["type"]):
            return False
        if ("enum" in schema and None not in schema["enum"]) or schema.get("const") is not None:
            return False
        parts = list(schema.get("allOf", ())) + ([target(schema["$ref"], self._root)] if "$ref" in schema else [])
        if any(word in schema for word in ("not", "if", "$dynamicRef", "$recursiveRef")):
            return False
        # Of anyOf and oneOf, `_beside_null` has seen to it that exactly one branch takes null.
        return all(self._admits_null(part, depth + 1) for part in parts)

    # What the column's type can hold, and the value in that type.

    def _fits(self, field: pa.Field, at: str) -> str:
        """Return the condition that the value is of the column's kind and is converted without loss."""
        type_ = field.type
        if is_json(field):
            return "true"
        if pa.types.is_struct(type_):
            return _all([self._fits(child, member_of(at, child)) for child in type_])
        if pa.types.is_list(type_):
            self._names += 1
            item = f"x{self._names}"
            check = self._fits(type_.value_field, item)
            return "true" if check == "true" else f"({at} IS NULL OR {_every(at, item, check)})"
        if is_text(field):
            if pa.types.is_string(type_):
                return "true"
            check = format_rule(_FORMATS.get(duckdb_type(type_)), at)
        elif pa.types.is_boolean(type_):
            check = f"{at} IN ('true', 'false')"
        else:
            check = fits_rule(at, type_)
        if check in self._asserted.get(at, ()):
            return "true"
        null = "" if self._is_unmarked(at) else f"{at} = {null_mark(field)} OR "
        return f"({at} IS NULL OR {null}COALESCE({check}, false))"

    def _value(self, field: pa.Field, at: str) -> str:
        type_ = field.type
        if pa.types.is_struct(type_) and not is_json(field):
            members = ", ".join(f"{literal(child.name)}: {self._value(child, member_of(at, child))}" for child in type_)
            return f"CASE WHEN NOT {is_absent(at, field)} THEN {{{members}}} END"
        if pa.types.is_list(type_):
            self._names += 1
            item = f"x{self._names}"
            value = self._value(type_.value_field, item)
            return at if value.startswith("nullif(") else f"list_transform({at}, lambda {item}: {value})"
        if pa.types.is_string(type_):
            return f"nullif({at}, {null_mark(field)})"
        if pa.types.is_boolean(type_):
            return f"CASE {at} WHEN 'true' THEN true WHEN 'false' THEN false END"
        return cast(at, type_)


def _open_words(schema: Mapping[str, Any]) -> set[str]:
    """Return the words that allow anything in an object or array."""
    words = ("additionalProperties", "items", "unevaluatedProperties", "unevaluatedItems", "additionalItems")
    return {word for word in words if word in schema and (schema[word] is True or schema[word] == {})}


def _every(at: str, item: str, check: str) -> str:
    return f"COALESCE(list_bool_and(list_transform({at}, lambda {item}: COALESCE({check}, false))), true)"


def _choices(schema: Mapping[str, Any]) -> list[list[Any]]:
    return ([schema["enum"]] if "enum" in schema else []) + ([[schema["const"]]] if "const" in schema else [])


def _beside_null(branches: list[Any]) -> Any:
    """Return the other of two branches, one of which is exactly null and the other certainly not null."""
    nulls = [branch for branch in branches if isinstance(branch, dict) and branch.get("type") in ("null", ["null"])]
    others = [branch for branch in branches if branch not in nulls]
    if len(nulls) != 1 or len(others) != 1 or nulls[0].keys() - {"type"} - _IGNORED:
        raise NotCompiled
    other = others[0]
    if not isinstance(other, dict) or "type" not in other or "null" in _words(other["type"]) or "$ref" in other:
        raise NotCompiled
    return other


def _words(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or value != int(value) or not 0 <= value < 2**31:
        raise NotCompiled
    return int(value)


def _all(checks: list[str]) -> str:
    kept = [check for check in checks if check != "true"]
    return "(" + " AND ".join(kept) + ")" if kept else "true"


def _sql(*, value: bool) -> str:
    return "true" if value else "false"
