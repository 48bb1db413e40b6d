"""What the lake decides purely: how a table follows its contract, and which snapshots nobody can read any more."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ContractError
from headrace.lake import evolution, expiry
from headrace.lake.evolution import AddColumn

BEFORE = pa.schema(
    [
        ("id", pa.string()),
        ("n", pa.int64()),
        ("at", pa.struct([("city", pa.string())])),
        ("tags", pa.list_(pa.string())),
    ]
)


def decide(*fields):
    return evolution.decide("silver.orders", BEFORE, pa.schema(list(fields)))


def test_the_same_contract_and_one_that_names_less_change_nothing():
    assert evolution.decide("silver.orders", BEFORE, BEFORE) == []
    assert decide(("id", pa.string())) == []


def test_added_columns_and_added_fields_of_structs_are_found():
    wide = pa.struct([("city", pa.string()), ("zip", pa.struct([("code", pa.int64())]))])
    found = decide(*BEFORE.remove(2), ("at", wide), ("new", pa.bool_()))
    assert found == [AddColumn(("at", "zip"), pa.struct([("code", pa.int64())])), AddColumn(("new",), pa.bool_())]


@pytest.mark.parametrize(
    ("field", "named"),
    [
        (("n", pa.string()), "column n of silver.orders is int64"),
        (("at", pa.struct([("city", pa.int64())])), "column at.city of"),
        (("tags", pa.list_(pa.int64())), "column tags of"),
        (("at", pa.string()), "column at of"),
    ],
)
def test_a_column_that_would_change_its_type_is_refused_by_name(field, named):
    with pytest.raises(ContractError, match=named) as refused:
        decide(field)
    assert refused.value.at == "silver.orders"
    assert "_v2" in refused.value.fix


@pytest.mark.parametrize(
    ("field", "named"),
    [(("ID", pa.string()), "column ID of .* from id"), (("at", pa.struct([("City", pa.string())])), "at.City of")],
)
def test_a_name_that_differs_only_in_case_is_refused(field, named):
    with pytest.raises(ContractError, match=named):
        decide(field)


numbers = st.sets(st.integers(0, 50))


@given(numbers, numbers, numbers)
def test_what_is_kept_leased_or_the_latest_never_expires_and_all_else_does(snapshots, keep, leased):
    expired = set(expiry.decide(snapshots, keep=keep, leased=leased))
    latest = {max(snapshots)} if snapshots else set()
    assert expired == snapshots - keep - leased - latest
