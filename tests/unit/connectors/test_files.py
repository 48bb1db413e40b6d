"""Every format, whole and in pieces: the messages are those that plain Python finds."""

from __future__ import annotations

import bz2
import csv
import datetime as dt
import gzip
import io
import json
import os
import threading
import uuid
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.connectors import byte_stream
from headrace.connectors.csv_dialect import Said
from headrace.connectors.csv_file import read_csv
from headrace.connectors.files import format_of, read_messages
from headrace.connectors.json_documents import read_json
from headrace.connectors.jsonl import read_lines
from headrace.errors import InputError


def payloads(source, **options) -> list[bytes]:
    return [row["payload"] for batch in read_messages(source, **options) for row in batch.to_pylist()]


def before_the_error(source, **options) -> tuple[list[bytes], InputError]:
    got = []
    with pytest.raises(InputError) as refused:
        got.extend(row["payload"] for batch in read_messages(source, **options) for row in batch.to_pylist())
    assert refused.value.at
    assert refused.value.fix
    return got, refused.value


def written(folder, name: str, data: bytes):
    path = folder / name
    path.write_bytes(data)
    return path


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    blocks, at = [], 0
    for size in sizes:
        blocks.append(data[at : at + size])
        at += size
    return [block for block in [*blocks, data[at:]] if block]


def of_blocks(read, data: bytes, sizes: list[int], **options) -> list[bytes]:
    stream = byte_stream.ByteStream(io.BytesIO(b""))
    return [
        row["payload"] for batch in read(stream, iter(cut(data, sizes)), {}, **options) for row in batch.to_pylist()
    ]


cuts = st.lists(st.integers(1, 9), max_size=12)

# lines


def lines_by_hand(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
        lines = [line.removesuffix(b"\r") for line in lines]
    else:
        lines = [*(line.removesuffix(b"\r") for line in lines[:-1]), lines[-1].removesuffix(b"\r")]
    if lines and lines[-1] == b"" and data.endswith(b"\n"):
        lines.pop()
    return lines


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b"\r", b"\xff", b"\n\n"]), max_size=15).map(b"".join), cuts
)
def test_lines_are_those_of_plain_python_wherever_blocks_are_cut(data, sizes):
    if data == b"\r":
        return
    assert of_blocks(read_lines, data, sizes) == lines_by_hand(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n", []),
        (b'{"a":1}', [b'{"a":1}']),
        (b'{"a":1}\n', [b'{"a":1}']),
        (b"a\n\n", [b"a"]),
        (b"a\n\n\n", [b"a", b""]),
        (b"\na\n", [b"", b"a"]),
        (b"a\r\n\r\nb\r\n\r\n", [b"a", b"", b"b"]),
        (b"a\rb\nc\r\n", [b"a\rb", b"c"]),
        (b"\xef\xbb\xbf{}\n\xff\xfe\n\x00\n", [b"\xef\xbb\xbf{}", b"\xff\xfe", b"\x00"]),
    ],
)
def test_lines_keep_their_bytes(tmp_path, data, expected):
    assert payloads(written(tmp_path, "a.jsonl", data)) == expected
    assert payloads(io.BytesIO(data)) == expected


def test_a_line_of_50_mb_passes(tmp_path):
    giant = b'{"x":"' + b"y" * 50_000_000 + b'"}'
    got = payloads(written(tmp_path, "a.ndjson", b"1\n" + giant + b"\n3\n"))
    assert [len(each) for each in got] == [1, len(giant), 1]
    assert got[1] == giant


def test_batches_are_bounded(tmp_path):
    path = written(tmp_path, "a.jsonl", b"{}\n" * 200_000)
    rows = [batch.num_rows for batch in read_messages(path)]
    assert sum(rows) == 200_000
    assert max(rows) <= 50_000


def test_lines_without_attributes_have_no_such_column_and_with_them_each_has_all(tmp_path):
    path = written(tmp_path, "a.jsonl", b"1\n2\n")
    (batch,) = read_messages(path)
    assert batch.schema.names == ["payload"]
    (batch,) = read_messages(path, attributes={"dataset": "orders", "k": ""})
    assert [dict(pairs) for pairs in batch.column("attributes").to_pylist()] == [{"dataset": "orders", "k": ""}] * 2


