"""Reference data from files: typed, whole, and every fault at its line."""

from __future__ import annotations

import datetime as dt
import hashlib
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.connectors import reference_file
from headrace.connectors.reference_file import contract_type, read_reference
from headrace.errors import InputError

INSTANT = pa.timestamp("us", "UTC")


def read(folder, name, content, types=None, assumed=None):
    path = folder / name
    if isinstance(content, pa.Table):
        pq.write_table(content, path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_reference(path, f"seeds/{name}", types or {}, assumed or {})


def refused(folder, name, content, types=None):
    with pytest.raises(InputError) as caught:
        read(folder, name, content, types)
    assert caught.value.fix
    return caught.value.at, caught.value.message


def test_a_column_of_csv_is_what_all_of_its_values_are(tmp_path):
    found = read(
        tmp_path,
        "all.csv",
        "\ufeffid,big,rate,open,day,at,zip,mixed,void,name\r\n"
        '1,99999999999999999999,1.5,true,2024-02-29,2024-02-29T12:00:00Z,007,1,,"a ""b"", c"\r\n'
        "\r\n"
        '-2,1,2e3,False,1999-12-31,2024-02-29 12:00:00.5+02:00,123,x,,"two\r\nlines"\r\n'
        ',,,,,,,,,""\r\n',
    )
    assert {field.name: field.type for field in found.table.schema} == {
        "id": pa.int64(),
        "big": pa.string(),  # no digit is lost
        "rate": pa.float64(),
        "open": pa.bool_(),
        "day": pa.date32(),
        "at": INSTANT,
        "zip": pa.string(),
        "mixed": pa.string(),
        "void": pa.string(),
        "name": pa.string(),
    }
    first, second, third = found.table.to_pylist()
    assert (first["id"], first["day"], first["zip"], first["name"]) == (1, dt.date(2024, 2, 29), "007", 'a "b", c')
    assert (second["open"], second["name"]) == (False, "two\r\nlines")
    assert second["at"] == dt.datetime(2024, 2, 29, 10, 0, 0, 500_000, tzinfo=dt.UTC)
    assert set(third.values()) == {None, ""}, "an empty cell is null; an empty text is written in quotes"
    assert found.digest == hashlib.sha256((tmp_path / "all.csv").read_bytes()).hexdigest()
    assert [found.at(row) for row in range(3)] == ["seeds/all.csv:2", "seeds/all.csv:4", "seeds/all.csv:6"]


def test_na_is_namibia(tmp_path):
    assert read(tmp_path, "c.csv", "code,n\nNA,NaN\nNULL,null\n").table.to_pylist() == [
        {"code": "NA", "n": "NaN"},
        {"code": "NULL", "n": "null"},
    ]


def test_types_are_declared_or_those_of_the_events(tmp_path):
    text = "code,rate,day,on\n1,2,2024-02-30,TRUE\n2,3,x,false\n"
    declared = {"rate": pa.decimal128(38, 9), "day": pa.string(), "on": pa.bool_()}
    found = read(tmp_path, "r.csv", text, declared, {"code": pa.string()})
    assert [field.type for field in found.table.schema] == [pa.string(), declared["rate"], pa.string(), pa.bool_()]
    found = read(tmp_path, "r.csv", text, {}, {"code": pa.float64(), "day": pa.date32()})
    assert [field.type for field in found.table.schema][:3] == [pa.float64(), pa.int64(), pa.string()]
    assert refused(tmp_path, "r.csv", text, {"day": pa.date32()})[0] == "seeds/r.csv:2"
    assert refused(tmp_path, "r.csv", "a\n1\n2\nx\n", {"a": pa.int64()}) == (
        "seeds/r.csv:4",
        "a is declared int64, and this line has 'x'",
    )


@pytest.mark.parametrize(
    ("name", "content", "at", "message"),
    [
        ("a.csv", b"", "seeds/a.csv:1", "no header"),
        ("a.csv", b"a,,b\n1,2,3\n", "seeds/a.csv:1", "column 2 has no name"),
        ("a.csv", b"a,b,a\n1,2,3\n", "seeds/a.csv:1", "two columns are named 'a'"),
        ("a.csv", b'a,b\n"x\ny",2\n1\n', "seeds/a.csv:4", "this line has 1 cells, and the header has 2"),
        ("a.csv", b"a,b\n1,2\n\xff,2\n", "seeds/a.csv:3", "not UTF-8"),
        ("a.json", b'[{"a": 1},\n 2]', "seeds/a.json:2", "a row is a JSON object"),
        ("a.json", b'{"a": 1}', "seeds/a.json:1", "no array"),
        ("a.json", b'[{"a": 1},\n{"a" 2}]', "seeds/a.json:2", "not JSON"),
        ("a.json", b"[" * 100_000, "seeds/a.json:1", "not JSON"),
        ("a.ndjson", b'{"a": 1}\n\n{"a": NaN}\n', "seeds/a.ndjson:3", "NaN is not JSON"),
        ("a.jsonl", b'{"a": 1}\n[]\n', "seeds/a.jsonl:2", "a row is a JSON object"),
        ("a.parquet", b"PAR1 nothing", "seeds/a.parquet", "not Parquet"),
    ],
)
def test_a_damaged_file_is_refused_at_its_line(tmp_path, name, content, at, message):
    found = refused(tmp_path, name, content)
    assert found[0] == at
    assert message in found[1]


def test_json_keeps_its_types_and_what_has_none_in_common_is_said(tmp_path):
    text = '[{"a": 1, "b": {"c": [1.5]}, "m": "x"},\n\n {"a": null, "m": 2, "d": "2024-01-01"}]'
    found = read(tmp_path, "a.json", text, {}, {"d": pa.date32()})
    assert found.table.to_pylist() == [
        {"a": 1, "b": {"c": [1.5]}, "d": None},
        {"a": None, "b": None, "d": dt.date(2024, 1, 1)},
    ]
    assert "STRING" in found.unusable["m"]
    assert [found.at(0), found.at(1)] == ["seeds/a.json:1", "seeds/a.json:3"]
    lines = read(tmp_path, "a.ndjson", '\n{"m": "x"}\n{"m": {"y": 2}}\n', {"m": pa.string()})
    assert lines.table.to_pylist() == [{"m": "x"}, {"m": '{"y": 2}'}]
    assert lines.at(1) == "seeds/a.ndjson:3"


def test_parquet_keeps_its_types_as_those_of_a_contract(tmp_path):
    table = pa.table(
        {
            "a": pa.array([1, 2], pa.int8()),
            "b": pa.array(["x", "y"]).dictionary_encode(),
            "c": pa.array([1, None], pa.timestamp("ns", "Europe/Berlin")),
            "d": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        }
    )
    found = read(tmp_path, "a.parquet", table)
    assert [field.type for field in found.table.schema] == [pa.int64(), pa.string(), INSTANT]
    assert "map" in found.unusable["d"]
    assert (found.at(1), found.named(1)) == ("seeds/a.parquet", "row 2")
    assert contract_type(pa.list_(pa.struct([("x", pa.float32())]))) == pa.list_(pa.struct([("x", pa.float64())]))


def test_what_is_too_large_is_refused_before_it_is_in_memory(tmp_path, monkeypatch):
    wide = pa.table({"a": ["x" * 1000] * 5000})  # a few kilobytes on disk
    monkeypatch.setattr(reference_file, "MAX_TABLE_BYTES", 1 << 20)
    at, message = refused(tmp_path, "a.parquet", wide)
    assert at == "seeds/a.parquet"
    assert "1 MiB of memory" in message
    monkeypatch.setattr(reference_file, "MAX_ROWS", 2)
    assert "3 rows, and a lookup has at most 2" in refused(tmp_path, "a.csv", "a\n1\n2\n3\n")[1]
    monkeypatch.setattr(reference_file, "MAX_FILE_BYTES", 4)
    assert "a lookup has at most 0 MiB" in refused(tmp_path, "a.csv", "a\n1\n2\n3\n")[1]


def parquet():
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2, None], "b": ["x", None, "y"], "c": [[1], None, []]}), sink)
    return sink.getvalue()


