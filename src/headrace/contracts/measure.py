"""Whether a contract has more fields than silver gives columns of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.contracts.contract import is_json
from headrace.contracts.flat import flattened

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from headrace.contracts.contract import Contract


def is_crowded(contract: Contract) -> bool:
    """Return whether a column holds JSON text where it would not if it were the only one.

    All columns are looked into equally deep, so one more field may be what makes JSON text of the deepest of each.
    """
    if not _has_json(contract.arrow_schema()):
        return False
    from headrace.contracts.unfolding import arrow_of

    flat = flattened(contract.schema, contract.schema) or contract.schema
    parts = flat.get("properties", {})
    return any(arrow_of(parts[each.name], contract.schema).type != each.type for each in contract.columns)


def _has_json(fields: Iterable[pa.Field]) -> bool:
    import pyarrow as pa

    for field in fields:
        if is_json(field) or (pa.types.is_struct(field.type) and _has_json(field.type)):
            return True
        if pa.types.is_list(field.type) and _has_json([field.type.value_field]):
            return True
    return False
