"""Avro: each record as the JSON text of one object, exact."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import math
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from headrace.connectors.avro_blocks import AvroBlocks
from headrace.connectors.avro_shape import Schema, written_schema
from headrace.connectors.byte_stream import UNBOUNDED
from headrace.connectors.records import batches
from headrace.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from headrace.connectors.byte_stream import Bounds

BATCH_ROWS = 10_000
BATCH_BYTES = 8 << 20
FREE_BYTES = 64  # what a value counts for that takes none: it becomes text like others

_ESCAPED = json.JSONEncoder(ensure_ascii=False).encode


def read_avro(
    file: BinaryIO, name: str, attributes: Mapping[str, str], note: Callable[[str], None], bounds: Bounds = UNBOUNDED
) -> Iterator[pa.RecordBatch]:
    """Yield a message for each record, from front to back: any stream will do.

    Numbers keep every digit, instants are ISO 8601, bytes base64. No more is held than a block and a batch. Raises
    `InputError` where the file is damaged or ends early, or where its blocks, a record or all that comes out of it go
    beyond their bounds, after all before that, and `ConfigError` where the extra is not installed.
    """
    try:
        import fastavro
    except ModuleNotFoundError as error:
        raise ConfigError("Avro files need fastavro", at=name, fix="pip install 'headrace[avro]'") from error
    text = _Text()
    rows: list[str] = []
    size = 0
    try:
        for record in _records(fastavro, file, name, bounds, text):
            rows.append(record)
            size += len(record)
            if len(rows) >= BATCH_ROWS or size >= BATCH_BYTES:
                yield from batches(pa.array(rows, pa.string()).cast(pa.binary()), attributes)
                rows, size = [], 0
    except (GeneratorExit, OSError):
        raise
    except InputError:
        yield from _last(rows, attributes)
        raise
    except Exception as error:  # fastavro raises what its parts raise: EOFError, IndexError, ValueError …
        yield from _last(rows, attributes)
        what = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
        raise InputError(f"the Avro file cannot be read: {what}", at=name, fix="fetch the file again") from error
    yield from _last(rows, attributes)
    if text.not_finite:
        note(f"{name}: {text.not_finite:,} numbers are NaN or infinite, which JSON cannot say: they became null")


def _records(fastavro: Any, file: BinaryIO, name: str, bounds: Bounds, text: _Text) -> Iterator[str]:
    """Yield the records as text; nothing is made of a block before it was held to the bounds."""
    blocks = AvroBlocks(file, name)
    named: dict[str, Any] = {}
    parsed = fastavro.parse_schema(written_schema(blocks.header.meta.get("avro.schema", b""), name), named)
    schema = Schema(parsed, named, name)
    unpacked = told = 0
    for block in blocks:
        if schema.least and block.records * schema.least > len(block.data):
            raise InputError(
                f"the Avro file cannot be read: a block says that it has {block.records:,} records, and has "
                f"{len(block.data):,} bytes", at=name, fix="fetch the file again",
            )  # fmt: skip
        unpacked += len(block.data) + block.records * schema.free * FREE_BYTES
        bounds.hold(unpacked, block.upto, name, "Avro file")
        measure = schema.measured(block.data)
        data = io.BytesIO(block.data)
        for _ in range(block.records):
            if measure is not None:
                unpacked += measure() * FREE_BYTES
                bounds.hold(unpacked, block.upto, name, "Avro file")
            record = fastavro.schemaless_reader(data, parsed, None)
            if not isinstance(record, dict):
                raise InputError(
                    "the Avro file holds no records, and a message is one", at=name, fix="write it with a record schema"
                )
            row = text.of(record)
            told += len(row)
            bounds.hold(told, block.upto, name, "Avro file")
            yield row
        if data.tell() != len(block.data):
            raise InputError(
                "the Avro file cannot be read: a block holds more than its records", at=name, fix="fetch the file again"
            )


def _last(rows: list[str], attributes: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    if rows:
        yield from batches(pa.array(rows, pa.string()).cast(pa.binary()), attributes)


class _Text:
    """JSON text of what fastavro makes of a record; counts the numbers that JSON cannot say."""

    def __init__(self) -> None:
        self.not_finite = 0

    def of(self, value: Any) -> str:
        match value:
            case None:
                return "null"
            case bool():
                return "true" if value else "false"
            case str():
                return _ESCAPED(value)
            case int():
                return str(value)
            case float():
                if math.isfinite(value):
                    return repr(value)
                self.not_finite += 1
                return "null"
            case Decimal():
                return format(value, "f")
            case dict():
                return "{" + ",".join(f"{_ESCAPED(str(key))}:{self.of(each)}" for key, each in value.items()) + "}"
            case list() | tuple():
                return "[" + ",".join(map(self.of, value)) + "]"
            case bytes():
                return f'"{base64.b64encode(value).decode()}"'
            case dt.datetime():
                return f'"{_instant(value)}"'
            case dt.date() | dt.time():
                return f'"{value.isoformat()}"'
            case uuid.UUID():
                return f'"{value}"'
            case _:
                raise InputError(f"an Avro value of type {type(value).__name__} has no JSON form")


def _instant(value: dt.datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat() + "Z"
