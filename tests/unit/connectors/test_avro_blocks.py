"""Avro files that would unfold without end, hold what a few bytes declare, or nest until the stack ends."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import zlib

import fastavro
import pyarrow as pa
import pytest

from headrace.connectors.avro_blocks import MAX_BLOCK_BYTES
from headrace.connectors.byte_stream import Bounds
from headrace.connectors.files import read_messages
from headrace.errors import InputError

SYNC = b"0123456789abcdef"
BOUNDS = Bounds(100 << 30, 1000)
NONE = {"type": "record", "name": "none", "fields": []}
LIST = {"type": "record", "name": "n", "fields": [{"name": "next", "type": ["null", "n"]}]}


def number(value: int) -> bytes:
    left, data = value << 1 if value >= 0 else (-value << 1) - 1, bytearray()
    while left > 0x7F:
        data.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*data, left])


def record(*types, name="r"):
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": f"f{at}", "type": each} for at, each in enumerate(types)],
    }


def chained(deep):
    """Return a schema in which each type holds the next one by its name."""
    inner = record("long", name="t0")
    for at in range(deep):
        inner = record(inner, name=f"t{at + 1}")
    return inner


def doubled(times):
    inner = dict(NONE)
    for at in range(times):
        inner = record(inner, inner["name"], name=f"d{at}")
    return inner


def avro(schema, *blocks, codec="null"):
    """Return an Avro file; a block is (records, data) and may declare another size."""
    meta = {b"avro.schema": json.dumps(schema).encode(), b"avro.codec": codec.encode()}
    told = b"".join(number(len(part)) + part for pair in meta.items() for part in pair)
    header = b"Obj\x01" + number(len(meta)) + told + b"\0" + SYNC
    return header + b"".join(number(each[0]) + number(each[-1] if len(each) == 3 else len(each[1])) + each[1] + SYNC
                             for each in blocks)  # fmt: skip


def rows(data, bounds=BOUNDS):
    batches = read_messages(io.BytesIO(data), name="a.avro", format="avro", bounds=bounds)
    return [row for batch in batches for row in batch.column("payload").to_pylist()]


def snappy(data):
    return pa.compress(data, "snappy", asbytes=True) + zlib.crc32(data).to_bytes(4, "big")


def deflated(data):
    packing = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return packing.compress(data) + packing.flush()


PACKED = {
    "null": bytes,
    "deflate": deflated,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstandard": lambda data: pa.compress(data, "zstd", asbytes=True),
    "snappy": snappy,
}


@pytest.mark.parametrize("codec", PACKED)
def test_every_codec_is_read_and_its_damage_told(codec):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, record("string", "long"), {"f0": "x" * 500, "f1": 7})
    packed = PACKED[codec](out.getvalue() * 3)
    whole = avro(record("string", "long"), (3, packed), (3, packed), codec=codec)
    assert rows(whole) == [b'{"f0":"' + b"x" * 500 + b'","f1":7}'] * 6
    for cut in (whole[:-1], whole[: -len(SYNC) - 2], avro(record("string", "long"), (3, packed[:-6]), codec=codec)):
        with pytest.raises(InputError, match="Avro file cannot be read"):
            rows(cut)


@pytest.mark.parametrize("codec", ["bzip2", "zstandard"])
def test_a_block_that_unfolds_to_more_than_is_held_is_refused(codec):
    packed = PACKED[codec](bytes(MAX_BLOCK_BYTES + (1 << 20)))
    with pytest.raises(InputError, match="unfolds to more than 67,108,864 bytes") as told:
        rows(avro(record("bytes"), (1, packed), codec=codec))
    assert told.value.at == "a.avro"
    assert "smaller blocks" in told.value.fix


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (avro(record("bytes"), (1, b"\xff\xff\xff\xff\x0f" + bytes(9)), codec="snappy"), "unfolds to more"),
        (avro(record("bytes"), (1, b"", 1 << 40)), "takes 1,099,511,627,776 bytes"),
        (avro(record("long"), (1 << 40, b"\2\2")), "says that it has 1,099,511,627,776 records"),
        (avro(NONE, (1 << 40, b"")), "more than 107,374,182,400 bytes come out"),
        (avro(record(*["null"] * 500), (900_000, b"")), "more than 1,000 times its size"),
        (avro(record({"type": "array", "items": "null"}), (1, number(1 << 40) + b"\0")), "more than 2,000,000 values"),
        (avro(record({"type": "array", "items": NONE}), (1, number(-(1 << 40)) + b"\0\0")), "more than 2,000,000"),
        (avro(record({"type": "array", "items": {"type": "map", "values": "long"}}),
              (1, deflated(number(3 << 20) + bytes(3 << 20))), codec="deflate"), "more than 2,000,000 values"),
        (avro(doubled(40), (1, b"")), "more than 1,000 times its size"),
        (avro(LIST, (1, b"\2" * 100_000 + b"\0")), "nested more than 100 deep"),
        (avro(record("n", name="n"), (1, b"")), "nested more than 100 deep"),
        (avro(chained(120), (1, b"\2")), "nested more than 100 deep"),
        (avro(record({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
              (1, number(300_000) + bytes(300_000))), "a value of 300,000 bytes"),
        (avro(record({"type": "bytes", "logicalType": "decimal", "precision": 1 << 30, "scale": 1 << 30}),
              (1, b"\2\2")), "digits behind the point"),
        (b"Obj\x01" + number(1) + number(1 << 45), "header is larger"),
        (avro(record("long"), (-2, b"\2")), "negative"),
        (avro(record("long"), (1, b"\2\2")), "more than its records"),
        (avro(record("long"), (1, b"\2"), codec="lzo"), "packed as 'lzo'"),
    ],
)  # fmt: skip
def test_what_a_few_bytes_declare_is_refused_before_it_is_made(data, why):
    with pytest.raises(InputError, match=why) as told:
        rows(data)
    assert told.value.at == "a.avro"
    assert told.value.fix


def test_all_that_comes_out_of_a_file_is_held_to_its_bounds():
    block = (1, deflated(number(1 << 20) + bytes(1 << 20)))
    data = avro(record("bytes"), *[block] * 5, codec="deflate")
    assert len(rows(data)) == 5
    with pytest.raises(InputError, match="more than 4,000,000 bytes come out of the Avro file"):
        rows(data, Bounds(4_000_000, 0))


def test_what_is_large_or_holds_itself_and_is_sound_is_read():
    assert rows(avro(LIST, (2, b"\2\2\0\0"))) == [b'{"next":{"next":{"next":null}}}', b'{"next":null}']
    many = record({"type": "array", "items": ["null", "string"]}, {"type": "map", "values": "double"}, "float")
    out = io.BytesIO()
    for at in range(300):
        value = {"f0": [None, "x" * 4000] * 4, "f1": {"k": 0.5}, "f2": float(at)}
        fastavro.schemaless_writer(out, fastavro.parse_schema(many), value)
    assert len(out.getvalue()) > 4 << 20
    assert [json.loads(row)["f2"] for row in rows(avro(many, (300, out.getvalue())))] == [
        float(at) for at in range(300)
    ]
    assert rows(avro(record({"type": "array", "items": "null"}), (1, number(3) + b"\0"))) == [
        b'{"f0":[null,null,null]}'
    ]
