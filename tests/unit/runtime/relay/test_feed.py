"""The feed: what it reads of an outbox that is large, and how it gets over a lake that cannot be read for a while."""

import pytest

from headrace.errors import LakeError
from headrace.lake import tables
from headrace.lake.ducklake import DuckLake
from headrace.runtime.relay import feed as feeding
from headrace.runtime.relay.feed import Feed


def outbox(state, rows, size, source="orders", first=0, commits=1):
    """Write rows to the outbox of a state's lake with each commit, each row with data of its own of this size."""
    lake = DuckLake(state / "lake")
    for start in range(first, first + rows * commits, rows):
        lake._connection.execute(
            f"INSERT INTO {tables.OUTBOX.sql} BY NAME SELECT '{source}' AS source, 'desk' AS push, i AS seq, "
            f"'m' || i AS id, 'silver' AS kind, 'orders' AS dataset, 'k' AS \"key\", now() AS \"at\", "
            f"'b' AS batch_id, now() AS committed_at, '\"' || repeat(md5(i::VARCHAR), {size // 32}) || '\"' AS data "
            f"FROM range({start}, {start + rows}) t(i)"
        )
    lake.close()


@pytest.fixture
def feed(tmp_path):
    found = Feed(tmp_path, None, None)
    yield found
    found.close()


def seqs(rows):
    return [each.seq for each in rows]


def test_rows_come_in_order_up_to_a_limit_and_a_size(tmp_path, feed, monkeypatch):
    outbox(tmp_path, 10, 320)
    outbox(tmp_path, 5, 320, first=10)
    outbox(tmp_path, 5, 320, source="others")
    assert seqs(feed._rows("orders", "desk", -1, 100)) == list(range(15))
    assert seqs(feed._rows("orders", "desk", 3, 4)) == [4, 5, 6, 7]
    assert seqs(feed._rows("orders", "desk", 14, 4)) == []
    monkeypatch.setattr(feeding, "READ_BYTES", 3 * 322)
    assert seqs(feed._rows("orders", "desk", -1, 100)) == [0, 1, 2]
    monkeypatch.setattr(feeding, "READ_BYTES", 100)
    assert seqs(feed._rows("orders", "desk", -1, 100)) == [0], "always a row"


def test_much_that_waits_takes_no_more_memory_than_what_is_read(tmp_path, feed):
    """Ten commits of 16 MB, where a relay has 96 MiB."""
    outbox(tmp_path, 4_000, 4_000, commits=10)
    with feed._reading_lake() as lake:
        lake.rows("SET memory_limit = '96MiB'")
        lake.rows("SET temp_directory = ''")
    rows = feed._rows("orders", "desk", -1, 64_000)
    assert 2 * feeding.READ_BYTES > sum(len(each.data) for each in rows) > feeding.READ_BYTES // 2
    assert seqs(rows) == list(range(len(rows)))


def test_a_connection_that_is_broken_is_opened_anew(tmp_path, feed):
    outbox(tmp_path, 3, 32)
    assert len(feed._rows("orders", "desk", -1, 9)) == 3
    feed._reader._connection.close()
    with pytest.raises(LakeError):
        feed._rows("orders", "desk", -1, 9)
    assert len(feed._rows("orders", "desk", -1, 9)) == 3
    feed._reader._connection.close()
    with pytest.raises(LakeError):
        feed._committed_since(-1)
    assert feed._committed_since(-1)[0] > 0


def test_a_lake_that_is_not_there_yet_is_opened_once_it_is(tmp_path, feed):
    for _ in range(3):
        with pytest.raises(LakeError, match="nothing was ever committed"):
            feed._committed_since(-1)
    outbox(tmp_path, 1, 32)
    assert feed._committed_since(-1)[0] > 0
    assert len(feed._rows("orders", "desk", -1, 9)) == 1
