"""The fast path of validation: a contract compiled to one SELECT that says for which events it is certain.

It reads decode's `fields`, where each member is proven to be what it seems: a text column was a string, JSON text is as
the exact path writes it, each name is there once, null is `decode_counts.NULL_TEXT` or `NULL_RAW`. What `fields` leaves
out, unknown members and the null of an object or array, is told by the bits of `strangers` and `nulls`. "Certain" errs
on one side only: a false here sends the event to the exact path, a true must be what the full validator says, with the
values of the exact path. Columns of text that hold no null are values already; they stay where they are, and are only
looked at where a rule says something of them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from headrace.contracts.contract import is_json
from headrace.contracts.load import DRAFTS
from headrace.contracts.refs import target
from headrace.contracts.types import duckdb_type, quoted
from headrace.stages.decode import FIELDS, NULLS, STRANGERS
from headrace.stages.decode_counts import NULL_RAW, NULL_TEXT
from headrace.stages.decode_shape import is_text, place, place_mark, placed_fields
from headrace.stages.validate_texts import NotCompiled, format_rule, literal, pattern_rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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
_EXACT_IN_DOUBLE = 2**53
_DEPTH = 32
_FORMATS = {"TIMESTAMPTZ": "date-time", "TIMESTAMP": "datetime", "DATE": "date", "TIME": "time-of-day"}


PROVEN = "_proven"
WITHIN = "\x1f"
"""Stands before the name of each column that is read, and between those of an object and its member."""


def spread(name: str, array: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    """Return a member of `fields` as the rules read it: of an object the members, each a column of its own.

    To DuckDB, a CASE over one member of an object costs as much as all of its members.
    """
    if not pa.types.is_struct(array.type):
        yield WITHIN + name, array
        return
    for field, child in zip(array.type, array.flatten(), strict=True):
        yield from spread(f"{name}{WITHIN}{field.name}", child)


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


def may_be_unmarked(field: pa.Field) -> bool:
    """Return whether to ask `is_unmarked` of a column: not of objects and arrays that hold more than text."""
    if pa.types.is_list(field.type):
        return _is_text(field)
    if pa.types.is_struct(field.type):
        return is_json(field) or _is_text(field)
    return True


def is_unmarked(array: pa.Array, field: pa.Field, unproven: int) -> bool:
    """Return whether no text in a member of `fields` stands for null, and an object is there in every proven row."""
    if pa.types.is_struct(array.type):
        children = array.flatten()
        return any(_always_there(child, unproven) for child in children) and all(
            is_unmarked(child, of, unproven) for child, of in zip(children, field.type, strict=True)
        )
    if pa.types.is_list(array.type):
        return True  # what is in a proven array is no null
    data, offsets = array.buffers()[2], array.buffers()[1]
    if data is None or offsets is None or not len(array):
        return True
    begin, end = np.frombuffer(offsets, dtype=np.int32)[[array.offset, array.offset + len(array)]]
    first = NULL_TEXT if is_text(field) else NULL_RAW[1]  # each a character that is rare
    return not (np.frombuffer(data, dtype=np.uint8)[begin:end] == ord(first)).any()


def _always_there(array: pa.Array, unproven: int) -> bool:
    if pa.types.is_struct(array.type):
        return any(_always_there(child, unproven) for child in array.flatten())
    return bool(array.null_count == unproven)


def _is_text(field: pa.Field) -> bool:
    """Return whether a field is a text, or made of nothing else."""
    if is_json(field):
        return False
    if pa.types.is_struct(field.type):
        return all(_is_text(child) for child in field.type)
    if pa.types.is_list(field.type):
        return bool(pa.types.is_string(field.type.value_type)) and not is_json(field.type.value_field)
    return bool(pa.types.is_string(field.type))


class _Compiler:
    """Walks a schema beside the Arrow type that it was given; `at` is always the SQL of the value in hand."""

    def __init__(self, root: Mapping[str, Any], unmarked: AbstractSet[str]) -> None:
        self._root = root
        self._unmarked = unmarked
        self._places = tuple(map(_column, unmarked))
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
        sure += [self._fits(field, _member(FIELDS, field)) for field in columns]
        if any(_has_decimal(field.type) for field in columns):
            # A parser that reads doubles keeps 15 digits; a longer run, wherever it is, may be a number that lost some.
            sure.append("NOT regexp_matches(doc, '[0-9.]{16}')")
        computed = [field for field in columns if field.name not in self._unmarked or not _is_text(field)]
        values = [f"{self._value(field, _member(FIELDS, field))} AS {quoted(field.name)}" for field in computed]
        certain = " AND ".join(f"COALESCE({each}, false)" for each in sure if each != "true")
        sql = f"SELECT {', '.join([f'{certain} AS _sure', *values])} FROM events AS {FIELDS}"
        reads = {field.name for field in columns if _is_within(_column(field.name), sql)}
        return Rules(sql, tuple(field.name for field in computed), frozenset(reads))

    def _is_unmarked(self, at: str) -> bool:
        return any(_is_within(place, at) for place in self._places)

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
        bounds = self._bounds(schema)
        checks = [_bound(at, field.type, limit, sign, strict=strict) for limit, sign, strict in bounds]
        if "multipleOf" in said:
            step = schema["multipleOf"]
            if not pa.types.is_int64(field.type) or type(step) is not int or not 0 < step < _EXACT_IN_DOUBLE:
                raise NotCompiled
            checks.append(f"{_cast(at, field.type)} % {step} = 0")
        for values in _choices(schema):
            whole = [value for value in values if type(value) is int and abs(value) < _EXACT_IN_DOUBLE]
            # The text of an integer is its own; 1.0 equals 1 too, but that is for the exact path to know.
            texts = ", ".join(f"'{value}'" for value in whole)
            checks.append(f"{at} IN ({texts})" if whole else "false")
        if said & {"format"} and schema["format"] not in {"decimal", "int32", "int64", "float", "double"}:
            raise NotCompiled
        return checks

    def _bounds(self, schema: Mapping[str, Any]) -> list[tuple[Any, str, bool]]:
        """Return bounds as (limit, sign, whether the limit itself is out)."""
        found = []
        for word, sign in (("imum", ">"), ("imum", "<")):
            low, high = ("min" if sign == ">" else "max") + word, "exclusive" + ("Min" if sign == ">" else "Max") + word
            exclusive = schema.get(high)
            if isinstance(exclusive, bool):  # draft 4
                if low in schema:
                    found.append((schema[low], sign, exclusive))
                continue
            if low in schema:
                found.append((schema[low], sign, False))
            if exclusive is not None:
                found.append((exclusive, sign, True))
        return found

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
                checks.append(self._member(part, _member(at, field), field, depth, required=field.name in required))
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
            return f"CASE WHEN {_absent(at, field)} THEN {missing} ELSE {check} END"
        if unmarked:
            there = _all([f"{at} IS NOT NULL", check])
            return there if required else "true" if check == "true" else f"({at} IS NULL OR {check})"
        absent = f"WHEN {_absent(at, field)} THEN {missing}"
        null = f"WHEN {at} = {_null(field)} THEN {_sql(value=self._admits_null(schema, 0))}"
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
            return _all([self._fits(child, _member(at, child)) for child in type_])
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
        elif pa.types.is_int64(type_):
            check = f"TRY_CAST({at} AS BIGINT)::VARCHAR = {at}"
        elif pa.types.is_floating(type_):
            check = f"isfinite(TRY_CAST({at} AS DOUBLE))"
        else:
            whole, scale = type_.precision - type_.scale, type_.scale
            fraction = rf"(\.[0-9]{{1,{scale}}})?" if scale else ""
            whole_digits = f"[0-9]{{1,{whole}}}" if whole else "0"
            # 0.0 may have been 1e-999.
            check = f"regexp_full_match({at}, '-?{whole_digits}{fraction}') AND {at} NOT IN ('0.0', '-0.0')"
        if check in self._asserted.get(at, ()):
            return "true"
        null = "" if self._is_unmarked(at) else f"{at} = {_null(field)} OR "
        return f"({at} IS NULL OR {null}COALESCE({check}, false))"

    def _value(self, field: pa.Field, at: str) -> str:
        type_ = field.type
        if pa.types.is_struct(type_) and not is_json(field):
            members = ", ".join(f"{literal(child.name)}: {self._value(child, _member(at, child))}" for child in type_)
            return f"CASE WHEN NOT {_absent(at, field)} THEN {{{members}}} END"
        if pa.types.is_list(type_):
            self._names += 1
            item = f"x{self._names}"
            value = self._value(type_.value_field, item)
            return at if value.startswith("nullif(") else f"list_transform({at}, lambda {item}: {value})"
        if pa.types.is_string(type_):
            return f"nullif({at}, {_null(field)})"
        if pa.types.is_boolean(type_):
            return f"CASE {at} WHEN 'true' THEN true WHEN 'false' THEN false END"
        return _cast(at, type_)


def _open_words(schema: Mapping[str, Any]) -> set[str]:
    """Return the words that allow anything in an object or array."""
    words = ("additionalProperties", "items", "unevaluatedProperties", "unevaluatedItems", "additionalItems")
    return {word for word in words if word in schema and (schema[word] is True or schema[word] == {})}


def _null(field: pa.Field) -> str:
    """Return the SQL of what stands for null in a column."""
    return f"chr({ord(NULL_TEXT)})" if is_text(field) else literal(NULL_RAW)


def _column(name: str) -> str:
    if WITHIN in name:
        raise NotCompiled
    return f"{FIELDS}.{quoted(WITHIN + name)}"


def _member(at: str, field: pa.Field) -> str:
    if at == FIELDS:
        return _column(field.name)
    if at.startswith(f"{FIELDS}."):
        if WITHIN in field.name:
            raise NotCompiled
        return f"{at[:-1]}{WITHIN}{quoted(field.name)[1:]}"
    return f"{at}.{quoted(field.name)}"


def _is_within(column: str, sql: str) -> bool:
    """Say whether SQL names a column, or a member of it."""
    return column in sql or f"{column[:-1]}{WITHIN}" in sql


def _absent(at: str, field: pa.Field) -> str:
    """Return the condition that a member is not there; an object without a known member was not proven at all."""
    if pa.types.is_struct(field.type) and not is_json(field):
        return "(" + " AND ".join(_absent(_member(at, child), child) for child in field.type) + ")"
    return f"{at} IS NULL"


def _every(at: str, item: str, check: str) -> str:
    return f"COALESCE(list_bool_and(list_transform({at}, lambda {item}: COALESCE({check}, false))), true)"


def _cast(at: str, type_: pa.DataType) -> str:
    return f"TRY_CAST({at} AS {duckdb_type(type_)})"


def _bound(at: str, type_: pa.DataType, limit: Any, sign: str, *, strict: bool) -> str:
    """Return the condition that a number keeps a bound, whatever was rounded on its way here."""
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not math.isfinite(limit):
        raise NotCompiled
    value = _cast(at, type_)
    if pa.types.is_int64(type_) or (pa.types.is_decimal(type_) and not type_.scale):
        least = math.floor(limit) + 1 if sign == ">" and strict else math.ceil(limit)
        most = math.ceil(limit) - 1 if strict else math.floor(limit)
        edge = least if sign == ">" else most
        if abs(edge) >= 10**38:
            raise NotCompiled
        return f"{value} {sign}= {edge}::DECIMAL(38,0)" if abs(edge) >= 2**63 else f"{value} {sign}= {edge}"
    if abs(limit) >= _EXACT_IN_DOUBLE:
        raise NotCompiled
    inside = f"{_cast(at, pa.float64())} {sign} {float(limit)!r}::DOUBLE"
    # On the bound itself only the text of an integer is sure to be what was written.
    return inside if strict or limit != int(limit) else f"({inside} OR {at} = '{int(limit)}')"


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


def _has_decimal(type_: pa.DataType) -> bool:
    if pa.types.is_struct(type_):
        return any(_has_decimal(field.type) for field in type_)
    if pa.types.is_list(type_):
        return _has_decimal(type_.value_type)
    return bool(pa.types.is_decimal(type_) and type_.scale)


def _all(checks: list[str]) -> str:
    kept = [check for check in checks if check != "true"]
    return "(" + " AND ".join(kept) + ")" if kept else "true"


def _sql(*, value: bool) -> str:
    return "true" if value else "false"
