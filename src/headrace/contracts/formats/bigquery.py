"""A table schema of BigQuery, as `bq` and Terraform take it: the columns of silver."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from headrace.contracts.formats.form import Exported, free_name
from headrace.contracts.types import bigquery_field

if TYPE_CHECKING:
    from headrace.contracts.contract import Contract

_NAME = re.compile(r"[^\W\d]\w{0,299}")
_OWN = ("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier")
"""What no name may begin with: BigQuery keeps it for columns of its own."""
_SAID = {"format", "x-type", "precision", "scale", "x-pii"}


def write(contract: Contract) -> Exported:
    """Return the fields of a table that takes the contract's events."""
    found = Exported([])
    properties = contract.schema.get("properties", {})
    for column in contract.columns:
        at = f"#/properties/{column.name}"
        found.document.append(bigquery_field(column.field(), column.description))
        part: Any = properties.get(column.name)
        if isinstance(part, dict):
            found.drop_words(part, at, _SAID)
            if part.get("x-pii"):
                found.drop(at, "x-pii: name a policy tag of your project there")
    _rename(found.document, "#", found)
    return found


def _rename(fields: list[dict[str, Any]], at: str, found: Exported) -> None:
    """Give the fields of one table or record names that BigQuery takes, each of its own: it does not see case."""
    taken = {field["name"].lower() for field in fields if _is_legal(field["name"])}
    for field in fields:
        name = field["name"]
        below = f"{at}/properties/{name}"
        if not _is_legal(name):
            found.drop(below, "its name: BigQuery takes letters, digits and _, at most 300, and keeps some for itself")
            first = re.sub(r"\W", "_", name)[:290]
            legal = first if _is_legal(first) else f"x{first}"
            field["name"] = free_name(legal, lambda one: one.lower() in taken)
            taken.add(field["name"].lower())
        _rename(field.get("fields", []), below, found)


def _is_legal(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and not name.lower().startswith(_OWN)