WHOLE = {
    "a.csv": b'a,b,"c d"\n1,2,3\n"x,y",2024-01-01,\n"",,"q""q"\n',
    "a.json": b'[{"a":1,"b":{"c":[1,2.5,null]}},{"a":"x"},{"b":null}]',
    "a.ndjson": b'{"a":1}\n{"a":2.5,"z":[[],[1]]}\n',
    "a.parquet": parquet(),
}
JUNK = [b"", b'"', b",", b"\n", b"\r", b"{", b"]", b"\0", b"\xff", b"\x96", b"1e999", b"\xef\xbb\xbf", b"9" * 20]
KINDS = [None, pa.int64(), pa.string(), pa.bool_(), pa.time64("us"), pa.decimal128(38, 9), INSTANT]


@given(
    st.sampled_from(sorted(WHOLE)),
    st.integers(0, 2000),
    st.integers(0, 9),
    st.sampled_from(JUNK),
    st.sampled_from(KINDS),
)
@settings(max_examples=300)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path_factory, name, at, length, junk, kind):
    content = WHOLE[name]
    at = min(at, len(content))
    damaged = content[:at] + junk + content[at + length :]
    try:
        found = read(tmp_path_factory.getbasetemp(), name, damaged, {} if kind is None else {"a": kind})
    except InputError:
        return
    assert all(found.at(row) for row in range(len(found.table)))
