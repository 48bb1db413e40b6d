"""Parquet files of few bytes that unfold to gigabytes: told by their pages, or stopped as they unfold."""

from __future__ import annotations

import contextlib
import io
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.connectors.byte_stream import Bounds
from headrace.connectors.files import read_messages
from headrace.connectors.parquet_pages import MAX_TEXT_PAGE_BYTES, groups
from headrace.errors import InputError

BOUNDS = Bounds(100 << 30, 1000)
LONG = pa.array(["x" * (1 << 20)])


def parquet(column, **options):
    out = io.BytesIO()
    pq.write_table(pa.table({"a": column}), out, **{"compression": "zstd", "store_schema": False, **options})
    return out.getvalue()


def rows(data):
    batches = read_messages(io.BytesIO(data), name="a.parquet", format="parquet", bounds=BOUNDS)
    return [row for batch in batches for row in batch.column("payload").to_pylist()]


def repeated(times):
    """Return one long text so many times, of which a file holds one and a count."""
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), times), LONG)


def in_one_row(items):
    return pa.ListArray.from_arrays(pa.array([0, len(items)], pa.int32()), items)


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (repeated(100_000), "more than 1,000 times its size"),
        (in_one_row(repeated(100_000)), "a row unfolds to more than 256 MiB"),
        (in_one_row(pa.nulls(16_000_001, pa.int8())), "unfolds to 16,000,001 items in one row group"),
    ],
)
def test_what_a_few_pages_repeat_is_refused_as_it_unfolds(column, why):
    data = parquet(column)
    assert len(data) < 10_000
    with pytest.raises(InputError, match=why) as told:
        rows(data)
    assert told.value.at == "a.parquet"


def test_a_page_that_unfolds_to_more_than_is_held_is_refused_unread():
    data = parquet(pa.array([b"x" * (MAX_TEXT_PAGE_BYTES + 1)]), use_dictionary=False, write_statistics=False)
    with pytest.raises(InputError, match="a page of the column a unfolds to"):
        rows(data)


def test_many_columns_whose_pages_are_open_at_once_are_refused():
    out = io.BytesIO()
    table = pa.table([pa.array([b"x" * (8 << 20)])] * 130, names=[f"c{at}" for at in range(130)])
    pq.write_table(table, out, compression="zstd", use_dictionary=False, write_statistics=False)
    with pytest.raises(InputError, match="bytes of pages at once"):
        rows(out.getvalue())


def test_rows_are_read_few_at_once_where_some_are_long():
    texts = pa.array(["x"] * 5_000 + ["y" * 100_000] * 50 + ["z"] * 5_000)
    data = parquet(texts, use_dictionary=False, data_page_size=1 << 16, write_batch_size=16)
    (group,) = groups(io.BytesIO(data), "a.parquet")
    assert group.densest > 30_000 > group.row_bytes
    assert rows(data) == [f'{{"a":"{text}"}}'.encode() for text in texts.to_pylist()]


def test_values_that_repeat_the_start_of_the_last_are_read_few_at_once():
    data = parquet(pa.array(["x" * 100_000] * 2_000), use_dictionary=False, column_encoding={"a": "DELTA_BYTE_ARRAY"})
    (group,) = groups(io.BytesIO(data), "a.parquet")
    assert group.densest > 100_000
    assert group.row_bytes < 10_000


@pytest.mark.parametrize("seed", range(4))
def test_damage_anywhere_is_told_or_does_not_matter(seed):
    chance = random.Random(seed)
    whole = parquet(pa.array([{"k": [f"v{at % 7}", None], "n": at} for at in range(500)]), compression="snappy")
    for _ in range(25):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with contextlib.suppress(InputError):
            rows(bytes(data))
