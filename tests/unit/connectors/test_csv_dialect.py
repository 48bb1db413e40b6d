"""What a CSV file shows of itself: never guessed where it is said, and never wrong where it is plain."""

from __future__ import annotations

import codecs
import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.connectors.csv_dialect import NOTHING_SAID, Dialect, Said, dialect_of, encoding_of, recoded
from headrace.connectors.files import read_messages
from headrace.stages.csv_rows import CsvReader, CsvSpec


def shown(text: str, said: Said = NOTHING_SAID, **more) -> Dialect:
    return dialect_of(text.encode(), said, whole=True, **more)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
def test_the_delimiter_is_the_one_that_makes_records_even(delimiter, quoting):
    out = io.StringIO(newline="")
    rows = [["id", "name", "price", "note"], *([str(n), "a;b", f"{n},5", "x|y,z"] for n in range(30))]
    csv.writer(out, delimiter=delimiter, quoting=quoting).writerows(rows)
    assert shown(out.getvalue()) == Dialect(delimiter=delimiter)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id;price\n1;1,50\n2;2,75\n", Dialect(delimiter=";")),
        ("a,b\n'x,y',1\n'z',2\n", Dialect(quote="'")),
        ("a,b\nit's,1\n'tis,2\n", Dialect()),
        ('a,b\n"say \\"x,y\\" now",1\n"z",2\n', Dialect(escape="\\")),
        ('a,b\n"C:\\dir\\",1\n"D:\\",2\n', Dialect()),
        ('a,b\n"say ""x,y"" now",1\n', Dialect()),
        ("one\ntwo\nthree\n", Dialect()),
        ("", Dialect()),
        ('a,b\n"never closed,1\n2,3\n', Dialect()),
        ("id,name\r\n1,x\r\n", Dialect()),
    ],
)
def test_quotes_and_escapes_are_seen(text, expected):
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("id,name\n1,x\n2,y\n", True),
        ("name,town\nAda,London\nLin,Oslo\n", True),  # nothing tells: a first line is a header
        ("1,x\n2,y\n3,z\n", False),
        ("2026-01-01,x\n2026-01-02,y\n", False),
        ("NA,x,1\n5,y,2\n6,z,3\n", False),
        ("year,2024,2025\nsales,10,11\ncosts,3,4\n", False),  # only a name over numbers would tell
        ("year,2024,2025\n1,10,11\n2,3,4\n", True),
        ("id,when\n1,2026-01-01 08:00:00\n", True),
        ("id\n", True),
        ("1\n2\n", False),
    ],
)
def test_a_header_names_what_is_below_it(text, header):
    assert shown(text).header is header
    assert shown(text, Said(header=not header)).header is not header


def test_known_columns_are_a_header_only_where_the_file_names_them():
    assert shown("a,b\n1,2\n", Said(columns=("a", "b"))).header
    assert not shown("a,c\n1,2\n", Said(columns=("a", "b"))).header


def test_what_is_said_is_never_guessed():
    said = Said(delimiter=",", quote="", escape="\\", header=True, encoding="cp1250")
    assert shown("1;2\n3;4\n", said) == Dialect(",", "", "\\", True, "cp1250")
    assert shown("a,b\n1,2\n", usual="\t").delimiter == "\t"
    assert shown("a;b\n1;2\n", Said(delimiter=";"), usual="\t").delimiter == ";"


GERMAN = "id;name\n1;Müller\n2;Größe\n"


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        (GERMAN, "utf-8", "utf-8"),
        (GERMAN, "utf-8-sig", "utf-8"),
        (GERMAN, "cp1252", "cp1252"),
        ("id,ville\n" + "1,Évry à côté de Nîmes\n" * 9, "latin-1", "cp1252"),
        ("id,имя\n" + "1,Привет мир как дела\n" * 9, "cp1251", "cp1251"),
        ("id,名前\n" + "1,こんにちは世界の皆さん\n" * 9, "shift_jis", "cp932"),
        (GERMAN, "utf-16", "utf-16"),
        ("plain", "ascii", "utf-8"),
    ],
)
def test_the_encoding_is_seen(text, encoding, expected):
    data = text.encode(encoding)
    assert encoding_of(data) == expected
    assert b"".join(recoded([data], expected)).decode().removeprefix("\ufeff") == text


def test_a_few_broken_lines_leave_a_file_utf8():
    assert encoding_of("é\n".encode() * 50 + b"\xff\n") == "utf-8"
    assert encoding_of("größe\n".encode() + b"caf\xe9\n") == "utf-8"
    assert encoding_of(b"\xef\xbb\xbfid\ncaf\xe9\n") == "utf-8", "a byte order mark says so"
    assert encoding_of("37\ufffd36'\n".encode()) == "utf-8", "what another program could not read is a character too"
    assert encoding_of(("é" * 50).encode()[:-1]) == "utf-8", "a character that the block cuts"


@settings(deadline=None)
@given(st.text(alphabet="aé€\n,ß", max_size=40), st.lists(st.integers(1, 5), max_size=9))
def test_recoding_does_not_depend_on_where_blocks_are_cut(text, sizes):
    for encoding in ("cp1252", "utf-16", "utf-8"):
        data = text.encode(encoding)
        blocks, at = [], 0
        for size in sizes:
            blocks.append(data[at : at + size])
            at += size
        assert b"".join(recoded([*blocks, data[at:]], encoding)).decode() == text


def test_a_byte_that_the_encoding_has_not_is_kept_for_decode_to_name():
    assert b"".join(recoded([b"a\x81b"], "cp1252")) == b"a\x81b"
    assert codecs.lookup("cp1252").name == "cp1252"


def test_messages_of_a_file_carry_what_decode_needs(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("id;näme\n1;'x;y'\n2;'ß'\n".encode("cp1252"))
    notes: list[str] = []
    (batch,) = read_messages(path, note=notes.append)
    attributes = dict(batch.column("attributes")[0].as_py())
    reader = CsvReader(CsvSpec(), None)
    texts = [
        json.loads(reader.object_text(payload.decode(), attributes["csv-header"], attributes["csv-dialect"]))
        for payload in batch.column("payload").to_pylist()
    ]
    assert texts == [{"id": "1", "näme": "x;y"}, {"id": "2", "näme": "ß"}]
    assert "cp1252" in notes[0]
