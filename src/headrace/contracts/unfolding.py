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
    unfolding = _Unfolding(root)
    whole = unfolding.types(schemas, DEEPEST + 1)  # no value is this deep
    if whole is None and (levels := unfolding.fitting(schemas)) >= 0:
        whole = unfolding.types(schemas, levels)
    return [unfolding.alone(schema) for schema in schemas] if whole is None else whole


class _BeyondError(Exception):
    """There is more within the values than may be."""


class _Form(NamedTuple):
    """What a schema says of its values, references and `allOf` merged in: the same from wherever it is reached.

    `kind` is `array`, `object`, `choice`, the word of a plain type, or nothing for JSON text; `parts` are the schemas
    of what is within: items, members in the order of `names`, branches.
    """

    trail: tuple[int, ...]
    kind: str = ""
    nullable: bool = True
    flat: Mapping[str, Any] = {}
    parts: tuple[object, ...] = ()
    names: tuple[str, ...] = ()


class _Way(NamedTuple):
    """What a schema lies in: the identities of the schemas around it, and how many of them are arrays."""

    seen: tuple[int, ...] = ()
    lists: int = 0

    def into(self, form: _Form) -> _Way:
        """Return the way to what is within."""
        return _Way((*self.seen, *form.trail), self.lists + (form.kind == "array"))


class _Unfolding:
    """Looks into schemas whose references lead to one root; what one of them says is found out once."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._forms: dict[int, tuple[object, _Form]] = {}
        self._levels = self._left = 0

    def types(self, schemas: Sequence[object], levels: int) -> list[Typed] | None:
        """Return the types, objects and arrays looked into so deep; None where more than `MOST_WITHIN` is within."""
        self._levels, self._left = levels, MOST_WITHIN
        try:
            return [self._typed(schema, _Way(), 0) for schema in schemas]
        except _BeyondError:
            return None

    def alone(self, schema: object) -> Typed:
        """Return the type of a value, objects and arrays not looked into at all."""
        self._levels, self._left = 0, _MOST_CHOICES
        try:
            return self._typed(schema, _Way(), 0)
        except _BeyondError:
            return JSON_TEXT

    def fitting(self, schemas: Sequence[object]) -> int:
        """Return how deep may be looked, level by level, for no more than `MOST_WITHIN` schemas; -1 for not at all."""
        here = [(schema, _Way()) for schema in schemas]
        most, count = MOST_WITHIN + len(schemas), 0
        for level in range(DEEPEST + 1):
            below: list[tuple[object, _Way]] = []
            for schema, way in here:  # to which the branches of choices are added meanwhile
                count += bool(way.seen)
                if count > MOST_WITHIN:
                    return level - 1
                form = self._enter(schema, way)
                if form is None:
                    continue
                found = here if form.kind == "choice" else below
                if len(found) <= most:  # more than that is too many, however many they are
                    within = way.into(form)
                    found += [(part, within) for part in form.parts]
            here = below
        return DEEPEST

    def _enter(self, schema: object, way: _Way) -> _Form | None:
        """Return what a schema says; None where it is one of those around it, or too deep."""
        if not isinstance(schema, dict) or len(way.seen) > DEEPEST:
            return None
        known = self._forms.get(id(schema))
        if known is None:
            known = self._forms[id(schema)] = schema, _form(schema, self._root)
        form = known[1]
        if any(each in way.seen for each in form.trail):
            return None
        return _Form((), nullable=form.nullable) if form.kind == "array" and way.lists == MOST_LISTS else form

    def _typed(self, schema: object, way: _Way, level: int) -> Typed:
        if way.seen:
            self._left -= 1
            if self._left < 0:
                raise _BeyondError
        form = self._enter(schema, way)
        if form is None:
            return JSON_TEXT
        if form.kind == "choice":
            return self._choice(form, way.into(form), level)
        if form.kind in {"array", "object"}:
            found = JSON_TEXT if level >= self._levels else self._nested(form, way.into(form), level + 1)
        else:
            found = _plain(form.kind, form.flat)
        return found._replace(nullable=form.nullable)

    def _choice(self, form: _Form, way: _Way, level: int) -> Typed:
        found = [self._typed(branch, way, level) for branch in form.parts]
        nullable = form.nullable or any(each.nullable for each in found)
        if not found or any(each.json or each.type != found[0].type for each in found):
            return JSON_TEXT._replace(nullable=nullable or not found)
        return found[0]._replace(nullable=nullable)

    def _nested(self, form: _Form, way: _Way, level: int) -> Typed:
        found = [self._typed(part, way, level) for part in form.parts]
        names = form.names or ("item",)
        within = [
            pa.field(name, each.type, metadata=dict(JSON_MARK) if each.json else None)
            for name, each in zip(names, found, strict=True)
        ]
        return Typed(pa.struct(within) if form.kind == "object" else pa.list_(within[0]))


def _form(schema: Mapping[str, Any], root: Mapping[str, Any]) -> _Form:
    if _dynamic(schema):
        return _Form(())
    trail, flat = tuple(_trail(schema, root)), flattened(schema, root)
    if flat is None or _dynamic(flat):
        return _Form(trail)
    words = words_of(flat["type"]) if "type" in flat else None
    for word in ("anyOf", "oneOf") if words is None else ():
        if word in flat:
            parts = tuple(branch for branch in flat[word] if not _is_null(branch))
            return _Form(trail, "choice", len(parts) < len(flat[word]), flat, parts)
    if words is None:
        words = _kinds(flat)
        if words is None:
            return _Form(trail)
    nullable = "null" in words and _admits_null(flat)
    kinds = {word for word in words if word != "null"}
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    kind = kinds.pop() if len(kinds) == 1 else ""
    parts, names = _within(kind, flat) if kind in {"array", "object"} else ((), ())
    if kind in {"array", "object"} and not parts:
        kind = ""
    return _Form(trail, kind, nullable, flat, parts, names)


def _within(kind: str, flat: Mapping[str, Any]) -> tuple[tuple[object, ...], tuple[str, ...]]:
    """Return the schemas within an array or an object that has a type of its own, and the names of members."""
    if kind == "array" and isinstance(flat.get("items"), dict) and "prefixItems" not in flat:
        return (flat["items"],), ()
    members = flat.get("properties") if kind == "object" else None
    # A struct cannot tell such names apart; its text can.
    if not members or "" in members or len({name.lower() for name in members}) < len(members):
        return (), ()
    return tuple(members.values()), tuple(members)


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
