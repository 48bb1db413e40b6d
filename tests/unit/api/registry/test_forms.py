"""What changed between two registered schemas."""

import pytest

from headrace.api.registry.forms import compared, valid
from headrace.api.registry.schema import Reference, Schema
from headrace.contracts.compatibility import OPEN

MONEY = 'syntax = "proto3"; message Money { int64 units = 1; }'
ORDER = 'syntax = "proto3"; import "PATH"; message Order { Money amount = 1; }'


def form(path, money):
    return valid(
        Schema("PROTOBUF", ORDER.replace("PATH", path), (Reference(path, "money", 1),)),
        lambda _: Schema("PROTOBUF", money),
    )


@pytest.mark.parametrize("path", ["money.proto", "common/money.proto"])
def test_each_protobuf_schema_is_read_with_what_it_imports_itself(path):
    old, same = form("money.proto", MONEY), form(path, MONEY)
    assert compared(old, same, OPEN) == ()
    changed = compared(old, form(path, MONEY.replace("int64", "string")), OPEN)
    assert [(each.pointer, each.rule) for each in changed] == [("#/Money/units", "type-changed")]


def test_a_type_that_an_import_has_no_longer_is_known_to_the_older_schema():
    old = form("money.proto", MONEY)
    other = Schema(
        "PROTOBUF",
        ORDER.replace("PATH", "money.proto").replace("Money", "Cash"),
        (Reference("money.proto", "money", 1),),
    )
    new = valid(other, lambda _: Schema("PROTOBUF", MONEY.replace("Money", "Cash")))
    found = {(each.pointer, each.rule) for each in compared(old, new, OPEN)}
    assert {("#/Money", "message-removed"), ("#/Cash", "message-added")} <= found
