"""What a contract is: a schema that the validator uses as it stands, and the columns that silver gets from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

JSON_MARK = {b"headrace:type": b"json"}
"""Metadata of an Arrow string field whose text is JSON."""


def is_json(field: pa.Field) -> bool:
    """Say whether the text of an Arrow field is JSON."""
    return (field.metadata or {}).items() >= JSON_MARK.items()


@dataclass(frozen=True)
class Column:
    """One column of silver. `json` says that the column is a string that holds JSON text."""

    name: str
    type: pa.DataType
    nullable: bool
    description: str
    json: bool = False

    def field(self) -> pa.Field:
        """Return the Arrow field; a column of JSON text carries `JSON_MARK`."""
        import pyarrow as pa

        metadata = dict(JSON_MARK) if self.json else None
        return pa.field(self.name, self.type, nullable=self.nullable, metadata=metadata)


@dataclass(frozen=True)
class Contract:
    """A versioned schema of a dataset's events.

    `schema` is plain JSON Schema with its draft in `$schema`; what the validator says of it is the verdict, so what
    `lenient` allows is already written into it. `version` differs whenever `schema` or `validation` do.
    """

    name: str
    version: str
    schema: Mapping[str, Any]
    validation: Literal["strict", "lenient"]
    columns: tuple[Column, ...]

    def arrow_schema(self) -> pa.Schema:
        """Return the columns as an Arrow schema, in the contract's order."""
        import pyarrow as pa

        return pa.schema([column.field() for column in self.columns])
