"""What a sample file's own schema says of its numbers: which are decimals. Their JSON text does not tell."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from headrace.contracts.inference.infer import Inferred

Decimals = dict[str, tuple[int, int]]
"""Precision and scale of decimals, by paths as evidence names them: `a.b`, `[]` for elements, `*` for maps' values."""
_MOST = 38


def decimals_of(path: Path, kind: str) -> Decimals:
    """Return the decimals with digits after the point that a file declares; none for one that declares no types.

    Call it for a file whose rows could be read.
    """
    if kind == "parquet":
        import pyarrow.parquet as pq

        found = _of_arrow(pq.read_schema(path))
    elif kind == "avro":
        from headrace.connectors.avro_blocks import AvroBlocks

        with path.open("rb") as file:
            schema = json.loads(AvroBlocks(file, str(path)).header.meta["avro.schema"])
        found = _of_avro(schema, "", "", {}, ())
    else:
        return {}
    return {at: (precision, scale) for at, precision, scale in found if 0 < scale <= precision <= _MOST}


def with_decimals(inferred: Inferred, decimals: Decimals) -> Inferred:
    """Return what was inferred with its numbers as the decimals that they were declared to be."""
    schema = copy.deepcopy(inferred.schema)
    shown: dict[str, str] = {}
    for at, part in list(_parts(schema, "")):
        kinds = part.get("type")
        kinds = [kinds] if isinstance(kinds, str) else list(kinds or ())
        if at not in decimals or {each for each in kinds if each != "null"} not in ({"number"}, {"integer"}):
            continue
        precision, scale = decimals[at]
        part["type"] = ["number", "null"] if "null" in kinds else "number"
        for word in ("minimum", "maximum"):
            part.pop(word, None)
        part |= {"format": "decimal", "precision": precision, "scale": scale}
        shown[at] = f"decimal({precision},{scale})"
    fields = (
        replace(each, type=shown[each.path], notes=()) if each.path in shown else each for each in inferred.fields
    )
    return replace(inferred, schema=schema, fields=tuple(fields))


def _parts(part: Any, at: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(part, dict):
        return
    yield at, part
    for name, below in part.get("properties", {}).items():
        yield from _parts(below, f"{at}.{name}" if at else name)
    yield from _parts(part.get("items"), f"{at}[]")
    yield from _parts(part.get("additionalProperties"), f"{at}.*")


def _of_arrow(fields: Any, at: str = "") -> Iterator[tuple[str, int, int]]:
    """Yield the decimals of the fields of a schema or struct."""
    import pyarrow as pa

    for field in fields:
        kind, here = field.type, f"{at}.{field.name}" if at else field.name
        while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            kind, here = kind.value_type, f"{here}[]"
        if pa.types.is_map(kind):
            kind, here = kind.item_type, f"{here}.*"
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if pa.types.is_struct(kind):
            yield from _of_arrow(kind, here)
        elif pa.types.is_decimal(kind):
            yield here, kind.precision, kind.scale


def _of_avro(
    kind: Any, at: str, space: str, named: dict[str, Any], within: tuple[str, ...]
) -> Iterator[tuple[str, int, int]]:
    if isinstance(kind, list):
        others = [each for each in kind if each != "null"]
        if len(others) == 1:
            yield from _of_avro(others[0], at, space, named, within)
        return
    if isinstance(kind, str):
        name = kind if kind in named else f"{space}.{kind}"
        if name in named and name not in within:
            yield from _of_avro(named[name], at, space, named, within)
        return
    if not isinstance(kind, dict):
        return
    name = _full(kind, space)
    if name:
        named[name], space = kind, name.rpartition(".")[0]
    what = kind.get("type")
    if kind.get("logicalType") == "decimal":
        yield at, int(kind.get("precision", 0)), int(kind.get("scale", 0))
    elif what == "record":
        for field in kind.get("fields", ()):
            here = f"{at}.{field['name']}" if at else field["name"]
            yield from _of_avro(field["type"], here, space, named, (*within, name))
    elif what in {"array", "map"}:
        inner, here = (kind.get("items"), f"{at}[]") if what == "array" else (kind.get("values"), f"{at}.*")
        yield from _of_avro(inner, here, space, named, within)
    elif isinstance(what, (dict, list)):
        yield from _of_avro(what, at, space, named, within)


def _full(kind: Mapping[str, Any], space: str) -> str:
    name, own = str(kind.get("name", "")), str(kind.get("namespace", space))
    return name if "." in name or not own or not name else f"{own}.{name}"
