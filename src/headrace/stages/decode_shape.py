"""How a contract lays a document out, and the unknown members that its open objects turned out to have.

Every nested field (an object or an array) has a place, a small number: decode says of a document at which places it
found unknown members or null, and the compiled rules say at which places they allow it. The document itself is place 0.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.contracts.contract import is_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.contracts.contract import Contract

_PLACE = b"headrace:place"
_PLACES = 62  # the bits of a signed word; further objects and arrays are for the exact path
_NAMES = 64
_NAMES_OF_ONE = 32  # an object with more unknown members than this is a map: its keys will not come back
_NAME_CHARACTERS = 100


@dataclass
class Node:
    """A field of the layout: a leaf, an array with its one item as child, or an object.

    `level` says how many objects and arrays it is in; `path` is its JSON path, None where it has none of its own: in an
    array, or behind an odd name. `strangers` are the unknown members that were met in this object.
    """

    field: pa.Field
    place: int
    level: int
    path: str | None
    children: list[Node] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def nested(self) -> Iterator[Node]:
        """Yield the objects and arrays from here on down."""
        if self.children:
            yield self
        for child in self.children:
            yield from child.nested()

    def layout(self) -> object:
        """Return what DuckDB's `from_json` takes as structure."""
        if is_object(self.field):
            known = {child.field.name: child.layout() for child in self.children}
            return known | dict.fromkeys(self.strangers, "JSON")
        if is_array(self.field):
            return [self.children[0].layout()]
        return "VARCHAR" if is_text(self.field) else "JSON"

    def parsed_type(self) -> pa.DataType:
        """Return the type of what was parsed, unknown members left out."""
        if is_object(self.field):
            return pa.struct([pa.field(child.field.name, child.parsed_type()) for child in self.children])
        if is_array(self.field):
            return pa.list_(self.children[0].parsed_type())
        return pa.string()


class Shape:
    """A contract's layout; it grows by the unknown members that it is shown, up to a limit."""

    def __init__(self, contract: Contract) -> None:
        self.root = _node(pa.field("", pa.struct(placed_fields(contract)), metadata=place_mark(0)), 0, "$")
        self._names = 0

    def learn(self, document: Any) -> bool:
        """Add the unknown members of a parsed document; say whether there were any to add."""
        return self._learn(document, self.root)

    def _learn(self, value: Any, node: Node) -> bool:
        if is_array(node.field):
            return isinstance(value, list) and bool(sum(self._learn(item, node.children[0]) for item in value))
        if not isinstance(value, dict) or not is_object(node.field):
            return False
        known = {child.field.name for child in node.children}
        new = value.keys() - known - set(node.strangers)
        taken = {name.lower() for name in (*known, *node.strangers)}  # a struct cannot tell ID from id
        learned = False
        for name in sorted(new) if len(new) <= _NAMES_OF_ONE and node.place >= 0 else ():
            if self._names < _NAMES and _plain(name) and name.lower() not in taken:
                taken.add(name.lower())
                node.strangers = sorted([*node.strangers, name])
                self._names += 1
                learned = True
        inside = [self._learn(value.get(child.field.name), child) for child in node.children if child.children]
        return learned or any(inside)


def placed_fields(contract: Contract) -> list[pa.Field]:
    """Return the contract's fields, each object and array with its place."""
    count = [0]
    return [_placed(column, count) for column in contract.arrow_schema()]


def place(field: pa.Field) -> int:
    """Return the place of an object or array, -1 where it got none."""
    return int((field.metadata or {}).get(_PLACE, b"-1"))


def place_mark(number: int) -> dict[bytes, bytes]:
    """Return the metadata of a field that has a place."""
    return {_PLACE: str(number).encode()}


def is_object(field: pa.Field) -> bool:
    """Say whether a field is an object that the contract lays out."""
    return bool(pa.types.is_struct(field.type))


def is_array(field: pa.Field) -> bool:
    """Say whether a field is an array whose items the contract lays out."""
    return bool(pa.types.is_list(field.type))


def is_text(field: pa.Field) -> bool:
    """Say whether a field comes from a JSON string."""
    type_ = field.type
    return not is_json(field) and not (
        pa.types.is_nested(type_)
        or pa.types.is_integer(type_)
        or pa.types.is_floating(type_)
        or pa.types.is_decimal(type_)
        or pa.types.is_boolean(type_)
    )


def _placed(field: pa.Field, count: list[int]) -> pa.Field:
    if not pa.types.is_nested(field.type):
        return field
    count[0] += 1
    mine = count[0] if count[0] < _PLACES else -1
    if is_object(field):
        type_ = pa.struct([_placed(child, count) for child in field.type])
    else:
        type_ = pa.list_(_placed(field.type.value_field, count))
    return pa.field(field.name, type_, field.nullable, metadata=place_mark(mine))


def _node(field: pa.Field, level: int, path: str | None) -> Node:
    node = Node(field, place(field), level, path)
    if is_object(field):
        for child in field.type:
            deeper = None if path is None or not _plain(child.name) else f'{path}."{child.name}"'
            node.children.append(_node(child, level + 1, deeper))
    elif is_array(field):
        node.children.append(_node(field.type.value_field, level + 1, None))
    return node


def _plain(name: str) -> bool:
    """Say whether a name is written in JSON, in a path and in a layout alike."""
    return (
        0 < len(name) <= _NAME_CHARACTERS
        and name.isprintable()
        and not set(name) & set("\"\\'")
        and "*" not in name
        and json.dumps(name, ensure_ascii=False) == f'"{name}"'
    )
