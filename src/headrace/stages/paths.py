"""Paths into a contract's columns: `amount`, `address.city`, `items[].sku` for every element of a list."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

ELEMENTS = "[]"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_STEPS = 32


@dataclass(frozen=True)
class Path:
    """A place in every row: a column, then struct fields and ELEMENTS; `type` is what is found there."""

    column: str
    steps: tuple[str, ...]
    type: pa.DataType

    def json(self) -> str:
        """Return it as a JSON path, such as `$.items[*].sku`."""
        return _json_path((self.column, *self.steps), "[*]")


class Leaves(NamedTuple):
    """The values at a path: which row (by position in the batch) each is of, and its index in each list passed."""

    values: pa.Array
    rows: np.ndarray
    indices: tuple[np.ndarray, ...]


def resolve(text: str, schema: pa.Schema) -> Path:
    """Return the path that a text means in a contract; a column whose own name contains dots comes first.

    Raises:
        ConfigError: There is no such place; the fix names the nearest that exists.
    """
    if text in schema.names:
        return Path(text, (), schema.field(text).type)
    steps = tuple(step for part in text.split(".") for step in _split(part))
    if not steps or len(steps) > _MAX_STEPS or not all(steps):
        raise ConfigError(
            f"{text[:80]!r} is not a field or path", fix="write such as amount, address.city, items[].sku"
        )
    return walk(steps, schema)


def walk(steps: tuple[str, ...], schema: pa.Schema) -> Path:
    """Return the path of a column and the steps below it; a name is met exactly, or else in any case if one fits.

    Raises:
        ConfigError: There is no such place; the fix names the nearest that exists.
    """
    column = _find(steps[0], schema.names, "the contract has no field")
    kind = schema.field(column).type
    found: list[str] = []
    for step in steps[1:]:
        here = _json_path((column, *found), ELEMENTS).removeprefix("$.")
        if step == ELEMENTS:
            if not is_list(kind):
                raise ConfigError(f"{here} is {kind}, not a list", fix=f"write {here} without []")
            kind = kind.value_type
            found.append(step)
        elif is_list(kind):
            raise ConfigError(f"{here} is a list", fix=f"write {here}[].{step} for every element")
        elif not pa.types.is_struct(kind):
            raise ConfigError(f"{here} is {kind} and has no fields", fix=f"write {here}")
        else:
            found.append(_find(step, [kind.field(i).name for i in range(kind.num_fields)], f"{here} has no field"))
            kind = kind.field(found[-1]).type
    return Path(column, tuple(found), kind)


def leaves(batch: pa.RecordBatch, path: Path) -> Leaves:
    """Return the values at a path. A null struct has null fields; a null or empty list has no elements."""
    values = batch.column(path.column)
    rows = np.arange(len(batch))
    indices: tuple[np.ndarray, ...] = ()
    for step in path.steps:
        if step == ELEMENTS:
            parents = pc.list_parent_indices(values).to_numpy(zero_copy_only=False)
            values = pc.list_flatten(values)
            rows = rows[parents]
            # Parents ascend, so an element's index is its distance from the first element of the same parent.
            position = np.arange(len(parents)) - np.searchsorted(parents, parents)
            indices = (*(index[parents] for index in indices), position)
        else:
            values = pc.struct_field(values, [values.type.get_field_index(step)])
    return Leaves(values, rows, indices)


def json_paths(path: Path, indices: tuple[np.ndarray, ...], count: int) -> pa.Array:
    """Return the JSON path of each of `count` leaves, such as `$.items[3].sku`."""
    parts: list[pa.Array] = []
    text = ""
    at = iter(indices)
    for piece in re.split(r"(\[\*\])", path.json()) if indices else [path.json()]:
        if piece == "[*]" and indices:
            parts += [_repeat(text + "[", count), pa.array(next(at)).cast(pa.string())]
            text = "]"
        else:
            text += piece
    parts.append(_repeat(text, count))
    return pc.binary_join_element_wise(*parts, "") if len(parts) > 1 else parts[0]


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is one of the list types."""
    return any(is_one(kind) for is_one in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return `did you mean 'x'?` for the nearest known name, or `otherwise`."""
    near = difflib.get_close_matches(name[:100], list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else otherwise


def _find(name: str, known: list[str], complaint: str) -> str:
    if name in known:
        return name
    alike = [other for other in known if other.lower() == name.lower()]
    if len(alike) == 1:
        return alike[0]
    listed = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    raise ConfigError(f"{complaint} {name[:80]!r}", fix=did_you_mean(name, known, f"it has {listed}" if known else ""))


def _split(part: str) -> list[str]:
    name = part
    elements = 0
    while name.endswith(ELEMENTS):
        name = name.removesuffix(ELEMENTS)
        elements += 1
    return [name, *[ELEMENTS] * elements]


def _json_path(steps: tuple[str, ...], elements: str) -> str:
    text = "$"
    for step in steps:
        if step == ELEMENTS:
            text += elements
        elif _PLAIN.fullmatch(step):
            text += f".{step}"
        else:
            quoted = step.replace("\\", "\\\\").replace("'", "\\'")
            text += f"['{quoted}']"
    return text


def _repeat(text: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(text), count)
