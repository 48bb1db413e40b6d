"""From a JSON Schema to the Arrow type of its values, its references unfolded within measure.

What a schema leaves open (mixed types, an object without properties, `true`) becomes JSON text, never a guess. Integers
are int64 unless their bounds go beyond, then DECIMAL(38,0): HUGEINT would turn into a double in Parquet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from headrace.contracts.contract import JSON_MARK
from headrace.contracts.flat import DEEPEST, TYPE_WORD, flattened, words_of
from headrace.contracts.refs import target
from headrace.contracts.types import DATETIME, INSTANT, TIME
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_WITHIN = 2_000
"""How many schemas within its columns a contract unfolds at most."""
MOST_LISTS = 8
"""How many arrays may be within one another: DuckDB plans SQL over nested lists in time that doubles with each."""
_MOST_CHOICES = 64
_INT64 = range(-(2**63), 2**63)
_STRINGS = {"datetime": DATETIME, "time": TIME, "bytes": pa.binary()}


class Typed(NamedTuple):
    """An Arrow type, whether null is allowed, and whether it is a string of JSON text."""

    type: pa.DataType
    nullable: bool = False
    json: bool = False


JSON_TEXT = Typed(pa.string(), nullable=True, json=True)


def arrow_of(schema: object, root: Mapping[str, Any] | None = None) -> Typed:
    """Return the Arrow type of the values that a JSON Schema allows; `root` is where its references lead."""
    base = root if root is not None else schema if isinstance(schema, dict) else {}
    return arrow_of_all([schema], base)[0]


def arrow_of_all(schemas: Sequence[object], root: Mapping[str, Any]) -> list[Typed]:
    """Return the Arrow types of values that stand side by side, such as the columns of one contract.

    References may unfold a small schema into more than anybody could store. Where all that is within the values comes
    to more than `MOST_WITHIN` schemas, objects and arrays are looked into only as deep as they all stay below it; what
    is deeper is JSON text.
    """
    fits, too_deep = -1, DEEPEST + 1  # no value is this deep
    whole = _within(schemas, root, too_deep)
    if whole is not None:
        return whole
    while too_deep - fits > 1:
        middle = (fits + too_deep) // 2
        found = _within(schemas, root, middle)
        if found is None:
            too_deep = middle
        else:
            fits, whole = middle, found
    return [_alone(schema, root) for schema in schemas] if whole is None else whole


def _within(schemas: Sequence[object], root: Mapping[str, Any], levels: int) -> list[Typed] | None:
    unfolding = _Unfolding(root, levels, MOST_WITHIN)
    try:
        return [unfolding.of(schema) for schema in schemas]
    except _BeyondError:
        return None


def _alone(schema: object, root: Mapping[str, Any]) -> Typed:
    try:
        return _Unfolding(root, 0, _MOST_CHOICES).of(schema)
    except _BeyondError:
        return JSON_TEXT


class _BeyondError(Exception):
    """There is more within the values than may be."""


class _Unfolding:
    """Looks at so many schemas within values at most, and so many objects and arrays deep."""

    def __init__(self, root: Mapping[str, Any], levels: int, most: int) -> None:
        self._root, self._levels, self._left = root, levels, most
        self._lists = 0

    def of(self, schema: object) -> Typed:
        """Return the type of a value. Raises `_BeyondError` where there is more within than may be."""
        return self._typed(schema, (), 0)

    def _typed(self, schema: object, seen: tuple[int, ...], level: int) -> Typed:
        if seen:
            self._left -= 1
            if self._left < 0:
                raise _BeyondError
        if not isinstance(schema, dict) or len(seen) > DEEPEST or _dynamic(schema):
            return JSON_TEXT
        trail = _trail(schema, self._root)
        if set(trail) & set(seen):
            return JSON_TEXT
        flat = flattened(schema, self._root)
        if flat is None or _dynamic(flat):
            return JSON_TEXT
        seen = (*seen, *trail)
        words = words_of(flat["type"]) if "type" in flat else None
        for word in ("anyOf", "oneOf"):
            if word in flat and words is None:
                return self._choice(flat[word], seen, level)
        if words is None:
            words = _kinds(flat)
            if words is None:
                return JSON_TEXT
        nullable = ("null" in words or flat.get("nullable") is True) and _admits_null(flat)
        if "null" not in words:
            nullable = False
        kinds = {word for word in words if word != "null"}
        if kinds == {"integer", "number"}:
            kinds = {"number"}
        if len(kinds) != 1:
            return JSON_TEXT._replace(nullable=nullable)
        kind = kinds.pop()
        found = self._nested(kind, flat, seen, level) if kind in {"array", "object"} else _plain(kind, flat)
        return found._replace(nullable=nullable)

    def _choice(self, branches: list[Any], seen: tuple[int, ...], level: int) -> Typed:
        found = [self._typed(branch, seen, level) for branch in branches if not _is_null(branch)]
        nullable = len(found) < len(branches) or any(each.nullable for each in found)
        if not found or any(each.json or each.type != found[0].type for each in found):
            return JSON_TEXT._replace(nullable=nullable or not found)
        return found[0]._replace(nullable=nullable)

    def _nested(self, kind: str, flat: Mapping[str, Any], seen: tuple[int, ...], level: int) -> Typed:
        if level >= self._levels:
            return JSON_TEXT
        if kind == "array" and isinstance(flat.get("items"), dict) and "prefixItems" not in flat:
            if self._lists == MOST_LISTS:
                return JSON_TEXT
            self._lists += 1
            item = self._typed(flat["items"], seen, level + 1)
            self._lists -= 1
            return Typed(pa.list_(pa.field("item", item.type, metadata=dict(JSON_MARK) if item.json else None)))
        if kind == "object" and flat.get("properties"):
            names = list(flat["properties"])
            # A struct cannot tell such names apart; its text can.
            if "" in names or len({name.lower() for name in names}) < len(names):
                return JSON_TEXT
            found = {name: self._typed(sub, seen, level + 1) for name, sub in flat["properties"].items()}
            marks = {name: dict(JSON_MARK) if each.json else None for name, each in found.items()}
            return Typed(pa.struct([pa.field(name, each.type, metadata=marks[name]) for name, each in found.items()]))
        return JSON_TEXT


def _trail(schema: Mapping[str, Any], root: Mapping[str, Any]) -> list[int]:
    """Return the identities of a schema and of what its references lead to, so that recursion is seen."""
    trail, node = [id(schema)], schema
    while isinstance(node, dict) and "$ref" in node and len(trail) < DEEPEST:
        node = target(node["$ref"], root)
        trail.append(id(node))
    return trail


def _dynamic(schema: Mapping[str, Any]) -> bool:
    return "$dynamicRef" in schema or "$recursiveRef" in schema


def _admits_null(flat: Mapping[str, Any]) -> bool:
    return None in flat.get("enum", (None,)) and flat.get("const") is None


def _is_null(branch: object) -> bool:
    return isinstance(branch, dict) and (
        branch.get("type") in ("null", ["null"]) or branch.get("enum") == [None] or ("const", None) in branch.items()
    )


def _kinds(flat: Mapping[str, Any]) -> list[str] | None:
    """Return the JSON types of `const` or `enum`, where a schema without `type` has them."""
    values = [flat["const"]] if "const" in flat else flat.get("enum")
    if not values:
        return None
    names = {str: "string", bool: "boolean", int: "integer", type(None): "null"}
    words = [names.get(type(value), "other") for value in values]
    return None if "other" in words else list(dict.fromkeys(words))


def _plain(word: str, flat: Mapping[str, Any]) -> Typed:
    if word == "string":
        return Typed(_string(flat))
    if word in {"integer", "number"} and flat.get("format") == "decimal":
        return Typed(_decimal(flat))
    if word == "integer":
        bounds = [flat[bound] for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
                  if isinstance(flat.get(bound), int | float) and not isinstance(flat[bound], bool)]  # fmt: skip
        wide = any(int(bound) not in _INT64 for bound in bounds)
        return Typed(pa.decimal128(38, 0) if wide else pa.int64())
    if word == "number":
        return Typed(pa.float64())
    return Typed(pa.bool_()) if word == "boolean" else JSON_TEXT


def _string(flat: Mapping[str, Any]) -> pa.DataType:
    if flat.get(TYPE_WORD) in _STRINGS:
        return _STRINGS[flat[TYPE_WORD]]
    return {"date-time": INSTANT, "date": pa.date32()}.get(str(flat.get("format")), pa.string())


def _decimal(flat: Mapping[str, Any]) -> pa.DataType:
    precision, scale = flat.get("precision", 38), flat.get("scale", 9)
    if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision <= 38 or precision < 1:
        raise ContractError(
            f"a decimal of precision {precision} and scale {scale} cannot be stored",
            fix="precision is 1 to 38, and scale 0 to precision",
        )
    return pa.decimal128(precision, scale)
