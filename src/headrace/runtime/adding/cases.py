"""Three cases from real rows: a plain one, one with the most left out, and one that is made wrong on purpose."""

from __future__ import annotations

import copy
import csv
import io
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.connectors.csv_dialect import DIALECT_ATTRIBUTE
from headrace.runtime.adding.stand_ins import without_persons
from headrace.runtime.contract_cases import QUARANTINED, SILVER
from headrace.stages.csv_rows import CsvReader, CsvSpec
from headrace.stages.json_text import read, write

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping, Sequence

    from headrace.runtime.contract_cases import Stages

_LONGEST = 100_000  # a case is there to be read: of rows longer than this none is made


class Row(NamedTuple):
    """One message of the sample that the stages let through."""

    payload: bytes
    attributes: Mapping[str, str]


def three_cases(
    rows: Sequence[Row], schema: Mapping[str, Any], stages: Stages, now: dt.datetime
) -> list[dict[str, Any]]:
    """Return cases of rows that came through; fewer than three where the rows do not give them.

    What is tagged as personal has a stand-in of the same form, and each case is what the stages really make of it.
    """
    found: list[dict[str, Any]] = []
    rows = [row for row in rows if len(row.payload) <= _LONGEST]
    if not rows:
        return found
    writer = _Csv if rows[0].attributes.get("content-type", "").startswith("text/csv") else _Json
    many = [writer(row, schema) for row in rows]
    fullest = max(range(len(many)), key=lambda index: (many[index].filled, -index))
    least = min(range(len(many)), key=lambda index: (many[index].filled, -index))
    plain = many[fullest]
    named = [("a plain row", plain)]
    if least != fullest:
        left_out = many[least].filled < plain.filled
        named.append(("the row with the most left out" if left_out else "another row", many[least]))
    for name, row in named:
        message = row.message()
        became = stages.of(_bytes(message), row.attributes, now)
        if became.fate == SILVER:
            silver = {"fate": SILVER, "values": dict(became.values)}
            found.append(_case(name, message, row.attributes, silver))
    for name, message in plain.broken():
        became = stages.of(_bytes(message), plain.attributes, now)
        if became.fate == QUARANTINED:
            expect: dict[str, Any] = {"fate": QUARANTINED, "stage": became.stage, "code": became.code}
            if became.path:
                expect["path"] = became.path
            found.append(_case(name, message, plain.attributes, expect))
            break
    return found


def _case(name: str, message: Any, attributes: Mapping[str, str], expect: Mapping[str, Any]) -> dict[str, Any]:
    more = {"attributes": dict(attributes)} if attributes else {}
    return {"name": name, "message": message, **more, "expect": dict(expect)}


def _bytes(message: Any) -> bytes:
    return (message if isinstance(message, str) else write(message)).encode("utf-8", "surrogatepass")


def _wrong(part: Mapping[str, Any]) -> Any:
    """Return a value that a field's schema cannot allow; None where it allows nearly all."""
    types = part.get("type", [])
    words = {types} if isinstance(types, str) else set(types)
    words -= {"null"}
    if len(words) != 1:
        return None
    word = words.pop()
    if word == "string":
        if "enum" in part:
            return "no such value"
        return "not one" if {"format", "pattern", "x-type"} & part.keys() else 12345
    return {"integer": "not a number", "number": "not a number", "boolean": "perhaps"}.get(word, "not an object")


def _breakable(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield fields with a value that each cannot have: those that are always there first, plain texts last."""
    required = schema.get("required", [])
    found = [(name, _wrong(part)) for name, part in schema["properties"].items()]
    found = [(name, wrong) for name, wrong in found if wrong is not None]
    yield from sorted(found, key=lambda item: (item[1] == 12345, item[0] not in required))


class _Json:
    """A row that is a JSON document."""

    def __init__(self, row: Row, schema: Mapping[str, Any]) -> None:
        self.attributes = row.attributes
        self._schema = schema
        self._value = read(row.payload.decode().removeprefix("\ufeff"))
        self.filled = _filled(self._value)

    def message(self) -> Any:
        return without_persons(self._value, self._schema)

    def broken(self) -> Iterator[tuple[str, Any]]:
        for name, wrong in _breakable(self._schema):
            document = copy.deepcopy(self.message())
            document[name] = wrong
            yield f"made wrong on purpose: {name} is {json.dumps(wrong)}", document
        yield "made wrong on purpose: cut off", write(self.message())[:-1]


def _filled(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_filled, value.values()))
    if isinstance(value, list):
        return min(1, len(value))
    return int(value is not None)


class _Csv:
    """A row that is a CSV record."""

    def __init__(self, row: Row, schema: Mapping[str, Any]) -> None:
        self.attributes = row.attributes
        self._schema = schema
        told = row.attributes.get(DIALECT_ATTRIBUTE)
        self._dialect = json.loads(told) if told else {"delimiter": ",", "quote": '"'}
        reader = CsvReader(CsvSpec(), None)
        self._cells = reader.cells(row.payload.decode(), told)
        self._names = [name.strip() for name in reader.cells(row.attributes["csv-header"].removeprefix("\ufeff"), told)]
        self.filled = sum(map(bool, self._cells))

    def _record(self, cells: Sequence[str]) -> str:
        text = io.StringIO()
        quote = self._dialect.get("quote") or None
        writer = csv.writer(
            text, delimiter=self._dialect["delimiter"], quotechar=quote or '"', lineterminator="",
            escapechar=self._dialect.get("escape"), doublequote=not self._dialect.get("escape"),
            quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        )  # fmt: skip
        writer.writerow(cells)
        return text.getvalue()

    def _mine(self) -> list[str]:
        known: Mapping[str, Any] = self._schema["properties"]
        pairs = zip(self._names, self._cells, strict=True)
        return [str(without_persons(cell, known.get(name, {}))) for name, cell in pairs]

    def message(self) -> Any:
        return self._record(self._mine())

    def broken(self) -> Iterator[tuple[str, Any]]:
        for name, wrong in _breakable(self._schema):
            if isinstance(wrong, str) and name in self._names:
                cells = self._mine()
                cells[self._names.index(name)] = wrong
                yield f"made wrong on purpose: {name} is {json.dumps(wrong)}", self._record(cells)
        if len(self._cells) > 1:
            yield "made wrong on purpose: a cell is missing", self._record(self._mine()[:-1])
        yield "made wrong on purpose: a cell too many", self._record([*self._mine(), "more"])
