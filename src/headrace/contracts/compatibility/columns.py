"""Columns of silver that would change their type though no document shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.contracts.compatibility.change import Change, Verdict
from headrace.contracts.refs import escaped
from headrace.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence


def column_changes(old: Any, new: Any, told: Sequence[Change]) -> list[Change]:
    """Return a change for each top-level property whose column differs, where no reader refuses a document for it.

    Both verdicts are undecided: rows already written keep their type, and a document cannot show that.
    """
    from headrace.contracts.flat import flattened

    found: list[Change] = []
    if not isinstance(old, dict) or not isinstance(new, dict):
        return found
    before, after = (((flattened(each, each) or {}).get("properties") or {}) for each in (old, new))
    refused = {"/".join(each.pointer.split("/")[:3]) for each in told if each.breaks(backward=True, forward=True)}
    for name in before:
        if name not in after or before[name] == after[name]:
            continue
        pointer = f"#/properties/{escaped(name)}"
        if pointer in refused:
            continue
        try:
            if _marks(before[name], old) == _marks(after[name], new):
                continue
            from headrace.contracts.types import duckdb_type  # Arrow is long to import
            from headrace.contracts.unfolding import arrow_of  # Arrow is long to import

            was, now = arrow_of(before[name], old), arrow_of(after[name], new)
            if was.json or now.json or was.type == now.type:
                continue
            types = duckdb_type(was.type), duckdb_type(now.type)
        except ContractError:
            continue
        if types[0] == types[1] or "STRUCT" in types[0]:
            continue
        why = f"silver's column {name} was {types[0]} and would be {types[1]}; no document shows it, so it is undecided"
        fix = f"give the new type a name of its own, such as {name}_v2"
        found.append(Change(pointer, "column-type-changed", Verdict.UNDECIDED, Verdict.UNDECIDED, why, fix=fix))
    return found


def _marks(part: Any, root: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a schema says of a column that no document can show."""
    from headrace.contracts.flat import TYPE_WORD, flattened

    flat = (flattened(part, root) if isinstance(part, dict) else None) or {}
    decimal = (flat.get("precision", 38), flat.get("scale", 9)) if flat.get("format") == "decimal" else None
    return flat.get(TYPE_WORD), decimal