def test_a_record_without_end_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(b"1\n")
        file.truncate(300 << 20)
    got, error = before_the_error(path)
    assert got == [b"1"]
    assert "longer than 256 MiB" in error.message


# compression

COMPRESS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("suffix", sorted(COMPRESS))
def test_compressed_files_read_the_same(tmp_path, suffix):
    data = b"".join(b'{"n":%d}\n' % number for number in range(100_000))
    packed = COMPRESS[suffix](data)
    expected = data.splitlines()
    assert payloads(written(tmp_path, f"a.jsonl.{suffix}", packed)) == expected
    assert payloads(io.BytesIO(packed)) == expected, "known by its first bytes"
    two = COMPRESS[suffix](data[:500]) + COMPRESS[suffix](data[500:])
    assert payloads(written(tmp_path, f"b.jsonl.{suffix}", two)) == expected, "several members"


@pytest.mark.parametrize("suffix", sorted(COMPRESS))
def test_a_truncated_file_gives_what_came_before_and_says_where(tmp_path, suffix):
    lines = [os.urandom(200).hex().encode() for _ in range(20_000)]
    packed = COMPRESS[suffix](b"\n".join(lines) + b"\n")
    got, error = before_the_error(written(tmp_path, f"a.jsonl.{suffix}", packed[: len(packed) * 3 // 4]))
    assert lines[: len(got)] == got
    assert len(got) > 0
    assert "ends early" in error.message
    assert "bytes of content" in error.message


def test_a_file_that_is_not_compressed_as_it_says_is_refused(tmp_path):
    got, error = before_the_error(written(tmp_path, "a.jsonl.gz", b'{"a":1}\n'))
    assert got == []
    assert "damaged" in error.message


def test_an_empty_compressed_file_has_no_messages(tmp_path):
    assert payloads(written(tmp_path, "a.jsonl.gz", gzip.compress(b""))) == []
    assert payloads(written(tmp_path, "b.jsonl.gz", b"")) == []


def test_a_slow_pipe_is_not_held_back_until_a_block_is_full():
    reading, writing = os.pipe()
    first = threading.Event()

    def produce() -> None:
        with os.fdopen(writing, "wb", buffering=0) as out:
            out.write(b"1\n2\n")
            first.wait(30)
            out.write(b"3\n4")

    producer = threading.Thread(target=produce)
    producer.start()
    with os.fdopen(reading, "rb") as pipe:
        batches = read_messages(pipe)
        assert next(batches).column("payload").to_pylist() == [b"1", b"2"]
        first.set()
        assert [row for batch in batches for row in batch.column("payload").to_pylist()] == [b"3", b"4"]
    producer.join()


# CSV

cells = st.text(alphabet='ab,"\n é', max_size=6)
tables = st.lists(st.lists(cells, min_size=2, max_size=3), min_size=1, max_size=8)


@settings(deadline=None)
@given(tables, cuts, st.sampled_from(["\n", "\r\n"]), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_csv_records_are_those_of_pythons_reader_wherever_blocks_are_cut(rows, sizes, ending, quoting):
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=ending, quoting=quoting).writerows([["x", "y"], *rows])
    records = of_blocks(read_csv, out.getvalue().encode(), sizes)
    got = [next(csv.reader([record.decode()])) for record in records]
    assert [[*row] for row in got] == rows


def test_csv_attributes_carry_the_header(tmp_path):
    data = '\ufeffid,näme\r\n1,a\r\n2,"b\r\nc"\r\n'
    (batch,) = read_messages(written(tmp_path, "a.csv", data.encode()), attributes={"k": "v"})
    assert batch.column("payload").to_pylist() == [b"1,a", b'2,"b\r\nc"']
    expected = {"content-type": "text/csv", "csv-header": "id,näme", "k": "v"}
    assert [dict(pairs) for pairs in batch.column("attributes").to_pylist()] == [expected] * 2


def test_tsv_quotes_open_after_tabs(tmp_path):
    (batch,) = read_messages(written(tmp_path, "a.tsv", b'a\tb\n1\t"x\ty\nz"\n2\t3,"\n'))
    assert batch.column("payload").to_pylist() == [b'1\t"x\ty\nz"', b'2\t3,"']
    attributes = dict(batch.column("attributes")[0].as_py())
    assert json.loads(attributes.pop("csv-dialect")) == {"delimiter": "\t", "quote": '"', "escape": None}
    assert attributes == {"content-type": "text/csv", "csv-header": "a\tb"}


@pytest.mark.parametrize("header", [b"", b'\xef\xbb\xbfa,"b"\n'])
def test_a_source_may_know_the_columns_of_files_without_header(tmp_path, header):
    assert payloads(written(tmp_path, "a.csv", header + b"1,2\n3,4\n"), csv=Said(columns=("a", "b"))) == [
        b"1,2",
        b"3,4",
    ]


def test_an_inch_mark_and_an_open_quote_harm_their_own_line_only(tmp_path):
    lines = [b'1,5" disk', b'2,"never closed', *(b"%d,ok" % n for n in range(3, 1000))]
    assert payloads(written(tmp_path, "a.csv", b"id,name\n" + b"\n".join(lines) + b"\n")) == lines


def test_an_open_quote_in_a_large_file_stalls_nothing(tmp_path):
    line = b"7," + b"x" * 998
    data = b'id,name\n1,"open\n' + (line + b"\n") * 90_000
    got = payloads(written(tmp_path, "a.csv", data))
    assert len(got) == 90_001
    assert got[0] == b'1,"open'
    assert set(got[1:]) == {line}


def test_escaped_quotes_do_not_close_where_the_source_says_so(tmp_path):
    path = written(tmp_path, "a.csv", b'a,b\n1,"x\\"\ny"\n2,z\n')
    assert payloads(path, csv=Said(escape="\\")) == [b'1,"x\\"\ny"', b"2,z"]


@pytest.mark.parametrize("data", [b"", b"\n", b"id,name", b"id,name\n", b"id,name\r\n"])
def test_csv_without_records_has_no_messages(tmp_path, data):
    assert payloads(written(tmp_path, "a.csv", data)) == []


def test_csv_keeps_empty_and_ragged_lines(tmp_path):
    assert payloads(written(tmp_path, "a.csv", b"a,b\n1,2\n\n3\n4,5,6\n\n")) == [b"1,2", b"", b"3", b"4,5,6"]


def test_a_csv_header_that_is_no_utf8_is_refused(tmp_path):
    got, error = before_the_error(written(tmp_path, "a.csv", b"id,n\xe4me\n1,a\n"), csv=Said(encoding="utf-8"))
    assert got == []
    assert "iconv" in error.fix


# .json

DOCUMENTS = [
    {"a": 1, "s": 'x"y', "l": [1, {"b": "]},["}]},
    {"s": "\\", "t": '\\"', "u": "é\u2028"},
    [],
    [[1], "a,b"],
    "text",
    3.5,
    None,
    {},
]
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab"\\,[]{}\n', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='k"\\', max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.lists(documents, max_size=6), cuts, st.sampled_from([None, 1]))
def test_elements_of_an_array_are_those_of_pythons_reader_wherever_blocks_are_cut(values, sizes, indent):
    data = json.dumps(values, indent=indent).encode()
    got = [json.loads(text) for text in of_blocks(read_json, data, sizes)]
    assert got == values


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_gives_its_elements(tmp_path, indent):
    data = json.dumps(DOCUMENTS, indent=indent, ensure_ascii=False).encode()
    for text in (data, b"\xef\xbb\xbf \n" + data + b"\n \n"):
        assert [json.loads(each) for each in payloads(written(tmp_path, "a.json", text))] == DOCUMENTS


def test_elements_keep_their_text(tmp_path):
    path = written(tmp_path, "a.json", b'[ {"a" : 1.10,"a":2} ,\n\t12345678901234567890123 , NaN]')
    assert payloads(path) == [b'{"a" : 1.10,"a":2}', b"12345678901234567890123", b"NaN"]


@pytest.mark.parametrize("values", [[{"a": {"b": [1]}}], [{"a": 1}, {"b": "}\n{"}, {}]])
def test_documents_may_be_pretty_and_follow_each_other(tmp_path, values):
    data = "\n".join(json.dumps(value, indent=4) for value in values).encode()
    assert [json.loads(each) for each in payloads(written(tmp_path, "a.json", data))] == values


@pytest.mark.parametrize(
    "lines", [[b'{"a":1}'], [b'{"a":1}', b'{"a":2}'], [b'{"bad": ', b'{"a":2}'], [b"[1]", b"[2]"], [b"no json", b"{}"]]
)
def test_lines_in_a_json_file_are_known_as_such(tmp_path, lines):
    assert payloads(written(tmp_path, "a.json", b"\n".join(lines) + b"\n")) == lines


@pytest.mark.parametrize("data", [b"", b" \n", b"[]", b"[ ]\n", b"\xef\xbb\xbf[]"])
def test_json_without_elements_has_no_messages(tmp_path, data):
    assert [each for each in payloads(written(tmp_path, "a.json", data)) if each.strip()] == []


def test_an_array_that_ends_early_gives_what_came_before(tmp_path):
    got, error = before_the_error(written(tmp_path, "a.json", b'[{"a":1},{"a":2},{"a":'))
    assert got == [b'{"a":1}', b'{"a":2}']
    assert "within its array, after 2 complete elements" in error.message


def test_text_after_an_array_is_refused(tmp_path):
    got, error = before_the_error(written(tmp_path, "a.json", b"[1,2] x"))
    assert got == [b"1", b"2"]
    assert "follows the end" in error.message


def test_a_large_array_reads_in_pieces(tmp_path):
    element = json.dumps({"x": "y" * 1000, "l": [1, 2]}).encode()
    giant = b'{"x":"' + b"y" * 20_000_000 + b'"}'
    data = b"[" + b",".join([*[element] * 20_000, giant, element]) + b"]"
    sizes = [(batch.num_rows, batch.nbytes) for batch in read_messages(written(tmp_path, "a.json", data))]
    assert sum(rows for rows, _ in sizes) == 20_002
    assert len(sizes) > 2


# Parquet


def test_parquet_rows_are_exact(tmp_path):
    utc = dt.UTC
    moment = dt.datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=utc)
    known = uuid.UUID(int=5)
    exact = Decimal("12345678901234567890.123456789")
    naive = moment.replace(tzinfo=None)
    pair = pa.struct([("a", pa.int64()), ("é", pa.string())])
    counts = pa.map_(pa.string(), pa.int64())
    columns = {
        "i": (pa.array([2**63 - 1, None]), [9223372036854775807, None]),
        "u": (pa.array([2**64 - 1, 0], pa.uint64()), [18446744073709551615, 0]),
        "d": (pa.array([exact, None], pa.decimal128(38, 9)), [exact, None]),
        "f": (pa.array([0.1, 1e300]), [Decimal("0.1"), Decimal("1e300")]),
        "f32": (pa.array([0.1, 2.5], pa.float32()), [Decimal("0.1"), Decimal("2.5")]),
        "b": (pa.array([True, None]), [True, None]),
        "s": (pa.array(['q"\\\n\x01é\u2028', ""]), ['q"\\\n\x01é\u2028', ""]),
        "t": (pa.array([moment, None], pa.timestamp("us", "Europe/Berlin")), ["2026-11-01T12:00:00.123456Z", None]),
        "n": (pa.array([naive, None], pa.timestamp("ns")), ["2026-11-01T12:00:00.123456000", None]),
        "day": (pa.array([dt.date(1969, 12, 31), None]), ["1969-12-31", None]),
        "clock": (pa.array([dt.time(1, 2, 3), None], pa.time64("us")), ["01:02:03.000000", None]),
        "raw": (pa.array([b"\x00\xff", None]), ["AP8=", None]),
        "id": (pa.array([known.bytes, None], pa.uuid()), [str(known), None]),
        "list": (pa.array([[1, None], None], pa.list_(pa.int64())), [[1, None], None]),
        "deep": (pa.array([[{"a": [{"b": "x"}]}], []]), [[{"a": [{"b": "x"}]}], []]),
        "struct": (pa.array([{"a": 1, "é": None}, None], pair), [{"a": 1, "é": None}, None]),
        "map": (pa.array([[("k", 1), ("l", None)], None], counts), [{"k": 1, "l": None}, None]),
        "dict": (pa.array(["x", None]).dictionary_encode(), ["x", None]),
        "null": (pa.nulls(2), [None, None]),
        'odd "name"': (pa.array([1, 2]), [1, 2]),
    }  # fmt: skip
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({name: column for name, (column, _) in columns.items()}), path)
    got = [json.loads(text, parse_float=Decimal) for text in payloads(path)]
    assert got == [{name: expected[row] for name, (_, expected) in columns.items()} for row in range(2)]


def test_parquet_slices_and_many_batches_stay_aligned(tmp_path):
    count = 45_000
    table = pa.table(
        {
            "n": range(count),
            "l": [[n] * (n % 3) for n in range(count)],
            "m": pa.array([[(str(n), n)] * (n % 2) for n in range(count)], pa.map_(pa.string(), pa.int64())),
        }
    )
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=7_000)
    got = [json.loads(text) for text in payloads(path)]
    assert got == [{"n": n, "l": [n] * (n % 3), "m": {str(n): n} if n % 2 else {}} for n in range(count)]


