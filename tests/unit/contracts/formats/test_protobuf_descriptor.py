"""Descriptors say the same as the text that they came of."""

import base64

import pytest
from google.protobuf import descriptor_pb2, struct_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from headrace.contracts.formats import protobuf
from headrace.contracts.formats.protobuf_descriptor import is_descriptor, text_of
from headrace.errors import ContractError


def encoded(file):
    return base64.b64encode(file.SerializeToString()).decode()


def of_library(module):
    file = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    return file


def test_all_that_is_on_the_wire_is_in_the_text():
    file = of_library(descriptor_pb2)  # proto2: defaults, enums within, reserved numbers and names, extensions
    parsed = protobuf.parse(text_of(encoded(file)), imports={})
    seen = 0

    def compare(messages, above):
        nonlocal seen
        for message in messages:
            name = f"{above}.{message.name}"
            found = parsed.messages[name]
            assert [(each.name, each.number, each.label) for each in found.fields] == [
                (each.name, each.number, {1: "optional", 2: "required", 3: "repeated"}[each.label])
                for each in message.field
            ]
            assert found.reserved_names == frozenset(message.reserved_name)
            for enum in message.enum_type:
                assert parsed.enums[f"{name}.{enum.name}"].values == {each.name: each.number for each in enum.value}
            seen += 1
            compare(message.nested_type, name)

    compare(file.message_type, "google.protobuf")
    assert seen == len(parsed.messages) > 30


def test_maps_oneofs_and_what_may_be_absent():
    text = text_of(encoded(of_library(struct_pb2)))
    fields = protobuf.parse(text, imports={}).messages["google.protobuf.Struct"].fields
    assert [(each.key, each.type) for each in fields] == [("string", "google.protobuf.Value")]
    file = FileDescriptorProto(name="a.proto", package="a", syntax="proto3")
    message = file.message_type.add(name="A")
    message.field.add(name="sure", number=1, type=5, label=1)
    message.field.add(name="maybe", number=2, type=9, label=1, proto3_optional=True, oneof_index=1, json_name="m")
    message.field.add(name="one", number=3, type=8, label=1, oneof_index=0)
    message.field.add(name="other", number=4, type=12, label=1, oneof_index=0)
    message.field.add(name="many", number=5, type=5, label=3).options.packed = False
    for name in ("choice", "_maybe"):
        message.oneof_decl.add(name=name)
    found = protobuf.parse(text_of(encoded(file)), imports={}).messages["a.A"].fields
    assert [(each.name, each.label, each.oneof, each.presence) for each in found] == [
        ("sure", "", "", False), ("maybe", "optional", "", True), ("one", "", "choice", True),
        ("other", "", "choice", True), ("many", "repeated", "", False),
    ]  # fmt: skip
    assert found[1].json_name == "m"
    assert found[4].options == {"packed": "false"}


def test_what_is_none_is_refused():
    assert not is_descriptor('syntax = "proto3"; message A {}')
    assert not is_descriptor("message A{}")
    grouped = FileDescriptorProto(name="a.proto", syntax="proto2")
    grouped.message_type.add(name="A").field.add(name="g", number=1, type=10, label=1, type_name=".A.G")
    edition = FileDescriptorProto(name="a.proto", syntax="editions")
    edition.message_type.add(name="A")
    for text, said in (
        (base64.b64encode(b"hello world").decode(), "neither"),
        ("AAAA", "neither"),
        (encoded(FileDescriptorProto(name="empty.proto")), "declares nothing"),
        (encoded(grouped), "is a group"),
        (encoded(edition), "'editions'"),
    ):
        with pytest.raises(ContractError, match=said):
            text_of(text)


def test_what_no_compiler_writes_is_refused_or_read_as_it_is_meant():
    def shown(name="A", package="", **field):
        file = FileDescriptorProto(name="a.proto", syntax="proto3", package=package)
        file.message_type.add(name=name).field.add(**{"name": "x", "number": 1, "label": 1} | field)
        return protobuf.parse(text_of(encoded(file)), imports={}).messages["A"].fields

    assert [each.type for each in shown(type_name=".A")] == ["A"], "the kind of a type with a name may be left out"
    for wrong in (
        {"type": 5, "oneof_index": 7},
        {"type": 5, "oneof_index": -1},
        {"type": 5, "name": "x = 9; int32 y"},
        {"type": 5, "name": ""},
        {"type": 11, "type_name": "A x = 3; B"},
        {"type": 5, "package": "a; message Z {}"},
    ):
        with pytest.raises(ContractError, match="is not valid"):
            shown(**wrong)
    half = FileDescriptorProto(name="a.proto", syntax="proto3")
    entry = half.message_type.add(name="A").nested_type.add(name="E")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=9, label=1)
    half.message_type[0].field.add(name="x", number=1, type=11, label=3, type_name=".A.E")
    with pytest.raises(ContractError, match="is not valid"):
        text_of(encoded(half))
