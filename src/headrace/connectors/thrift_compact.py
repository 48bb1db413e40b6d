"""Thrift in its compact form, as Parquet writes its metadata: structs as dicts by the number of the field."""

from __future__ import annotations

from typing import Any

from headrace.connectors.varint import plain_at, signed_at

DEEPEST = 16


def struct_at(data: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Return a struct, and where it ends: numbers, texts as bytes, lists and structs by field.

    Raises IndexError where the data ends within, and ValueError where it is none.
    """
    if depth > DEEPEST:
        raise ValueError("the data is nested too deep")
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = signed_at(data, at)
        kind = head & 0x0F
        if kind in {1, 2}:
            fields[number] = kind == 1
        else:
            fields[number], at = _value(data, at, kind, depth)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    match kind:
        case 1 | 2 | 3:
            return data[at], at + 1
        case 4 | 5 | 6:
            return signed_at(data, at)
        case 7:
            return None, _there(data, at + 8)
        case 8:
            size, at = plain_at(data, at)
            end = _there(data, at + size)
            return data[at:end], end
        case 9 | 10:
            return _list(data, at, depth)
        case 12:
            return struct_at(data, at, depth + 1)
        case _:
            raise ValueError(f"no type has the number {kind}")


def _list(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    if depth > DEEPEST:
        raise ValueError("the data is nested too deep")
    head, at = data[at], at + 1
    size = head >> 4
    if size == 15:
        size, at = plain_at(data, at)
    _there(data, at + size)  # each takes a byte or more
    items = []
    for _ in range(size):
        item, at = _value(data, at, head & 0x0F, depth + 1)
        items.append(item)
    return items, at


def _there(data: bytes, end: int) -> int:
    if end > len(data):
        raise IndexError("the data ends early")
    return end