def test_parquet_numbers_that_json_cannot_say_become_null_and_are_told(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"f": [float("nan"), 1.0, None], "l": [[float("inf")], [], None]}), path)
    notes = []
    assert [json.loads(text) for text in payloads(path, note=notes.append)] == [
        {"f": None, "l": [None]},
        {"f": 1, "l": []},
        {"f": None, "l": None},
    ]
    assert len(notes) == 1
    assert "2 numbers are NaN or infinite" in notes[0]


def test_a_truncated_parquet_file_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": range(1000)}), path)
    os.truncate(path, 500)
    assert before_the_error(path)[0] == []


def test_parquet_from_a_pipe_is_refused():
    assert "pipe" in before_the_error(io.BytesIO(b"PAR1"), format="parquet")[1].message


# formats


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.JSONL", "ndjson"),
        ("a.ndjson.gz", "ndjson"),
        ("a.v1.json.zst", "json"),
        ("a.csv", "csv"),
        ("a.tsv.bz2", "tsv"),
        ("a.pq", "parquet"),
    ],
)
def test_the_suffix_says_the_format(tmp_path, name, expected):
    assert format_of(tmp_path / name) == expected


def test_the_option_overrides_the_suffix(tmp_path):
    assert format_of(tmp_path / "a.csv", "jsonl") == "ndjson"
    assert payloads(written(tmp_path, "a.log", b"1\n2\n"), format="ndjson") == [b"1", b"2"]


@pytest.mark.parametrize("name", ["a.log", "noname", "a.gz", ".jsonl.xlsx"])
def test_a_name_that_says_nothing_is_refused(tmp_path, name):
    assert "--format" in before_the_error(written(tmp_path, name, b""))[1].fix


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz"])
def test_a_tar_archive_is_told_what_to_become(tmp_path, name):
    assert "make a zip" in before_the_error(written(tmp_path, name, b""))[1].fix


def test_an_unknown_format_is_told(tmp_path):
    assert "did you mean 'ndjson'" in before_the_error(tmp_path / "a.json", format="ndjsn")[1].fix


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    assert "does not exist" in before_the_error(tmp_path / "a.jsonl")[1].message
    (tmp_path / "b.jsonl").mkdir()
    assert "is a folder" in before_the_error(tmp_path / "b.jsonl")[1].message
    assert "is a folder" in before_the_error(tmp_path)[1].message


def test_what_is_open_already_is_known_by_a_name_that_no_file_here_could_have():
    assert payloads(io.BytesIO(b"1\n"), name=f"{'x' * 300}.ndjson") == [b"1"]
