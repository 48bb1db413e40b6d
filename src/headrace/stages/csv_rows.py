"""One CSV record as the JSON text of one object: the contract's types decide what is a number."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from typing import TYPE_CHECKING, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from headrace.spec import CellNames, Spec
from headrace.stages.json_text import Unreadable, cut, quote, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from headrace.contracts.contract import Column, Contract

OF_COLUMNS = ("ragged_row", "missing_header")
"""Codes of records that other columns may fit: those of another version of the contract, say."""

csv.field_size_limit(1 << 30)  # Python's own is 128 KiB, and a message may be larger
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class CsvSpec(Spec):
    """How the records of a CSV source are written."""

    delimiter: str = Field(
        ",", min_length=1, max_length=1, description="What stands between two cells; in a file, default: as it looks."
    )
    quote: str = Field(
        '"',
        max_length=1,
        description="What a cell with a delimiter is wrapped in, empty: nothing; default: as it looks.",
    )
    escape: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="What stands before a quote within a quoted cell; default: it doubles.",
    )
    columns: CellNames = Field(
        (), description="The header's names, in order; empty: a message's attribute `csv-header` has them."
    )
    null_values: tuple[str, ...] = Field(
        (), description="Cells that mean 'absent'; an empty cell of a column that is no string always does.",
        examples=[["NA", "\\N"]],
    )  # fmt: skip
    true_values: tuple[str, ...] = Field(
        ("true",), description="Cells of a boolean column that mean true, in small letters or large; default: true.",
        examples=[["t", "yes", "1"]],
    )  # fmt: skip
    false_values: tuple[str, ...] = Field(
        ("false",), description="Cells of a boolean column that mean false, in small letters or large; default: false.",
        examples=[["f", "no", "0"]],
    )  # fmt: skip
    trim: bool = Field(False, description="Cut blanks around cells.")
    header: bool | None = Field(
        None, description="Whether a file's first record names the cells; default: as the file looks."
    )
    encoding: str | None = Field(
        None, description="The encoding of the files; default: as the file looks, UTF-8 where it can be.",
        examples=["cp1252"],
    )  # fmt: skip

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        both = {each.lower() for each in self.true_values} & {each.lower() for each in self.false_values}
        if both:
            raise ValueError(f"{min(both)!r} is among `true_values` and among `false_values`")
        return self

    @property
    def booleans(self) -> dict[str, str]:
        """What a cell of a boolean column, in small letters, is in JSON."""
        meanings = (("true", self.true_values), ("false", self.false_values))
        return {cell.lower(): meaning for meaning, cells in meanings for cell in cells}

    @field_validator("encoding")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        try:
            return None if name is None else codecs.lookup(name).name
        except LookupError:
            raise ValueError(f"there is no encoding {name!r}: write one such as utf-8, cp1252 or utf-16") from None


class _Dialect(NamedTuple):
    """What parts cells from each other."""

    delimiter: str
    quote: str
    escape: str | None

    @classmethod
    def told(cls, value: dict[str, str | None]) -> _Dialect:
        delimiter, quote_, escape = value["delimiter"], value.get("quote") or "", value.get("escape")
        if not isinstance(delimiter, str) or len(delimiter) != 1 or len(quote_) > 1 or (escape and len(escape) != 1):
            raise ValueError
        return cls(delimiter, quote_, escape)


class CsvReader:
    """Turns records into objects. The same record, header and dialect always give the same text."""

    def __init__(self, spec: CsvSpec, contract: Contract | None) -> None:
        self._spec = spec
        self._columns = {column.name: column for column in contract.columns} if contract else {}
        self._nulls = frozenset(spec.null_values)
        self._booleans = spec.booleans
        self._own = _Dialect(spec.delimiter, spec.quote, spec.escape)
        self._dialects: dict[str, _Dialect] = {}
        self._headers: dict[tuple[str, str | None], tuple[str, ...]] = {}

    def object_text(self, record: str, header: str | None, dialect: str | None = None) -> str:
        """Return the JSON text of a record; a `dialect` (JSON: delimiter, quote, escape) goes over the source's own.

        Raises:
            Unreadable: empty_message, missing_header, duplicate_key (in the header), ragged_row, multiple_documents or
                invalid_csv.
        """
        cells = self.cells(record, dialect)
        names = self._names(header, dialect)
        if len(cells) != len(names):
            reason = f"the record has {len(cells)} cells and the header {len(names)}"
            raise Unreadable("ragged_row", reason, "$", cut(quote(record)))
        pairs = ((name, self._value(name, cell)) for name, cell in zip(names, cells, strict=True))
        return "{" + ",".join(f"{quote(name)}:{value}" for name, value in pairs if value is not None) + "}"

    def _names(self, header: str | None, dialect: str | None) -> tuple[str, ...]:
        if self._spec.columns:
            return self._spec.columns
        if not header:
            raise Unreadable(
                "missing_header", "neither the source's csv.columns nor the attribute csv-header names the cells"
            )
        if (header, dialect) not in self._headers:
            names = tuple(name.strip() for name in self.cells(header.removeprefix("\ufeff"), dialect))
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise Unreadable("duplicate_key", f"the header names {quote(twice)} twice", None, cut(quote(header)))
            self._headers[header, dialect] = names
        return self._headers[header, dialect]

    def _dialect(self, told: str | None) -> _Dialect:
        if told is None:
            return self._own
        if told not in self._dialects:
            try:
                self._dialects[told] = _Dialect.told(json.loads(told))
            except (ValueError, TypeError, RecursionError) as error:
                reason = "the attribute csv-dialect is not {delimiter, quote, escape} of a character each, as JSON"
                raise Unreadable("invalid_csv", reason, None, cut(quote(told))) from error
        return self._dialects[told]

    def cells(self, record: str, told: str | None) -> list[str]:
        """Return the cells of a record. Raises `Unreadable` as `object_text` does."""
        dialect = self._dialect(told)
        try:
            rows = list(
                csv.reader(
                    _lines(record),
                    delimiter=dialect.delimiter,
                    quotechar=dialect.quote or None,
                    quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
                    escapechar=dialect.escape,
                    doublequote=dialect.escape is None,
                    strict=True,
                )
            )
        except (csv.Error, ValueError) as error:
            raise Unreadable("invalid_csv", f"not a CSV record: {error}", None, cut(quote(record))) from error
        rows = [row for row in rows if row]
        if not rows:
            raise Unreadable("empty_message", "the message is empty")
        if len(rows) > 1:
            raise Unreadable("multiple_documents", f"the message holds {len(rows)} records, not one", None)
        return [cell.strip() for cell in rows[0]] if self._spec.trim else rows[0]

    def _value(self, name: str, cell: str) -> str | None:
        """Return a cell as JSON text, None where it is absent.

        What does not fit its type stays a string, for the contract to reject.
        """
        if cell in self._nulls:
            return None
        column = self._columns.get(name)
        if column is None:
            return quote(cell) if cell else None
        return _cell(cell, column, self._booleans)


def _lines(record: str) -> Iterable[str]:
    """Return the lines of a record; unlike those of `splitlines`, they end where CSV's do, and not at a form feed."""
    return io.StringIO(record, newline="") if "\n" in record or "\r" in record else (record,)


def _cell(cell: str, column: Column, booleans: Mapping[str, str]) -> str | None:
    import pyarrow as pa

    type_: pa.DataType = column.type
    if pa.types.is_string(type_) and not column.json:
        return quote(cell)
    if not cell:
        return None
    if pa.types.is_boolean(type_):
        return booleans.get(cell.lower(), quote(cell))
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return cell if _NUMBER.fullmatch(cell) else quote(cell)
    if column.json or pa.types.is_nested(type_):
        try:
            read(f'{{"cell":{cell}}}')
        except Unreadable:
            return quote(cell)
        return cell
    return quote(cell)
