"""A table schema of BigQuery, as `bq` and Terraform take it: the columns of silver."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from headrace.contracts.formats.form import Exported
from headrace.contracts.types import bigquery_field

if TYPE_CHECKING:
    from headrace.contracts.contract import Contract

_NAME = re.compile(r"[^\W\d]\w{0,299}")
_SAID = {"format", "x-type", "precision", "scale", "x-pii"}


def write(contract: Contract) -> Exported:
    """Return the fields of a table that takes the contract's events."""
    found = Exported([])
    properties = contract.schema.get("properties", {})
    for column in contract.columns:
        at = f"#/properties/{column.name}"
        field = bigquery_field(column.field(), column.description)
        if not _NAME.fullmatch(column.name):
            found.drop(at, "its name: BigQuery takes letters, digits and _, at most 300")
            field["name"] = re.sub(r"\W", "_", column.name)[:300]
        found.document.append(field)
        part: Any = properties.get(column.name)
        if isinstance(part, dict):
            found.drop_words(part, at, _SAID)
            if part.get("x-pii"):
                found.drop(at, "x-pii: name a policy tag of your project there")
    return found
