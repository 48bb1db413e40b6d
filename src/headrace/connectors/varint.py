"""Whole numbers of variable length, seven bits a byte, the lowest first, as Avro and compact Thrift write them."""

from __future__ import annotations


def plain_at(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at a place of the data, and where it ends; IndexError where the data ends within.

    Raises ValueError where it has more than ten bytes.
    """
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than ten bytes")


def signed_at(data: bytes, at: int) -> tuple[int, int]:
    """Return a number that may be negative, zigzag-encoded; otherwise as `plain_at`."""
    number, at = plain_at(data, at)
    return (number >> 1) ^ -(number & 1), at
