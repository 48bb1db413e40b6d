"""Archives and bombs: members are read where they lie, and no more unfolds than a source allows."""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.connectors.byte_stream import Bounds
from headrace.connectors.files import read_messages
from headrace.errors import InputError

MIB = 1 << 20


def archive(path, compression=zipfile.ZIP_DEFLATED, **members: bytes):
    with zipfile.ZipFile(path, "w", compression) as out:
        for name, data in members.items():
            out.writestr(name.replace("@", "/"), data)
    return path


def rows(path, **options):
    return [
        (row["payload"], dict(row.get("attributes") or []).get("file-member"))
        for batch in read_messages(path, **options)
        for row in batch.to_pylist()
    ]


def test_each_member_is_a_file_in_the_order_of_the_archive(tmp_path):
    table = io.BytesIO()
    pq.write_table(pa.table({"n": [5]}), table)
    members = {
        "b.jsonl": b"1\n2\n", "deep@er@a.csv": b"id,n\n3,x\n", "c.json.gz": gzip.compress(b"[4]"),
        "d.parquet": table.getvalue(), "empty.jsonl": b"", "_SUCCESS": b"", "__MACOSX@b.jsonl": b"9\n",
    }  # fmt: skip
    expected = [
        (b"1", "b.jsonl"), (b"2", "b.jsonl"), (b"3,x", "deep/er/a.csv"), (b"4", "c.json.gz"), (b'{"n":5}', "d.parquet"),
    ]  # fmt: skip
    path = archive(tmp_path / "a.zip", **members)
    assert rows(path) == expected
    with path.open("rb") as file:
        assert rows(file, name="landing/whatever") == expected, "known by its first bytes"
    assert rows(archive(tmp_path / "b.zip", zipfile.ZIP_STORED, **members)) == expected
    assert rows(archive(tmp_path / "c.zip")) == []


def test_a_member_whose_path_leads_out_is_only_a_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("../../etc/x.jsonl", b"1\n")
    assert rows(tmp_path / "a.zip") == []
    assert [each.name for each in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "nested", "nameless"])
def test_a_damaged_archive_is_told(tmp_path, damage):
    path = archive(tmp_path / "a.zip", zipfile.ZIP_STORED, **{"a.jsonl": b'{"n":1}\n' * 1000})
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        del data[len(data) // 2 :]
    elif damage == "flipped":
        data[4000] ^= 1
    path.write_bytes(data)
    if damage == "nested":
        archive(path, **{"b.zip": bytes(data)})
    if damage == "nameless":
        archive(path, README=b"hello")
    with pytest.raises(InputError) as told:
        rows(path, name="a.zip")
    assert told.value.fix
    assert "a.zip" in told.value.at


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_that_no_bound_holds_for_are_refused_before_any_is_unpacked(tmp_path, packed):
    path = archive(tmp_path / "a.zip", **{"a.jsonl": b"1\n"})
    with zipfile.ZipFile(path, "a", packed) as out:
        out.writestr("deep/bomb.jsonl", b"0" * MIB)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (100).to_bytes(4, "little")  # the directory lies: what it says is far within any bound
    path.write_bytes(data)
    taken = read_messages(path, name="a.zip", bounds=Bounds(unpacked_bytes=1000))
    with pytest.raises(InputError, match="only deflated and stored") as told:
        next(taken)
    assert told.value.at == "a.zip/deep/bomb.jsonl"
    assert told.value.fix


@pytest.mark.parametrize("suffix", ["gz", "bz2", "zst", "zip"])
def test_a_bomb_is_refused_before_it_unfolds(tmp_path, suffix):
    zeros = b"0" * (100 * MIB)
    path = tmp_path / f"a.jsonl.{suffix}"
    if suffix == "zip":
        archive(path, **{"a.jsonl": zeros})
    else:
        pack = {"gz": gzip.compress, "bz2": bz2.compress, "zst": lambda data: pa.compress(data, "zstd", asbytes=True)}
        path.write_bytes(pack[suffix](zeros))
    with pytest.raises(InputError, match="as a bomb does"):
        rows(path, bounds=Bounds(ratio=200))
    with pytest.raises(InputError, match=r"5,000,000"):
        rows(path, bounds=Bounds(unpacked_bytes=5_000_000))
    assert len(rows(path)[0][0]) == len(zeros), "where nobody bounds it, it is a file"


def test_a_small_file_may_shrink_as_much_as_it_likes(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"1\n" * MIB))
    assert len(rows(path, bounds=Bounds(ratio=2))) == MIB


def test_compression_may_be_told(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(gzip.compress(b"1\n"))
    assert rows(path) == rows(path, compression="gzip") == [(b"1", None)]
    assert rows(path, compression="") != rows(path)
    (tmp_path / "b.jsonl.gz").write_bytes(b"1\n")
    assert rows(tmp_path / "b.jsonl.gz", compression="") == [(b"1", None)]
