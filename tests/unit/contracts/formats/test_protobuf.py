"""The one parser of .proto texts."""

import pytest

from headrace.contracts.formats.protobuf import parse
from headrace.errors import ContractError

SHOP = """
// A shop.
syntax = "proto3";
package shop.v1;
import "google/protobuf/timestamp.proto";
option java_package = "com.example"; // read over
option (my.option) = { deep: { a: 1 } };

/* An order,
 * as it is placed. */
message Order {
  reserved 4, 9 to 11, 100 to max;
  reserved "old", 'older';
  // Its number.
  string order_id = 1 [json_name = "id", deprecated = true];
  optional int64 amount_cents = 2;
  repeated Line lines = 3;
  map<string, Line> by_sku = 5;
  google.protobuf.Timestamp placed_at = 6;
  oneof payment { Card card = 7; string voucher = 8; }
  Status status = 0x10;
  .shop.v1.Order.Line first = 020;
  message Line { string sku = 1; enum Kind { PLAIN = 0; GIFT = -1; } Kind kind = 2; }
  message message { }
  enum Status { option allow_alias = true; UNKNOWN = 0; NEW = 1; FRESH = 1; reserved 5 to max; reserved "GONE"; }
}
message Card { string number = 1; }
service Orders { rpc Get(Order) returns (Card) { option (google.api.http) = { get: "/v1" }; } }
"""


def test_what_a_text_declares():
    with pytest.raises(ContractError, match="number 16 of status"):
        parse(SHOP)
    shop = parse(SHOP.replace("020", "021"), at="shop.proto")
    assert (shop.syntax, shop.package) == ("proto3", "shop.v1")
    assert shop.roots == ("shop.v1.Order", "shop.v1.Card")
    assert shop.imports == ("google/protobuf/timestamp.proto",)
    order = shop.messages["shop.v1.Order"]
    assert order.description == "An order,\nas it is placed."
    by_name = {each.name: each for each in order.fields}
    assert (by_name["order_id"].json_name, by_name["order_id"].description) == ("id", "Its number.")
    assert by_name["order_id"].options["deprecated"] == "true"
    assert not by_name["order_id"].presence
    assert by_name["amount_cents"].presence
    assert by_name["amount_cents"].json_name == "amountCents"
    assert by_name["lines"].type == by_name["first"].type == "shop.v1.Order.Line"
    assert (by_name["by_sku"].key, by_name["by_sku"].type) == ("string", "shop.v1.Order.Line")
    assert by_name["placed_at"].type == "google.protobuf.Timestamp"
    assert by_name["placed_at"].presence
    assert by_name["card"].oneof == by_name["voucher"].oneof == "payment"
    assert (by_name["status"].type, by_name["status"].number) == ("shop.v1.Order.Status", 16)
    assert not by_name["status"].presence
    assert order.reserved == ((4, 4), (9, 11), (100, 2**29 - 1))
    assert order.reserved_names == {"old", "older"}
    assert order.by_number[17].name == "first"
    status = shop.enums["shop.v1.Order.Status"]
    assert status.values == {"UNKNOWN": 0, "NEW": 1, "FRESH": 1}
    assert (status.reserved, status.reserved_names) == (((5, 2**29 - 1),), {"GONE"})
    assert shop.enums["shop.v1.Order.Line.Kind"].values["GIFT"] == -1


def test_proto2_and_editions():
    group = "optional group B = 2 { optional int32 c = 1; }"
    extension = "extend A { optional int32 more = 100; }"
    old = parse(f"message A {{ required string a = 1; {group} extensions 100 to max; }} {extension}")
    fields = old.messages["A"].fields
    assert [(each.name, each.label, each.type, each.presence) for each in fields] == [
        ("a", "required", "string", True), ("b", "optional", "A.B", True)]  # fmt: skip
    assert old.messages["A"].extensions == ((100, 2**29 - 1),)
    new = parse('edition = "2023"; message A { int32 a = 1; int32 b = 2 [features.field_presence = IMPLICIT]; }')
    assert [each.presence for each in new.messages["A"].fields] == [True, False]
    assert new.syntax == "edition 2023"


def test_imports_that_are_given():
    text = 'syntax = "proto3"; import "a.proto"; message B { common.A a = 1; }'
    texts = {"a.proto": 'package common; import "c.proto"; message A { optional C c = 1; }', "c.proto": "message C { }"}
    schema = parse(text, imports=texts)
    assert schema.messages["B"].fields[0].type == "common.A"
    assert schema.messages["common.A"].fields[0].type == "C"
    with pytest.raises(ContractError) as error:
        parse(text, at="b.proto")
    assert (error.value.at, "a.proto" in error.value.fix) == ("b.proto:1", True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("message A {", "the end of the text"),
        ('message A { int32 a = 1 [json_name = "\\UFFFFFFFF"]; }', "an escape of no character"),
        ('message A { int32 a = 1 [json_name = "\\U00110000"]; }', "an escape of no character"),
        ("message A { int32 a = 1; int32 b = 1; }", "number 1 of a"),
        ("message A { int32 a = 0; }", "number 0"),
        ("message A { int32 a = 1; int32 a = 2; }", "two fields named a"),
        ("message A { reserved 1 to 3; int32 a = 2; }", "reserved"),
        ("message A { Unknown a = 1; }", "'Unknown' of A.a is unknown"),
        ("message A { } message A { }", "declared twice"),
        ("message A { int32 a = 1.5; }", "no whole number"),
        ("enum A { }", "no values"),
        ('{"type": "record"}', "this is no Protobuf"),
        ("message A { string ä = 1; }", "no Protobuf"),
        ('syntax = "proto4";', "proto4"),
        ("message M {" * 70, "deep"),
        ('syntax = "proto2"; message A { int32 a = 1; }', "neither optional, required nor repeated"),
        ('syntax = "proto3"; message A { required int32 a = 1; }', "does not know"),
        ('syntax = "proto3"; message A { oneof x { repeated int32 a = 1; } }', "within the oneof x"),
        ('syntax = "proto3"; message A { oneof x { map<string, int32> a = 1; } }', "a map within the oneof x"),
        ('syntax = "proto3"; message A { repeated map<string, int32> a = 1; }', "a map that is repeated"),
        ('syntax = "proto3"; enum E { X = 1; }', "first value of E is X = 1"),
        ('syntax = "proto3"; enum E { X = 0; Y = 0; }', "have one number"),
    ],
)
def test_what_is_no_schema_says_where(text, said):
    with pytest.raises(ContractError, match=said) as error:
        parse(text, at="x.proto")
    assert error.value.at == "x.proto:1"
    assert error.value.fix
