"""Which fields of a contract are deprecated: those that its schema marks with `deprecated: true`, wherever it does.

A schema speaks of a field in several places: by its name, by a pattern, in a branch. All that speak of one value are
looked at together, and once for each column and member that silver has. What silver keeps as JSON text is looked
through schema by schema, so it takes no longer where definitions refer to one another in many ways.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace import words
from headrace.contracts.contract import is_json
from headrace.contracts.refs import schemas_in
from headrace.contracts.spoken import beside, members_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Set

    import pyarrow as pa

    from headrace.contracts.contract import Contract

WORD = "deprecated"

_OTHERS = ("additionalProperties", "unevaluatedProperties")
_REST = ("additionalItems", "unevaluatedItems")

Spoken = tuple[Any, bool]
"""A schema that speaks of a value, and whether it does so always: a branch or a condition may not hold."""
Whole = list[tuple["Mapping[str, Any]", bool]]
"""All schemas that speak of one value."""
Known = dict[frozenset[int], tuple[str, ...]]
"""Where marks are within values, by the schemas that speak of them."""


class Deprecated(NamedTuple):
    """A deprecated field: `column` is what silver has of it, and `within` where in that it lies if it is JSON text."""

    column: str
    within: str = ""

    @property
    def path(self) -> str:
        """What people call it: `country`, `customer.phone`, `tags.*`, `point[1].label`."""
        return (self.column + self.within).lstrip(".")


def deprecated_fields(contract: Contract) -> tuple[Deprecated, ...]:
    """Return the deprecated fields, in the order of the columns.

    Elements of an array have the array's path. A field below a deprecated one is not named once more; nor is one of
    which only some forms are deprecated: a branch of `anyOf`, or what `then` says of a field that is declared without.
    """
    root = contract.schema
    if not any(_is_marked(part) for part in schemas_in(root)):
        return ()
    whole = _all([(root, True)], root)
    columns = {field.name: field for field in contract.arrow_schema()}
    known: Known = {}
    found = [each for name, field in columns.items() for each in _below(_member(whole, name), field, name, root, known)]
    if contract.validation == "lenient":
        found += [Deprecated(words.EXTRA, each) for each in _inside(whole, root, columns.keys())]
    return tuple(found)


def _below(
    declared: list[Spoken], field: pa.Field, path: str, root: Mapping[str, Any], known: Known
) -> Iterator[Deprecated]:
    """Yield what is deprecated of a column or a member of it, which these schemas declare."""
    import pyarrow as pa

    if _is_deprecated(declared, root):
        yield Deprecated(path)
        return
    kind, whole = field.type, _all(declared, root)
    if is_json(field):
        key = frozenset(id(part) for part, _ in whole)
        if key not in known:
            known[key] = tuple(_inside(whole, root))
        yield from (Deprecated(path, within) for within in known[key])
    elif pa.types.is_list(kind):
        yield from _below(_elements(whole), kind.value_field, path, root, known)
    elif pa.types.is_struct(kind):
        for each in kind:
            yield from _below(_member(whole, each.name), each, f"{path}.{each.name}", root, known)


def _is_deprecated(declared: list[Spoken], root: Mapping[str, Any]) -> bool:
    """Whether a schema that always speaks of a value marks it, or each that declares it does."""
    if any(always and _is_marked(part) for part, always in _all(declared, root)):
        return True
    return bool(declared) and all(
        any(always and _is_marked(each) for each, always in _all([(part, True)], root)) for part, _ in declared
    )


def _is_marked(part: Mapping[str, Any]) -> bool:
    return part.get(WORD) is True


def _all(declared: Iterable[Spoken], root: Mapping[str, Any]) -> Whole:
    """Return schemas with those that speak of the same value: where they refer to, and what they are made of."""
    found: dict[int, tuple[Mapping[str, Any], bool]] = {}
    waiting = list(declared)
    while waiting:
        part, always = waiting.pop()
        if not isinstance(part, dict) or (id(part) in found and found[id(part)][1] >= always):
            continue
        found[id(part)] = (part, always)
        waiting += [(each.schema, always and each.always) for each in beside(part, root) if not each.asking]
    return list(found.values())


def _member(whole: Whole, name: str) -> list[Spoken]:
    """Return the schemas that declare a member of a value."""
    return [(each, always) for part, always in whole for each in members_of(part, name)]


def _elements(whole: Whole) -> list[Spoken]:
    """Return the schemas that declare the elements of an array."""
    return [
        (part["items"], always)
        for part, always in whole
        if isinstance(part.get("items"), dict) and "prefixItems" not in part
    ]


def _inside(whole: Whole, root: Mapping[str, Any], columns: Set[str] = frozenset()) -> Iterator[str]:
    """Yield where marks are within a value, each by the shortest way to it: every schema is entered once.

    Members that have columns of their own are left out.
    """
    entered: set[int] = set()
    waiting: deque[tuple[Any, str]] = deque((part, "") for part, _ in whole)
    while waiting:
        declared, path = waiting.popleft()
        if path and _is_deprecated([(declared, True)], root):
            yield path
            continue
        for part, _ in _all([(declared, True)], root):
            if id(part) not in entered:
                entered.add(id(part))
                waiting += [(each, path + step) for each, step in _steps(part) if path or step[1:] not in columns]


def _steps(part: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    """Yield the schemas of members and elements, each with what it adds to the path."""
    yield from ((each, f".{name}") for name, each in part.get("properties", {}).items())
    yield from ((each, ".*") for each in part.get("patternProperties", {}).values())
    yield from ((part.get(word), ".*") for word in _OTHERS)
    items = part.get("items")
    first = part.get("prefixItems", items if isinstance(items, list) else ())
    yield from ((each, f"[{place}]") for place, each in enumerate(first))
    yield from ((each, "[]") for each in (items, *(part.get(word) for word in _REST)) if isinstance(each, dict))
