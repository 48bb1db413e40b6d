"""The shape of Avro records: what a schema lets a few bytes stand for, and how large a record of theirs is.

Values that take no bytes (null, records of nothing else) can be declared by the billion, and a record that holds itself
can be nested without end. Both are told from the bytes, before anything is made of them: the reader that makes values
of them has no bounds of its own, and ends the process where it runs out of stack.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.connectors.varint import signed_at
from headrace.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_DEPTH = 100
MAX_VALUES = 2_000_000
"""How many values one record may hold: each takes up to some hundred bytes of memory while it is read."""
MAX_SCALE = 1_000  # digits behind the point: a decimal of few bytes is written out with all of them
MAX_DECIMAL_BYTES = 4_096  # the time that it takes to make digits of one grows with the square of its size
MEASURED_BYTES, MEASURED_WITH_DECIMALS_BYTES = 2 << 20, 256 << 10
"""The records of blocks larger than this are measured: a byte can become some hundred of memory."""
MANY_FREE = 64  # values without bytes that one record may bring along before records are measured

_FIXED_BYTES = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_NUMBERS = ("int", "long", "enum")
_TEXTS = ("bytes", "string")


class _Kind(NamedTuple):
    """What holds for values of a type: the least bytes of one, the most values without bytes in it, how deep it is."""

    least: int
    free: int
    height: int


class Schema:
    """A parsed schema, its named types by full name."""

    def __init__(self, parsed: Any, named: Mapping[str, Any], name: str) -> None:
        """Look at the whole schema. Raises `InputError` where it is deeper than MAX_DEPTH or has an absurd decimal."""
        self._root = parsed
        self._named = named
        self._name = name
        self._known: dict[str, _Kind] = {}
        self._careful = self._decimals = False
        self.least, self.free, _ = self._look(parsed, 0, ())
        """How many bytes a record takes at least; and how many of its values take none, where arrays are empty."""
        self._careful |= self.free > MANY_FREE

    def _look(self, kind: Any, depth: int, within: tuple[str, ...]) -> _Kind:
        if depth > MAX_DEPTH:
            raise self._too_deep("schema")
        if isinstance(kind, list):
            inner = [self._look(each, depth, within) for each in kind]
            return _Kind(
                1, max((each.free for each in inner), default=0), max((each.height for each in inner), default=0)
            )
        what = kind["type"] if isinstance(kind, dict) else kind
        if isinstance(kind, dict) and int(kind.get("scale") or 0) > MAX_SCALE:
            raise InputError(
                f"the schema has a decimal with {kind['scale']:,} digits behind the point, and at most {MAX_SCALE:,} "
                "are taken", at=self._name, fix="write the file with a scale that its numbers need",
            )  # fmt: skip
        self._decimals |= _is_decimal(kind)
        match what:
            case "array" | "map":
                item = self._look(kind["items" if what == "array" else "values"], depth + 1, within)
                self._careful |= item.free > MANY_FREE or (what == "array" and not item.least)
                return _Kind(1, 0, item.height + 1)
            case "record" | "error":
                return self._look_at_record(kind, depth, within)
            case "fixed":
                return _Kind(int(kind["size"]), int(not kind["size"]), 0)
            case str() if what in _FIXED_BYTES:
                return _Kind(_FIXED_BYTES[what], int(not _FIXED_BYTES[what]), 0)
            case str() if what in _NUMBERS or what in _TEXTS:
                return _Kind(1, 0, 0)
            case str() if what in within:  # it holds itself: how deep, its records say
                self._careful = True
                return _Kind(0, 1, 0)
            case str():
                return self._look(self._named[what], depth, within)
            case _:
                return self._look(what, depth, within)

    def _look_at_record(self, kind: Any, depth: int, within: tuple[str, ...]) -> _Kind:
        known = self._known.get(kind["name"])
        if known is None:
            inner = [self._look(each["type"], depth + 1, (*within, kind["name"])) for each in kind["fields"]]
            free = min(MAX_VALUES, sum(each.free for each in inner) + (not inner))
            height = 1 + max((each.height for each in inner), default=0)
            known = self._known[kind["name"]] = _Kind(sum(each.least for each in inner), free, height)
        if depth + known.height > MAX_DEPTH:
            raise self._too_deep("schema")
        return known

    def measured(self, data: bytes) -> Callable[[], int] | None:
        """Return what measures the records of a block, one a call, before they are read; None where none need be.

        It returns how many values of the record take no bytes, and raises `InputError` where the record is too deep,
        holds more than MAX_VALUES, or a decimal of more than MAX_DECIMAL_BYTES.
        """
        few = MEASURED_WITH_DECIMALS_BYTES if self._decimals else MEASURED_BYTES
        if not self._careful and len(data) <= few:
            return None
        walk = _Walk(data, self._named)
        at = 0

        def record() -> int:
            nonlocal at
            walk.values = walk.free = 0
            try:
                at = walk.over(self._root, at, 0)
            except _TooDeepError:
                raise self._too_deep("record") from None
            except _TooMuchError as much:
                raise InputError(
                    f"a record holds {much}",
                    at=self._name,
                    fix="look at it; where it is what it should be, write it as several records",
                ) from None
            return walk.free

        return record

    def _too_deep(self, what: str) -> InputError:
        return InputError(
            f"a {what} is nested more than {MAX_DEPTH} deep", at=self._name, fix="write the file with flatter records"
        )


class _TooDeepError(Exception):
    pass


class _TooMuchError(Exception):
    pass


_MANY = f"more than {MAX_VALUES:,} values"


class _Walk:
    """Goes over the bytes of values without making any; `values` counts them, `free` those that take no bytes."""

    def __init__(self, data: bytes, named: Mapping[str, Any]) -> None:
        self._data = data
        self._named = named
        self.values = self.free = 0

    def over(self, kind: Any, at: int, depth: int) -> int:
        """Return where a value ends that starts at a place; IndexError where the bytes end early."""
        self.values += 1
        if self.values > MAX_VALUES:
            raise _TooMuchError(_MANY)
        if depth > MAX_DEPTH:
            raise _TooDeepError
        if isinstance(kind, list):
            which, at = signed_at(self._data, at)
            return self.over(kind[which], at, depth)
        what = kind["type"] if isinstance(kind, dict) else kind
        match what:
            case "record" | "error":
                self.free += not kind["fields"]
                for field in kind["fields"]:
                    at = self.over(field["type"], at, depth + 1)
                return at
            case "array":
                return self._items(kind["items"], at, depth, keys=False)
            case "map":
                return self._items(kind["values"], at, depth, keys=True)
            case "fixed":
                return self._there(at, int(kind["size"]))
            case str() if what in _FIXED_BYTES:
                return self._there(at, _FIXED_BYTES[what])
            case str() if what in _NUMBERS:
                return signed_at(self._data, at)[1]
            case str() if what in _TEXTS:
                return self._text(at, MAX_DECIMAL_BYTES if _is_decimal(kind) else None)
            case str():
                return self.over(self._named[what], at, depth)
            case _:
                return self.over(what, at, depth)

    def _items(self, kind: Any, at: int, depth: int, *, keys: bool) -> int:
        while True:
            count, at = signed_at(self._data, at)
            if not count:
                return at
            if count < 0:
                count, (_, at) = -count, signed_at(self._data, at)
            if self.values + count > MAX_VALUES:
                raise _TooMuchError(_MANY)
            for _ in range(count):
                at = self.over(kind, self._text(at) if keys else at, depth + 1)

    def _text(self, at: int, most: int | None = None) -> int:
        size, at = signed_at(self._data, at)
        if size < 0:
            raise IndexError("a text of negative length")
        if most is not None and size > most:
            raise _TooMuchError(f"a value of {size:,} bytes")
        return self._ending(at + size)

    def _there(self, at: int, size: int) -> int:
        self.free += not size
        return self._ending(at + size)

    def _ending(self, end: int) -> int:
        if end > len(self._data):
            raise IndexError("the block ends within a record")
        return end


def _is_decimal(kind: Any) -> bool:
    return isinstance(kind, dict) and kind.get("logicalType") == "decimal"


def written_schema(text: bytes, name: str) -> Any:
    """Return a schema as a file gives it. Raises `InputError` where it is too deep to be parsed at all."""
    try:
        written = json.loads(text)
        level = [written]
        for _ in range(10 * MAX_DEPTH):
            level = [
                each
                for above in level
                if isinstance(above, (dict, list))
                for each in (above.values() if isinstance(above, dict) else above)
            ]
            if not level:
                return written
    except RecursionError:
        pass
    raise InputError("the schema is nested without end", at=name, fix="write the file with a flatter schema")
