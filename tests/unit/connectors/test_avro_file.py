"""Avro: every logical type as exact JSON; damage is told after what came before it."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import sys
import uuid
from decimal import Decimal

import fastavro
import pytest

from headrace.connectors.files import read_messages
from headrace.errors import ConfigError, InputError

FIELDS = [
    {"name": "i", "type": "long"},
    {"name": "f", "type": ["null", "double"]},
    {"name": "s", "type": "string"},
    {"name": "b", "type": "bytes"},
    {"name": "ok", "type": "boolean"},
    {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["a", "b"]}},
    {"name": "tags", "type": {"type": "array", "items": "string"}},
    {"name": "more", "type": {"type": "map", "values": "int"}},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 2}},
    {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
]
SCHEMA = {"type": "record", "name": "event", "fields": FIELDS}
ROW = {
    "i": 2**63 - 1, "f": 0.1, "s": 'a "quote" é\n', "b": b"\x00\xff", "ok": True, "kind": "b", "tags": ["x", "y"],
    "more": {"k": 1}, "day": dt.date(2026, 11, 21), "at": dt.datetime(2026, 11, 21, 8, 30, 0, 1, tzinfo=dt.UTC),
    "price": Decimal("1234567890123456789012345.10"), "id": uuid.UUID(int=7),
}  # fmt: skip
TEXT = (
    '{"i":9223372036854775807,"f":0.1,"s":"a \\"quote\\" é\\n","b":"AP8=","ok":true,"kind":"b","tags":["x","y"],'
    '"more":{"k":1},"day":"2026-11-21","at":"2026-11-21T08:30:00.000001Z","price":1234567890123456789012345.10,'
    '"id":"00000000-0000-0000-0000-000000000007"}'
)


def written(path, rows, schema=SCHEMA, codec="deflate"):
    out = io.BytesIO()
    fastavro.writer(out, fastavro.parse_schema(schema), rows, codec=codec)
    path.write_bytes(out.getvalue())
    return path


def payloads(path, **options):
    return [row for batch in read_messages(path, **options) for row in batch.column("payload").to_pylist()]


def test_every_type_is_exact(tmp_path):
    path = written(tmp_path / "a.avro", [ROW, ROW | {"f": None}])
    assert payloads(path) == [TEXT.encode(), TEXT.replace('"f":0.1', '"f":null').encode()]
    (tmp_path / "a.avro.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert len(payloads(tmp_path / "a.avro.gz")) == 2
    with path.open("rb") as file:
        assert len(payloads(file, name="a.avro")) == 2


def test_numbers_that_json_cannot_say_become_null_and_are_told(tmp_path):
    notes: list[str] = []
    path = written(tmp_path / "a.avro", [ROW | {"f": float("nan")}])
    assert json.loads(payloads(path, note=notes.append)[0])["f"] is None
    assert "1 numbers" in notes[0]


def test_a_file_that_ends_early_gives_what_came_before(tmp_path):
    path = written(tmp_path / "a.avro", [ROW | {"i": n} for n in range(50_000)], codec="null")
    path.write_bytes(path.read_bytes()[:-1000])
    got = []
    with pytest.raises(InputError, match="cannot be read"):
        got.extend(row for batch in read_messages(path) for row in batch.column("payload").to_pylist())
    assert [json.loads(row)["i"] for row in got] == [*range(len(got))]
    assert len(got) > 40_000


@pytest.mark.parametrize("data", [b"", b"Obj\x01", b"not avro"])
def test_what_is_not_avro_is_told(tmp_path, data):
    (tmp_path / "a.avro").write_bytes(data)
    with pytest.raises(InputError, match="cannot be read"):
        payloads(tmp_path / "a.avro")


def test_a_file_without_records_is_told(tmp_path):
    with pytest.raises(InputError, match="holds no records"):
        payloads(written(tmp_path / "a.avro", [1, 2], "int"))


def test_without_the_extra_the_error_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastavro", None)
    with pytest.raises(ConfigError) as told:
        payloads(written(tmp_path / "a.avro", [ROW]))
    assert told.value.fix == "pip install 'headrace[avro]'"
