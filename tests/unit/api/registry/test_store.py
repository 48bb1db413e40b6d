"""Ids are given once, and a decision that came too late is not kept."""

from contextlib import closing

import pytest

from headrace.api.registry.refusal import Refusal
from headrace.api.registry.schema import Schema
from headrace.api.registry.store import MAX_ID, Row, Store

INT, LONG, TEXT = (Schema("AVRO", f'"{word}"') for word in ("int", "long", "string"))


@pytest.fixture
def store(tmp_path):
    with closing(Store(tmp_path)) as store:
        yield store


def test_an_id_is_not_given_again_after_all_was_deleted(store, tmp_path):
    assert store.register("a", INT, []) == Row(1, 1)
    assert store.register("b", LONG, []) == Row(1, 2)
    store.mark_deleted("b", [1])
    store.forget("b", [1])
    with closing(Store(tmp_path)) as again:
        assert again.register("c", TEXT, []) == Row(1, 3)
        assert again.register("d", LONG, []) == Row(1, 2)  # its own, of old
        assert again.schema(2) == LONG


def test_who_decided_on_what_is_no_longer_so_decides_again(store):
    store.register("a", INT, [])
    assert store.register("a", LONG, []) is None
    assert store.rows("a") == [Row(1, 1)]
    assert store.ids_of(LONG) == set()


def test_what_is_live_is_not_deleted_for_good(store):
    store.register("a", INT, [])
    store.forget("a", [1])
    assert store.rows("a") == [Row(1, 1)]


def test_an_imported_id_that_leaves_none_is_said(store):
    store.register("a", INT, [], schema_id=MAX_ID)
    with pytest.raises(Refusal, match="all 2"):
        store.register("b", LONG, [])
    with pytest.raises(Refusal, match="Overwrite"):
        store.register("b", LONG, [], schema_id=MAX_ID)


def test_a_schema_that_was_imported_has_all_its_ids(store):
    store.register("a", INT, [])
    store.register("b", INT, [], schema_id=70)
    assert (store.ids_of(INT), store.ids_of(LONG)) == ({1, 70}, set())
