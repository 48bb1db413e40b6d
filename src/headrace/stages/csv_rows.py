"""One CSV record as the JSON text of one object: the contract's types decide what is a number."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from pydantic import Field

from headrace.spec import Spec
from headrace.stages.json_text import Unreadable, cut, quote, read

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.contracts.contract import Column, Contract

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": "true", "false": "false"}


class CsvSpec(Spec):
    """How the records of a CSV source are written."""

    delimiter: str = Field(",", min_length=1, max_length=1, description="What stands between two cells.")
    quote: str = Field('"', max_length=1, description="What a cell with a delimiter is wrapped in; empty: nothing.")
    escape: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="What stands before a quote within a quoted cell; default: it doubles.",
    )
    columns: tuple[str, ...] = Field(
        (), description="The header's names, in order; empty: a message's attribute `csv-header` has them."
    )
    null_values: tuple[str, ...] = Field(
        (), description="Cells that mean 'absent'; an empty cell of a column that is no string always does.",
        examples=[["NA", "\\N"]],
    )  # fmt: skip
    trim: bool = Field(False, description="Cut blanks around cells.")


class CsvReader:
    """Turns records into objects. The same record and header always give the same text."""

    def __init__(self, spec: CsvSpec, contract: Contract | None) -> None:
        self._spec = spec
        self._columns = {column.name: column for column in contract.columns} if contract else {}
        self._nulls = frozenset(spec.null_values)
        self._headers: dict[str, tuple[str, ...]] = {}

    def object_text(self, record: str, header: str | None) -> str:
        """Return the JSON text of a record.

        Raises:
            Unreadable: empty_message, missing_header, duplicate_key (in the header), ragged_row, multiple_documents or
                invalid_csv.
        """
        cells = self._cells(record)
        names = self._names(header)
        if len(cells) != len(names):
            reason = f"the record has {len(cells)} cells and the header {len(names)}"
            raise Unreadable("ragged_row", reason, "$", cut(quote(record)))
        pairs = ((name, self._value(name, cell)) for name, cell in zip(names, cells, strict=True))
        return "{" + ",".join(f"{quote(name)}:{value}" for name, value in pairs if value is not None) + "}"

    def _names(self, header: str | None) -> tuple[str, ...]:
        if self._spec.columns:
            return self._spec.columns
        if not header:
            raise Unreadable(
                "missing_header", "neither the source's csv.columns nor the attribute csv-header names the cells"
            )
        if header not in self._headers:
            names = tuple(name.strip() for name in self._cells(header.removeprefix("\ufeff")))
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise Unreadable("duplicate_key", f"the header names {quote(twice)} twice", None, cut(quote(header)))
            self._headers[header] = names
        return self._headers[header]

    def _cells(self, record: str) -> list[str]:
        spec = self._spec
        try:
            rows = list(
                csv.reader(
                    record.splitlines(keepends=True),
                    delimiter=spec.delimiter,
                    quotechar=spec.quote or None,
                    quoting=csv.QUOTE_MINIMAL if spec.quote else csv.QUOTE_NONE,
                    escapechar=spec.escape,
                    doublequote=spec.escape is None,
                    strict=True,
                )
            )
        except csv.Error as error:
            raise Unreadable("invalid_csv", f"not a CSV record: {error}", None, cut(quote(record))) from error
        rows = [row for row in rows if row]
        if not rows:
            raise Unreadable("empty_message", "the message is empty")
        if len(rows) > 1:
            raise Unreadable("multiple_documents", f"the message holds {len(rows)} records, not one", None)
        return [cell.strip() for cell in rows[0]] if spec.trim else rows[0]

    def _value(self, name: str, cell: str) -> str | None:
        """Return a cell as JSON text, None where it is absent.

        What does not fit its type stays a string, for the contract to reject.
        """
        if cell in self._nulls:
            return None
        column = self._columns.get(name)
        if column is None:
            return quote(cell) if cell else None
        return _cell(cell, column)


def _cell(cell: str, column: Column) -> str | None:
    import pyarrow as pa

    type_: pa.DataType = column.type
    if pa.types.is_string(type_) and not column.json:
        return quote(cell)
    if not cell:
        return None
    if pa.types.is_boolean(type_):
        return _BOOLEANS.get(cell.lower(), quote(cell))
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return cell if _NUMBER.fullmatch(cell) else quote(cell)
    if column.json or pa.types.is_nested(type_):
        try:
            read(f'{{"cell":{cell}}}')
        except Unreadable:
            return quote(cell)
        return cell
    return quote(cell)
